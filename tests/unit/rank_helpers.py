"""What two ranks compute for the tests of ``sscdl.training.ranks``, and one process for comparison.

Starting a process costs more than all that it computes here, so one pair of them does everything
and saves it, and the tests look at what was saved.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from sscdl.errors import InputError
from sscdl.tasks.options import DEFAULTS
from sscdl.training import ranks
from sscdl.training.batch_statistics import Statistics, sample
from sscdl.training.loop import _parallel
from sscdl.training.optim import build_optimizer
from tests.unit.small_task import OPTIMIZERS, small, train_small
from tests.unit.task_helpers import BATCH, IMAGES, draws_for, make_task, pictures

WORLD = 2
STEPS = 5
# Queues of two batches are full after two steps, and then used and overwritten.
OPTIONS: dict[str, dict[str, Any]] = {task: {} for task in DEFAULTS} | {
    "moco": {"queue": 2 * BATCH, "momentum": 0.9},
    "swav": {
        "queue": 2 * BATCH, "queue_start": 0.0, "freeze": 1 / STEPS, "prototypes": 12,
        "local_crops": 1,
    },
    "vicreg": {"dimension": 12},
    "barlowtwins": {"dimension": 12},
    "simsiam": {"dimension": 12, "hidden": 6},
    "byol": {"momentum": 0.9, "dimension": 12, "hidden": 16},
    "dino": {
        "momentum": 0.9, "dimension": 12, "hidden": 16, "prototypes": 12, "local_crops": 1,
        "freeze": 1 / STEPS,
    },
    "classify": {"class_weights": "balanced"},
}  # fmt: skip
LAYERS = {
    "1-D": (nn.BatchNorm1d, (BATCH, 6), torch.float32),
    "2-D": (nn.BatchNorm2d, (BATCH, 6, 4, 3), torch.float32),
    "2-D, 16 bits": (nn.BatchNorm2d, (BATCH, 6, 4, 3), torch.bfloat16),
}


def two_ranks(folder: Path) -> list[dict[str, Any]]:
    """Return what each of two ranks has computed, by what; raises if one of them fails."""
    torch.multiprocessing.spawn(_compute, args=(folder,), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(WORLD)]


def _compute(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    found = {f"alone, {name}": _normalise(name) for name in LAYERS}
    with _in_float64():
        # Each rank trains some of the tasks alone, while the other trains the rest.
        for name in list(OPTIONS)[rank::WORLD]:
            found[f"alone, {name}"] = _train(name)
        for kind in OPTIMIZERS[rank::WORLD]:
            found[f"alone, small by {kind}"] = _train_small(kind, folder / f"alone {kind}.pt")
    ranks.join(rank, WORLD, f"file://{folder / 'meeting'}", torch.device("cpu"))
    found |= {"joined": (ranks.rank(), ranks.world())} | _exchange(rank)
    found |= {f"together, {name}": _normalise(name) for name in LAYERS}
    with _in_float64():
        found |= {f"together, {name}": _train(name) for name in OPTIONS}
        for kind in OPTIMIZERS:
            found[f"together, small by {kind}"] = _train_small(kind, folder / f"{kind}.pt")
    ranks.leave()
    found["left"] = (ranks.rank(), ranks.world())
    torch.save(found, folder / f"{rank}.pt")


@contextmanager
def _in_float64() -> Iterator[None]:
    """Have tasks compute in float64, where rounding stays far below any mistake.

    In float32 it does not: where a ReLU or a maximum tips over, a rounding error becomes a step.
    There, one process that only reverses its batches has gradients off by 7e-2 after five steps.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    with mock.patch.object(Tensor, "float", Tensor.double):
        yield
    torch.set_default_dtype(before)


def _exchange(rank: int) -> dict[str, Any]:
    """Return what comes of exchanging small tensors, and of a batch that cannot be shared."""
    table = torch.arange(12).view(2, 6).T  # not contiguous
    weight = torch.full((2, 3), rank + 1.0, requires_grad=True)
    try:
        ranks.own_part(7)
        refusal = "none"
    except InputError as error:
        refusal = str(error)
    double = 2 * weight
    gathered, total = ranks.gathered(double), ranks.summed(double)
    return {
        "table": ranks.gathered(table[ranks.own_part(6)]),
        "gathered": (gathered, gathered.requires_grad),
        "sum": (total, total.requires_grad, double.detach()),
        "refusal": refusal,
        "far": _variance_of_far_values(),
    }


def far_values() -> Tensor:
    """Return (BATCH, 6) whose mean is a thousand times their deviation."""
    generator = torch.Generator().manual_seed(3)
    return 1000 + torch.randn(BATCH, 6, generator=generator)


def _variance_of_far_values() -> Tensor:
    layer = ranks.synchronise_batchnorm(nn.BatchNorm1d(6, momentum=1.0))
    layer(far_values()[ranks.own_part(BATCH)])
    return layer.running_var


def _normalise(name: str) -> dict[str, Any]:
    """Return the outputs, gradients and state of a batch normalisation after two forward passes."""
    kind, shape, dtype = LAYERS[name]
    generator = torch.Generator().manual_seed(2)
    layer = nn.Sequential(kind(shape[1]))
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(shape[1], generator=generator))
    layer = ranks.synchronise_batchnorm(layer)
    # A slope along the batch, so that the two halves differ in their means.
    slope = torch.linspace(-2, 2, BATCH).view(-1, *[1] * (len(shape) - 1))
    x = (torch.randn(shape, generator=generator) + slope + 5).to(dtype)
    if len(shape) == 4:
        x = x.to(memory_format=torch.channels_last)
    weights = torch.randn(shape, generator=generator)
    part = ranks.own_part(BATCH)
    own = x[part].requires_grad_()
    layer(own.detach().flip(1))
    y = layer(own)
    (y.float() * weights[part]).sum().backward()
    formats = [t.is_contiguous(memory_format=torch.channels_last) for t in (y, own.grad)]
    return {
        "formats": formats if len(shape) == 4 else [],
        "dtypes": [y.dtype, own.grad.dtype],
        "numbers": {
            "y": ranks.gathered(y.float()),
            "x.grad": ranks.gathered(own.grad.float()),
            "weight.grad": ranks.summed(layer[0].weight.grad),
            "bias.grad": ranks.summed(layer[0].bias.grad),
            **layer.state_dict(),
        },
        "evaluated": layer.eval()(x).detach(),
    }


def _train(name: str) -> dict[str, Any]:
    """Return the losses and the last state of a task after some steps, and evaluate it.

    The task is trained as a whole by one process, or by all ranks on their parts of each batch.
    """
    task = make_task(name, patients=torch.arange(IMAGES) // 3, **OPTIONS[name])
    task = ranks.synchronise_batchnorm(task)
    several = ranks.world() > 1
    trained = _parallel(task)
    optimizer = build_optimizer(task, "sgd", lr=0.05, momentum=0.9, weight_decay=1e-4)
    images, part, losses = pictures(), ranks.own_part(BATCH), []
    floors = []
    with torch.no_grad():
        task.before_training(_shown(task, images, part))
    for number in range(STEPS):
        index = (torch.arange(BATCH) + number * BATCH)[part]
        draws = draws_for(task, BATCH, seed=number)[part]
        result = trained(task.views(images[index], draws), index, number, STEPS)
        optimizer.zero_grad()
        result.loss.backward()
        task.after_backward(number, STEPS)
        optimizer.step()
        task.after_step(number + 1, STEPS)
        losses.append(ranks.summed(result.loss) / ranks.world())
        if result.floor is not None:
            floors.append(ranks.summed(result.floor) / ranks.world())
    state = copy.deepcopy(task.state_dict())
    own = [ranks.rank()] if several else range(WORLD)
    evaluated = {number: _evaluate(task.eval(), images, number) for number in own}
    kept = all(torch.equal(tensor, state[key]) for key, tensor in task.state_dict().items())
    taken = sample(
        images[:, 0], torch.arange(IMAGES), task.draws, batch_size=BATCH, seed=0,
        precision="float32",
    )  # fmt: skip
    with Statistics(task, taken).of_validation():
        estimated = copy.deepcopy(dict(task.named_buffers()))
    return {
        "losses": torch.stack(losses + floors), "state": state, "evaluated": evaluated,
        "kept": kept, "estimated": estimated,
    }  # fmt: skip


def _train_small(optimizer: str, state: Path) -> dict[str, Any]:
    """Return losses and state of the task with ways of its own, trained by the loop."""
    task, schedule = small(optimizer)
    history = train_small(task, schedule, state)
    return {"losses": [record["loss"] for record in history], "state": task.state_dict()}


def _shown(task: nn.Module, images: Tensor, part: slice) -> Iterator[tuple[Any, Tensor]]:
    """Yield this rank's views and rows of batches before training."""
    for number in range(STEPS):
        index = (torch.arange(BATCH) + (number + 1) * BATCH)[part]
        draws = draws_for(task, BATCH, seed=100 + number)[part]
        yield task.views(images[index], draws), index


@torch.no_grad()
def _evaluate(task: nn.Module, images: Tensor, number: int) -> Tensor:
    """Return the loss on batch ``number``; fails if the ranks exchange anything for it."""
    index = torch.arange(BATCH) + number * BATCH
    draws = draws_for(task, BATCH, seed=STEPS + number)
    exchanges = {"all_reduce": mock.DEFAULT, "all_gather": mock.DEFAULT}
    with mock.patch.multiple(torch.distributed, **exchanges) as calls:
        loss = task(task.views(images[index], draws), index, STEPS, STEPS).loss
        for call in calls.values():
            call.assert_not_called()
    return loss
