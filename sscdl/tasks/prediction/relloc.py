"""Relative location: where does a patch lie, seen from the centre of a 3 x 3 grid?

Doersch et al. 2015 (arXiv:1505.05192). Shortcuts that would answer without looking at anatomy are
closed by a gap between patches, a random place within each cell, and patch-wise gray value jitter.
Each of the nine patches is encoded once and the centre is paired with its eight neighbours.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sscdl.errors import InputError
from sscdl.tasks.base import Setup, Step, Task
from sscdl.tasks.sizes import smallest_side
from sscdl.training.augment import sample_boxes, symmetric, to_unit

if TYPE_CHECKING:
    from sscdl.training.backbones import Backbone

CELLS = 9
CENTRE = 4
NEIGHBOURS = (0, 1, 2, 3, 5, 6, 7, 8)  # cells row by row; label k is NEIGHBOURS[k]
SMALLEST_PATCH = 24


def uniform_hash(seeds: Tensor, count: int) -> Tensor:
    """Expand each of ``seeds`` (B,), uniform in [0, 1), to ``count`` numbers that look uniform.

    Returns float32 (B, count), multiples of 2**-24. A 32-bit integer hash (multiply and xor-shift)
    of seed and position: the same on every device, and independent of torch's generators.
    """
    mask = 2**32 - 1
    start = (seeds.double() * 2**32).long()[:, None]
    bits = (start + torch.arange(count, device=seeds.device) * 0x1E3779B9) & mask
    # Both factors stay below 2**31, so that no product overflows 64 bits.
    for shift, factor in ((16, 0x2C1B3C6D), (15, 0x297A2D39), (16, 0x2C1B3C6D)):
        bits = ((bits ^ (bits >> shift)) * factor) & mask
    return ((bits ^ (bits >> 16)) >> 8).float() / 2**24


class RelativeLocation(Task):
    """Classify the position of a neighbour from two joined features."""

    name = "relloc"
    metric = "accuracy"
    # Grid position (2), mirroring, dropout; then x, y, brightness and contrast of each patch.
    draws = 4 + 4 * CELLS

    def __init__(self, backbone: Backbone, setup: Setup) -> None:
        super().__init__(backbone, setup)
        options = setup.options
        if options["patch"] + options["gap"] > 1:
            raise InputError(
                "relloc: patch and gap together exceed a cell; make their sum 1 or less"
            )
        self.options = options
        self.patch_size, smallest = options["patch_size"], smallest_side(backbone)
        if self.patch_size == "auto":
            natural = options["extent"] / 3 * options["patch"] * setup.image_size
            self.patch_size = max(SMALLEST_PATCH, smallest, round(natural))
        if self.patch_size < smallest:
            raise InputError(
                f"relloc: patches of {self.patch_size} px are too small for {backbone.name}; make "
                f"patch_size auto, or at least {smallest}"
            )
        joined = 2 * backbone.channels
        hidden = joined if options["hidden"] == "auto" else options["hidden"]
        self.hidden = nn.Sequential(
            nn.Linear(joined, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True)
        )
        self.head = nn.Linear(hidden, len(NEIGHBOURS))

    @property
    def chance_loss(self) -> float:
        return math.log(len(NEIGHBOURS))

    @torch.no_grad()
    def patches(self, images: Tensor, draws: Tensor) -> Tensor:
        """Return (B, 9, p, p) float32 patches in [0, 1], cells row by row, of uint8 images."""
        height, width = images.shape[-2:]
        shorter = min(height, width)
        cell = shorter * self.options["extent"] / 3
        patch, gap = self.options["patch"], self.options["gap"]
        u = draws.double()
        place = u[:, 4:].view(-1, CELLS, 4)
        number = torch.arange(CELLS, device=images.device)
        # Half of the gap on either side of every cell keeps neighbours a whole gap apart.
        offset = (gap + patch) / 2 + place[..., :2] * (1 - gap - patch)
        x = u[:, 0:1] * (width - 3 * cell) + cell * (number % 3 + offset[..., 0])
        y = u[:, 1:2] * (height - 3 * cell) + cell * (number // 3 + offset[..., 1])
        side = torch.full_like(x, patch * cell)
        nil = torch.zeros_like(x)
        axis_x = side
        if self.options["flip"]:
            mirrored = u[:, 2:3] < 0.5
            x = torch.where(mirrored, width - x, x)
            axis_x = torch.where(mirrored, -side, side)
        cut = sample_boxes(
            to_unit(images),
            torch.stack([x, y], dim=-1),
            torch.stack([axis_x, nil], dim=-1),
            torch.stack([nil, side], dim=-1),
            self.patch_size,
            patch * cell / self.patch_size,
        )
        return self._jitter(cut, place[..., 2], place[..., 3])

    def _jitter(self, patches: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
        limit = self.options["jitter"]
        gain, spread = (
            1 + symmetric(u.float(), limit)[..., None, None] for u in (brightness, contrast)
        )
        mean = F.avg_pool2d(patches, self.patch_size)
        return ((mean + (patches - mean) * spread) * gain).clamp(0, 1)

    def views(self, images: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
        """Return the patches (9B, 1, p, p) of all images, and the seeds (B,) of their dropout."""
        return self.patches(images, draws).flatten(0, 1)[:, None], draws[:, 3]

    def forward(self, views: tuple[Tensor, Tensor], index: Tensor, epoch: int, epochs: int) -> Step:
        patches, seeds = views
        features = self.backbone(self.normalise(patches)).unflatten(0, (len(index), CELLS))
        # Two slices and not a list of cells, which would be copied to the device at every step.
        neighbours = torch.cat([features[:, :CENTRE], features[:, CENTRE + 1 :]], dim=1)
        centres = features[:, CENTRE : CENTRE + 1].expand_as(neighbours)
        hidden = self.hidden(torch.cat([centres, neighbours], dim=2).flatten(0, 1))
        logits = self.head(self._dropout(hidden, seeds))
        labels = torch.arange(len(NEIGHBOURS), device=index.device).repeat(len(index))
        loss = F.cross_entropy(logits, labels)
        correct = (logits.detach().argmax(dim=1) == labels).sum()
        return Step(loss=loss, count=len(index), correct=correct, of=len(labels))

    def _dropout(self, hidden: Tensor, seeds: Tensor) -> Tensor:
        """Dropout whose mask comes from the image's own draw and not from torch's generator."""
        rate = self.options["dropout"]
        if not self.training or rate == 0:
            return hidden
        kept = uniform_hash(seeds, hidden.numel() // len(seeds)).view_as(hidden) >= rate
        return hidden * kept / (1 - rate)
