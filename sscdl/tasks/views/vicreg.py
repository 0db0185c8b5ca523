"""VICReg: embeddings of two views of an image are alike, spread, and not redundant.

Bardes, Ponce & LeCun 2022 (arXiv:2105.04906), the loss as in the authors' code. Nothing is
contrasted, so that no image is a false negative of another: the variance of each number of the
embedding is kept up, and numbers that say the same are pulled apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from sscdl.tasks.base import Setup, Step, full_precision
from sscdl.tasks.heads import mlp
from sscdl.tasks.pairs import TwoViews
from sscdl.tasks.whole_batch import fullness, share, whole

if TYPE_CHECKING:
    from sscdl.training.backbones import Backbone

EPSILON = 1e-4  # added to variances before their root


def spread_and_redundancy(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Return the variance and the covariance term of ``embeddings`` (B, D), both scalars.

    The first is 0 where each number has a standard deviation of at least 1, and nearly 1 where all
    images have the same; the second is the sum of squared covariances between numbers, over D.
    """
    count, dimension = embeddings.shape
    centred = embeddings - embeddings.mean(dim=0)
    covariance = centred.T @ centred / max(1, count - 1)
    variance = centred.square().sum(dim=0) / max(1, count - 1)
    spread = F.relu(1 - torch.sqrt(variance + EPSILON)).mean()
    between = covariance.square().sum() - variance.square().sum()
    return spread, between / dimension


class VICReg(TwoViews):
    """Two views, an expander of three layers, and a loss without negatives."""

    name = "vicreg"

    def __init__(self, backbone: Backbone, setup: Setup) -> None:
        super().__init__(backbone, setup)
        options = setup.options
        width, dimension = backbone.channels, options["dimension"]
        self.head = mlp(width, dimension, dimension, dimension, last_bias=False)
        self.weights = options["invariance"], options["variance"], options["covariance"]
        self.batch_size = setup.batch_size

    @property
    def chance_loss(self) -> float:
        """The loss of a network that has one embedding for all images."""
        return self.weights[1] * (1 - EPSILON**0.5)

    def forward(self, views: tuple[Tensor, Tensor], index: Tensor, epoch: int, epochs: int) -> Step:
        first, second = map(self._embed, views)
        with full_precision(first):
            invariance, variance, covariance = self.weights
            loss = invariance * (first - second).square().mean()
            for one in (first, second):
                everyone = whole(one, self.training)
                spread, redundancy = spread_and_redundancy(everyone)
                full = fullness(len(everyone), self.batch_size)
                part = variance * spread / 2 + covariance * full * redundancy
                loss = loss + share(part, self.training)
        return Step(loss=loss, count=len(index))

    def _embed(self, view: Tensor) -> Tensor:
        """Return the embeddings (B, D) of one view: in training, it is a batch by itself."""
        return self.head(self.backbone(self.normalise(view))).float()
