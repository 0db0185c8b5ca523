"""What all tasks share: the interface that the training loop relies on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from sscdl.training.optim import Own

if TYPE_CHECKING:
    from sscdl.training.backbones import Backbone


@dataclass
class Step:
    """Result of one forward pass.

    All of it is about this rank's images. ``loss``: scalar mean, to be minimised. ``count``: images
    it is the mean of. ``correct``: number of right predictions (scalar tensor, left on the device)
    out of ``of``; None for a task that makes none. ``logits``: (B, K), from a task that
    ``classifies`` only. ``floor``: the same loss (scalar tensor, left on the device) with other
    images in the place of the right ones, which is what is reached without knowing the image; None
    for a task whose chance says that already.
    """

    loss: Tensor
    count: int
    correct: Tensor | None = None
    of: int = 0
    logits: Tensor | None = None
    floor: Tensor | None = None


@dataclass(frozen=True)
class Setup:
    """What a task is built from, besides the backbone.

    ``options``: all of the task's options. ``image_size``: side of the network's input, pixels.
    ``images``: number of training images. ``mean``, ``std``: of the gray values, in [0, 1].
    ``batch_size``: images per step, of all ranks together.
    ``patients``, ``labels``: (N,) long, one entry per row of the packed array: a number for each
    patient (what compares images uses it) and the class 0 to ``classes`` - 1 (classify needs both).
    Of findings, ``labels`` is (N, K): 1 where shown, 0 where absent, -1 where unknown.
    ``training_rows``: long, the rows that weights are counted on, all if None.
    """

    options: dict[str, Any]
    image_size: int
    images: int
    mean: float
    std: float
    batch_size: int
    patients: Tensor | None = None
    labels: Tensor | None = None
    classes: int | None = None
    training_rows: Tensor | None = None


class Task(nn.Module):
    """A backbone, the head of one task, and its loss.

    ``views(images, draws)`` takes uint8 images (B, 1, H, W) and uniform numbers
    (B, ``self.draws``) in [0, 1), and returns what the network is to see of them, without gradient.
    ``forward(views, index, epoch, epochs)`` takes that, the images' rows in the packed array (B,),
    the current epoch (from 0) and the number of epochs, and returns a ``Step``. In evaluation mode
    it computes the same loss and changes no state. Everything that an exact resume needs is in the
    state dict.

    Where several ranks train (``sscdl.training.ranks``), each calls it on its part of the batch, in
    order; what depends on the whole batch, the task exchanges itself, so that the mean of the
    ranks' gradients, and the state, are those of one process with the whole batch.
    ``after_backward`` and ``after_step`` run once that mean is taken. Evaluation exchanges nothing:
    ranks may differ in their batches.
    """

    name: ClassVar[str]
    metric: ClassVar[str]  # loss, accuracy or one of ``measures``: what chooses between candidates
    classifies: ClassVar[bool] = False  # whether whole images are what it is trained for
    draws: int  # uniform numbers per image

    backbone: Backbone

    def __init__(self, backbone: Backbone, setup: Setup) -> None:
        super().__init__()
        self.backbone = backbone
        self.mean, self.std = setup.mean, setup.std
        self.image_size = setup.image_size

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value of ``metric`` is the better one."""
        return self.metric != "loss"

    @property
    def chance_loss(self) -> float:
        """The loss of a network that has learnt nothing."""
        raise NotImplementedError

    def measures(self, scores: Tensor, rows: Tensor) -> dict[str, float | None]:
        """Return measures in [0, 1] of the logits (N, K) of images in ``rows``, by name.

        Asked of a task that returns logits, about all images that validate.
        """
        raise NotImplementedError

    def normalise(self, images: Tensor) -> Tensor:
        """Return images (B, 1, h, w) in [0, 1] as network input: standardised, (B, 3, h, w)."""
        return ((images - self.mean) / self.std).expand(-1, 3, -1, -1)

    def views(self, images: Tensor, draws: Tensor) -> Any:
        """Return the random views of images that ``forward`` takes; see the class."""
        raise NotImplementedError

    def forward(self, views: Any, index: Tensor, epoch: int, epochs: int) -> Step:
        raise NotImplementedError

    def before_training(self, batches: Iterator[tuple[Any, Tensor]]) -> None:
        """Take in images before the first step of a run that begins anew; by default none.

        ``batches`` yields (views, index) for ``forward``, of whole batches in training mode, and
        never ends. Called without gradient; ranks must take equally many.
        """

    def after_backward(self, epoch: int, epochs: int) -> None:
        """Change gradients between the backward pass and the optimiser's step."""

    def after_step(self, done: float, epochs: int) -> None:
        """Change what follows the weights, after the optimiser's step; by default nothing.

        ``done`` epochs of ``epochs`` are trained with that step, a part of one among them: after
        step k of K in all, k / K is ``done / epochs``, up to rounding. For the teacher of a network
        and the like, under ``torch.no_grad``. A task that depends on ``epochs``, here or elsewhere,
        declares ``shares_of_epochs``.
        """

    def trained_otherwise(self) -> Sequence[Own]:
        """Return which parameters have a rate or a momentum of their own; by default none.

        Asked once, when the run begins or goes on; none may be in two of them.
        """
        return ()


def whole_epochs(share: float, epochs: int) -> int:
    """Return how many whole epochs a share of them is: none where it is less than one."""
    # 0.29 * 100 is 28.999...: rounding errors must not cost an epoch.
    return int(share * epochs + 1e-6)


def full_precision(tensor: Tensor) -> Any:
    """Return a context in which operations on ``tensor``'s device are not autocast to 16 bits."""
    return torch.autocast(tensor.device.type, enabled=False)


def queue_positions(pointer: Tensor, count: int, length: int) -> Tensor:
    """Return the ``count`` slots, from ``pointer`` (long scalar) on, of a ring of ``length``."""
    return (pointer + torch.arange(count, device=pointer.device)) % length
