"""VICReg: embeddings of two views of an image are alike, spread, and not redundant.

Bardes, Ponce & LeCun 2022 (arXiv:2105.04906), the loss as in the authors' code. Nothing is
contrasted, so that no image is a false negative of another: the variance of each number of the
embedding is kept up, and numbers that say the same are pulled apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sscdl.tasks.base import Setup, Step, Task, full_precision
from sscdl.tasks.declaration import VIEWS
from sscdl.training import ranks
from sscdl.training.augment import Augmentation

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


class VICReg(Task):
    """Two views, an expander of three layers, and a loss without negatives."""

    name = "vicreg"
    metric = "loss"

    def __init__(self, backbone: Backbone, setup: Setup) -> None:
        super().__init__(backbone, setup)
        options = setup.options
        width, dimension = backbone.channels, options["dimension"]
        self.head = nn.Sequential(
            nn.Linear(width, dimension),
            nn.BatchNorm1d(dimension),
            nn.ReLU(inplace=True),
            nn.Linear(dimension, dimension),
            nn.BatchNorm1d(dimension),
            nn.ReLU(inplace=True),
            nn.Linear(dimension, dimension, bias=False),
        )
        self.weights = options["invariance"], options["variance"], options["covariance"]
        self.batch_size = setup.batch_size
        self.augment = Augmentation(
            setup.image_size,
            crop=tuple(options["crop"]),
            flip=options["flip"],
            **{name: options[name] for name in VIEWS},
        )
        self.draws = 2 * Augmentation.draws

    @property
    def chance_loss(self) -> float:
        """The loss of a network that has one embedding for all images."""
        return self.weights[1] * (1 - EPSILON**0.5)

    def views(self, images: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Return two random views (B, 1, s, s) of each image."""
        first, second = draws.chunk(2, dim=1)
        return self.augment(images, first), self.augment(images, second)

    def forward(self, views: tuple[Tensor, Tensor], index: Tensor, epoch: int, epochs: int) -> Step:
        first, second = map(self._embed, views)
        with full_precision(first):
            invariance, variance, covariance = self.weights
            loss = invariance * (first - second).square().mean()
            for one in (first, second):
                whole = self._of_all_ranks(one)
                spread, redundancy = spread_and_redundancy(whole)
                # Covariances of few images are large by chance, by one over their number: those of
                # a last batch that is short would decide what a validation says.
                full = min(1.0, (len(whole) - 1) / (self.batch_size - 1))
                share = variance * spread / 2 + covariance * full * redundancy
                # Each rank has the gradient of its own images; the mean over ranks would be too
                # small by their number.
                many = ranks.world() if self.training else 1
                loss = loss + share.detach() + many * (share - share.detach())
        return Step(loss=loss, count=len(index))

    def _embed(self, view: Tensor) -> Tensor:
        """Return the embeddings (B, D) of one view: in training, it is a batch by itself."""
        return self.head(self.backbone(self.normalise(view))).float()

    def _of_all_ranks(self, embeddings: Tensor) -> Tensor:
        """Return the embeddings of the whole batch, of which only this rank's have a gradient."""
        # Ranks evaluate batches of their own, maybe not the same number of them.
        if not self.training or ranks.world() == 1:
            return embeddings
        whole = ranks.gathered(embeddings)
        own = ranks.own_part(len(whole))
        return torch.cat([whole[: own.start], embeddings, whole[own.stop :]])
