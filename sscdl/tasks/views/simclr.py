"""SimCLR: contrast two views of an image against the views of all other images of the batch.

Chen et al. 2020 (arXiv:2002.05709): the loss, a projector of two layers with batch normalisation
after the hidden one, and one batch of both views. One change for archives in which patients have
several images: those of one patient are neither positives nor negatives of each other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from sscdl.tasks.base import Setup, Step, full_precision
from sscdl.tasks.contrast import nt_xent
from sscdl.tasks.heads import mlp
from sscdl.tasks.pairs import TwoViews, another, of_own_patient
from sscdl.tasks.whole_batch import share, whole

if TYPE_CHECKING:
    from sscdl.training.backbones import Backbone


class SimCLR(TwoViews):
    """Two views, a projector, and the cross-entropy of telling an image's other view."""

    name = "simclr"

    def __init__(self, backbone: Backbone, setup: Setup) -> None:
        super().__init__(backbone, setup)
        width = backbone.channels
        self.head = mlp(width, width, setup.options["dimension"])
        self.temperature = setup.options["temperature"]
        self.batch_size = setup.batch_size

    @property
    def chance_loss(self) -> float:
        """The loss of a network to which all views of a whole batch are equally near."""
        return math.log(2 * self.batch_size - 1)

    def forward(self, views: tuple[Tensor, Tensor], index: Tensor, epoch: int, epochs: int) -> Step:
        embeddings = self._embed(views)
        with full_precision(embeddings):
            everyone = whole(embeddings, self.training)
            rows = whole(index.repeat(2), self.training)
            same = rows[:, None] == rows
            itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
            foreign = ~of_own_patient(rows, rows, self.patients)
            positive = same & ~itself
            loss, right = nt_xent(everyone, positive, foreign, self.temperature)
            with torch.no_grad():
                # How many images there are to choose from, and of how many patients, differs from
                # batch to batch, and so does what knowing nothing comes to.
                wrong = torch.zeros_like(positive)
                images = whole(index, self.training)
                other = another(images, images, 0, self.patients)
                # Ranks follow each other, each with its first views before its second ones.
                count = torch.arange(len(images), device=images.device)
                first = count + count // len(index) * len(index)
                second = first + len(index)
                wrong[first, second[other]] = True
                wrong[second, first[other]] = True
                rest = (positive | foreign) & ~wrong
                floor, _ = nt_xent(everyone, wrong, rest, self.temperature)
        return Step(
            loss=share(loss, self.training), count=len(index), correct=right.sum(), of=len(right),
            floor=floor,
        )  # fmt: skip

    def _embed(self, views: tuple[Tensor, Tensor]) -> Tensor:
        """Return unit vectors (2B, dimension), those of the first views first."""
        both = torch.cat(views)
        return F.normalize(self.head(self.backbone(self.normalise(both))).float(), dim=1)
