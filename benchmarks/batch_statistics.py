"""What estimating statistics of batch normalisation costs, and how many images it takes.

    python benchmarks/batch_statistics.py cost --network resnet50 --size 112
    python benchmarks/batch_statistics.py sample

``cost`` times steps of each task and the estimates that belong to an epoch, on one thread, in CPU
time, and prints the share that the estimates have of an epoch of as many images as the thesis
trains on, with validation images and without. ``sample`` trains a classifier on the synthetic
images of the demo at a constant rate and validates its last epochs with statistics over more and
fewer images.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

import numpy as np
import torch

from benchmarks.rate_choice import classifier, prepare
from sscdl.tasks import build_task
from sscdl.training import batch_statistics
from sscdl.training.backbones import build_backbone
from sscdl.training.batch_statistics import Statistics, sample
from sscdl.training.loop import Images, _train_epoch, validate
from sscdl.training.optim import build_optimizer
from sscdl.training.order import mixed_seed
from sscdl.training.schedule import Schedule

TASKS = ("moco", "swav", "relloc", "rotation", "classify")
TRAINED_ON = 5067  # images: four fifths of the thesis's
STEPS = 3
BATCHES = {"moco": 32, "swav": 8, "relloc": 32, "rotation": 16, "classify": 64}  # the thesis's


def cost(options: argparse.Namespace) -> None:
    """Print a line for each task."""
    torch.set_num_threads(1)
    pixels = torch.randint(0, 256, (640, *[round(options.size * 1.125)] * 2), dtype=torch.uint8)
    print(f"{options.network}, {options.size} px, statistics of {batch_statistics.SAMPLE} images")
    print(f"{'task':<10} {'batch':>5} {'step, s':>8} {'own views':>10} {'whole':>8}")
    for name in TASKS:
        _cost_of(name, options, pixels)


def _cost_of(name: str, options: argparse.Namespace, pixels: torch.Tensor) -> None:
    rows = torch.arange(len(pixels))
    size = BATCHES[name]
    task = build_task(
        name, build_backbone(options.network, 4), options={}, image_size=options.size,
        images=TRAINED_ON, mean=0.5, std=0.25, batch_size=size,
        patients=rows, labels=rows % 2, classes=2, training_rows=rows,
    ).to(memory_format=torch.channels_last)  # fmt: skip
    optimizer = build_optimizer(task, "sgd", 0.01, 0.9, 1e-4)
    schedule = Schedule("sgd", 0.01, 0.9, 1e-4, size, 10, "cosine")
    images = Images(pixels, rows[: STEPS * size], None)

    def steps(number: int) -> None:
        _train_epoch(
            task, task, optimizer, images, schedule, epoch=number, seed=0, precision="float32"
        )  # fmt: skip

    steps(0)
    step = _timed(lambda: steps(1)) / STEPS
    taken = sample(pixels, rows, task.draws, batch_size=size, seed=0, precision="float32")
    statistics = Statistics(task, taken)
    views, features = (
        _timed(lambda block=block: _entered(block))
        for block in (statistics.of_validation, statistics.of_features)
    )
    epoch = TRAINED_ON // size * step
    # A classifier is validated and watched by one estimate.
    both = views if task.classifies else views + features
    print(
        f"{name:<10} {size:>5} {step:>8.2f} {100 * views / epoch:>8.1f} % "
        f"{100 * features / epoch:>6.1f} %   together {100 * both / epoch:.1f} %",
        flush=True,
    )


def _timed(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _entered(block: Callable[[], Any]) -> None:
    with block():
        pass


def sizes(options: argparse.Namespace) -> None:
    """Print mean and spread of the validation accuracy of the last epochs by sample size."""
    torch.set_num_threads(1)
    data = prepare("demo", Path(), options.work)
    counts = (32, 64, 128, 256)
    found: dict[int, list[list[float]]] = {count: [] for count in counts}
    for seed in options.seeds:
        task, schedule, optimizer = classifier(data, 0.05, seed, 24, "constant", 32)
        train = data.rows["train"]
        images = Images(data.pixels, train, data.rows["val"])
        rows: dict[int, list[float]] = {count: [] for count in counts}
        for epoch in range(24):
            _train_epoch(
                task, task, optimizer, images, schedule, epoch=epoch,
                seed=mixed_seed(seed, "classify"), precision="float32",
            )  # fmt: skip
            for count in counts if epoch >= 14 else ():
                with mock.patch.object(batch_statistics, "SAMPLE", count):
                    taken = sample(
                        data.pixels, train, task.draws, batch_size=32, seed=0, precision="float32"
                    )
                with Statistics(task, taken).of_validation():
                    seen = validate(task, images, schedule, seed=0, precision="float32")
                rows[count].append(100 * seen["val_balanced_accuracy"])
        for count in counts:
            found[count].append(rows[count])
            print(f"seed {seed}, {count} images: {np.round(rows[count], 1).tolist()}", flush=True)
    for count, values in found.items():
        spread = np.mean([np.std(one) for one in values])
        print(f"{count} images: mean {np.mean(values):.1f}, sd over epochs 15 to 24 {spread:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=["cost", "sample"])
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--work", type=Path, default=Path("/tmp/rate_choice"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    {"cost": cost, "sample": sizes}[options.command](options)


if __name__ == "__main__":
    main()
