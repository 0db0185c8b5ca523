"""The store: trained weights by content, names as pointers to them, and a lock for each name.

    recipes/<name>.<fingerprint>.json   pointer: chosen learning rate, object, metrics of all
    objects/<key>/                      metrics.json, and weights.safetensors + lineage.json if kept
                                        (and task.safetensors: heads and queues, that nothing needs)
    locks/<fingerprint>.lock            held by the process that trains the node

The layout is git's, names over objects. A pointer is written last, so one that exists is complete.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sscdl.errors import InputError
from sscdl.files import read_json
from sscdl.recipe import file_hash

LOGGER = logging.getLogger("sscdl.store")
WEIGHTS = "weights.safetensors"
TASK_STATE = "task.safetensors"
REMIND_EVERY = 60.0  # seconds between two lines that say who holds a lock


class Store:
    """Paths and locks of one store folder (made when it is first written to)."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def object(self, key: str) -> Path:
        """Return the folder of the object ``key``."""
        return self.folder / "objects" / key

    def metrics(self, key: str) -> dict[str, Any] | None:
        """Return the metrics of a finished object, or None if it is not there or damaged.

        A damaged file is set aside (named ``*.damaged``) so that the object is trained again.
        """
        path = self.object(key) / "metrics.json"
        try:
            return read_json(path)
        except FileNotFoundError:
            return None
        except (json.JSONDecodeError, UnicodeDecodeError):
            LOGGER.warning("%s is damaged; set aside, the object will be made again", path)
            os.replace(path, path.with_suffix(".damaged"))
            return None

    def has_weights(self, metrics: dict[str, Any]) -> bool:
        """Return whether the weights that go with the metrics of an object are there, and whole.

        A look at the size, as this is asked of every stage whenever the workflow is read; what is
        in the file is checked when it is used, by :meth:`weights`.
        """
        try:
            size = (self.object(metrics["key"]) / WEIGHTS).stat().st_size
        except FileNotFoundError:
            return False
        return size == metrics["weights"]["bytes"]

    def finished(self, pointer: Path) -> bool:
        """Return whether ``pointer`` exists and the weights that it names are there."""
        try:
            return self.has_weights(read_pointer(pointer)["final"])
        except InputError:
            return False

    def forget(self, pointer: Path) -> None:
        """Delete a pointer that leads nowhere, if it is there."""
        if pointer.exists() and not self.finished(pointer):
            LOGGER.warning("%s: its weights are gone or damaged; they are made again", pointer)
            pointer.unlink(missing_ok=True)

    def weights(self, pointer: dict[str, Any]) -> Path:
        """Return the file with the weights that a pointer's contents name, after checking it.

        A file that is not what was written is set aside as ``*.damaged``, so that the next run of
        the workflow trains the stage again, and InputError says so.
        """
        path = self.object(pointer["object"]) / WEIGHTS
        if not path.is_file():
            raise InputError(f"{path}: is gone; run the workflow again, and it is trained again")
        if file_hash(path) != pointer["final"]["weights"]["sha256"]:
            aside = path.with_suffix(".damaged")
            os.replace(path, aside)
            raise InputError(
                f"{path}: damaged (not what was written), set aside as {aside.name}; run the "
                f"workflow again, and {pointer['node']} is trained again"
            )
        return path

    def discard(self, key: str, name: str) -> None:
        """Delete one file or folder of an object, if it is there."""
        path = self.object(key) / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    @contextmanager
    def lock(self, fingerprint: str) -> Iterator[None]:
        """Hold the lock of a node; wait, and say for whom, while another process holds it.

        The lock belongs to the operating system (flock), so that it ends with its process however
        that ends, and a crash leaves nothing to clean up.
        """
        path = self.folder / "locks" / f"{fingerprint}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+", encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_uid == os.getuid():
                path.chmod(0o664)  # others of the group train here, too
            said = -REMIND_EVERY
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() - said >= REMIND_EVERY:
                        said = time.monotonic()
                        file.seek(0)
                        holder = file.read().strip() or "another process"
                        LOGGER.info("waiting: this node is being trained by %s", holder)
                    time.sleep(0.5)
            file.seek(0)
            file.truncate()
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            yield


def read_pointer(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the contents of a pointer file; InputError if it is missing or damaged."""
    try:
        value = read_json(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such pointer; run the workflow to train it") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise InputError(f"{path}: damaged; delete it and run the workflow again") from None
    if not isinstance(value, dict) or not {"object", "final"} <= value.keys():
        raise InputError(f"{path}: not a pointer of this store; delete it and run again")
    return value
