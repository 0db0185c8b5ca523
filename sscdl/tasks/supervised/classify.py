"""Classification: the supervised task that ends a curriculum."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from sscdl.errors import InputError
from sscdl.tasks.base import Setup, Step
from sscdl.tasks.linear import Linear

if TYPE_CHECKING:
    from sscdl.training.backbones import Backbone


def balanced_weights(labels: Tensor, classes: int) -> Tensor:
    """Return weights (classes,) in inverse proportion to class frequency, 1 on average over images.

    Raises InputError if a class has no image.
    """
    counts = torch.bincount(labels, minlength=classes)
    absent = (counts == 0).nonzero().flatten().tolist()
    if absent:
        raise InputError(
            f"classify: no training image of class {absent}; "
            "set class_weights to none, or drop the class"
        )
    return len(labels) / (classes * counts.float())


class Classify(Linear):
    """Cross-entropy on one linear layer over the pooled feature."""

    name = "classify"
    metric = "balanced_accuracy"
    weights: Tensor  # a buffer

    def __init__(self, backbone: Backbone, setup: Setup) -> None:
        options, labels, classes = setup.options, setup.labels, setup.classes
        if labels is None or classes is None:
            raise InputError("classify: needs the labels of all images and the number of classes")
        super().__init__(backbone, setup, labels, classes)
        weights = torch.ones(classes)
        if options["class_weights"] == "balanced":
            counted = labels if setup.training_rows is None else labels[setup.training_rows]
            weights = balanced_weights(counted, classes)
        # They come from the data, as the labels do.
        self.register_buffer("weights", weights, persistent=False)

    @property
    def chance_loss(self) -> float:
        return math.log(self.head.out_features)

    def forward(self, views: Tensor, index: Tensor, epoch: int, epochs: int) -> Step:
        logits = self.head(self.backbone(self.normalise(views)))
        truth = self.labels[index]
        # Weights average to 1 over the training set; torch's own weighting would divide by their
        # sum in this batch and so give rare classes less in the batches that have many of them.
        loss = (self.weights[truth] * F.cross_entropy(logits, truth, reduction="none")).mean()
        scores = logits.detach().float()
        correct = (scores.argmax(dim=1) == truth).sum()
        return Step(loss=loss, count=len(index), correct=correct, of=len(index), logits=scores)

    def measures(self, scores: Tensor, rows: Tensor) -> dict[str, float | None]:
        """Return the balanced accuracy of logits (N, K) over the classes of images in ``rows``."""
        truth = self.labels[rows.to(self.labels.device)]
        right = (scores.argmax(dim=1) == truth).float()
        recalled = scores.new_zeros(2, self.classes)  # right ones and all
        recalled[0].index_add_(0, truth, right)
        recalled[1].index_add_(0, truth, torch.ones_like(right))
        found, of = recalled
        return {"balanced_accuracy": float((found[of > 0] / of[of > 0]).mean())}
