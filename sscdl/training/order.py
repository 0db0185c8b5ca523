"""In which order images are shown, and how: random, but a function of (seed, epoch, image).

The order of the images and their augmentation are drawn afresh for each epoch from a generator of
its own, whatever workers and devices there are.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sscdl.training import ranks
from sscdl.training.pixels import batches

if TYPE_CHECKING:
    from sscdl.tasks.base import Task


def mixed_seed(*parts: object) -> int:
    """Return a 63-bit seed that is a function of ``parts`` alone."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def epoch_draws(seed: int, epoch: int | str, images: int, draws: int) -> tuple[Tensor, Tensor]:
    """Return a random order of ``images`` rows and (images, draws) uniform numbers."""
    generator = torch.Generator().manual_seed(mixed_seed(seed, epoch))
    order = torch.randperm(images, generator=generator)
    return order, torch.rand(images, draws, generator=generator)


def own_parts(order: Tensor, number: int, size: int) -> list[Tensor]:
    """Return this rank's share of each of ``number`` batches of ``size`` images, by ``order``.

    Where that is too short for the last batch, it goes on from its beginning.
    """
    own = ranks.own_part(size)
    return [part[own] for part in torch.cat([order, order])[: number * size].split(size)]


def endless(
    task: Task, pixels: Tensor, rows: Tensor, size: int, seed: int
) -> Generator[tuple[Any, Tensor], None, None]:
    """Yield ``task``'s views and the rows of whole batches of ``size``, this rank's share of each.

    ``rows`` of ``pixels`` (N, S, S) are shown in one random order after another, without end, drawn
    as those of epochs are, but none of theirs.
    """
    device = next(task.parameters()).device
    for turn in itertools.count():
        order, draws = epoch_draws(seed, f"before training {turn}", len(rows), task.draws)
        parts = own_parts(order, len(order) // size, size)
        with closing(batches(pixels, [rows[part] for part in parts], device)) as loaded:
            for part, (index, images) in zip(parts, loaded, strict=True):
                # Whoever asks for a batch may have autocast on, which training has not for views.
                with torch.autocast(device.type, enabled=False):
                    views = task.views(images, draws[part].to(device))
                yield views, index
