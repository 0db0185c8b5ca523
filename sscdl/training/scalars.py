"""The records of a run where people and programs look for them: log, JSON lines, TensorBoard."""

from __future__ import annotations

import importlib.util
import json
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from sscdl.files import write_text
from sscdl.store.store import read_pointer

_SHOWN = (
    ("accuracy", "accuracy"),
    ("val_loss", "val loss"),
    ("val_accuracy", "val accuracy"),
    ("val_balanced_accuracy", "val balanced accuracy"),
    ("val_mean_auc", "val mean AUC"),
    ("averaged_val_loss", "averaged val loss"),
    ("averaged_val_accuracy", "averaged val accuracy"),
    ("averaged_val_balanced_accuracy", "averaged val balanced accuracy"),
    ("feature_std", "feature std"),
    ("knn_accuracy", "kNN"),
)


def log_line(title: str, record: dict[str, Any], stop: int, left: str) -> str:
    """Return the log line of one epoch; ``left`` is the time that the rest will take, as text."""
    if not record["finite"]:
        return f"{title} epoch {record['epoch']}/{stop}: the loss became infinite, stopped"
    text = f"{title} epoch {record['epoch']}/{stop} loss {record['loss']:.3f}"
    floor = "" if record.get("floor") is None else f", floor {record['floor']:.3f}"
    text += f" (chance {record['chance']:.3f}{floor})"
    for key, name in _SHOWN:
        if record.get(key) is not None:
            text += f", {name} {record[key]:.3f}"
    return text + f", {record['images_per_second']:.0f} images/s, {left} left"


class Scalars:
    """``epochs.jsonl`` and TensorBoard's event file of one run, in ``folder``; None writes none.

    Without the package tensorboardX there is no event file.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._events: Any = None

    def start(self, history: Iterable[dict[str, Any]]) -> None:
        """Begin with the records so far: those of an earlier, longer attempt would mislead."""
        if self._folder is None:
            return
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        write_text(self._folder / "epochs.jsonl", "")
        if importlib.util.find_spec("tensorboardX"):
            from tensorboardX.event_file_writer import EventsWriter

            # Not by SummaryWriter, which has threads write: a signal that comes while it hands
            # something over to them can leave it waiting for ever when it is closed.
            self._events = EventsWriter(str(self._folder / "events"))
        for record in history:
            self.add(record)

    def add(self, record: dict[str, Any]) -> None:
        """Append the record of an epoch."""
        if self._folder is None:
            return
        with open(self._folder / "epochs.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(record, sort_keys=True) + "\n")
        if self._events is not None:
            self._add_event(record)

    def _add_event(self, record: dict[str, Any]) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        values = {key: value for key, value in record.items() if value is not None}
        step, now = values.pop("epoch"), time.time()
        for key, value in values.items():
            summary = scalar(key, float(value))
            self._events.write_event(Event(wall_time=now, step=step, summary=summary))
        self._events.flush()

    def close(self) -> None:
        """Close the event file."""
        if self._events is not None:
            self._events.close()
            self._events = None


def run_folder(node_folder: Path, rate: float) -> Path:
    """Return the folder for the run of a node at a learning rate."""
    return node_folder / f"lr{rate:g}"


def write_finished(pointers: Iterable[tuple[Path, Path]]) -> None:
    """Write the files of all runs of finished nodes: (pointer, folder of the node) each.

    What another study has trained is not watched by this one; the store has its records.
    """
    for pointer, folder in pointers:
        node = read_pointer(pointer)
        final = node["final"]
        for run in node["candidates"]:
            rate, history = run["learning_rate"], run["history"]
            if rate == final["learning_rate"]:
                history = _as_compared(final["history"], run)
            with closing(Scalars(run_folder(folder, rate))) as scalars:
                scalars.start(history)


def _as_compared(
    history: Iterable[dict[str, Any]], candidate: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Yield the records of a run that nodes may share, with what one's own ``candidate`` says.

    That are averages of weights, by which some nodes compare.
    """
    said = {record["epoch"]: record for record in candidate["history"]}
    for record in history:
        plain = {key: one for key, one in record.items() if not key.startswith("averaged_")}
        own = said.get(record["epoch"], {}) if candidate.get("averaged") else {}
        yield plain | {key: one for key, one in own.items() if key.startswith("averaged_")}
