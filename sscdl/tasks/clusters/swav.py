"""SwAV: predict the cluster code of one view of an image from its other views.

Caron et al. 2020 (arXiv:2006.09882): codes come from the two global crops, balanced over the
prototypes by Sinkhorn-Knopp iterations; every other crop predicts them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sscdl.errors import InputError
from sscdl.tasks.base import Setup, Step, full_precision, queue_positions, whole_epochs
from sscdl.tasks.crops import GLOBAL_CROPS, MultiCrop, swapped_loss
from sscdl.tasks.heads import mlp
from sscdl.training import ranks

if TYPE_CHECKING:
    from sscdl.training.backbones import Backbone


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Return codes (B, K) for similarities ``scores`` (B, K): each row sums to 1.

    Alternately scales prototypes to equal shares of the batch and samples to equal shares of the
    total (section 3.1 of the paper). In float32, and relative to the maximum, which cancels in
    the result: exp(score / 0.05) alone would overflow from a score of 4.4.
    """
    scores = scores.float()
    codes = torch.exp((scores - scores.max()) / epsilon)
    for _ in range(iterations):
        # A prototype far from every sample underflows to 0, and 0 / 0 would spread.
        codes = codes / codes.sum(dim=0, keepdim=True).clamp_min(1e-30)
        codes = codes / codes.sum(dim=1, keepdim=True)
    return codes


def _forget(task: SwAV, _: object) -> None:
    """Have ``task``, whose state was just loaded, look at its queue again."""
    task._known = None


class SwAV(MultiCrop):
    """Swapped assignments with two global and several local crops."""

    name = "swav"
    # Buffers.
    queue: Tensor
    queue_pointer: Tensor
    queue_filled: Tensor

    def __init__(self, backbone: Backbone, setup: Setup) -> None:
        super().__init__(backbone, setup)
        options = setup.options
        width, dimension, length = backbone.channels, options["dimension"], options["queue"]
        if length < 0 or length % setup.batch_size:
            raise InputError(
                f"swav: queue is {length}; give 0 or a multiple of the batch, {setup.batch_size}"
            )
        self.head = mlp(width, width, dimension)
        self.prototypes = nn.Linear(dimension, options["prototypes"], bias=False)
        self.register_buffer("queue", torch.zeros(GLOBAL_CROPS, length, dimension))
        self.register_buffer("queue_pointer", torch.zeros((), dtype=torch.long))
        self.register_buffer("queue_filled", torch.zeros((), dtype=torch.long))
        self._known: int | None = None  # queue_filled, as the host knows it
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]  # torch's

    @property
    def chance_loss(self) -> float:
        return math.log(self.prototypes.out_features)

    def forward(self, views: list[Tensor], index: Tensor, epoch: int, epochs: int) -> Step:
        embeddings = self._embed(views)
        with full_precision(embeddings):
            weight = F.normalize(self.prototypes.weight.detach(), dim=1)
            if self.training:
                with torch.no_grad():
                    self.prototypes.weight.copy_(weight)
                weight = self.prototypes.weight
            scores = list((embeddings @ weight.T).chunk(self.crops))
            codes = self._codes(scores, weight.detach(), epoch, epochs)
            loss = swapped_loss(scores, codes, self.options["temperature"])
        if self.training and self.queue.shape[1] > 0:
            self._enqueue(embeddings.detach()[: GLOBAL_CROPS * len(index)])
        return Step(loss=loss, count=len(index))

    def after_backward(self, epoch: int, epochs: int) -> None:
        """Keep the prototypes as they are in the first epochs, until the embeddings spread."""
        if epoch < whole_epochs(self.options["freeze"], epochs):
            self.prototypes.weight.grad = None

    def _embed(self, views: list[Tensor]) -> Tensor:
        """Return unit vectors ((2 + local crops) * B, dimension), crop by crop."""
        return F.normalize(self.head(self.features(views)).float(), dim=1)

    def _codes(self, scores: list[Tensor], weight: Tensor, epoch: int, epochs: int) -> list[Tensor]:
        """Return the codes of the global crops, balanced over the queue too once it is in use."""
        started = epoch >= whole_epochs(self.options["queue_start"], epochs)
        use_queue = started and self._queue_is_full()
        balanced = [score.detach() for score in scores[:GLOBAL_CROPS]]
        own = slice(len(scores[0]))
        # Ranks evaluate batches of their own, maybe not the same number of them.
        if self.training:
            balanced = [ranks.gathered(score) for score in balanced]
            own = ranks.own_part(len(balanced[0]))
        codes = []
        for crop, score in enumerate(balanced):
            if use_queue:
                score = torch.cat([score, self.queue[crop] @ weight.T])
            code = sinkhorn(score, self.options["epsilon"], self.options["iterations"])
            codes.append(code[own])
        return codes

    def _queue_is_full(self) -> bool:
        """Return whether there is a queue and each of its slots has been filled.

        Reading the number makes the host wait for the device, so that it is read once and counted
        on from there.
        """
        if self._known is None:
            self._known = int(self.queue_filled)
        return 0 < self.queue.shape[1] <= self._known

    @torch.no_grad()
    def _enqueue(self, embeddings: Tensor) -> None:
        """Replace the oldest by all ranks' ``embeddings`` (2 * B, dimension), crop by crop."""
        crops = embeddings.view(GLOBAL_CROPS, -1, embeddings.shape[1])
        crops = ranks.gathered(crops.transpose(0, 1)).transpose(0, 1)
        length = self.queue.shape[1]
        slots = queue_positions(self.queue_pointer, crops.shape[1], length)
        self.queue[:, slots] = crops
        self.queue_pointer.copy_((self.queue_pointer + crops.shape[1]) % length)
        self.queue_filled.copy_((self.queue_filled + crops.shape[1]).clamp(max=length))
        if self._known is not None:
            self._known += crops.shape[1]
