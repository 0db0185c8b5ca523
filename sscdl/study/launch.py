"""What has to be done before a workflow starts: look at its places, free its locks."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from sscdl.errors import InputError

LOGGER = logging.getLogger("snakemake.logging")
LOCK = "sscdl.lock"  # in Snakemake's folder; shared by all runs that live there
# What a shell does not take as it is amid a path without quotes. The Makefile asks for the same.
SHELL = re.compile(r"""[\s'"\\$`&|;<>()*?\[{}]""")
# What somebody sends, or a cluster where the time is over.
SENT = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}
_held: list[IO[str]] = []


def clear_stale_locks(folder: str | Path = ".snakemake") -> bool:
    """Remove Snakemake's lock files in ``folder`` if no workflow runs there; return whether it did.

    A Snakemake that was killed (kill -9, power cut) cannot remove its lock, and the next run would
    refuse to start. Each run holds a lock of the operating system for as long as it lives, on this
    file system whichever machine it is on, so that a dead one is told from a living one. Raises
    InputError where nothing can be written.
    """
    folder = Path(folder)
    if not _writable(folder):
        raise InputError(
            f"{Path.cwd()}: you may not write here, where a run keeps its records and results; "
            "start it in a folder of your own: --directory FOLDER"
        )
    folder.mkdir(exist_ok=True)
    file = open(folder / LOCK, "a", encoding="utf-8")  # noqa: SIM115  held until exit
    _held.append(file)
    locks = folder / "locks"
    stale = False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        LOGGER.debug("another run is alive in this folder")
    else:
        stale = locks.is_dir() and any(locks.iterdir())
        if stale:
            shutil.rmtree(locks)
            LOGGER.warning("An earlier run was killed; its lock was removed, its work is kept.")
    # Every living run holds a share, so that none takes another for dead.
    fcntl.flock(file, fcntl.LOCK_SH)
    return stale


@contextmanager
def no_run(folder: str | Path = ".snakemake") -> Iterator[None]:
    """Keep workflows from starting in the working directory while the block lasts.

    ``folder`` is Snakemake's. Raises InputError if one runs there now.
    """
    path = Path(folder) / LOCK
    if not path.exists():  # none has ever run there
        yield
        return
    with open(path, "a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"{path.resolve().parents[1]}: a run is at work here; try again when it has ended"
            ) from None
        yield


def share_package(home: str | Path) -> None:
    """Let the processes of the jobs import the package from ``home``, where it is not installed."""
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(home) not in known:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(home), *filter(None, known)])


def calm_scheduler() -> None:
    """Let Snakemake's scheduler have one timer at a time that makes it look for work again.

    Each look starts a timer that ends in the next, and so does each job that ends. Its looks grow
    with the jobs that have finished: after 170 of them, 170 a second took half of a processor.
    """
    from snakemake.scheduling.job_scheduler import JobScheduler

    if hasattr(JobScheduler, "_schedule_reevalutation"):  # spelt so there
        JobScheduler._schedule_reevalutation = _look_again


def _look_again(scheduler: Any, delay: float) -> None:
    """Let ``scheduler`` look for work after ``delay`` seconds, unless it is about to anyway."""

    def look() -> None:
        scheduler._sscdl_due = False  # before it wakes, as it asks for the next look then
        scheduler._open_jobs.release()

    if not getattr(scheduler, "_sscdl_due", False):
        scheduler._sscdl_due = True
        timer = threading.Timer(delay, look)
        timer.daemon = True  # or the end of a run waits for it
        timer.start()


def check_places(home: Path, python: str = sys.executable, *, elsewhere: bool = False) -> None:
    """Raise InputError if Snakemake cannot work with where the package or Python lie.

    It starts jobs by the path of Python as it is, which a shell cuts at spaces, and takes braces in
    the paths of a workflow for wildcards. Where jobs run ``elsewhere``, in environments that it
    makes, they find the package of a checkout, and none that is installed in this one.
    """
    if elsewhere and not (home / "sscdl").is_dir():
        raise InputError(
            "--sdm: environments that Snakemake makes do not have the package, which is installed "
            f"with the workflow in {str(home)!r}; leave --sdm out, or run a clone of the project"
        )
    if SHELL.search(python):
        raise InputError(
            f"Python lies at {python!r}: Snakemake cannot start it through a path with spaces or "
            "other signs that mean something to a shell. Make its environment in another folder: "
            'python3 -m venv ~/sscdl-venv (make: VENV="$HOME/sscdl-venv")'
        )
    if re.search(r"[{}]", str(home)):
        raise InputError(
            f"the workflow lies in {str(home)!r}: Snakemake takes braces in a path for names to "
            "fill in; move it to a folder without them"
        )


def why_ended(what: str, status: int, said: str) -> str:
    """Return why ``what``, a process that has not ended well, did so.

    ``status``: its return code, negative for a signal; ``said``: what it wrote, if anything.
    """
    said = said.strip()
    if status >= 0:
        return said or f"{what} has ended with status {status}, without a word"
    memory = ", probably for memory" if -status == signal.SIGKILL else ""
    killed = "stopped" if -status in SENT else "killed"
    killed = f"{what} was {killed} by signal {-status}{memory}"
    return f"{said}\n{killed}" if said else killed


def check_writable(paths: Iterable[str | Path]) -> None:
    """Raise InputError that names a folder of ``paths``, files or not yet, that cannot take them.

    A run that begins would otherwise compute for hours what it cannot keep.
    """
    folders = {Path(path).absolute().parent for path in paths}
    files = sorted({str(one) for one in map(_existing, folders) if not one.is_dir()})
    if files:
        raise InputError(
            f"{', '.join(files)}: is a file, or a link that leads nowhere, where this run needs a "
            "folder of that name; move it away, mount what it leads to, or let store or results "
            "lie elsewhere (keys store and study, --directory)"
        )
    closed = sorted({str(_existing(folder)) for folder in folders if not _writable(folder)})
    if closed:
        raise InputError(
            f"{', '.join(closed)}: read-only for you, but this run writes there; get the right to "
            "write, or let store or results lie elsewhere (keys store and study, --directory)"
        )


def _writable(folder: Path) -> bool:
    return os.access(_existing(folder), os.W_OK | os.X_OK)


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest above it that is there."""
    folder = folder.absolute()
    return next(one for one in (folder, *folder.parents) if os.path.lexists(one))
