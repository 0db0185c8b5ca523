"""Run pytest and say so where it does not come to its end: ``python -m tests.run [ARGUMENT ...]``.

A process that something ends from inside (os._exit in a thread, a signal, a crash) prints neither
pytest's closing line nor a reason, and its exit status may be any, 0 too. This process starts
pytest, with this module as a plug-in that writes down how far it has come.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

VARIABLE = "SSCDL_TEST_PROGRESS"
CLOSED = "closed with status "
SECONDS_TO_END = 60  # after the closing line


def pytest_configure(config: Any) -> None:
    """Leave the writing to the process that gathers what its workers do, where there are any."""
    if hasattr(config, "workerinput"):
        config.pluginmanager.unregister(name=__name__)


def pytest_runtest_logstart(nodeid: str) -> None:
    """Write down which test begins."""
    _write(nodeid)


def pytest_sessionfinish(exitstatus: int) -> None:
    """Write down what came out: the status of a process that ends in another way may say less."""
    _write(f"{CLOSED}{int(exitstatus)}")


def _write(text: str) -> None:
    if VARIABLE in os.environ:
        Path(os.environ[VARIABLE]).write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Run pytest with ``arguments``; return its exit status, never 0 if it was ended midway."""
    home = str(Path(__file__).resolve().parent.parent)
    paths = [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    with tempfile.TemporaryDirectory() as folder:
        progress = Path(folder) / "progress"
        environment = {"PYTHONPATH": os.pathsep.join(paths), VARIABLE: str(progress)}
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "tests.run", *arguments],
            env={**os.environ, **environment},
        )
        before = signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
        try:
            status = _wait(process, progress)
        finally:
            signal.signal(signal.SIGTERM, before)
        reached = _reached(progress)
    if status is None:
        told = (
            "The tests are done, but their process did not end and was killed: it waited for a "
            "thread or a process that a test has left behind."
        )
    elif reached.startswith(CLOSED):
        return status or int(reached.removeprefix(CLOSED))
    else:
        told = (
            f"The test run did not come to its end: pytest's process ended with status {status} "
            f"and without its closing line. What had begun last: {reached}. Either pytest says "
            "above why it did not begin, or something ended the process from inside (os._exit, a "
            "signal, a crash), or it was killed (memory)."
        )
    sys.stdout.flush()
    print(f"\n{told}", file=sys.stderr)
    return status or 1


def _wait(process: subprocess.Popen, progress: Path) -> int | None:
    """Return the exit status of ``process``, None if it had to be ended after its closing line."""
    closed_for = 0
    while closed_for < SECONDS_TO_END:
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            closed_for += _reached(progress).startswith(CLOSED)
        except KeyboardInterrupt:
            continue  # pytest has been interrupted, too, and closes
    process.kill()
    process.wait()
    return None


def _reached(progress: Path) -> str:
    return progress.read_text(encoding="utf-8") if progress.exists() else "no test"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
