"""VICReg: embeddings of two views of an image are alike, spread, and not redundant.

Bardes, Ponce & LeCun 2022 (arXiv:2105.04906), the loss as in the authors' code. Nothing is
contrasted, so that no image is a false negative of another: the variance of each number of the
embedding is kept up, and numbers that say the same are pulled apart.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sscdl.tasks.base import Setup, Step, Task, full_precision
from sscdl.tasks.declaration import VIEWS
from sscdl.training import ranks
from sscdl.training.augment import Augmentation

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

    def __init__(self, backbone: nn.Module, setup: Setup) -> None:
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

    def views(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return two random views of each image, (2B, 1, s, s): all first ones, then the others."""
        return torch.cat([self.augment(images, half) for half in draws.chunk(2, dim=1)])

    def forward(self, views: Tensor, index: Tensor, epoch: int, epochs: int) -> Step:
        both = self.head(self.backbone(self.normalise(views))).float()
        with full_precision(both):
            first, second = both.chunk(2)
            invariance, variance, covariance = self.weights
            loss = invariance * (first - second).square().mean()
            for one in (first, second):
                spread, redundancy = spread_and_redundancy(self._of_all_ranks(one))
                share = variance * spread / 2 + covariance * redundancy
                # Each rank has the gradient of its own images; the mean over ranks would be too
                # small by their number.
                many = ranks.world() if self.training else 1
                loss = loss + share.detach() + many * (share - share.detach())
        return Step(loss=loss, count=len(index))

    def _of_all_ranks(self, embeddings: Tensor) -> Tensor:
        """Return the embeddings of the whole batch, of which only this rank's have a gradient."""
        # Ranks evaluate batches of their own, maybe not the same number of them.
        if not self.training or ranks.world() == 1:
            return embeddings
        whole = ranks.gathered(embeddings)
        own = ranks.own_part(len(whole))
        return torch.cat([whole[: own.start], embeddings, whole[own.stop :]])
