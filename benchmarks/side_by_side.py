"""What it gains to train several learning rates of a stage at a time on one device.

Trains the search of one stage (eight learning rates) with 1, 2, 4, ... of them side by side, in
alternating order, and prints the images per second of all together and the ratio to one at a time.
On the CPU the threads are shared out, so that the same number computes in every case.

    python benchmarks/side_by_side.py --task rotation --at-once 1 2
"""

from __future__ import annotations

import argparse
import pickle
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

from sscdl.progress import job_log
from sscdl.recipe import fingerprint
from sscdl.stages.node import Stage
from sscdl.stages.runs import Runs
from sscdl.store.store import Store
from tests.unit.real_stage import real_stage, write_images

RATES = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05)


def search(stage: Stage) -> float:
    """Train all learning rates; return the seconds from their first epochs to their last."""
    with (
        job_log(stage.store / "log", stage.name),
        Runs(stage, Store(stage.store), "scratch", None) as runs,
    ):
        runs.candidates(stage.learning_rates, 1)  # with what starts but once
        began = time.monotonic()
        trained = runs.candidates(stage.learning_rates, stage.settings["search_epochs"])
        seconds = time.monotonic() - began
    if min(len(one["history"]) for one in trained) < 2:
        raise RuntimeError("no rate was trained for more than its first epoch: nothing is timed")
    return seconds


def prepared(
    folder: Path, task: str, network: str, last_stage: int, *, size: int, images: int, batch: int,
    epochs: int, device: str, precision: str, rates: tuple[float, ...] = RATES,
) -> Stage:  # fmt: skip
    """Return a stage over ``images`` pictures in ``folder``, whose search has so many epochs."""
    write_images(folder, images, round(1.125 * size))
    stage = real_stage(
        folder, task, learning_rates=rates, device=device, precision=precision, monitors=None,
        settings={"search_epochs": 1 + epochs, "batch_size": batch, "options": {}},
    )  # fmt: skip
    backbone = {"name": network, "last_stage": last_stage}
    return replace(stage, recipe=stage.recipe | {"backbone": backbone, "image_size": size})


def seconds_of(stage: Stage, folder: Path, number: int, threads: int, turn: int = 0) -> float:
    """Return the seconds of a search with ``number`` at a time, in a store of its own."""
    case = replace(
        stage, side_by_side=number, threads=threads,
        pointer=folder / f"store-{turn}-{number}" / "recipes" / "x.json",
        fingerprint=fingerprint([turn, number]),
    )  # fmt: skip
    # A process of its own, as a stage of the workflow is.
    code = "import pickle, sys; from benchmarks.side_by_side import search; "
    code += "print('seconds', search(pickle.loads(bytes.fromhex(sys.argv[1]))))"
    done = subprocess.run(
        [sys.executable, "-c", code, pickle.dumps(case).hex()],
        cwd=Path(__file__).resolve().parent.parent, text=True, capture_output=True,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return float(done.stdout.split("seconds ")[1])


def main() -> None:
    """Print one row for each number at a time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="rotation")
    parser.add_argument("--network", default="resnet18")
    parser.add_argument("--last-stage", type=int, default=4)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--images", type=int, default=384, help="two thirds of them train")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    seconds: dict[int, list[float]] = {number: [] for number in arguments.at_once}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage = prepared(
            folder, arguments.task, arguments.network, arguments.last_stage, size=arguments.size,
            images=arguments.images, batch=arguments.batch, epochs=arguments.epochs,
            device=arguments.device, precision=arguments.precision, rates=RATES,
        )  # fmt: skip
        for turn in range(arguments.rounds):
            order = arguments.at_once[:: 1 if turn % 2 == 0 else -1]
            for number in order:
                threads = max(1, arguments.threads // number)
                seconds[number].append(seconds_of(stage, folder, number, threads, turn))
    images = len(RATES) * arguments.epochs * (arguments.images * 2 // 3)
    print("| at a time | images/s of all | ratio to one at a time (range) |")
    print("|---:|---:|---:|")
    alone = np.array(seconds[arguments.at_once[0]])
    for number, found in seconds.items():
        ratios = alone / np.array(found)
        print(
            f"| {number} | {images / np.median(found):.0f} "
            f"| {np.median(ratios):.2f} [{ratios.min():.2f}, {ratios.max():.2f}] |"
        )


if __name__ == "__main__":
    main()
