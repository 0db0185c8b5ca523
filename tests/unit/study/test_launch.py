"""A dead run's lock goes, a living run's stays; places that cannot do are refused."""

from __future__ import annotations

import os
import shutil
import string
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

from sscdl.errors import InputError
from sscdl.study import launch
from sscdl.study.launch import (
    calm_scheduler,
    check_places,
    check_writable,
    clear_stale_locks,
    why_ended,
)
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


@pytest.mark.parametrize("python", ["/my files/bin/python", "/a(1)/python", "/it's/python"])
def test_a_path_of_python_that_a_shell_cuts_is_refused(python):
    with pytest.raises(InputError, match="Python lies at .*python3 -m venv"):
        check_places(Path("/srv"), python)


@pytest.mark.parametrize(
    "python", ["/home/käthe/.venv/bin/python3.11", "/opt/a+b_c-d/python", "/srv/c#/a~1/b^!]/python"]
)
def test_other_paths_of_python_are_not(python):
    check_places(Path("/srv/my files"), python)


@pytest.mark.parametrize("sign", [*string.punctuation.replace("/", ""), " "])
def test_make_refuses_the_same_paths_before_it_installs(tmp_path, sign):
    folder = tmp_path / f"a{sign}b"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    made = subprocess.run(
        ["make", ".venv/bin/python", "PYTHON=true"], cwd=folder, capture_output=True, text=True
    )
    refused = bool(launch.SHELL.search(str(folder)))
    assert ("Snakemake cannot start Python from a folder" in made.stdout) == refused, made
    assert bool(made.returncode) == refused


def test_braces_around_the_workflow_are_refused():
    with pytest.raises(InputError, match="braces"):
        check_places(Path("/srv/{one}/sscdl"), "/usr/bin/python3")


def test_environments_that_lack_an_installed_package_are_refused(tmp_path):
    with pytest.raises(InputError, match="--sdm: .*run a clone"):
        check_places(tmp_path, "/usr/bin/python3", elsewhere=True)
    check_places(tmp_path, "/usr/bin/python3")
    check_places(ROOT, "/usr/bin/python3", elsewhere=True)


@pytest.fixture
def read_only(monkeypatch, tmp_path):
    """A folder in which this process may not write, also where it is root's."""
    folder = tmp_path / "closed"
    folder.mkdir()
    allowed = os.access
    monkeypatch.setattr(
        launch.os, "access", lambda path, mode: Path(path) != folder and allowed(path, mode)
    )
    return folder


def test_folders_that_a_run_may_not_write_are_named_once(read_only, tmp_path):
    check_writable([tmp_path / "open/a.json", tmp_path / "b.json"])
    with pytest.raises(InputError, match="read-only for you") as told:
        check_writable([read_only / "new/a.json", read_only / "b.json", tmp_path / "c.json"])
    assert str(told.value).count(str(read_only)) == 1


def test_a_folder_that_cannot_be_entered_takes_no_files(monkeypatch, tmp_path):
    monkeypatch.setattr(launch.os, "access", lambda _, mode: not mode & os.X_OK)
    with pytest.raises(InputError, match="read-only for you"):
        check_writable([tmp_path / "a.json"])


@pytest.mark.parametrize("in_the_way", [Path.touch, lambda path: path.symlink_to("nowhere")])
def test_a_file_in_the_place_of_a_folder_is_named(tmp_path, in_the_way):
    in_the_way(tmp_path / "store")
    with pytest.raises(
        InputError,
        match=f"{tmp_path}/store: is a file, or a link that",
    ):
        check_writable([tmp_path / "store/images/a.json", tmp_path / "b.json"])


def test_a_working_directory_that_is_read_only_is_named(read_only, monkeypatch):
    monkeypatch.chdir(read_only)
    with pytest.raises(InputError, match=f"{read_only}: you may not write here"):
        clear_stale_locks()


def test_looks_of_the_scheduler_do_not_pile_up(monkeypatch):
    """Snakemake's own way has one timer more for each job that ends, and each makes the next."""
    assert "    calm_scheduler()\n" in (ROOT / "workflow/rules/common.smk").read_text()
    monkeypatch.setattr(JobScheduler, "_schedule_reevalutation", None)
    calm_scheduler()
    scheduler = object.__new__(JobScheduler)
    scheduler._open_jobs = threading.Semaphore(0)
    for _ in range(50):
        scheduler._schedule_reevalutation(0.05)
    assert sum(isinstance(one, threading.Timer) for one in threading.enumerate()) == 1
    assert scheduler._open_jobs.acquire(timeout=10)
    assert not scheduler._open_jobs.acquire(timeout=0.2), "fifty asked for one look"
    scheduler._schedule_reevalutation(0.01)
    assert scheduler._open_jobs.acquire(timeout=10), "and the next look comes, too"


@pytest.mark.parametrize(
    ("status", "said", "told"),
    [
        (2, "roots.mine: no file\n", "roots.mine: no file"),
        (1, " \n", "the check has ended with status 1, without a word"),
        (-9, "", "the check was killed by signal 9, probably for memory"),
        (-11, "", "the check was killed by signal 11"),
        (-15, "", "the check was stopped by signal 15"),
        (-9, "a warning\n", "a warning\nthe check was killed by signal 9, probably for memory"),
    ],
)
def test_a_process_that_was_killed_is_said_to_be(status, said, told):
    assert why_ended("the check", status, said) == told
