"""The training loop, for pretext tasks and classification alike.

Everything random is a function of (seed, epoch, image): the order of the images and their
augmentation are drawn afresh for each epoch from a generator of its own. A run can therefore stop
after any epoch and go on from its state file to the same weights, bit for bit on the same machine.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import pickle
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sscdl.errors import LostState
from sscdl.files import atomic_path
from sscdl.optim import build_optimizer
from sscdl.progress import Timer

LOGGER = logging.getLogger("sscdl.train")


@dataclass(frozen=True)
class Schedule:
    """How one run trains: the optimiser, its learning rate over the epochs, and the batches."""

    optimizer: str  # "sgd" or "lars"
    learning_rate: float
    momentum: float
    weight_decay: float
    batch_size: int
    epochs: int  # of search and continuation together: the length of the cosine
    decay: str  # "constant" or "cosine" (to zero at the end of `epochs`)

    def rate(self, progress: float) -> float:
        """Return the learning rate after ``progress`` (0 to 1) of all epochs."""
        if self.decay == "constant":
            return self.learning_rate
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Images:
    """A packed image array and the rows of it that train and that validate.

    ``pixels`` is uint8 (N, S, S); ``train`` and ``validate`` are row numbers, the second None
    where the training images themselves choose (thesis's protocol for pretext tasks).
    """

    pixels: Tensor
    train: Tensor
    validate: Tensor | None


class Previous(NamedTuple):
    """State file and fingerprint of the run that another one continues."""

    file: Path
    fingerprint: str


def mixed_seed(*parts: object) -> int:
    """Return a 63-bit seed that is a function of ``parts`` alone."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _epoch_draws(seed: int, epoch: int | str, images: int, draws: int) -> tuple[Tensor, Tensor]:
    """Return a random order of ``images`` rows and (images, draws) uniform numbers."""
    generator = torch.Generator().manual_seed(mixed_seed(seed, epoch))
    order = torch.randperm(images, generator=generator)
    return order, torch.rand(images, draws, generator=generator)


def train(
    task: torch.nn.Module,
    images: Images,
    schedule: Schedule,
    *,
    start: int,
    stop: int,
    seed: int,
    state: Path,
    fingerprint: str,
    previous: Previous | None = None,
    precision: str = "float32",
    title: str = "",
) -> list[dict[str, Any]]:
    """Train ``task`` from epoch ``start`` to ``stop`` and return one record per epoch since 0.

    Progress is saved to ``state`` after every epoch; a state found there is continued if it carries
    ``fingerprint`` and set aside if it does not. ``previous`` is the state of the run that this one
    continues; LostState is raised if that is not there at epoch ``start``. A loss that is not
    finite ends the run early; its last record then says so (``finite`` false): at that learning
    rate, that is the result.
    """
    device = next(task.parameters()).device
    optimizer = build_optimizer(
        task,
        schedule.optimizer,
        lr=schedule.learning_rate,
        momentum=schedule.momentum,
        weight_decay=schedule.weight_decay,
    )
    history = _resume(task, optimizer, state, fingerprint)
    if not history and previous is not None:
        history = _resume(task, optimizer, previous.file, previous.fingerprint)
        if not history or history[-1]["epoch"] != start:
            raise LostState(f"{previous.file}: cannot be continued from epoch {start}")
    begin = history[-1]["epoch"] if history else start
    pixels = images.pixels.to(device)
    timer = Timer()
    for epoch in range(begin, stop):
        if history and not history[-1]["finite"]:
            break
        record = _train_epoch(
            task, optimizer, pixels, images.train, schedule, epoch=epoch, seed=seed,
            precision=precision,
        )  # fmt: skip
        record |= validate(task, pixels, images.validate, schedule, seed=seed, precision=precision)
        history.append(record)
        _save(task, optimizer, history, state, fingerprint)
        done = epoch + 1
        LOGGER.info("%s", _line(title, record, stop, timer.left(done - begin, stop - begin)))
    return history


def _train_epoch(
    task: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    pixels: Tensor,
    rows: Tensor,
    schedule: Schedule,
    *,
    epoch: int,
    seed: int,
    precision: str,
) -> dict[str, Any]:
    """Run one epoch over full batches and return its record."""
    device, size = pixels.device, schedule.batch_size
    # Dropout is the one consumer of the global generator.
    torch.manual_seed(mixed_seed(seed, epoch, "layers"))
    order, draws = _epoch_draws(seed, epoch, len(rows), task.draws)
    rows, draws = rows[order].to(device), draws[order].to(device)
    steps = len(rows) // size
    task.train()
    began = time.monotonic()
    total = torch.zeros(3, device=device)
    for step in range(steps):
        rate = schedule.rate((epoch + step / steps) / schedule.epochs)
        for group in optimizer.param_groups:
            group["lr"] = rate
        part = slice(step * size, (step + 1) * size)
        index = rows[part]
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            result = task(pixels[index][:, None], draws[part], index, epoch, schedule.epochs)
        optimizer.zero_grad(set_to_none=True)
        result.loss.backward()
        task.after_backward(epoch, schedule.epochs)
        optimizer.step()
        # Summed on the device: reading a value here would make the host wait for every step.
        total += _sums(result, device)
    loss, correct, predictions = (total / steps).tolist()
    seconds = time.monotonic() - began
    record: dict[str, Any] = {
        "epoch": epoch + 1,
        "loss": _finite(loss),
        "chance": float(task.chance_loss),
        "finite": math.isfinite(loss),
        "images_per_second": round(steps * size / seconds, 1),
    }
    if predictions:
        record["accuracy"] = correct / predictions
    return record


def _finite(value: float) -> float | None:
    """Return ``value``, or None (JSON's null) where it is infinite or not a number."""
    return value if math.isfinite(value) else None


def _sums(result: Any, device: torch.device) -> Tensor:
    correct = result.correct if result.correct is not None else torch.zeros((), device=device)
    of = torch.tensor(float(result.of), device=device)
    return torch.stack([result.loss.detach().float(), correct.float(), of])


@torch.no_grad()
def validate(
    task: torch.nn.Module,
    pixels: Tensor,
    rows: Tensor | None,
    schedule: Schedule,
    *,
    seed: int,
    precision: str,
) -> dict[str, float | None]:
    """Return loss and accuracies on ``rows``, with the same views at every call."""
    if rows is None or not len(rows):
        return {}
    task.eval()
    device = pixels.device
    _, draws = _epoch_draws(seed, "validation", len(rows), task.draws)
    rows, draws = rows.to(device), draws.to(device)
    total, images = torch.zeros(3, device=device), 0
    predicted: list[Tensor] = []
    for begin in range(0, len(rows), schedule.batch_size):
        part = slice(begin, begin + schedule.batch_size)
        index = rows[part]
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            result = task(
                pixels[index][:, None], draws[part], index, schedule.epochs, schedule.epochs
            )
        sums = _sums(result, device)
        sums[0] *= len(index)
        total, images = total + sums, images + len(index)
        if getattr(result, "logits", None) is not None:
            predicted.append(result.logits.argmax(dim=1))
    loss, correct, predictions = total.tolist()
    record = {"val_loss": _finite(loss / images)}
    if predictions:
        record["val_accuracy"] = correct / predictions
    if predicted:
        labels, guesses = task.labels[rows], torch.cat(predicted)
        recalls = [
            (guesses[labels == k] == k).float().mean().item() for k in labels.unique().tolist()
        ]
        record["val_balanced_accuracy"] = sum(recalls) / len(recalls)
    return record


def _line(title: str, record: dict[str, Any], stop: int, left: str) -> str:
    """Return the log line of one epoch."""
    if not record["finite"]:
        return f"{title} epoch {record['epoch']}/{stop}: the loss became infinite, stopped"
    text = f"{title} epoch {record['epoch']}/{stop} loss {record['loss']:.3f}"
    text += f" (chance {record['chance']:.3f})"
    for key, name in (
        ("accuracy", "accuracy"),
        ("val_loss", "val loss"),
        ("val_accuracy", "val accuracy"),
        ("val_balanced_accuracy", "val balanced accuracy"),
    ):
        if record.get(key) is not None:
            text += f", {name} {record[key]:.3f}"
    return text + f", {record['images_per_second']:.0f} images/s, {left} left"


def _save(
    task: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    history: list[dict[str, Any]],
    state: Path,
    fingerprint: str,
) -> None:
    """Replace the state file by the present state, atomically."""
    with atomic_path(state) as temporary:
        torch.save(
            {
                "fingerprint": fingerprint,
                "task": task.state_dict(),
                "optimizer": optimizer.state_dict(),
                "history": history,
            },
            temporary,
        )


def _resume(
    task: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    state: Path,
    fingerprint: str,
) -> list[dict[str, Any]]:
    """Load ``state`` and return its history; nothing if there is none or it belongs elsewhere."""
    try:
        found = torch.load(state, map_location="cpu", weights_only=True)
        if found["fingerprint"] != fingerprint:
            raise KeyError("it belongs to another run")
        task.load_state_dict(found["task"])
        optimizer.load_state_dict(found["optimizer"])
    except FileNotFoundError:
        return []
    except (
        pickle.UnpicklingError, RuntimeError, KeyError, ValueError, EOFError, OSError, TypeError,
    ) as error:  # fmt: skip
        aside = state.with_suffix(".damaged")
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        LOGGER.warning("%s cannot be continued (%s); set aside as %s", state, reason, aside.name)
        os.replace(state, aside)
        return []
    LOGGER.info("going on after epoch %d", found["history"][-1]["epoch"])
    return found["history"]
