"""The training loop, for pretext tasks and classification alike.

Everything random is a function of (seed, epoch, image): the order of the images and their
augmentation are drawn afresh for each epoch from a generator of its own. A run can therefore stop
anywhere and go on from its last whole epoch to the same weights, bit for bit on the same machine.
Where several processes train together (``sscdl.training.ranks``), each takes its share of every
batch.
"""

from __future__ import annotations

import logging
import math
import time
import warnings
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_

from sscdl.errors import LostState
from sscdl.progress import Timer
from sscdl.training import ranks
from sscdl.training.averages import Averages
from sscdl.training.batch_statistics import Statistics
from sscdl.training.clock import Clock
from sscdl.training.monitor import Monitor
from sscdl.training.optim import build_optimizer, set_rates
from sscdl.training.order import endless, epoch_draws, own_parts
from sscdl.training.pixels import batches
from sscdl.training.run_state import Previous, Saver, clear_leftovers, resume
from sscdl.training.scalars import log_line
from sscdl.training.schedule import Schedule, steps

if TYPE_CHECKING:
    from sscdl.tasks.base import Task

LOGGER = logging.getLogger("sscdl.train")


@dataclass(frozen=True)
class Images:
    """A packed image array and the rows of it that train and that validate.

    ``pixels`` is uint8 (N, S, S), on the device that trains or, to be streamed, in main memory;
    ``train`` and ``validate`` are row numbers, the second None where the training images themselves
    choose (thesis's protocol for pretext tasks).
    """

    pixels: Tensor
    train: Tensor
    validate: Tensor | None


def train(
    task: Task,
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
    monitor: Monitor | None = None,
    statistics: Statistics | None = None,
    averaged: bool = False,
) -> list[dict[str, Any]]:
    """Train ``task`` from epoch ``start`` to ``stop`` and return one record per epoch since 0.

    Progress is saved to ``state`` after every epoch; a state found there is continued if it carries
    ``fingerprint`` and set aside if it does not. ``previous`` is the state of the run that this one
    continues; LostState is raised if that is not there at epoch ``start``. A loss that is not
    finite ends the run early; its last record then says so (``finite`` false): at that learning
    rate, that is the result. ``statistics`` says what ``task`` is normalised by where it is
    validated and looked at, None for the running averages of its training. Where candidates are
    compared by averages of weights (``averaged``), records of epochs say what these come to, too.
    Of several processes, the first writes.
    """
    first = ranks.rank() == 0
    task = ranks.synchronise_batchnorm(task)  # type: ignore[assignment]  # the task itself
    statistics = statistics or Statistics(task)
    optimizer = build_optimizer(
        task, schedule.optimizer, schedule.learning_rate, schedule.momentum, schedule.weight_decay,
        adapted=schedule.adapted, decayed=schedule.decayed, betas=schedule.betas,
        own=task.trained_otherwise(),
    )  # fmt: skip
    if first:
        clear_leftovers(state)
    averages = Averages(task) if averaged else None
    history = resume(task, optimizer, state, fingerprint, averages)
    if not history and previous is not None:
        history = resume(task, optimizer, previous.file, previous.fingerprint)
        if not history or history[-1]["epoch"] != start:
            raise LostState(f"{previous.file}: cannot be continued from epoch {start}")
    begin = history[-1]["epoch"] if history else start
    model = _parallel(task)
    if begin == 0:  # neither trained nor resumed: a state holds what came of this
        _before_training(task, images, schedule, seed=seed, precision=precision)
    timer = Timer()
    device = next(task.parameters()).device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with ExitStack() as open_files:
        background = device.type != "cpu"
        saver = open_files.enter_context(Saver(state, fingerprint, background=background))
        if monitor is not None and first:
            # Closed whatever happens, as whoever goes on begins these files anew.
            open_files.callback(monitor.scalars.close)
            monitor.scalars.start(history)
        for epoch in range(begin, stop):
            if history and not history[-1]["finite"]:
                break
            record = _train_epoch(
                model, task, optimizer, images, schedule, epoch=epoch, seed=seed,
                precision=precision, averages=averages,
            )  # fmt: skip
            record |= _looked_at(
                task, images, schedule, statistics, monitor, seed=seed, precision=precision
            )
            if averages is not None:
                with averages.applied():
                    found = _looked_at(
                        task, images, schedule, statistics, None, seed=seed, precision=precision
                    )
                record |= {f"averaged_{name}": one for name, one in found.items()}
            history.append(record)
            if first:
                saver.save(task, optimizer, history, averages)
                left = timer.left(epoch + 1 - begin, stop - begin)
                LOGGER.info("%s", log_line(title, record, stop, left))
                if monitor is not None:
                    monitor.scalars.add(record)
    return history


def _train_epoch(
    model: torch.nn.Module,
    task: Task,
    optimizer: torch.optim.Optimizer,
    images: Images,
    schedule: Schedule,
    *,
    epoch: int,
    seed: int,
    precision: str,
    averages: Averages | None = None,
) -> dict[str, Any]:
    """Run one epoch over whole batches and return its record; ``model`` is or wraps ``task``."""
    device, size = next(task.parameters()).device, schedule.batch_size
    order, draws = epoch_draws(seed, epoch, len(images.train), task.draws)
    number = steps(len(order), size, schedule.last_batch)
    parts = own_parts(order, number, size)
    draws = torch.cat([draws[part] for part in parts]).to(device).split(len(parts[0]))
    clock = Clock(device)
    task.train()
    began = time.perf_counter()
    total, predictions = torch.zeros(2, device=device), 0
    floor: Tensor | None = None
    loaded = batches(images.pixels, [images.train[part] for part in parts], device)
    for step in range(number):
        with clock.part():
            rows, pixels = next(loaded)
            views = task.views(pixels, draws[step])
        set_rates(optimizer, schedule, epoch + step / number)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            result = model(views, rows, epoch, schedule.epochs)
        optimizer.zero_grad(set_to_none=True)
        result.loss.backward()
        task.after_backward(epoch, schedule.epochs)
        if schedule.clip_gradients is not None:
            clip_grad_norm_(task.parameters(), schedule.clip_gradients, foreach=True)
        optimizer.step()
        task.after_step(epoch + (step + 1) / number, schedule.epochs)
        if averages is not None:
            averages.update()
        # Summed on the device: reading a value here would make the host wait for every step.
        total += _sums(result)
        predictions += result.of
        if result.floor is not None:
            floor = result.floor if floor is None else floor + result.floor
    if floor is not None:  # read with the others, as each reading waits for the device
        total = torch.cat([total, floor.float()[None]])
    loss, correct, *floors = (ranks.summed(total) / ranks.world()).tolist()
    loss = loss / number
    seconds = time.perf_counter() - began
    record: dict[str, Any] = {
        "epoch": epoch + 1,
        "seconds": round(seconds, 3),
        "loss": _finite(loss),
        "chance": float(task.chance_loss),
        "finite": math.isfinite(loss),
        "images_per_second": round(number * size / seconds, 1),
        "input_share": round(clock.seconds() / seconds, 3),
    }
    if device.type == "cuda":
        record["device_memory_mb"] = round(torch.cuda.max_memory_allocated(device) / 1e6)
    if floors:
        record["floor"] = _finite(floors[0] / number)
    if predictions:
        record["accuracy"] = correct / predictions
    return record


@torch.no_grad()
def _before_training(
    task: Task, images: Images, schedule: Schedule, *, seed: int, precision: str
) -> None:
    """Let ``task`` take in as many batches as it likes before its first step."""
    device = next(task.parameters()).device
    task.train()
    with (
        closing(endless(task, images.pixels, images.train, schedule.batch_size, seed)) as shown,
        torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"),
    ):
        task.before_training(shown)


def _parallel(task: torch.nn.Module) -> torch.nn.Module:
    """Return ``task``, wrapped so that gradients are averaged where several processes train it."""
    if ranks.world() == 1:
        return task
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the option's new name is too new
        # Buffers are equal on all ranks: queues are gathered, batch statistics are common.
        return DistributedDataParallel(task, broadcast_buffers=False)


def _finite(value: float) -> float | None:
    """Return ``value``, or None (JSON's null) where it is infinite or not a number."""
    return value if math.isfinite(value) else None


def _sums(result: Any, weight: int = 1) -> Tensor:
    """Return the loss times ``weight`` and the number of right predictions, (2,), on the device."""
    loss = result.loss.detach().float() * weight
    return torch.stack([loss, torch.zeros_like(loss) if result.correct is None else result.correct])


def _looked_at(
    task: Task,
    images: Images,
    schedule: Schedule,
    statistics: Statistics,
    monitor: Monitor | None,
    *,
    seed: int,
    precision: str,
) -> dict[str, float | None]:
    """Return what validation and ``monitor`` say of the present weights."""
    found: dict[str, float | None] = {}

    def watch() -> None:
        if monitor is not None and ranks.rank() == 0:
            found.update(monitor.measure(task, images.pixels, precision))

    if images.validate is not None and len(images.validate):
        with statistics.of_validation():
            found.update(validate(task, images, schedule, seed=seed, precision=precision))
            if task.classifies:
                watch()
                return found
    if monitor is not None:
        with statistics.of_kept():
            watch()
    return found


@torch.no_grad()
def validate(
    task: Task, images: Images, schedule: Schedule, *, seed: int, precision: str
) -> dict[str, float | None]:
    """Return loss and accuracies on the images that validate, with the same views at every call.

    There must be such images.
    """
    rows: Tensor = images.validate  # type: ignore[assignment]  # there are some
    task.eval()
    device = next(task.parameters()).device
    _, draws = epoch_draws(seed, "validation", len(rows), task.draws)
    mine = slice(ranks.rank(), None, ranks.world())
    parts = rows.split(schedule.batch_size)[mine]
    draws = draws.to(device).split(schedule.batch_size)[mine]
    places = torch.arange(len(rows), device=device).split(schedule.batch_size)[mine]
    total, predictions = torch.zeros(2, device=device), 0
    scores = torch.zeros(len(rows), getattr(task, "classes", 0), device=device)
    loaded = batches(images.pixels, parts, device)
    for (index, pixels), draw, place in zip(loaded, draws, places, strict=True):
        views = task.views(pixels, draw)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            result = task(views, index, schedule.epochs, schedule.epochs)
        total += _sums(result, len(index))
        predictions += result.of
        if result.logits is not None:
            scores[place] = result.logits
    counted = total.new_full((1,), predictions)
    loss, correct, predictions = ranks.summed(torch.cat([total, counted])).tolist()
    record = {"val_loss": _finite(loss / len(rows))}
    if predictions:
        record["val_accuracy"] = correct / predictions
    if scores.numel():
        found = task.measures(ranks.summed(scores), rows)
        record |= {f"val_{name}": value for name, value in found.items()}
    return record
