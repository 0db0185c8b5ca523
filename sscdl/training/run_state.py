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
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from sscdl.files import atomic_path
from sscdl.training.averages import Averages

LOGGER = logging.getLogger("sscdl.train")


class Previous(NamedTuple):
    """State file and fingerprint of the run that another one continues."""

    file: Path
    fingerprint: str


class Saver:
    """Writes the state of one run; use it in a ``with`` block, which ends when all is written.

    In the ``background``, a thread writes a copy while the next epoch is trained: where an epoch
    takes a GPU seconds, writing hundreds of megabytes would otherwise cost a large share of them.
    A process that is killed meanwhile loses that one epoch and what it has of the next.
    """

    def __init__(self, state: Path, fingerprint: str, *, background: bool) -> None:
        self._state, self._fingerprint = state, fingerprint
        self._thread = ThreadPoolExecutor(1) if background else None
        self._writing: Future[None] | None = None

    def __enter__(self) -> Saver:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.shutdown()
        self._finish()

    def save(
        self,
        task: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        history: list[dict[str, Any]],
        averages: Averages | None = None,
    ) -> None:
        """Replace the state file by the present state, atomically."""
        content = {
            "fingerprint": self._fingerprint,
            "task": task.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": list(history),
        }
        if averages is not None:
            content["averages"] = averages.state_dict()
        if self._thread is None:
            _write(self._state, content)
            return
        self._finish()
        self._writing = self._thread.submit(_write, self._state, _copied(content))

    def _finish(self) -> None:
        """Wait for what is being written, and raise what went wrong with it."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()


def _copied(value: Any) -> Any:
    """Return ``value`` with every tensor in it copied to main memory."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(one) for key, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list) else value


def _write(state: Path, content: dict[str, Any]) -> None:
    with atomic_path(state) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(content, file)
        except RuntimeError as error:
            # What torch says of a full disk hides the cause.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def resume(
    task: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    state: Path,
    fingerprint: str,
    averages: Averages | None = None,
) -> list[dict[str, Any]]:
    """Load ``state`` into task, optimiser and averages; return its records, one per epoch.

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
        if averages is not None:
            if "averages" not in found:
                raise KeyError("it has no averages of weights, by which rates are compared now")
            averages.check(found["averages"])  # before anything is changed
        task.load_state_dict(found["task"])
        optimizer.load_state_dict(found["optimizer"])
        if averages is not None:
            averages.load_state_dict(found["averages"])
    except FileNotFoundError:
        return []
    except (
        pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, KeyError, ValueError, EOFError,
        OSError, TypeError,
    ) as error:  # fmt: skip
        aside = state.with_suffix(".damaged")
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        LOGGER.warning("%s cannot be continued (%s); set aside as %s", state, reason, aside.name)
        with suppress(FileNotFoundError):  # of several processes, another was faster
            os.replace(state, aside)
        return []
    LOGGER.info("going on after epoch %d", found["history"][-1]["epoch"])
    return found["history"]


def clear_leftovers(state: Path) -> None:
    """Delete what writers of ``state`` left that were killed while they wrote."""
    for path in state.parent.glob(f".{state.stem}.*{state.suffix}"):
        path.unlink(missing_ok=True)
