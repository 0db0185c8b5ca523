"""Rotation prediction: by which of four right angles was the image turned?

Gidaris et al. 2018 (arXiv:1803.07728). The four turns are exact (no interpolation that the network
could recognise), and all four of an image are in the same batch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sscdl.tasks.base import Setup, Step, Task
from sscdl.training.augment import Augmentation

if TYPE_CHECKING:
    from sscdl.training.backbones import Backbone

TURNS = 4


def all_turns(views: Tensor) -> tuple[Tensor, Tensor]:
    """Return square images (B, C, s, s) in all four turns (4B, C, s, s), and the turns (4B,).

    Turn k is k right angles anticlockwise; first come all images at turn 0, then at turn 1, ...
    """
    turned = torch.cat([torch.rot90(views, k, dims=(2, 3)) for k in range(TURNS)])
    turns = torch.arange(TURNS, device=views.device).repeat_interleave(len(views))
    return turned, turns


class Rotation(Task):
    """Predict the turn from the pooled feature with one linear layer."""

    name = "rotation"
    metric = "accuracy"
    draws = Augmentation.draws

    def __init__(self, backbone: Backbone, setup: Setup) -> None:
        super().__init__(backbone, setup)
        options = setup.options
        self.head = nn.Linear(backbone.channels, TURNS)
        self.augment = Augmentation(
            setup.image_size, crop=tuple(options["crop"]), flip=options["flip"]
        )

    @property
    def chance_loss(self) -> float:
        return math.log(TURNS)

    def views(self, images: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Return square views in all four turns (4B, 1, s, s), and the turns (4B,)."""
        return all_turns(self.augment(images, draws))

    def forward(self, views: tuple[Tensor, Tensor], index: Tensor, epoch: int, epochs: int) -> Step:
        turned, turns = views
        logits = self.head(self.backbone(self.normalise(turned)))
        loss = F.cross_entropy(logits, turns)
        correct = (logits.detach().argmax(dim=1) == turns).sum()
        return Step(loss=loss, count=len(index), correct=correct, of=len(turns))
