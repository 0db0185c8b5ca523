"""Which devices to compute on, and how jobs of one machine share its GPUs."""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from sscdl.errors import InputError

LOGGER = logging.getLogger("sscdl.device")
REMIND_EVERY = 60.0  # seconds between two lines that say what is waited for


def choose_device(wanted: str) -> torch.device:
    """Return the device that ``wanted`` ("auto", "cpu", "cuda") stands for on this machine."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(
            "training.device: 'cuda', but torch sees no GPU here; use 'auto' or 'cpu', or ask the "
            "cluster for one (resources: gpu=1)"
        )
    return torch.device(wanted)


@contextmanager
def lease(wanted: str, count: int) -> Iterator[list[str]]:
    """Yield the names of ``count`` devices; GPUs belong to this job alone while the block lasts.

    The first becomes torch's current device, so that nothing is left on a GPU of another job.
    Several jobs of one machine find different GPUs; where too few are free, the job waits and says
    so. Only jobs of the same user know of each other: users share GPUs through a cluster's
    scheduler. Raises InputError where the job sees fewer.
    """
    device = choose_device(wanted)
    if device.type != "cuda" or device.index is not None:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        yield [str(device)] * count
        return
    names = _identities(torch.cuda.device_count())
    if count > len(names):
        raise InputError(
            f"training.devices: {count}, but torch sees {len(names)} GPUs here; use fewer devices, "
            f"or ask the cluster for more (--resources gpu={count})"
        )
    with ExitStack() as held:
        indices = _take(names, count, held)
        torch.cuda.set_device(indices[0])
        yield [f"cuda:{index}" for index in indices]
        torch.cuda.empty_cache()  # the next job needs what this one keeps for later


def _identities(number: int) -> list[str]:
    """Return what identifies each of the ``number`` GPUs that torch sees, on this machine.

    Not their indices: a cluster that confines jobs to their GPUs counts them from 0 in each job.
    """
    return [str(torch.cuda.get_device_properties(index).uuid) for index in range(number)]


def _take(names: list[str], count: int, held: ExitStack) -> list[int]:
    """Lock ``count`` of the GPUs ``names`` until ``held`` ends and return their indices."""
    folder = Path(tempfile.gettempdir()) / f"sscdl-devices-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    said = -REMIND_EVERY
    while True:
        with ExitStack() as tried:
            found: list[int] = []
            for index, name in enumerate(names):
                if len(found) < count and _locked(folder / f"{name}.lock", tried):
                    found.append(index)
            if len(found) == count:
                held.enter_context(tried.pop_all())
                return found
        # All or none: two jobs that hold one GPU each and want two would wait for ever.
        if time.monotonic() - said >= REMIND_EVERY:
            said = time.monotonic()
            LOGGER.info("waiting: %d of this machine's %d GPUs wanted", count, len(names))
        time.sleep(0.5)


def _locked(path: Path, held: ExitStack) -> bool:
    """Lock the file ``path`` until ``held`` ends, if no other process has; return whether it is."""
    file = open(path, "a", encoding="utf-8")  # noqa: SIM115  held ends it
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    held.callback(file.close)
    return True
