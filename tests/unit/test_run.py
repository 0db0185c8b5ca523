"""A test run that ends itself, or a test that leaves something running, is told."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

import tests.run
from tests.conftest import ROOT


def run(folder, text: str) -> subprocess.CompletedProcess[str]:
    """Run the test module ``text`` in ``folder`` as ``make test`` does."""
    (folder / "test_it.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "tests.run", "-q", "--rootdir", folder, folder],
        cwd=ROOT, text=True, capture_output=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("status", [0, 1])
def test_a_process_that_something_ends_is_no_passed_run(tmp_path, status):
    done = run(tmp_path, f"import os\ndef test_ends(): os._exit({status})\n")
    assert done.returncode == 1
    assert "did not come to its end" in done.stderr
    assert f"status {status}" in done.stderr
    assert "test_it.py::test_ends" in done.stderr


@pytest.mark.parametrize(("test", "status"), [("assert True", 0), ("assert False", 1)])
def test_a_run_that_closes_keeps_its_status(tmp_path, test, status):
    done = run(tmp_path, f"def test_it(): {test}\n")
    assert done.returncode == status
    assert done.stderr == ""
    assert f"1 {'failed' if status else 'passed'}" in done.stdout


def test_a_failed_run_stays_failed_whatever_ends_its_process(tmp_path):
    text = "import atexit, os\natexit.register(os._exit, 0)\ndef test_it(): assert False\n"
    assert run(tmp_path, text).returncode == 1


def test_a_run_that_does_not_end_after_its_closing_line_is_ended(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(tests.run, "SECONDS_TO_END", 2)
    text = "import threading, time\n"
    text += "def test_it(): threading.Thread(target=time.sleep, args=[100]).start()\n"
    (tmp_path / "test_it.py").write_text(text)
    before = signal.getsignal(signal.SIGTERM)
    assert tests.run.main(["-q", "--rootdir", str(tmp_path), str(tmp_path)]) == 1
    assert "did not end and was killed" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


LEFT = {
    "timer": "import threading\nt = threading.Timer(60, print); t.daemon = True\n"
    "def test_it(): t.start()\n",
    "process": "import subprocess, sys\n"
    "def test_it(): subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'])\n",
}


@pytest.mark.parametrize("kind", LEFT)
def test_what_a_test_leaves_running_fails_it(tmp_path, kind):
    (tmp_path / "conftest.py").write_text(
        "import tests.conftest\ntests.conftest.SECONDS_TO_END = 0.2\n"
        "from tests.conftest import _nothing_left_behind\n"
    )
    done = run(tmp_path, LEFT[kind])
    assert done.returncode == 1
    assert "left behind by this test" in done.stdout
    assert {"timer": "<Timer", "process": "time.sleep(30)"}[kind] in done.stdout


def test_what_ends_in_time_is_nobodys_fault(tmp_path):
    (tmp_path / "conftest.py").write_text("from tests.conftest import _nothing_left_behind\n")
    text = "import threading\ndef test_it(): threading.Timer(0.3, print).start()\n"
    assert run(tmp_path, text).returncode == 0
