"""Losses that compare embeddings of views by their cosine."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sscdl.tasks.base import Step, full_precision
from sscdl.tasks.pairs import another, of_own_patient
from sscdl.tasks.whole_batch import of_all

# By how much of a cosine an image's own target has to be the nearest. Where all images nearly have
# one embedding, what is left of the order of their cosines is rounding, or says next to nothing.
MARGIN = 0.01


def nt_xent(
    embeddings: Tensor, positive: Tensor, negative: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return the normalised temperature-scaled cross-entropy, and which anchors are right.

    ``embeddings``: unit vectors (N, D), each of which is an anchor. ``positive``, ``negative``:
    bool (N, N), which others an anchor (row) is to be near to and far from; the rest, itself among
    them, do not count. The loss is that of Chen et al. 2020 (arXiv:2002.05709, equation 1), and
    with several positives that of Khosla et al. 2020 (arXiv:2004.11362, equation 2): the mean over
    positives of the negative logarithm of their share, then the mean over anchors that have one, 0
    if none has. Right (N,) is an anchor to which a positive is nearest.
    """
    scores = embeddings @ embeddings.T / temperature
    itself = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    several = positive.sum(dim=1)
    # An anchor without positives has no loss. Compared with itself it has finite numbers, where a
    # sum over nothing would have a gradient that is none.
    counted = positive | negative | (itself & (several == 0)[:, None])
    compared = scores.masked_fill(~counted, -math.inf)
    shares = scores - torch.logsumexp(compared, dim=1, keepdim=True)
    losses = -torch.where(positive, shares, 0.0).sum(dim=1) / several.clamp(min=1)
    loss = losses.sum() / (several > 0).sum().clamp(min=1)
    nearest = compared.detach().argmax(dim=1, keepdim=True)
    return loss, positive.gather(1, nearest)[:, 0]


def negative_cosine(predicted: Tensor, target: Tensor) -> Tensor:
    """Return minus the mean cosine, in [-1, 1], of ``predicted`` and ``target`` (B, D).

    ``target`` has no gradient. A vector of length 0 has a cosine of 0 with all others.
    """
    target = F.normalize(target.detach(), dim=1)
    return -(F.normalize(predicted, dim=1) * target).sum(dim=1).mean()


def predicted_step(
    directions: Sequence[tuple[Tensor, Tensor]],
    index: Tensor,
    patients: Tensor | None,
    *,
    scale: float,
    training: bool,
) -> Step:
    """Return the step of a task that predicts an embedding of one view from the other.

    ``directions``: predictions and targets (B, D) of images ``index``, once for each direction. The
    loss is ``scale`` times 1 minus the mean cosine: ``scale`` for directions that know nothing of
    each other, and 0 also where all images have one embedding. What tells that from success is the
    ``floor``, the same loss with the targets of other images; and a prediction counts as right if
    its own target is nearer by ``MARGIN`` than that of any image of another patient.
    """
    losses, floors, right = [], [], []
    with full_precision(index):
        for predicted, target in directions:
            losses.append(1 + negative_cosine(predicted.float(), target.float()))
            with torch.no_grad():
                rows, start, (targets,) = of_all(index, training, target.float())
                other = targets[another(index, rows, start, patients)]
                floors.append(1 + negative_cosine(predicted.float(), other))
                scores = F.normalize(predicted.float(), dim=1) @ F.normalize(targets, dim=1).T
                right.append(own_is_highest(scores, index, rows, start, patients, MARGIN))
        loss, floor = (scale * torch.stack(found).mean() for found in (losses, floors))
    return Step(
        loss=loss, count=len(index), correct=torch.cat(right).sum(), of=len(index) * len(right),
        floor=floor,
    )  # fmt: skip


def own_is_highest(
    scores: Tensor,
    index: Tensor,
    rows: Tensor,
    start: int,
    patients: Tensor | None,
    margin: float,
) -> Tensor:
    """Return bool (B,): whether an image's own column of ``scores`` (B, A) is the highest.

    Rows are of images ``index``, columns of images ``rows``, among which ``index`` stands from
    ``start`` on. It has to be higher by ``margin``, so that images with equal scores are not right.
    Columns of its own patient do not count; where there are no others, nothing was told.
    """
    own = torch.arange(len(index), device=index.device) + start
    highest = scores.masked_fill(of_own_patient(index, rows, patients), -math.inf).amax(dim=1)
    mine = scores.gather(1, own[:, None])[:, 0]
    return (mine > highest + margin) & highest.isfinite()
