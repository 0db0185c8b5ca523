"""Random numbers of a run: a function of its seed, the epoch and the image, and of nothing else."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def mixed_seed(*parts: object) -> int:
    """Return a 63-bit seed that is a function of ``parts`` alone."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def epoch_draws(seed: int, epoch: int | str, images: int, draws: int) -> tuple[Tensor, Tensor]:
    """Return a random order of ``images`` rows and (images, draws) uniform numbers.

    ``epoch``: its number, or a word for what is drawn but once.
    """
    generator = torch.Generator().manual_seed(mixed_seed(seed, epoch))
    order = torch.randperm(images, generator=generator)
    return order, torch.rand(images, draws, generator=generator)
