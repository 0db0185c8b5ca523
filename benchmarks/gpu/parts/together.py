"""Two processes that share each batch train to the weights of one: over gloo on one GPU, over NCCL.

NCCL wants a GPU for each process. Over gloo both can have the same one, which is of no use but to
see that what they exchange is right on CUDA. In float64 the deviation from one process tells of
mistakes alone; in float32 a rounding error may tip a ReLU over.

This process must not touch the GPU: its children are forked, and each has the GPU for itself.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import traceback
from contextlib import nullcontext
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.sizes import NotHere, Sizes
from benchmarks.gpu.work import deviation, in_float64, same, trained, weights_moved, without_tf32
from sscdl.training import ranks

FORK = multiprocessing.get_context("fork")
WORLD = 2


def cases(sizes: Sizes) -> list[str]:
    """Return "backend precision"."""
    if sizes.tiny:
        return ["gloo float64", "nccl float64"]
    return [f"{backend} {kind}" for backend in ("gloo", "nccl") for kind in ("float64", "float32")]


def run(case: str, sizes: Sizes, known: list[dict[str, Any]]) -> dict[str, Any]:
    """Return, by task, how far two processes are from one, in shares of the way of the weights."""
    backend, kind = case.split()
    if backend == "nccl" and sizes.gpus < WORLD:
        raise NotHere(f"NCCL wants {WORLD} GPUs, torch sees {sizes.gpus}")
    torch.set_num_threads(1)  # threads do not survive a fork
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _train_all([None], backend, kind, sizes.device, sizes.tasks, folder)
        _train_all(range(WORLD), backend, kind, sizes.device, sizes.tasks, folder)
        found: dict[str, Any] = {"deviation": {}, "ranks_agree": {}}
        for task in sizes.tasks:
            alone, *both = (
                torch.load(folder / f"{task}.{who}.pt", weights_only=True)
                for who in ("None", *range(WORLD))
            )
            with in_float64() if kind == "float64" else nullcontext():
                moved = weights_moved(task, alone)
            found["deviation"][task] = float(f"{deviation(alone, both[0]) / moved:.3g}")
            found["ranks_agree"][task] = same(*both)
    return found


def _train_all(
    numbers: Any, backend: str, kind: str, device: str, tasks: tuple[str, ...], folder: Path
) -> None:
    """Train the tasks in a process for each of ``numbers``; raises what ended one of them."""
    processes = [
        FORK.Process(target=_process, args=(number, backend, kind, device, tasks, folder))
        for number in numbers
    ]
    for process in processes:
        process.start()
    going = {process.sentinel: process for process in processes}
    while going:
        for sentinel in wait(list(going)):
            process = going.pop(sentinel)
            process.join()
            if process.exitcode:  # the others would wait for it for ever
                for other in going.values():
                    other.kill()
    said = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.error"))]
    if said or any(process.exitcode for process in processes):
        raise RuntimeError("\n".join(said) or "a process ended without a word")


def _process(
    rank: int | None, backend: str, kind: str, device_name: str, tasks: tuple[str, ...],
    folder: Path,
) -> None:  # fmt: skip
    """Train the tasks alone (``rank`` None) or as one of several, and save their states."""
    try:
        torch.set_num_threads(1)
        device = torch.device(device_name)
        if device.type == "cuda":
            device = torch.device("cuda", rank if rank and backend == "nccl" else 0)
            torch.cuda.set_device(device)
            without_tf32()
        if rank is not None:
            meeting = f"file://{folder / 'meeting'}"
            if backend == "nccl":
                ranks.join(rank, WORLD, meeting, device)
            else:  # the package itself would take NCCL for a GPU
                torch.distributed.init_process_group(
                    "gloo", init_method=meeting, rank=rank, world_size=WORLD
                )
        own = folder / f"of {rank}"
        own.mkdir()
        with in_float64() if kind == "float64" else nullcontext():
            for task in tasks:
                state, _ = trained(task, device, own)
                torch.save(state, folder / f"{task}.{rank}.pt")
        ranks.leave()
    except BaseException:
        (folder / f"{rank}.error").write_text(traceback.format_exc(), encoding="utf-8")
        raise
