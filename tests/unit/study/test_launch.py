"""A dead run's lock goes, a living run's stays."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT

CLEAR = "import sys; from sscdl.study.launch import clear_stale_locks as c; print(c(sys.argv[1]))"
HOLD = CLEAR + "; sys.stdout.flush(); sys.stdin.read()"


def clear(folder) -> str:
    return subprocess.run(
        [sys.executable, "-c", CLEAR, str(folder)], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()


def test_locks_of_a_dead_run_are_removed(tmp_path):
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/0.input.lock").write_text("x")
    assert clear(tmp_path) == "True"
    assert not (tmp_path / "locks").exists()
    assert clear(tmp_path) == "False"


def test_locks_of_a_living_run_stay_until_it_is_killed(tmp_path):
    running = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert running.stdout.readline()
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks/0.input.lock").write_text("x")
    assert clear(tmp_path) == "False"
    assert (tmp_path / "locks/0.input.lock").exists()
    assert clear(tmp_path) == "False", "a second run that came and went proves nothing"
    running.kill()
    running.wait()
    assert clear(tmp_path) == "True"
