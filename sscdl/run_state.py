"""The state of a run between its epochs: one file, replaced whole, refused if anything is wrong.

What is in it determines all that follows: weights, heads, queues, the optimiser's buffers and the
records of the epochs so far. It carries the fingerprint of its run, so that no other run takes it
for its own.
"""

from __future__ import annotations

import logging
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch

from sscdl.files import atomic_path

LOGGER = logging.getLogger("sscdl.train")


class Previous(NamedTuple):
    """State file and fingerprint of the run that another one continues."""

    file: Path
    fingerprint: str


def save(
    state: Path,
    fingerprint: str,
    task: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    history: list[dict[str, Any]],
) -> None:
    """Replace the file ``state`` by the present state, atomically."""
    content = {
        "fingerprint": fingerprint,
        "task": task.state_dict(),
        "optimizer": optimizer.state_dict(),
        "history": history,
    }
    with atomic_path(state) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # What torch says of a full disk hides the cause.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def resume(
    task: torch.nn.Module, optimizer: torch.optim.Optimizer, state: Path, fingerprint: str
) -> list[dict[str, Any]]:
    """Load ``state`` into task and optimiser and return its records, one per epoch.

    Without such a file nothing is loaded and the records are empty. So are they for a file that is
    damaged or another run's, which is named in the log and set aside as ``*.damaged``.
    """
    try:
        # torch does not look at the checksums that it writes.
        with zipfile.ZipFile(state) as archive:
            if part := archive.testzip():
                raise KeyError(f"{part} is not what was written")
        found = torch.load(state, map_location="cpu", weights_only=True)
        if found["fingerprint"] != fingerprint:
            raise KeyError("it belongs to another run")
        task.load_state_dict(found["task"])
        optimizer.load_state_dict(found["optimizer"])
    except FileNotFoundError:
        return []
    except (
        pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, KeyError, ValueError, EOFError,
        OSError, TypeError,
    ) as error:  # fmt: skip
        aside = state.with_suffix(".damaged")
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        LOGGER.warning("%s cannot be continued (%s); set aside as %s", state, reason, aside.name)
        os.replace(state, aside)
        return []
    LOGGER.info("going on after epoch %d", found["history"][-1]["epoch"])
    return found["history"]


def clear_leftovers(state: Path) -> None:
    """Delete what writers of ``state`` left that were killed while they wrote."""
    for path in state.parent.glob(f".{state.stem}.*{state.suffix}"):
        path.unlink(missing_ok=True)
