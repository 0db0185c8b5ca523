"""Run pytest and say so where it does not come to its end: ``python -m tests.run [ARGUMENT ...]``.

A process that something ends from inside (os._exit in a thread, a signal, a crash) prints neither
pytest's closing line nor a reason, and its exit status may be any, 0 too. This process starts
pytest, with this module as a plug-in that writes down how far it has come.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

VARIABLE = "SSCDL_TEST_PROGRESS"
CLOSED = "closed"


def pytest_runtest_logstart(nodeid: str) -> None:
    """Write down which test begins."""
    _write(nodeid)


def pytest_unconfigure() -> None:
    """Write down that pytest has come to its end: the closing line is printed."""
    _write(CLOSED)


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
        while True:
            try:
                status = process.wait()
                break
            except KeyboardInterrupt:
                continue  # pytest has been interrupted, too, and closes
        reached = progress.read_text(encoding="utf-8") if progress.exists() else "no test"
    if reached == CLOSED:
        return status
    sys.stdout.flush()
    print(
        f"\nThe test run did not come to its end: pytest's process ended with status {status} and "
        f"without its closing line. What had begun last: {reached}. Something ended the process "
        "from inside (os._exit, a signal, a crash) or it was killed (memory).",
        file=sys.stderr,
    )
    return status or 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
