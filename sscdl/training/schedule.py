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

    optimizer: str  # "sgd" or "lars"
    learning_rate: float
    momentum: float
    weight_decay: float
    batch_size: int  # of all processes together
    epochs: int  # of search and continuation together: the length of the cosine
    decay: str  # "constant" or "cosine" (to zero at the end of `epochs`)
    warmup_epochs: float = 0.0  # in which the rate rises from zero; part of `epochs`
    adapted: str = "weights"  # what LARS adapts and
    decayed: str = "weights"  # decays: see `sscdl.training.optim`
    last_batch: str = "drop"  # or "fill": see `steps`

    @classmethod
    def of(cls, settings: Mapping[str, Any], learning_rate: float) -> Schedule:
        """Return the schedule that all ``settings`` of a stage ask for, at one of its rates."""
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
            decayed=settings["lars"]["decay"],
            last_batch=settings["last_batch"],
        )

    def rate(self, done: float) -> float:
        """Return the learning rate after ``done`` epochs, 0 to ``epochs``, maybe a part of one.

        It rises from zero in a straight line for ``warmup_epochs``; only then a cosine begins.
        Where it does not fall it depends on ``done`` alone, to the last bit: the search of a run is
        the same however many epochs follow.
        """
        if done < self.warmup_epochs:
            return self.learning_rate * (done / self.warmup_epochs)
        if self.decay == "constant":
            return self.learning_rate
        progress = (done - self.warmup_epochs) / (self.epochs - self.warmup_epochs)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


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
