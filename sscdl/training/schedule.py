"""How one run trains: its optimiser, its learning rate over the epochs, its batches.

Imports nothing heavy: what a study would train is planned with the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Schedule:
    """How one run trains: the optimiser, its learning rate over the epochs, and the batches."""

    optimizer: str  # "sgd", "lars", "adam" or "adamw"
    learning_rate: float
    momentum: float
    weight_decay: float
    batch_size: int  # of all processes together
    epochs: int  # of search and continuation together: the length of the cosine
    decay: str  # "constant", "cosine" (to zero at the end of `epochs`) or "milestones"
    warmup_epochs: float = 0.0  # in which the rate rises from zero; part of `epochs`
    adapted: str = "weights"  # what LARS adapts and what it or Adam
    decayed: str = "weights"  # decays: see `sscdl.training.optim`
    last_batch: str = "drop"  # or "fill": see `steps`
    betas: tuple[float, float] = (0.9, 0.999)  # of Adam
    milestones: tuple[float, ...] = ()  # shares of `epochs`, rising, after each of which
    factor: float = 1.0  # multiplies the rate once more
    clip_gradients: float | None = None  # the largest norm of all of them together

    @classmethod
    def of(cls, settings: Mapping[str, Any], learning_rate: float) -> Schedule:
        """Return the schedule that all ``settings`` of a stage ask for, at one of its rates."""
        block = settings["adam" if settings["optimizer"] in ("adam", "adamw") else "lars"]
        return cls(
            optimizer=settings["optimizer"],
            learning_rate=learning_rate,
            momentum=settings["momentum"],
            weight_decay=settings["weight_decay"],
            batch_size=settings["batch_size"],
            epochs=settings["search_epochs"] + settings["final_epochs"],
            decay=settings["decay"],
            warmup_epochs=settings["warmup_epochs"],
            adapted=settings["lars"]["adapt"],
            decayed=block["decay"],
            last_batch=settings["last_batch"],
            betas=tuple(settings["adam"]["betas"]),
            milestones=tuple(settings["milestones"]["at"]),
            factor=settings["milestones"]["factor"],
            clip_gradients=settings["clip_gradients"],
        )

    def rate(self, done: float, falls: bool = True) -> float:
        """Return the learning rate after ``done`` epochs, 0 to ``epochs``, maybe a part of one.

        It rises from zero in a straight line for ``warmup_epochs``; only then a cosine begins.
        Where it does not fall, as ``decay`` is constant or it ``falls`` not for some parameters, it
        depends on ``done`` alone, to the last bit: see ``depends_on_all_epochs``.
        """
        if done < self.warmup_epochs:
            return self.learning_rate * (done / self.warmup_epochs)
        if self.decay == "constant" or not falls:
            return self.learning_rate
        if self.decay == "milestones":
            # 0.1 * 3 is 0.30000000000000004: rounding errors must not cost a step.
            passed = sum(done + 1e-6 >= share * self.epochs for share in self.milestones)
            return self.learning_rate * self.factor**passed
        progress = (done - self.warmup_epochs) / (self.epochs - self.warmup_epochs)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def depends_on_all_epochs(settings: Mapping[str, Any]) -> bool:
    """Return whether the rate in an epoch depends on how many there are in all.

    Where it does not, the search of a run is the same however many epochs follow. ``settings`` are
    those of a stage, or of its recipe.
    """
    return settings["decay"] != "constant"


def steps(images: int, batch_size: int, last_batch: str) -> int:
    """Return the steps of an epoch: all batches are whole.

    Of the images that are too few for a batch, ``last_batch`` says what becomes: "drop" leaves them
    out of that epoch (others in the next, as each has an order of its own), "fill" adds the
    epoch's first ones, which it shows twice. Queues, batch statistics and several ranks rely on
    equal batches, so that there is no smaller one.
    """
    if last_batch == "fill":
        return -(-images // batch_size)
    return images // batch_size


def even_batches(images: int, most: int, devices: int, last_batch: str) -> int:
    """Return the size of equal batches, none larger than ``most``, of an epoch of few images.

    For images of which nobody knows the number before: the few labels of a draw. As few are left
    out, or shown twice, as ``last_batch`` and the ``devices`` that share a batch allow.
    """
    number = max(1, -(-images // most))
    if last_batch == "fill":
        size = -(-images // number)
        size += -size % devices
        if size <= min(most, images):
            return size
    size = images // number
    return max(size - size % devices, devices)


def left_out(images: int, batch_size: int, last_batch: str) -> int:
    """Return how many of ``images`` an epoch does not show."""
    return max(0, images - batch_size * steps(images, batch_size, last_batch))


def left_out_sentence(task: str, images: int, settings: Mapping[str, Any]) -> str:
    """Say how many images each epoch of ``task`` leaves out; empty up to a tenth of them.

    ``settings`` are all settings of the stage.
    """
    missing = left_out(images, settings["batch_size"], settings["last_batch"])
    if 10 * missing <= images:
        return ""
    return (
        f"every epoch of {task} leaves out {missing} of {images} training images, others each "
        f"time, which are too few for a batch of {settings['batch_size']}; last_batch: fill shows "
        f"them (stages.{task}), or choose another batch_size"
    )
