"""BYOL: predict what a slowly following teacher makes of the other view of an image.

Grill et al. 2020 (arXiv:2006.07733). The loss is the paper's, the sum over both directions of
2 - 2 cos. The teacher begins as a copy of backbone and projector, has no predictor and no gradient,
normalises by batches of its own, and keeps a share of its weights that rises to 1 step by step.
What is kept of a stage is the backbone that was trained, and not the teacher's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sscdl.tasks.base import Setup, Step
from sscdl.tasks.contrast import predicted_step
from sscdl.tasks.heads import mlp
from sscdl.tasks.pairs import TwoViews
from sscdl.tasks.teachers import Taught

if TYPE_CHECKING:
    from sscdl.training.backbones import Backbone

RARELY = 0.1  # share of the second views that are blurred where views are asymmetric
BLUR = -1  # place of a view's number for the blur, which is for the upper half of the numbers


class BYOL(Taught, TwoViews):
    """A projector and a predictor, and a teacher that follows the former and the backbone."""

    name = "byol"
    # Of two learning rates the one that has all images collapse to one embedding has the lower
    # loss; it does not tell images apart.
    metric = "accuracy"

    def __init__(self, backbone: Backbone, setup: Setup) -> None:
        super().__init__(backbone, setup)
        options = setup.options
        dimension, hidden = options["dimension"], options["hidden"]
        self.head = mlp(backbone.channels, hidden, dimension)
        self.predictor = mlp(dimension, hidden, dimension)
        self.begin_teacher(options["momentum"])
        self.asymmetric = options["asymmetric"]

    @property
    def chance_loss(self) -> float:
        """The loss of predictions that know nothing of their targets: those are at right angles."""
        return 4.0

    def views(self, images: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Return two random views (B, 1, s, s) of each image.

        If they are ``asymmetric``, the first is always blurred, and the second one time in ten.
        """
        if self.asymmetric:
            first, second = draws.clone().chunk(2, dim=1)
            first[:, BLUR] = (1 + first[:, BLUR]) / 2
            second[:, BLUR] = 1 - (1 - second[:, BLUR]) / (2 * RARELY)
            draws = torch.cat([first, second], dim=1)
        return super().views(images, draws)

    def forward(self, views: tuple[Tensor, Tensor], index: Tensor, epoch: int, epochs: int) -> Step:
        one, two = (
            self.predictor(self.head(self.backbone(self.normalise(view)))) for view in views
        )
        with torch.no_grad():
            first, second = (
                self.teacher_head(self.teacher_backbone(self.normalise(view))) for view in views
            )
        return predicted_step(
            ((one, second), (two, first)), index, self.patients, scale=self.chance_loss,
            training=self.training,
        )  # fmt: skip
