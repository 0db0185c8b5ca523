"""`python -m sscdl results tidy` moves aside what a study no longer asks for, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sscdl.__main__ import main
from sscdl.upkeep import results
from tests.conftest import ROOT
from tests.unit.study.test_launch import HOLD
from tests.unit.study.test_outputs import OWN, made, outputs

DEMO = str(ROOT / "config/demo.yaml")
SMALLER = ("variants=[full]", "curricula=[scratch, rotation]")


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Return the results of the demo, and the user's own, in a working directory."""
    monkeypatch.chdir(tmp_path)
    made(tmp_path / "results/demo", outputs("demo").asked | OWN)
    return tmp_path / "results/demo"


def contents(folder: Path) -> dict[str, str]:
    """Return the text of every file below a folder, by its path there."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def tidy(*settings: str) -> int:
    words = ["--config", *settings] if settings else []
    return main(["results", "tidy", "--configfile", DEMO, *words])


def test_what_is_outdated_moves_and_all_else_stays(folder, capsys):
    before = contents(folder)
    assert tidy(*SMALLER) == 0
    after = contents(folder)
    (aside,) = (folder / "outdated").iterdir()
    moved = contents(aside)
    stayed = {name: text for name, text in after.items() if not name.startswith("outdated/")}
    assert moved.items() | stayed.items() == before.items()
    assert not moved.keys() & stayed.keys()
    assert set(stayed) >= OWN
    assert "predictions/full.rotation+moco.s0.csv" in moved
    assert "monitors/segmented_black/rotation.s0/lr0.01/records.jsonl" in moved
    out = capsys.readouterr().out
    assert "tables/B.3_pretext_1task_segmented_black.csv" in out
    assert out.splitlines()[-1].endswith(f"moved to {aside.relative_to(folder.parents[1])}")
    assert tidy(*SMALLER) == 0
    assert capsys.readouterr().out == "results/demo: nothing is outdated\n"
    assert contents(folder) == after


def test_a_second_time_in_the_same_second_has_a_folder_of_its_own(folder, monkeypatch):
    monkeypatch.setattr(results.time, "strftime", lambda form: "now")
    assert tidy("variants=[full]") == 0
    made(folder, {"predictions/segmented_black.scratch.s0.csv"})
    assert tidy("variants=[full]") == 0
    assert sorted(path.name for path in (folder / "outdated").iterdir()) == ["now", "now-2"]


def test_nothing_moves_while_a_run_is_at_work(folder, capsys):
    snakemakes = folder.parents[1] / ".snakemake"
    before = contents(folder)
    running = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(snakemakes)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert running.stdout.readline()
    assert tidy(*SMALLER) == 2
    assert "a run is at work here" in capsys.readouterr().err
    assert contents(folder) == before
    running.communicate()
    assert tidy(*SMALLER) == 0


def test_another_folder_and_a_file_that_cannot_be_moved(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results.shutil, "move", lambda *_: (_ for _ in ()).throw(OSError("full")))
    assert tidy(*SMALLER) == 2
    assert "cannot be moved" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path / "results")
    assert tidy(*SMALLER) == 2
    assert "run this where snakemake was run" in capsys.readouterr().err
