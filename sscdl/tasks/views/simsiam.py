"""SimSiam: predict the embedding of one view of an image from the other one's, without negatives.

Chen & He 2021 (arXiv:2011.10566): targets have no gradient, and the predictor's learning rate does
not fall. What the loss adds to the paper's is 1, so that it is 0 where views agree. The last
normalisation of the projector has neither weights nor biases, as in the authors' code. Their other
means, residual branches that begin as zero, belongs to the network and is not taken over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from sscdl.tasks.base import Setup, Step
from sscdl.tasks.contrast import predicted_step
from sscdl.tasks.heads import mlp
from sscdl.tasks.pairs import TwoViews
from sscdl.training.optim import Own

if TYPE_CHECKING:
    from sscdl.training.backbones import Backbone


class SimSiam(TwoViews):
    """A projector of three layers, and a predictor with a bottleneck."""

    name = "simsiam"
    # Of two learning rates the one that has all images collapse to one embedding has the lower
    # loss; it does not tell images apart.
    metric = "accuracy"

    def __init__(self, backbone: Backbone, setup: Setup) -> None:
        super().__init__(backbone, setup)
        dimension = setup.options["dimension"]
        self.head = mlp(backbone.channels, dimension, dimension, dimension, last_bias=False)
        # Several ranks share layers that have weights and biases: these are 1 and 0, and stay so.
        self.head.append(nn.BatchNorm1d(dimension).requires_grad_(False))
        self.predictor = mlp(dimension, setup.options["hidden"], dimension)

    @property
    def chance_loss(self) -> float:
        """The loss of predictions that know nothing of their targets: those are at right angles."""
        return 1.0

    def forward(self, views: tuple[Tensor, Tensor], index: Tensor, epoch: int, epochs: int) -> Step:
        first, second = (self.head(self.backbone(self.normalise(view))) for view in views)
        directions = (self.predictor(first), second), (self.predictor(second), first)
        return predicted_step(directions, index, self.patients, scale=1.0, training=self.training)

    def trained_otherwise(self) -> Sequence[Own]:
        return (Own(list(self.predictor.parameters()), falls=False),)
