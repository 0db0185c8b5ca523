"""Does every task train to the weights of the CPU? The largest deviation, on a tiny network.

In float32 with deterministic algorithms and without TF32, then as the project runs, where
convolutions may use TF32. Beside it stands what rounding alone does: the CPU against itself with
another layout of its tensors in memory. That can be much, as a ReLU that tips over makes a step of
a rounding error; in float64 what is left is mistakes. All deviations are in shares of the largest
way that a weight went in training.
"""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.sizes import Sizes
from benchmarks.gpu.work import (
    State,
    deviation,
    in_float64,
    same,
    trained,
    weights_moved,
    without_tf32,
)
from sscdl.training.device import choose_device


def cases(sizes: Sizes) -> list[str]:
    """Return the names of the tasks."""
    return list(sizes.tasks)


def run(case: str, sizes: Sizes, known: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how far the weights of task ``case`` on the device are from those on the CPU."""
    # cuBLAS reads this when it is first used in a process, which is not before this part.
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    device = choose_device(sizes.device)
    torch.set_num_threads(1)  # more only wait for each other in so small a network
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference, losses = trained(case, "cpu", folder)
        moved = weights_moved(case, reference)
        otherwise, _ = trained(case, "cpu", folder, torch.contiguous_format)
        without_tf32()
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                found, own_losses = trained(case, device, folder)
            again, _ = trained(case, device, folder)
        finally:
            torch.use_deterministic_algorithms(False)
            without_tf32(False)
        plain, _ = trained(case, device, folder)
        plain_again, _ = trained(case, device, folder)
        with in_float64():
            precise, _ = trained(case, "cpu", folder)
            precise_found, _ = trained(case, device, folder)

    def share(one: State, two: State) -> float:
        return float(f"{deviation(one, two) / moved:.3g}")

    return {
        "float64": share(precise, precise_found),
        "float32": share(reference, found),
        "of_rounding": share(reference, otherwise),
        "as_run": share(reference, plain),
        "losses": float(f"{_relative(losses, own_losses):.3g}"),
        "repeats": same(found, again),
        "as_run_repeats": same(plain, plain_again),
        "not_deterministic": sorted(_operations([str(one.message) for one in said])),
    }


def _relative(one: list[float], two: list[float]) -> float:
    return max(abs(a - b) / max(abs(a), 1e-12) for a, b in zip(one, two, strict=True))


def _operations(said: list[str]) -> set[str]:
    """Return the operations that torch calls not deterministic."""
    found = (re.match(r"(\S+) does not have a deterministic", text) for text in said)
    return {match[1] for match in found if match}
