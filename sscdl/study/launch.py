"""What has to be done before a workflow starts: free its locks, show its jobs the package."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sscdl.errors import InputError

LOGGER = logging.getLogger("snakemake.logging")
LOCK = "sscdl.lock"  # in Snakemake's folder; shared by all runs that live there
_held: list[IO[str]] = []


def clear_stale_locks(folder: str | Path = ".snakemake") -> bool:
    """Remove Snakemake's lock files in ``folder`` if no workflow runs there; return whether it did.

    A Snakemake that was killed (kill -9, power cut) cannot remove its lock, and the next run would
    refuse to start. Each run holds a lock of the operating system for as long as it lives, on this
    file system whichever machine it is on, so that a dead one is told from a living one.
    """
    folder = Path(folder)
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
