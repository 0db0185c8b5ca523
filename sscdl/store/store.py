"""The store: trained weights by content, names as pointers to them, and a lock for each name.

    recipes/<name>.<fingerprint>.json   pointer: chosen learning rate, object, metrics of all
    objects/<key>/                      metrics.json, and weights.safetensors + lineage.json if kept
                                        (and task.safetensors: heads and queues, that nothing needs)
    locks/<fingerprint>.lock            held by the process that trains the node

The layout is git's, names over objects. A pointer is written last, so one that exists is complete.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sscdl.errors import DamagedFile, InputError
from sscdl.recipe import file_hash
from sscdl.records import LINEAGE, METRICS, POINTER, SAME_COMMAND, read_record, set_aside

LOGGER = logging.getLogger("sscdl.store")
WEIGHTS = "weights.safetensors"
TASK_STATE = "task.safetensors"
LINEAGE_FILE = "lineage.json"
METRICS_FILE = "metrics.json"
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

        Raises InputError if they cannot be read. Changes nothing.
        """
        path = self.object(key) / METRICS_FILE
        try:
            return read_record(path, METRICS) if path.exists() else None
        except DamagedFile:
            return None

    def set_aside_damaged(self, key: str) -> None:
        """Rename the metrics of an object to ``*.damaged`` if they are damaged.

        For whoever is about to make the object again, and holds its lock.
        """
        path = self.object(key) / METRICS_FILE
        if path.exists() and self.metrics(key) is None:
            LOGGER.warning("%s is damaged; set aside, the object is made again", path)
            set_aside(path)

    def has_weights(self, metrics: dict[str, Any]) -> bool:
        """Return whether the weights that go with the metrics of an object are there, and whole.

        A look at the size, as this is asked of every stage whenever the workflow is read; what is
        in the file is checked when it is used, by :meth:`weights`.
        """
        try:
            size = (self.object(metrics["key"]) / WEIGHTS).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return False
        return "weights" in metrics and size == metrics["weights"]["bytes"]

    def finished(self, pointer: Path) -> bool:
        """Return whether ``pointer`` is whole, and the weights that it names and theirs are there.

        Changes nothing: a stage whose pointer leads nowhere writes another one over it.
        """
        try:
            final = read_pointer(pointer)["final"]
        except InputError:
            return False
        return self.has_weights(final) and (self.object(final["key"]) / LINEAGE_FILE).is_file()

    def weights(self, pointer: dict[str, Any]) -> Path:
        """Return the file with the weights that a pointer's contents name, after checking it.

        A file that is not what was written is set aside as ``*.damaged``, so that the next run of
        the workflow trains the stage again, and InputError says so.
        """
        path = self.object(pointer["object"]) / WEIGHTS
        if not path.is_file():
            raise InputError(f"{path}: is gone; run the workflow again, and it is trained again")
        if file_hash(path) != pointer["final"]["weights"]["sha256"]:
            aside = set_aside(path)
            raise InputError(
                f"{path}: damaged (not what was written), set aside as {aside.name}; run the "
                f"workflow again, and {pointer['node']} is trained again"
            )
        return path

    def lineage(self, pointer: dict[str, Any]) -> dict[str, Any]:
        """Return how the weights that a pointer's contents name came about.

        A damaged file is set aside as ``*.damaged``, so that the next run of the workflow writes it
        again, and InputError says so.
        """
        path = self.object(pointer["object"]) / LINEAGE_FILE
        try:
            return read_record(path, LINEAGE)
        except DamagedFile as error:
            aside = set_aside(path)
            raise InputError(
                f"{error}. It is set aside as {aside.name}: only {SAME_COMMAND}"
            ) from None

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
    """Return the contents of a pointer file; InputError if it is missing or damaged.

    So it is if another stage's was put in its place.
    """
    value = read_record(path, POINTER)
    if Path(path).name != f"{value['node']}.{value['fingerprint']}.json":
        raise DamagedFile(
            f"{path}: {POINTER.what} is damaged (holds {value['node']}.{value['fingerprint']}); "
            f"{POINTER.again}"
        )
    return value
