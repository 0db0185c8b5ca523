"""What tasks share that compare two large crops of an image with several small ones.

Caron et al. 2020 (arXiv:2006.09882), section 3.2: multi-crop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from sscdl.tasks.base import Setup, Task
from sscdl.tasks.declaration import VIEWS
from sscdl.tasks.sizes import smallest_side
from sscdl.training.augment import Augmentation

if TYPE_CHECKING:
    from sscdl.training.backbones import Backbone

GLOBAL_CROPS = 2


def swapped_loss(scores: list[Tensor], codes: list[Tensor], temperature: float) -> Tensor:
    """Return the mean cross-entropy between each code and the predictions of all other crops.

    ``scores``: (B, K) for every crop, global crops first. ``codes``: (B, K) for the global crops.
    """
    terms = []
    for source, code in enumerate(codes):
        for crop, score in enumerate(scores):
            if crop != source:
                prediction = F.log_softmax(score / temperature, dim=1)
                terms.append(-(code * prediction).sum(dim=1).mean())
    return torch.stack(terms).mean()


class MultiCrop(Task):
    """A task that has two global crops of each image and ``local_crops`` small ones.

    Its options have those of ``MULTI_CROP``.
    """

    metric: ClassVar[str] = "loss"

    def __init__(self, backbone: Backbone, setup: Setup) -> None:
        super().__init__(backbone, setup)
        options = setup.options
        self.options = options
        shared = {name: options[name] for name in ("flip", *VIEWS)}
        self.augment = Augmentation(setup.image_size, crop=tuple(options["crop"]), **shared)
        self.augment_local = Augmentation(
            max(smallest_side(backbone), round(options["local_size"] * setup.image_size)),
            crop=tuple(options["local_crop"]),
            **shared,
        )
        self.crops = GLOBAL_CROPS + options["local_crops"]
        self.draws = Augmentation.draws * self.crops

    def views(self, images: Tensor, draws: Tensor) -> list[Tensor]:
        """Return the global crops (2B, 1, s, s), first and second, then any local ones."""
        parts = draws.chunk(self.crops, dim=1)
        views = [torch.cat([self.augment(images, u) for u in parts[:GLOBAL_CROPS]])]
        if self.crops > GLOBAL_CROPS:
            views.append(torch.cat([self.augment_local(images, u) for u in parts[GLOBAL_CROPS:]]))
        return views

    def features(self, views: list[Tensor]) -> Tensor:
        """Return what the backbone makes of all crops, (crops * B, C), crop by crop."""
        return torch.cat([self.backbone(self.normalise(view)) for view in views])
