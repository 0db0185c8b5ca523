"""Barlow Twins: the numbers of an embedding agree between two views, and each says something else.

Zbontar et al. 2021 (arXiv:2103.03230), the loss of its equation 1: the cross-correlation of two
views' embeddings over the batch is to be the identity. A projector of three layers; neither
negatives nor a teacher.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sscdl.tasks.base import Setup, Step, full_precision
from sscdl.tasks.heads import mlp
from sscdl.tasks.pairs import TwoViews
from sscdl.tasks.whole_batch import fullness, share, whole

if TYPE_CHECKING:
    from sscdl.training.backbones import Backbone

EPSILON = 1e-5  # added to variances before their root


def cross_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Return the correlations (D, D) of the numbers of ``first`` with those of ``second`` (B, D).

    In [-1, 1]; 0 for a number that is the same for all images.
    """
    one, two = map(_standardised, (first, second))
    return one.T @ two / len(one)


def _standardised(embeddings: Tensor) -> Tensor:
    centred = embeddings - embeddings.mean(dim=0)
    return centred * torch.rsqrt(centred.square().mean(dim=0) + EPSILON)


class BarlowTwins(TwoViews):
    """Two views, a projector, and the distance of their cross-correlation from the identity."""

    name = "barlowtwins"

    def __init__(self, backbone: Backbone, setup: Setup) -> None:
        super().__init__(backbone, setup)
        self.dimension = setup.options["dimension"]
        three = [self.dimension] * 3
        self.head = mlp(backbone.channels, *three, last_bias=False)
        self.redundancy = setup.options["redundancy"]
        self.batch_size = setup.batch_size

    @property
    def chance_loss(self) -> float:
        """The loss of a network that has one embedding for all images: no number correlates."""
        return float(self.dimension)

    def forward(self, views: tuple[Tensor, Tensor], index: Tensor, epoch: int, epochs: int) -> Step:
        first, second = map(self._embed, views)
        with full_precision(first):
            first, second = (whole(one, self.training) for one in (first, second))
            found = cross_correlation(first, second)
            own = found.diagonal()
            agreement = (1 - own).square().sum()
            redundancy = (found - torch.diag(own)).square().sum()
            weight = self.redundancy * fullness(len(first), self.batch_size)
            loss = agreement + weight * redundancy
        return Step(loss=share(loss, self.training), count=len(index))

    def _embed(self, view: Tensor) -> Tensor:
        """Return the embeddings (B, D) of one view: in training, it is a batch by itself."""
        return self.head(self.backbone(self.normalise(view))).float()
