"""MoCo v2: contrast two views of an image against a queue of other images' embeddings.

He et al. 2020 (arXiv:1911.05722), Chen et al. 2020 (arXiv:2003.04297). Two changes for small data:
keys of the query's own image or patient do not count as negatives; and the queue is filled with
keys of training images before the first step (option ``fill``), where the authors begin with random
vectors. Without ``fill``, slots that were never filled do not count, so that the first steps are
easier than those that follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sscdl.tasks.base import Setup, Step, full_precision, queue_positions
from sscdl.tasks.pairs import TwoViews, another, of_own_patient
from sscdl.tasks.queues import queue_length
from sscdl.tasks.teachers import follow, teacher_of
from sscdl.tasks.whole_batch import of_all
from sscdl.training import ranks

if TYPE_CHECKING:
    from sscdl.training.backbones import Backbone


def info_nce(
    query: Tensor, key: Tensor, negatives: Tensor, allowed: Tensor, temperature: float
) -> Tensor:
    """Return InfoNCE logits (B, 1 + Q), the positive first; not allowed negatives are -inf.

    ``query``, ``key``: unit vectors (B, D). ``negatives``: (Q, D). ``allowed``: bool (B, Q).
    """
    positive = (query * key).sum(dim=1, keepdim=True)
    negative = (query @ negatives.T).masked_fill(~allowed, -math.inf)
    return torch.cat([positive, negative], dim=1) / temperature


def floor_loss(logits: Tensor, other: Tensor) -> Tensor:
    """Return the mean loss if positives were ``other`` logits (B,), of the keys of other images.

    ``logits``: (B, 1 + Q) of ``info_nce``. Keys of the batch are of this moment and those of the
    queue are not. A network that tells them apart is below ``ln(1 + Q)``, and has learnt nothing of
    the images; what it has, lies between this and its loss. (Above ``ln(1 + Q)`` it is where
    similarities spread: a positive at random is then costly.)
    """
    everything = torch.cat([other[:, None], logits[:, 1:]], dim=1)
    return (torch.logsumexp(everything, dim=1) - other).mean()


class MoCo(TwoViews):
    """Momentum contrast with a projection head of two layers and no batch normalisation."""

    name = "moco"
    # Buffers.
    queue: Tensor
    queue_rows: Tensor
    queue_pointer: Tensor

    def __init__(self, backbone: Backbone, setup: Setup) -> None:
        super().__init__(backbone, setup)
        options = setup.options
        width, dimension = backbone.channels, options["dimension"]
        self.head = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(inplace=True), nn.Linear(width, dimension)
        )
        self.key_backbone = teacher_of(backbone)
        self.key_head = teacher_of(self.head)
        self.temperature = options["temperature"]
        self.momentum = options["momentum"]
        self.fill, self.batch_size = options["fill"], setup.batch_size
        length = queue_length(options["queue"], setup.images, setup.batch_size)
        self.register_buffer("queue", torch.zeros(length, dimension))
        # Row of each key's image in the packed array; -1 marks a slot that was never filled.
        self.register_buffer("queue_rows", torch.full((length,), -1))
        self.register_buffer("queue_pointer", torch.zeros((), dtype=torch.long))

    @property
    def chance_loss(self) -> float:
        return math.log(1 + len(self.queue))

    def before_training(self, batches: Iterator[tuple[tuple[Tensor, Tensor], Tensor]]) -> None:
        """Fill the queue with keys of training images, as steps would: see ``fill``.

        Batch statistics are those of each batch, and the key network's running ones move, as
        whenever it encodes keys in training. Nothing in training reads the latter; evaluation
        does, for which they are nearer to the images than those that the network begins with.
        """
        if self.fill:
            for views, index in islice(batches, len(self.queue) // self.batch_size):
                key = self._embed(self.key_backbone, self.key_head, views[1])
                self._enqueue(ranks.gathered(key), ranks.gathered(index))

    def forward(self, views: tuple[Tensor, Tensor], index: Tensor, epoch: int, epochs: int) -> Step:
        query = self._embed(self.backbone, self.head, views[0])
        with torch.no_grad():
            if self.training:
                self._average()
            key = self._embed(self.key_backbone, self.key_head, views[1])
        rows, start, (keys,) = of_all(index, self.training, key)
        with full_precision(query):
            # The queue changes below, and the backward pass needs it as it is now.
            queue = self.queue.clone() if self.training else self.queue
            logits = info_nce(query, key, queue, self._allowed(index), self.temperature)
            loss = F.cross_entropy(logits, torch.zeros_like(index))
            with torch.no_grad():
                foreign = keys[another(index, rows, start, self.patients)]
                other = (query * foreign).sum(dim=1) / self.temperature
                floor = floor_loss(logits, other)
        if self.training:
            self._enqueue(keys, rows)
        correct = (logits.detach().argmax(dim=1) == 0).sum()
        return Step(loss=loss, count=len(index), correct=correct, of=len(index), floor=floor)

    def _embed(self, backbone: nn.Module, head: nn.Module, views: Tensor) -> Tensor:
        return F.normalize(head(backbone(self.normalise(views))).float(), dim=1)

    def _average(self) -> None:
        """Move the key network towards the query network: parameters, not BN statistics."""
        follow(self.key_backbone, self.backbone, self.momentum)
        follow(self.key_head, self.head, self.momentum)

    def _allowed(self, index: Tensor) -> Tensor:
        """Return (B, Q): whether a key is of another image, and of another patient if known."""
        filled = self.queue_rows >= 0
        return filled & ~of_own_patient(index, self.queue_rows, self.patients)

    @torch.no_grad()
    def _enqueue(self, keys: Tensor, index: Tensor) -> None:
        """Replace the oldest by all ranks' ``keys`` (B, dimension), of images ``index`` (B,)."""
        slots = queue_positions(self.queue_pointer, len(keys), len(self.queue))
        self.queue[slots] = keys
        self.queue_rows[slots] = index
        self.queue_pointer.copy_((self.queue_pointer + len(keys)) % len(self.queue))
