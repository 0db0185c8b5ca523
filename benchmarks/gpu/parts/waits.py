"""Does the host wait for the device within an epoch? Epochs of few and of many steps, compared.

Two witnesses. torch's profiler counts the calls of the CUDA runtime that wait, whoever makes them:
it decides. torch's synchronisation debug mode (called experimental, and silent about events and
explicit waits) names the line of the package. What an epoch does once (its draws, its rows, its
sums) is the same in both epochs; what a step does is the difference.

Without a GPU the device is the tests' stand-in, which notes what a GPU would wait for.
"""

from __future__ import annotations

import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.gpu.sizes import Sizes
from benchmarks.gpu.work import BATCH, small_pixels, small_task
from sscdl.training.loop import Images, _train_epoch
from sscdl.training.optim import build_optimizer

FEW, MANY = 2, 4  # steps
STREAMED = "rotation, streamed"  # images in main memory
WAITING = ("Synchronize", "cudaMemcpy", "cudaFree", "cudaMalloc", "cudaHostAlloc")
_stand_in: list[Any] = []


def cases(sizes: Sizes) -> list[str]:
    """Return the names of the tasks, and of one whose images are streamed."""
    return [*sizes.tasks, STREAMED]


def run(case: str, sizes: Sizes, known: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what waits at each step and once an epoch, by either witness."""
    torch.set_num_threads(1)  # more only wait for each other in so small a network
    streamed = case == STREAMED
    name = case.split(",")[0]
    if sizes.device != "cuda":
        few, many = (_on_stand_in(name, steps, streamed) for steps in (FEW, MANY))
        return _compared(few, many)
    counted = [_epoch(name, steps, streamed, _profiled) for steps in (FEW, MANY)]
    placed = [_epoch(name, steps, streamed, _debugged) for steps in (FEW, MANY)]
    waiting = [
        Counter({key: count for key, count in one.items() if _waits(key)}) for one in counted
    ]
    launches = sum(count for key, count in counted[1].items() if "LaunchKernel" in key)
    found = _compared(*waiting) | {"launches_a_step": round(launches / MANY, 1)}
    if not launches:
        found["a_step"] = "the profiler saw no CUDA calls: unknown"
    debugged = _compared(*placed)
    return found | {"debug_a_step": debugged["a_step"], "debug_places": debugged["an_epoch"]}


def _waits(name: str) -> bool:
    """Return whether a call of the runtime makes the host wait; copies that do not are Async."""
    return any(word in name for word in WAITING) and "Async" not in name


def _compared(few: Counter[str], many: Counter[str]) -> dict[str, Any]:
    """Return what grows with the steps, by a step, and what an epoch of few steps has in all."""
    grown = {key: (many[key] - few[key]) / (MANY - FEW) for key in many if many[key] > few[key]}
    return {"a_step": grown, "an_epoch": dict(few)}


def _epoch(
    name: str, steps: int, streamed: bool, watched: Callable[[Callable[[], Any]], Counter[str]]
) -> Counter[str]:
    """Return what ``watched`` counts in the second epoch of a small task on the GPU."""
    device = torch.device("cuda:0")
    epoch = _epochs(name, steps, device, streamed, "bf16")
    epoch(0)
    torch.cuda.synchronize()
    return watched(lambda: epoch(1))


def _epochs(
    name: str, steps: int, device: Any, streamed: bool, precision: str
) -> Callable[[int], Any]:
    """Return a function that trains an epoch, by its number, of so many steps."""
    task, schedule = small_task(name, device)
    pixels = small_pixels(MANY * BATCH)
    images = Images(
        pixels if streamed else pixels.to(device), torch.arange(steps * BATCH), None
    )  # fmt: skip
    optimizer = build_optimizer(task, schedule.optimizer, lr=0.01, momentum=0.9, weight_decay=0)

    def epoch(number: int) -> Any:
        return _train_epoch(
            task, task, optimizer, images, schedule, epoch=number, seed=1, precision=precision
        )

    return epoch


def _profiled(epoch: Callable[[], Any]) -> Counter[str]:
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profiler:
        epoch()
    return Counter({event.key: event.count for event in profiler.key_averages()})


def _debugged(epoch: Callable[[], Any]) -> Counter[str]:
    found: Counter[str] = Counter()

    def take(message: Any, *_: Any, **__: Any) -> None:
        if "synchronizing" in str(message):
            found[_place()] += 1

    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = take
            epoch()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return found


def _place() -> str:
    """Return the line of the package that the present operation is part of."""
    frames = [frame for frame in traceback.extract_stack() if "/sscdl/" in frame.filename]
    return f"{frames[-1].name}: {frames[-1].line}" if frames else "no function of the package"


def _on_stand_in(name: str, steps: int, streamed: bool) -> Counter[str]:
    """Return what would wait in the second epoch, on the device of the unit tests."""
    from tests.unit.accelerator import NAME, accelerator

    if not _stand_in:  # for good: a device cannot be taken away again
        context = accelerator()
        _stand_in.extend([context, context.__enter__()])
    waits: list[str] = _stand_in[1]
    epoch = _epochs(name, steps, torch.device(f"{NAME}:0"), streamed, "float32")
    epoch(0)
    waits.clear()
    epoch(1)
    return Counter(waits)
