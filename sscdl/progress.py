"""What a job says while it runs, in its log file and on the terminal."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from sscdl.errors import InputError

LOGGER = logging.getLogger("sscdl")
# What asks a job to end: a user or Snakemake, or a cluster that warns of its time limit.
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
# How a run tells its jobs what to say on the terminal: little of it (``Seldom``), or warnings and
# errors alone, as under --quiet. All, if it tells them nothing.
JOBS_SAY, BRIEF, QUIET = "SSCDL_JOBS_SAY", "brief", "quiet"
SILENCE = 45.0  # seconds


class Stopped(BaseException):
    """A signal has asked the process to end."""


class Seldom(logging.Filter):
    """Lets warnings and errors by, and of all else one line when ``SILENCE`` has gone by.

    So a short job says nothing, and a long one is seen to move.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last = time.monotonic()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether ``record`` is shown."""
        now = time.monotonic()
        if record.levelno >= logging.WARNING:
            return True
        if now - self._last < SILENCE:
            return False
        self._last = now
        return True


@contextmanager
def job_log(path: str | Path, title: str) -> Iterator[logging.Logger]:
    """Send the package's log lines to ``path`` and to standard error, each led by ``title`` there.

    Standard error has few of them where the run that has started the job is brief (``Seldom``), and
    warnings and errors alone where it is quiet.
    What a user can change ends the process with one message and no traceback: an InputError, a full
    disk, a file without the right to it and a GPU without memory with exit status 1, a signal with
    128 and its number. All else keeps its traceback. After the block, signals do again what they
    did before; after one that has ended it they do nothing, as the process is about to end and must
    be let clean up.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    file, screen = logging.FileHandler(path, encoding="utf-8"), logging.StreamHandler(sys.stderr)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    screen.setFormatter(logging.Formatter(f"[{title}] %(message)s"))
    say = os.environ.get(JOBS_SAY)
    if say == BRIEF:
        screen.addFilter(Seldom())
    elif say == QUIET:
        screen.setLevel(logging.WARNING)
    LOGGER.setLevel(logging.INFO)
    handlers, LOGGER.handlers = LOGGER.handlers, [file, screen]
    before = {number: signal.signal(number, _stop) for number in ENDS}
    stopped = False
    try:
        yield LOGGER
    except (Stopped, SystemExit, Exception) as error:
        number = _signal_behind(error)
        if number is None:
            if not isinstance(error, SystemExit):
                _explain(error, title)
            raise
        stopped = True
        LOGGER.warning(
            "stopped by %s; what was finished is kept: run the same command again to go on",
            signal.Signals(number).name,
        )
        sys.exit(128 + number)
    finally:
        LOGGER.handlers = handlers
        file.close()  # or the collector does it, amid whatever else is done by then
        if not stopped:
            for each, handler in before.items():
                # None: not Python's own to put back.
                signal.signal(each, signal.SIG_DFL if handler is None else handler)


def _signal_behind(error: BaseException) -> int | None:
    """Return the signal that led to an exception, None for none.

    What is interrupted may fail in turn while it closes its files, as torch.save does.
    """
    todo: list[BaseException | None] = [error]
    known: set[int] = set()
    while todo:
        seen = todo.pop()
        if seen is None or id(seen) in known:
            continue
        if isinstance(seen, Stopped):
            return seen.args[0]
        known.add(id(seen))
        todo += [seen.__cause__, seen.__context__]
    return None


def _explain(error: BaseException, title: str) -> None:
    """Log why a job failed, and exit if that is all that there is to say about it."""
    if isinstance(error, InputError):
        LOGGER.error("%s", error)
        sys.exit(1)
    if isinstance(error, OSError) and error.errno in FULL:
        LOGGER.error(
            "%s: the disk or the quota is full; what was finished is kept: free some space "
            "(python -m sscdl store prune lists what can go) and run the same command again",
            error.filename or "writing failed",
        )
        sys.exit(1)
    if isinstance(error, OSError) and error.errno in CLOSED and error.filename:
        LOGGER.error(
            "%s: you may not open or change it (%s); get the right to, and run the same command "
            "again; what was finished is kept", error.filename, error.strerror,
        )  # fmt: skip
        sys.exit(1)
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which takes seconds to import
        LOGGER.error(
            "the GPU's memory is too small (%s); make the stage's batch_size smaller, set "
            "training: {precision: bf16}, or lower training.side_by_side; finished work is kept",
            str(error).split(". ")[0],
        )
        sys.exit(1)
    LOGGER.error("%s failed", title, exc_info=error)


def log_file() -> str:
    """Return the path of the file that ``job_log`` writes to."""
    return next(h.baseFilename for h in LOGGER.handlers if isinstance(h, logging.FileHandler))


def _stop(number: int, frame: FrameType | None) -> None:
    for each in ENDS:
        # Once is enough: what cleans up must not be interrupted in turn.
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)


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
