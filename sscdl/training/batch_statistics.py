"""Statistics of batch normalisation that belong to the present weights and to what is fed.

While a network trains, its layers normalise by the batch, and keep a running average of what they
saw: of earlier weights, that is, and of the task's crops. With few steps in an epoch that average
lags so far behind that evaluation looks at another network. Here, for the time of a block, the
layers have the mean of what they see of a sample of training images at the weights as they are
("precise batch normalisation": Wu & Johnson 2021, arXiv:2105.07576, section 3). Nothing of the
training's state changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from sscdl.training import ranks
from sscdl.training.augment import center_resize
from sscdl.training.order import epoch_draws
from sscdl.training.pixels import batches

if TYPE_CHECKING:
    from sscdl.tasks.base import Task

SAMPLE = 128  # training images at most, or one batch where that is more
SETTLED_BY = 64  # images at a time


def wanted(recipe: Mapping[str, Any]) -> bool:
    """Return whether the recipe of a stage asks for statistics of the weights as they are."""
    return "batch_statistics" in recipe


def layers(module: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Return the batch normalisation layers of ``module`` that keep statistics."""
    return [
        one
        for one in module.modules()
        if isinstance(one, nn.modules.batchnorm._BatchNorm) and one.track_running_stats
    ]


@contextmanager
def estimated(module: nn.Module, passes: Iterable[Callable[[], Any]]) -> Iterator[None]:
    """Give the normalisation layers of ``module`` the mean of their statistics over ``passes``.

    Each of ``passes`` feeds a batch to ``module``, or to a part of it; it is called in evaluation
    mode but for those layers, without gradient, and not at all where there are none. A layer that
    nothing passed keeps what it has. In the block the module is in evaluation mode. After it,
    modes, statistics and counters are what they were before, bit for bit. Of several ranks, all
    must come here, each with its share of every batch.
    """
    modes = [(part, part.training) for part in module.modules()]
    norms = layers(module)
    before = [
        ({name: buffer.clone() for name, buffer in one.named_buffers()}, one.momentum)
        for one in norms
    ]
    counts = dict.fromkeys(norms, 0)

    def counted(layer: Any, _: Any) -> None:
        # The first batch replaces what was there, and the k-th enters with a share of 1 / k.
        counts[layer] += 1
        layer.momentum = 1 / counts[layer]

    try:
        module.eval()
        if norms:
            hooks = [one.register_forward_pre_hook(counted) for one in norms]
            try:
                for one in norms:
                    one.train()
                with torch.no_grad():
                    for feed in passes:
                        feed()
            finally:
                for hook in hooks:
                    hook.remove()
            for one, (buffers, _) in zip(norms, before, strict=True):
                one.eval()
                # Layers that keep statistics count.
                one.num_batches_tracked.copy_(buffers["num_batches_tracked"])  # type: ignore[union-attr]
        yield
    finally:
        for one, (buffers, momentum) in zip(norms, before, strict=True):
            one.momentum = momentum
            for name, buffer in one.named_buffers():
                buffer.copy_(buffers[name])
        for part, mode in modes:
            part.training = mode


class Sample(NamedTuple):
    """Training images that statistics are taken from, with the views that a task has of them.

    ``pixels``: uint8 (N, S, S). ``parts``: rows of it, a batch each. ``draws``: uniform numbers for
    each of these, (B, draws of the task). ``precision``: float32 or bf16, as in training.
    """

    pixels: Tensor
    parts: list[Tensor]
    draws: list[Tensor]
    precision: str


def sample(
    pixels: Tensor, rows: Tensor, draws: int, *, batch_size: int, seed: int, precision: str
) -> Sample:
    """Return up to ``SAMPLE`` of the training ``rows``, in whole batches: the same for a ``seed``.

    ``draws``: uniform numbers that the task takes for an image.
    """
    order, numbers = epoch_draws(seed, "statistics", len(rows), draws)
    count = max(1, min(SAMPLE, len(rows)) // batch_size)
    parts = order[: count * batch_size].split(batch_size)
    return Sample(
        pixels, [rows[part] for part in parts], [numbers[part] for part in parts], precision
    )


def _own(parts: list[Tensor]) -> list[Tensor]:
    """Return this rank's share of each of ``parts``: all of it once the ranks have parted."""
    return [part[ranks.own_part(len(part))] for part in parts]


def whole_images(
    backbone: nn.Module,
    normalise: Callable[[Tensor], Tensor],
    pixels: Tensor,
    parts: list[Tensor],
    size: int,
    precision: str,
) -> Iterator[Callable[[], Any]]:
    """Yield passes of whole images through ``backbone``: what features and predictions see.

    Args:
        backbone: maps (B, 3, size, size) to features.
        normalise: makes its input from images (B, 1, size, size) in [0, 1].
        pixels: uint8 (N, S, S).
        parts: rows of ``pixels``, a batch each.
        size: side of the network's input, pixels.
        precision: float32 or bf16, as in training.
    """
    device = next(backbone.parameters()).device
    for _, images in batches(pixels, _own(parts), device):

        def feed(images: Tensor = images) -> None:
            views = normalise(center_resize(images, size))
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                backbone(views)

        yield feed


def spread(rows: Sequence[int]) -> Sequence[int]:
    """Return at most ``SAMPLE`` of ``rows``, evenly spread over them."""
    return rows[:: max(1, -(-len(rows) // SAMPLE))]


def settle(
    backbone: nn.Module, normalise: Callable[[Tensor], Tensor], images: Tensor, size: int
) -> None:
    """Replace the statistics of a ``backbone`` that does not train by those over whole ``images``.

    That is for networks which were never trained on such pictures: random ones, and those of
    others. ``images``: uint8 (N, S, S), see :func:`spread`. The rest as for :func:`whole_images`.
    """
    # Of about equal sizes, as they count alike: not whole ones and a rest, which may be one image.
    parts = list(torch.arange(len(images)).tensor_split(-(-len(images) // SETTLED_BY)))
    with estimated(backbone, whole_images(backbone, normalise, images, parts, size, "float32")):
        found = {name: buffer.clone() for name, buffer in backbone.named_buffers()}
    for name, buffer in backbone.named_buffers():
        buffer.copy_(found[name])


class Statistics:
    """What a task under training is normalised by wherever it is looked at.

    With a ``sample``, by statistics of its weights as they are then; without, by the running
    averages of its training.
    """

    def __init__(self, task: Task, sample: Sample | None = None) -> None:
        self._task, self._sample = task, sample

    def of_validation(self) -> AbstractContextManager[None]:
        """Return a block for the task's own validation: statistics of the views that train it."""
        if self._sample is None:
            return nullcontext()
        return estimated(self._task, self._views(self._sample))

    def of_features(self) -> AbstractContextManager[None]:
        """Return a block for features of whole images; heads are left as they are."""
        task, found = self._task, self._sample
        if found is None:
            return nullcontext()
        passes = whole_images(
            task.backbone, task.normalise, found.pixels, found.parts, task.image_size,
            found.precision,
        )  # fmt: skip
        return estimated(task.backbone, passes)

    def of_kept(self) -> AbstractContextManager[None]:
        """Return a block for the network that is kept.

        A classifier is kept as it was validated: as the one whose score was reported.
        """
        return self.of_validation() if self._task.classifies else self.of_features()

    def _views(self, found: Sample) -> Iterator[Callable[[], Any]]:
        task = self._task
        device = next(task.parameters()).device
        loaded = batches(found.pixels, _own(found.parts), device)
        for (index, images), draws in zip(loaded, _own(found.draws), strict=True):

            def feed(index: Tensor = index, images: Tensor = images, draws: Tensor = draws) -> None:
                # A classifier augments only what it trains on.
                task.training = True
                views = task.views(images, draws.to(device))
                task.training = False
                with torch.autocast(device.type, torch.bfloat16, enabled=found.precision == "bf16"):
                    task(views, index, 0, 1)

            yield feed
