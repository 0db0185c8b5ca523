"""Two signs of what a network learns that its loss does not show, measured after every epoch.

Whether the features of different images still differ (a collapsed network maps all to one), and
whether near features share a label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from sscdl.training.augment import center_resize
from sscdl.training.scalars import Scalars

if TYPE_CHECKING:
    from sscdl.tasks.base import Task

NEIGHBOURS = 20
TEMPERATURE = 0.07


@dataclass
class Monitor:
    """The images whose features are looked at after every epoch, and the files that tell of it.

    ``scalars`` takes the records. ``rows`` are training rows of the packed array; ``labels`` and
    ``patients``, (N,) long, belong to all of its rows, a label of -1 to an image without.
    ``size``: side of the network's input, pixels.
    """

    scalars: Scalars
    rows: Tensor
    labels: Tensor
    patients: Tensor
    size: int

    @torch.no_grad()
    def measure(self, task: Task, pixels: Tensor, precision: str) -> dict[str, float]:
        """Return ``feature_std`` and, where there are labels, ``knn_accuracy`` of the backbone.

        Looks at whole images, in evaluation mode, and changes nothing.
        """
        device = next(task.parameters()).device
        was_training = task.training
        task.eval()
        features = []
        for part in self.rows.split(64):
            images = pixels[part.to(pixels.device)][:, None].to(device)
            views = task.normalise(center_resize(images, self.size))
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                found = task.backbone(views)
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
