"""The most memory that training takes of the device, by task, with its images and its first steps.

``speed`` has such a figure too, without the images and beside the floor; this one is of a training
alone, as a stage of the workflow has it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.parts import speed
from benchmarks.gpu.sizes import Sizes
from benchmarks.training_speed import PACKED, PUBLISHED_OPTIMIZER, make_task, pictures
from sscdl.training.loop import Images, train
from sscdl.training.schedule import Schedule

STEPS = 4


def cases(sizes: Sizes) -> list[str]:
    """Return "network task batch"."""
    return speed.cases(sizes)


def run(case: str, sizes: Sizes, known: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the peaks of a short training, in MiB."""
    name, setting = speed.setting_of(case, sizes)
    cuda = setting.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    pixels = pictures(STEPS * setting.batch, round(PACKED * setting.size))
    task = make_task(name, setting, pixels)
    optimizer = PUBLISHED_OPTIMIZER.get(name, "sgd")
    with tempfile.TemporaryDirectory() as folder:
        train(
            task,
            Images(torch.from_numpy(pixels).to(setting.device), torch.arange(len(pixels)), None),
            Schedule(optimizer, 0.01, 0.9, 1e-4, setting.batch, 1, "constant"),
            start=0, stop=1, seed=0, state=Path(folder) / "state.pt", fingerprint="memory",
            precision=setting.precision,
        )  # fmt: skip
    if not cuda:
        return {"allocated_mib": 0, "reserved_mib": 0, "outside_torch_mib": 0}
    reserved = torch.cuda.max_memory_reserved()
    free, total = torch.cuda.mem_get_info()
    outside = total - free - torch.cuda.memory_reserved()
    return {
        "allocated_mib": round(torch.cuda.max_memory_allocated() / 2**20),
        "reserved_mib": round(reserved / 2**20),
        "outside_torch_mib": round(outside / 2**20),
    }
