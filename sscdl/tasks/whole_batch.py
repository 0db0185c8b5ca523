"""Losses of a whole batch, of which each rank has a part: statistics, and all pairs of images.

Each rank computes the loss of the whole from its own embeddings, with gradient, and those of other
ranks, without. What it has then is the gradient of that loss by its own embeddings.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sscdl.training import ranks


def whole(own: Tensor, training: bool) -> Tensor:
    """Return all ranks' ``own`` (b, ...), in rank order, of which this rank's have a gradient.

    Outside of ``training`` ranks have batches of their own, maybe not the same number of them, and
    exchange nothing.
    """
    if not training or ranks.world() == 1:
        return own
    found = ranks.gathered(own)
    part = ranks.own_part(len(found))
    return torch.cat([found[: part.start], own, found[part.stop :]])


def of_all(index: Tensor, training: bool, *more: Tensor) -> tuple[Tensor, int, tuple[Tensor, ...]]:
    """Return the images of all ranks' batch, where ``index`` begins there, and all of ``more``.

    ``index`` (b,) are this rank's, and ``more`` (b, ...) what is known of them. Nothing has a
    gradient. Outside of ``training``, as with ``whole``, what is all is this rank's.
    """
    if not training:
        return index, 0, more
    rows = ranks.gathered(index)
    return rows, ranks.own_part(len(rows)).start, tuple(ranks.gathered(one) for one in more)


def share(loss: Tensor, training: bool) -> Tensor:
    """Return ``loss``, of a batch from ``whole``, with the gradient that ranks may average.

    Each has that of its own images; the mean over ranks would be too small by their number.
    """
    many = ranks.world() if training else 1
    return loss.detach() + many * (loss - loss.detach())


def fullness(count: int, batch_size: int) -> float:
    """Return what squared covariances of ``count`` images are multiplied by, 1 for a whole batch.

    By chance they are as large as one over that number: those of a last batch that is short would
    decide what a validation says.
    """
    return min(1.0, (count - 1) / max(1, batch_size - 1))
