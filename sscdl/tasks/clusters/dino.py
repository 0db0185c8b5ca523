"""DINO: predict from each crop of an image which prototypes a teacher sees in another one.

Caron et al. 2021 (arXiv:2104.14294): self-distillation without labels. The teacher's scores are
centred by their running mean and sharpened by a low temperature, so that it neither names all
prototypes alike nor always the same one; it keeps a share of its weights that rises to 1 step by
step. Head as in the authors' code: three layers with GELU, a unit vector, and prototypes of length
1. Taken otherwise, for small data: fewer prototypes, a momentum that begins lower, warm-up and
freeze as shares of the epochs, and one blur for all crops. What is kept of a stage is the backbone
that was trained, and not the teacher's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sscdl.tasks.base import Setup, Step, full_precision, whole_epochs
from sscdl.tasks.contrast import own_is_highest
from sscdl.tasks.crops import GLOBAL_CROPS, MultiCrop, swapped_loss
from sscdl.tasks.pairs import another
from sscdl.tasks.teachers import Taught
from sscdl.tasks.whole_batch import of_all
from sscdl.training import ranks

if TYPE_CHECKING:
    from sscdl.training.backbones import Backbone

CENTRE_KEPT = 0.9  # share of the centre that a step leaves
MARGIN = 0.01  # nats, by which an image's own code has to be the nearest to be told by it


class Head(nn.Module):
    """Three layers to a bottleneck, and its cosines with prototypes: (B, C) to (B, K)."""

    def __init__(self, width: int, hidden: int, dimension: int, prototypes: int) -> None:
        super().__init__()
        linear = [
            nn.Linear(inputs, outputs)
            for inputs, outputs in ((width, hidden), (hidden, hidden), (hidden, dimension))
        ]
        for layer in linear:
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        self.layers = nn.Sequential(linear[0], nn.GELU(), linear[1], nn.GELU(), linear[2])
        self.prototypes = nn.Linear(dimension, prototypes, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        embeddings = self.layers(features).float()
        with full_precision(embeddings):
            directions = F.normalize(self.prototypes.weight, dim=1)
            return F.normalize(embeddings, dim=1) @ directions.T


class DINO(Taught, MultiCrop):
    """A student that sees all crops, and a teacher that sees the two global ones."""

    name = "dino"
    # Of two learning rates the one that has all images collapse to one prototype has the lower
    # loss; it does not tell images apart.
    metric = "accuracy"
    # Buffers.
    centre: Tensor
    head: Head
    patients: Tensor | None

    def __init__(self, backbone: Backbone, setup: Setup) -> None:
        super().__init__(backbone, setup)
        options = self.options
        self.head = Head(
            backbone.channels, options["hidden"], options["dimension"], options["prototypes"]
        )
        self.begin_teacher(options["momentum"])
        self.register_buffer("centre", torch.zeros(options["prototypes"]))
        # Comes from the data, so it is no part of the state.
        self.register_buffer("patients", setup.patients, persistent=False)

    @property
    def chance_loss(self) -> float:
        """The loss of a student to which all prototypes are equally near."""
        return math.log(self.options["prototypes"])

    def forward(self, views: list[Tensor], index: Tensor, epoch: int, epochs: int) -> Step:
        scores = list(self.head(self.features(views)).chunk(self.crops))
        with torch.no_grad():
            seen = self.teacher_head(self.teacher_backbone(self.normalise(views[0])))
        temperature = self.options["temperature"]
        with full_precision(seen):
            sharpened = (seen - self.centre) / self.teacher_temperature(epoch, epochs)
            codes = list(F.softmax(sharpened, dim=1).chunk(GLOBAL_CROPS))
            loss = swapped_loss(scores, codes, temperature)
            with torch.no_grad():
                floor, right = self._beside_others(scores, codes, index)
                if self.training:
                    self._move_centre(seen)
        return Step(
            loss=loss, count=len(index), correct=right.sum(), of=len(right), floor=floor
        )  # fmt: skip

    def after_backward(self, epoch: int, epochs: int) -> None:
        """Keep the prototypes as they are in the first epochs, until the embeddings spread."""
        if epoch < whole_epochs(self.options["freeze"], epochs):
            self.head.prototypes.weight.grad = None

    def teacher_temperature(self, epoch: int, epochs: int) -> float:
        """Return the temperature of an epoch, from 0: it rises in equal steps, then stays."""
        first, last = self.options["teacher_temperature"]
        rise = whole_epochs(self.options["warmup"], epochs)
        return first + (last - first) * epoch / (rise - 1) if epoch + 1 < rise else last

    def _move_centre(self, seen: Tensor) -> None:
        """Move the centre towards the mean of the scores (2B, K) of all ranks."""
        mean = ranks.summed(seen.mean(dim=0)) / ranks.world()
        self.centre.lerp_(mean, 1 - CENTRE_KEPT)

    def _beside_others(
        self, scores: list[Tensor], codes: list[Tensor], index: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the loss with codes of other images, and which global crops tell their own.

        These are bool (2B,): whether no other patient's code is nearer, by the divergence of what
        is predicted from it.
        """
        rows, start, gathered = of_all(index, self.training, *codes)
        codes = list(gathered)
        places = another(index, rows, start, self.patients)
        temperature = self.options["temperature"]
        floor = swapped_loss(scores, [code[places] for code in codes], temperature)
        right = []
        for score, code in zip(scores[:GLOBAL_CROPS], reversed(codes), strict=True):
            predicted = F.log_softmax(score / temperature, dim=1)
            entropy = -torch.special.entr(code).sum(dim=1)
            nearness = predicted @ code.T - entropy
            right.append(own_is_highest(nearness, index, rows, start, self.patients, MARGIN))
        return floor, torch.cat(right)
