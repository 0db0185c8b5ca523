"""Several learning rates of a stage at a time on one device: images a second of all together."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.gpu.sizes import Sizes, thesis_batch
from benchmarks.side_by_side import RATES, prepared, seconds_of

TASK = "rotation"


def cases(sizes: Sizes) -> list[str]:
    """Return how many at a time."""
    return ["1"] if sizes.tiny else ["1", "2", "4", "8"]


def run(case: str, sizes: Sizes, known: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the rate of all learning rates together, the start of their processes left out."""
    rates, epochs, images = (RATES[:2], 1, 12) if sizes.tiny else (RATES, 2, 384)
    batch = sizes.batches(TASK)[0] if sizes.tiny else thesis_batch(TASK)
    network = sizes.networks[0]
    with tempfile.TemporaryDirectory() as name:
        stage = prepared(
            Path(name), TASK, network["name"], network["last_stage"], size=sizes.size,
            images=images, batch=batch, epochs=epochs, device=sizes.device,
            precision=sizes.precision, rates=rates,
        )  # fmt: skip
        seconds = seconds_of(stage, Path(name), int(case), threads=1)
    return {
        "images_per_second": round(len(rates) * epochs * (images * 2 // 3) / seconds, 1),
        "task": TASK,
        "batch": batch,
        "learning_rates": len(rates),
    }
