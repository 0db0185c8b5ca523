"""Images and steps a second of the real training loop, beside the bare floor in the same run."""

from __future__ import annotations

import importlib.util
import statistics
from typing import Any

import torch

from benchmarks.gpu.sizes import Sizes
from benchmarks.training_floor import FLOORS, views_of
from benchmarks.training_speed import Setting, measure
from sscdl.training.device import choose_device

TRANSFORMER = "vit_small_patch16_224"  # of timm


def networks(sizes: Sizes) -> dict[str, dict[str, Any]]:
    """Return the networks to measure by name; a small vision transformer where there is one."""
    found = {one["name"]: one for one in sizes.networks}
    if not sizes.tiny and importlib.util.find_spec("timm"):
        found[TRANSFORMER] = {"name": TRANSFORMER, "image_size": sizes.size}
    return found


def cases(sizes: Sizes) -> list[str]:
    """Return "network task batch": the thesis's batches of all tasks first, then large ones."""
    batches = {task: sizes.batches(task) for task in sizes.tasks if task in FLOORS}
    return [
        f"{network} {task} {own[place]}"
        for network in networks(sizes)
        for place in range(max(map(len, batches.values())))
        for task, own in batches.items()
        if place < len(own)
    ]


def setting_of(case: str, sizes: Sizes) -> tuple[str, Setting]:
    """Return the task that ``case`` names, and with what it is measured."""
    network, task, batch = case.split()[:3]
    device = choose_device(sizes.device)
    if device.type == "cuda":
        device = torch.device("cuda:0")
    else:
        torch.set_num_threads(1)
    return task, Setting(
        network=networks(sizes)[network], size=sizes.size, batch=int(batch), device=device,
        precision=sizes.precision, steps=sizes.steps(int(batch)), rounds=sizes.rounds,
    )  # fmt: skip


def run(case: str, sizes: Sizes, known: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the rates of ours and of the floor; the ratio is the floor's time by ours."""
    task, setting = setting_of(case, sizes)
    measured = measure(task, setting, False)

    def rate(spent: list[Any]) -> float:
        return setting.images / statistics.median(one.wall for one in spent)

    ours, floor = rate(measured.ours), rate(measured.floor)
    return {
        "images_per_second": round(ours, 1),
        "steps_per_second": round(ours / setting.batch, 2),
        "views": sum(views.number for views in views_of(task, setting.size)),
        "floor_images_per_second": round(floor, 1),
        "ratio": round(statistics.median(measured.ratios("wall", measured.ours)), 3),
        "ratio_of_steps": round(statistics.median(measured.ratios("wall", measured.steps)), 3),
        "memory_mib": round(measured.memory / 2**20),
    }
