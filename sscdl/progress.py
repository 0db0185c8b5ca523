"""What a job says while it runs, in its log file and on the terminal."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sscdl.errors import InputError

LOGGER = logging.getLogger("sscdl")


@contextmanager
def job_log(path: str | Path, title: str) -> Iterator[logging.Logger]:
    """Send the package's log lines to ``path`` and to standard error, each led by ``title`` there.

    An InputError ends the process with exit status 1 and its message alone: the user can fix the
    input and needs no traceback for that. Everything else keeps its traceback.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    file, screen = logging.FileHandler(path, encoding="utf-8"), logging.StreamHandler(sys.stderr)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    screen.setFormatter(logging.Formatter(f"[{title}] %(message)s"))
    LOGGER.setLevel(logging.INFO)
    LOGGER.handlers = [file, screen]
    try:
        yield LOGGER
    except InputError as error:
        LOGGER.error("%s", error)
        sys.exit(1)
    except Exception:
        LOGGER.exception("%s failed", title)
        raise


def duration(seconds: float) -> str:
    """Return a length of time as people write it: 45 s, 3:20 min, 2:05 h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)}:{int(seconds % 60):02d} min"
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d} h"


class Timer:
    """Time since the start and the time that is left if the rest goes on at the same rate."""

    def __init__(self) -> None:
        self.started = time.monotonic()

    def elapsed(self) -> float:
        """Return the seconds since the timer was made."""
        return time.monotonic() - self.started

    def left(self, done: float, whole: float) -> str:
        """Return the time left, as text, when ``done`` of ``whole`` took the time so far."""
        return duration(self.elapsed() / max(done, 1e-9) * max(whole - done, 0))
