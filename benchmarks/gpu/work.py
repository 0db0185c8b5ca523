"""What several parts train and how they time and compare it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from sscdl.tasks import build_task, stand_in_labels
from sscdl.tasks.declaration import ABSENT
from sscdl.tasks.options import DECLARATIONS
from sscdl.training.backbones import build_backbone
from sscdl.training.loop import Images, train
from sscdl.training.schedule import Schedule

ROWS, SIDE, BATCH, EPOCHS = 16, 32, 4, 2
State = dict[str, Tensor]


def small_pixels(rows: int = ROWS) -> Tensor:
    """Return uint8 (rows, SIDE, SIDE), always the same."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (rows, SIDE, SIDE), generator=generator, dtype=torch.uint8)


def small_task(
    name: str, device: Any, memory_format: torch.memory_format = torch.channels_last
) -> tuple[Any, Schedule]:
    """Return a task on the first half of a ResNet-18, on ``device``, and its schedule."""
    torch.manual_seed(0)
    declared = DECLARATIONS[name]
    small = {key: one.small for key, one in declared.options.items() if one.small is not ABSENT}
    task = build_task(
        name, build_backbone("resnet18", 2), options=small, image_size=SIDE, images=ROWS,
        mean=0.5, std=0.3, batch_size=BATCH, patients=torch.arange(ROWS),
        labels=stand_in_labels(name, torch.arange(ROWS), 2), classes=2,
        training_rows=torch.arange(ROWS),
    )  # fmt: skip
    kind = declared.settings.get("optimizer", "sgd")
    schedule = Schedule(kind, 0.01, 0.9, 1e-4, BATCH, EPOCHS, "cosine")
    return task.to(device, memory_format=memory_format), schedule


def trained(
    name: str, device: Any, folder: Path, memory_format: torch.memory_format = torch.channels_last
) -> tuple[State, list[float]]:
    """Train a small task for two epochs; return its state, in main memory, and its losses."""
    task, schedule = small_task(name, device, memory_format)
    history = train(
        task, Images(small_pixels().to(device), torch.arange(ROWS), None), schedule,
        start=0, stop=EPOCHS, seed=1, state=folder / "state.pt", fingerprint=name,
    )  # fmt: skip
    (folder / "state.pt").unlink(missing_ok=True)
    return state_of(task), [record["loss"] for record in history]


def state_of(task: torch.nn.Module) -> State:
    """Return a copy of the state of ``task`` in main memory."""
    return {key: one.detach().to("cpu", copy=True) for key, one in task.state_dict().items()}


def deviation(one: State, two: State) -> float:
    """Return the largest absolute difference of two states."""
    return max(float((one[key].double() - two[key].double()).abs().max()) for key in one)


def weights_moved(name: str, after: State) -> float:
    """Return by how much the training of a small task moved a weight at most."""
    task, _ = small_task(name, "cpu")
    before = dict(task.named_parameters())
    moved = [(after[key].double() - one.detach().double()).abs() for key, one in before.items()]
    return max(float(one.max()) for one in moved)


def same(one: State, two: State) -> bool:
    """Return whether two states are equal bit for bit."""
    return one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


@contextmanager
def in_float64() -> Iterator[None]:
    """Have tasks compute in float64, where rounding stays far below any mistake."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with mock.patch.object(Tensor, "float", Tensor.double):
            yield
    finally:
        torch.set_default_dtype(before)


def without_tf32(yes: bool = True) -> None:
    """Have matrix products and convolutions in float32 keep all their digits, or as by default."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = not yes


def wait_for(device: torch.device) -> None:
    """Return once ``device`` has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_a_call(
    call: Callable[[], object], device: torch.device, least: float, warm: int = 3
) -> float:
    """Return the wall seconds of a call, of as many as take about ``least`` seconds."""
    for _ in range(warm):
        call()
    wait_for(device)
    calls, spent = 1, 0.0
    while True:
        began = time.perf_counter()
        for _ in range(calls):
            call()
        wait_for(device)
        spent = time.perf_counter() - began
        if spent >= least / 2:
            return spent / calls
        calls = max(2 * calls, int(calls * least / max(spent, 1e-6)))
