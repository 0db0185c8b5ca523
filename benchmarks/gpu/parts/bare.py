"""What CUDA graphs and torch.compile make of the bare network: the plain loop, step by step.

The floor of ``speed`` (forward, backward, fused optimiser, resident tensors), plain and then as one
captured graph, or compiled, or compiled and captured. It says what there would be to gain.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.gpu.parts import speed
from benchmarks.gpu.sizes import NotHere, Sizes
from benchmarks.gpu.work import seconds_a_call, wait_for
from benchmarks.training_floor import FLOORS, Floor

GRAPH, COMPILED = "graph", "compiled"


def cases(sizes: Sizes) -> list[str]:
    """Return "network task batch way"; graphs first, as compiling takes most of a minute each."""
    every = speed.cases(sizes)
    network = every[0].split()[0]
    named = [case for case in every if case.startswith(f"{network} ")]
    small = named[: sum(task in FLOORS for task in sizes.tasks)]
    # The stage that every curriculum ends in compiles first.
    order = sorted(small, key=lambda case: " classify " not in case)
    return [
        *(f"{case} {GRAPH}" for case in small),
        *(f"{case} {COMPILED}" for case in (order[:1] if sizes.tiny else order)),
        *(f"{case} {GRAPH}" for case in named if case not in small),
    ]


def run(case: str, sizes: Sizes, known: list[dict[str, Any]]) -> dict[str, Any]:
    """Return images a second of the plain loop and of the loop made in another way."""
    task, setting = speed.setting_of(case, sizes)
    way, device = case.split()[3], setting.device
    cuda = device.type == "cuda"
    if way == GRAPH and not cuda:
        raise NotHere("graphs are captured on a GPU alone")
    floor = Floor(
        task, setting.network, setting.size, setting.batch, device, setting.precision
    )  # fmt: skip
    least = 0.05 if sizes.tiny else 1.0

    def rate(step: Callable[[], object]) -> float:
        return round(setting.batch / seconds_a_call(step, device, least), 1)

    found: dict[str, Any] = {"plain_images_per_second": rate(floor.step)}
    began = time.perf_counter()
    if way == GRAPH:
        found["images_per_second"] = rate(_captured(floor.step))
    else:
        for model in (floor.model, floor.slow):
            if model is not None:
                # Without a GPU nothing is gained: only that it goes through is of interest.
                model["backbone"].compile(backend="inductor" if cuda else "eager")
        floor.step()
        wait_for(device)
        found["seconds_to_compile"] = round(time.perf_counter() - began, 1)
        found["images_per_second"] = rate(floor.step)
        if cuda:
            try:
                found["captured_images_per_second"] = rate(_captured(floor.step))
            except RuntimeError as error:  # what was compiled is a result all the same
                found["captured"] = str(error)[-500:]
    found["gain"] = round(found["images_per_second"] / found["plain_images_per_second"], 3)
    return found


def _captured(step: Callable[[], object]) -> Callable[[], object]:
    """Return a function that replays ``step`` as one graph."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay
