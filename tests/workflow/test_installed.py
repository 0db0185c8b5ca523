"""The package installed from its sdist, without a checkout: a study runs in an empty folder.

What it stores is what a checkout would have stored.
"""

from __future__ import annotations

import copy
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.unit.own_images import archive
from tests.workflow.conftest import TINY, Runner
from tests.workflow.test_entry_points import jobs

# Builds an sdist of the working directory, as `python -m build --sdist` does.
BUILD = "from setuptools import build_meta; print(build_meta.build_sdist('dist'))"
FOLDERS = ("config", "envs", "profiles", "resources", "sscdl", "workflow")
SMALL = copy.deepcopy(TINY) | {"store": "store", "curricula": ["scratch"], "variants": ["full"]}
SMALL["dataset"]["phantom"] = {"patients": 16, "size": 96}
SMALL["stages"]["classify"]["learning_rates"] = [0.01]
SMALL["results"] = {"label_shares": [], "random_networks": 2}
HASHES = """
import json
from sscdl import source
from sscdl.equivalence import group_hash
from sscdl.files import HOME
groups = [*source.GROUPS, *source.TASK_MODULES]
scripts = sorted((HOME / "workflow/scripts").glob("*.py"))
print(json.dumps([
    str(HOME),
    {group: group_hash(group) for group in groups},
    {path.stem: source.output_hash(path) for path in scripts},
]))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """Return an environment with this one's packages and the project's, installed by pip."""
    place = tmp_path_factory.mktemp("installed")
    source, venv = place / "source", place / "venv"
    for name in FOLDERS:
        left_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=left_out)
    for path in ROOT.glob("*"):
        if path.is_file():
            shutil.copy2(path, source)
    built = run([sys.executable, "-c", BUILD], source).split()[-1]
    run([sys.executable, "-m", "venv", "--without-pip", str(venv)], place)
    # This environment may be a virtual one itself, which --system-site-packages would pass over.
    packages = sysconfig.get_path("purelib", vars={"base": str(venv)})
    (Path(packages) / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin/python"), "install"]
    run([*pip, "--no-deps", "--no-build-isolation", "--no-index", f"dist/{built}"], source)
    shutil.rmtree(source)
    return venv


def run(command: list[str], folder: Path, *, lists: bool = False) -> str:
    """Return what a command says in a folder, away from this checkout; it must succeed.

    The status of one that only ``lists`` what it could do is 2.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=folder, env=environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    assert done.returncode == (2 if lists else 0), done.stdout[-4000:]
    return done.stdout


def test_everything_has_the_identity_that_it_has_in_a_checkout(installed, tmp_path):
    home, *hashes = yaml.safe_load(run([str(installed / "bin/python"), "-c", HASHES], tmp_path))
    assert Path(home).is_relative_to(installed)
    here, *others = yaml.safe_load(run([sys.executable, "-c", HASHES], ROOT))
    assert (Path(here), others) == (ROOT, hashes)


def test_the_command_names_itself_as_it_is_called(installed, tmp_path):
    command = str(installed / "bin/sscdl")
    assert run([command, "--help"], tmp_path).startswith("usage: sscdl [-h]")
    said = run([command, "store", "--help"], tmp_path)
    assert said.startswith("usage: sscdl store [-h]")
    assert "python -m" not in said
    said = run([str(installed / "bin/python"), "-m", "sscdl", "store", "--help"], tmp_path)
    assert said.startswith("usage: python -m sscdl store [-h]")


def test_it_asks_for_what_runs_need(installed):
    packages = sysconfig.get_path("purelib", vars={"base": str(installed)})
    [found] = metadata.distributions(name="sscdl", path=[packages])
    lines = (ROOT / "requirements.in").read_text().splitlines()
    asked = [line for line in lines if line and not line.startswith("#")]
    assert found.requires == asked


def test_the_documented_commands_run_one_after_the_other(installed, tmp_path):
    root = archive(tmp_path / "mine")
    page = (ROOT / "docs/running.md").read_text()
    lines = re.findall(r"^sscdl (.+)$", page, flags=re.MULTILINE)
    assert len(lines) == 6
    planned = []
    for line in lines:
        words = shlex.split(line.replace("/data/mine", str(root)), comments=True)
        words = [word for word in words if word != "--quiet"]  # which would hide what is planned
        started = words[0] == "run" and len(words) > 1
        more = ["--dry-run"] if started else []  # goes to either side of --
        said = run([str(installed / "bin/sscdl"), *words, *more], tmp_path, lists=words == ["run"])
        planned += [jobs(said)] if started else []
    whole, plan, everything, tables = planned
    assert whole == everything >= {"ingest", "segment", "pretext_stage", "finetune", "summary"}
    assert plan == {"plan"}
    assert tables >= {"phantom", "finetune"}
    assert "summary" not in tables


def test_a_study_runs_in_an_empty_folder_and_a_checkout_takes_what_it_stored(installed, tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(SMALL))
    # A folder of the package's name is no part of it.
    (tmp_path / "sscdl").mkdir()
    (tmp_path / "sscdl/__init__.py").write_text("raise ImportError")
    run([str(installed / "bin/sscdl"), "run", "study.yaml", "tables", "--cores", "2"], tmp_path)
    tables = tmp_path / "results/tiny/tables"
    assert "scratch" in (tables / "accuracy_details.csv").read_text()
    shutil.rmtree(tmp_path / "sscdl")
    said = Runner(tmp_path, SMALL)("tables", "--dry-run")
    assert "Nothing to be done" in said, said[-4000:]
    other = Runner(tmp_path / "other", SMALL | {"store": "../store"})
    said = other("tables", "--dry-run")
    for rule in ("phantom", "ingest", "segment", "pack", "finetune"):
        assert f"rule {rule}:" not in said
