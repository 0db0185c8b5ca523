"""A tiny study, run once through Snakemake, that the tests of the workflow share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

TINY = {
    "study": "tiny",
    "store": "../store",
    "dataset": {
        "layout": "phantom",
        "phantom": {"patients": 24, "size": 96, "shortcut": 0.95, "marked_test": 6},
    },
    "image": {"size": 32, "packed": 36},
    "backbone": {"name": "resnet18", "last_stage": 2},
    "curricula": ["scratch", "rotation"],
    "stages": {
        task: {
            "batch_size": 8,
            "learning_rates": [0.01, 0.03],
            "search_epochs": 1,
            "final_epochs": 1,
        }
        for task in ("rotation", "moco", "classify")
    },
    "training": {"device": "cpu", "threads": 1},
    "results": {"panel_images": 2},
}


@dataclass
class Runner:
    """A working directory from which Snakemake runs with a configuration of its own."""

    folder: Path
    config: dict
    base: tuple[str, ...] = ()  # configuration files under this study's own
    snakefile: str = "Snakefile"
    terminal: str = "all"  # what jobs say is read by tests

    def command(self, *arguments: str) -> list[str]:
        """Return the command line; the configuration is written to the working directory."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "study.yaml"
        file.write_text(yaml.safe_dump(self.config))
        snakemake = str(Path(sys.executable).parent / "snakemake")
        return [
            snakemake, *arguments, "--snakefile", str(ROOT / self.snakefile), "--directory",
            str(self.folder), "--cores", "2", "--resources", "gpu=1", "--workflow-profile",
            str(ROOT / "profiles/default"), "--configfile", *self.base, str(file),
        ]  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment with this test's Python first on the path."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "SSCDL_TERMINAL": self.terminal}

    def __call__(self, *arguments: str, ok: bool = True) -> str:
        """Run Snakemake, check that it succeeds (or fails, if not ``ok``), return its output."""
        done = subprocess.run(
            self.command(*arguments), cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        assert (done.returncode == 0) == ok, done.stdout[-4000:]
        return done.stdout

    @property
    def results(self) -> Path:
        """Return the results folder of the study."""
        return self.folder / "results" / self.config["study"]


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Path:
    """Return the folder that holds the store and the working directories of all studies."""
    return tmp_path_factory.mktemp("workflow")


@pytest.fixture(scope="session")
def told(place) -> str:
    """Return what a user sees of the whole run of the tiny study on the terminal."""
    return Runner(place / "first", TINY, terminal="")()


@pytest.fixture(scope="session")
def study(place, told) -> Runner:
    """Return a finished tiny study."""
    return Runner(place / "first", TINY)


@pytest.fixture
def copy(study, place, tmp_path) -> Runner:
    """Return a copy of the finished tiny study and of its store, which a test may damage."""
    shutil.copytree(place / "store", tmp_path / "store")
    shutil.copytree(study.folder, tmp_path / "first")
    return Runner(tmp_path / "first", study.config)
