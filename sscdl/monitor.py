"""What can be watched while a run trains: lines in the log, JSON lines and TensorBoard scalars.

And two signs that a loss does not show: whether the features of different images still differ
(a collapsed network maps all to one), and whether near features share a label.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sscdl.augment import center_resize
from sscdl.files import write_text

LOGGER = logging.getLogger("sscdl.train")
NEIGHBOURS = 20
TEMPERATURE = 0.07
_SHOWN = (
    ("accuracy", "accuracy"),
    ("val_loss", "val loss"),
    ("val_accuracy", "val accuracy"),
    ("val_balanced_accuracy", "val balanced accuracy"),
    ("feature_std", "feature std"),
    ("knn_accuracy", "kNN"),
)


def log_line(title: str, record: dict[str, Any], stop: int, left: str) -> str:
    """Return the log line of one epoch; ``left`` is the time that the rest will take, as text."""
    if not record["finite"]:
        return f"{title} epoch {record['epoch']}/{stop}: the loss became infinite, stopped"
    text = f"{title} epoch {record['epoch']}/{stop} loss {record['loss']:.3f}"
    text += f" (chance {record['chance']:.3f})"
    for key, name in _SHOWN:
        if record.get(key) is not None:
            text += f", {name} {record[key]:.3f}"
    return text + f", {record['images_per_second']:.0f} images/s, {left} left"


@dataclass
class Monitor:
    """Files that are written after every epoch, and the images whose features are looked at.

    ``folder`` takes ``epochs.jsonl`` and TensorBoard's event file; None writes none. ``rows`` are
    training rows of the packed array; ``labels`` and ``patients``, (N,) long, belong to all of its
    rows, a label of -1 to an image without. ``size``: side of the network's input, pixels.
    """

    folder: Path | None
    rows: Tensor
    labels: Tensor
    patients: Tensor
    size: int
    _events: Any = field(default=None, repr=False)

    def start(self, history: list[dict[str, Any]]) -> None:
        """Write the records so far, so that files of an earlier, longer attempt do not mislead."""
        if self.folder is None:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        write_text(self.folder / "epochs.jsonl", "".join(map(_json_line, history)))
        if importlib.util.find_spec("tensorboardX"):
            from tensorboardX import SummaryWriter

            self._events = SummaryWriter(str(self.folder), flush_secs=5)
        for record in history:
            self._scalars(record)

    def add(self, record: dict[str, Any]) -> None:
        """Append the record of an epoch."""
        if self.folder is None:
            return
        with open(self.folder / "epochs.jsonl", "a", encoding="utf-8") as file:
            file.write(_json_line(record))
        self._scalars(record)

    def close(self) -> None:
        """Write what is still in memory."""
        if self._events is not None:
            self._events.close()

    @torch.no_grad()
    def measure(self, task: torch.nn.Module, pixels: Tensor, precision: str) -> dict[str, float]:
        """Return ``feature_std`` and, where there are labels, ``knn_accuracy`` of the backbone.

        Looks at whole images, in evaluation mode, and changes nothing.
        """
        device = next(task.parameters()).device
        was_training = task.training
        task.eval()
        features = []
        for part in self.rows.split(64):
            images = pixels[part.to(pixels.device)][:, None].to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                found = task.backbone(task.normalise(center_resize(images, self.size)))
            features.append(found.float())
        task.train(was_training)
        unit = F.normalize(torch.cat(features), dim=1)
        measures = {"feature_std": feature_std(unit)}
        labels, patients = self.labels[self.rows], self.patients[self.rows]
        known = (labels >= 0).nonzero().flatten()
        if len(labels[known].unique()) > 1:
            measures["knn_accuracy"] = knn_accuracy(
                unit[known.to(device)], labels[known].to(device), patients[known].to(device)
            )
        return measures

    def _scalars(self, record: dict[str, Any]) -> None:
        if self._events is not None:
            for key, value in record.items():
                if key != "epoch" and value is not None:
                    self._events.add_scalar(key, float(value), record["epoch"])


def feature_std(unit: Tensor) -> float:
    """Return how much features differ between images: 1 for directions at random, 0 for one.

    ``unit``: (N, C), of length 1. The standard deviation over images, averaged over channels, times
    sqrt(C) (Chen & He 2021, arXiv:2011.10566, section 4.1).
    """
    return float(unit.std(dim=0, correction=0).mean() * unit.shape[1] ** 0.5)


def knn_accuracy(unit: Tensor, labels: Tensor, patients: Tensor) -> float:
    """Return the balanced accuracy, in [0, 1], of a vote of each image's nearest neighbours.

    ``unit``: features (N, C) of length 1. Leaves one out: neither the image nor others of its
    patient vote. Votes of the 20 nearest weigh exp(cosine / 0.07) (Wu et al. 2018,
    arXiv:1805.01978) over the frequency of their class, so that chance is 1 / classes.
    """
    _, classes = labels.unique(return_inverse=True)
    counts = torch.bincount(classes).float()
    similarity = unit @ unit.T
    similarity[patients[:, None] == patients] = -2.0  # below every cosine
    nearest, rows = similarity.topk(min(NEIGHBOURS, len(unit) - 1), dim=1)
    weights = torch.exp((nearest - 1) / TEMPERATURE) * (nearest > -1.5) / counts[classes[rows]]
    votes = unit.new_zeros(len(unit), len(counts)).scatter_add_(1, classes[rows], weights)
    right = (votes.argmax(dim=1) == classes).float()
    return float((torch.zeros_like(counts).scatter_add_(0, classes, right) / counts).mean())


def _json_line(record: dict[str, Any]) -> str:
    return json.dumps(record, sort_keys=True) + "\n"
