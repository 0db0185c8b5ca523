"""How much of the machine does training use? Images a second beside those of a bare loop.

For each task the real training loop runs on synthetic images. At the end of each of its epochs,
which the loop's own log line marks, it stands still while the floor takes as many steps (see
training_floor.py), and with --lightly also the recipe that one writes with lightly and torchvision.
An epoch is measured against the mean of the floors before and after it, the ratio is the median of
the epochs, its range in brackets. An epoch holds everything that it does: augmentation, state file,
logging. The first one is left out, and with it what is done once a run. The ratio of the steps
alone leaves out the state file too, which is for epochs longer than those measured here.

    python benchmarks/training_speed.py --lightly
    python benchmarks/training_speed.py --network resnet50 --size 224 --precision bf16

Ratios are floor's time by ours: 1.00 would be a training whose every part but the network is free.
On a CPU it is the CPU time of all threads, and wall time beside it; on a GPU it is wall time. Where
others use the machine too, only CPU time with --threads 1 says something: waiting threads spin.
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim.optimizer import register_optimizer_step_post_hook

from benchmarks.training_floor import CLASSES, TASKS, Floor, Recipe, views_of, write_pngs
from sscdl.tasks import build_task, stand_in_labels
from sscdl.tasks.base import Task
from sscdl.training.backbones import build_backbone
from sscdl.training.device import choose_device
from sscdl.training.loop import Images, train
from sscdl.training.run_state import Saver
from sscdl.training.schedule import Schedule

PACKED = 1.125  # side of the packed images by that of the network's input
# The project's default; sgd for the others.
PUBLISHED_OPTIMIZER = {"swav": "lars", "vicreg": "lars"}


@dataclass(frozen=True)
class Setting:
    """What a table is measured with: network, side in pixels, images a step, and how long."""

    network: dict[str, Any]
    size: int
    batch: int
    device: torch.device
    precision: str
    steps: int  # an epoch
    rounds: int  # epochs that count

    @property
    def images(self) -> int:
        """Number of training images."""
        return self.steps * self.batch


@dataclass(frozen=True)
class Spent:
    """Seconds of wall time, and of CPU time of all threads and of processes that have ended."""

    wall: float
    cpu: float


@dataclass
class Measured:
    """Seconds of one task: an epoch of ours and of the recipe a round, a floor on either side."""

    ours: list[Spent] = field(default_factory=list)
    floor: list[Spent] = field(default_factory=list)
    recipe: list[Spent] = field(default_factory=list)
    steps: list[Spent] = field(default_factory=list)  # of ours, without the state file
    memory: int = 0  # bytes that ours held on the GPU at most, without those of the floor

    def ratios(self, kind: str, of: list[Spent]) -> list[float]:
        """Return the floor's seconds by those of each of ``of``; ``kind`` is wall or cpu."""
        around = zip(self.floor, self.floor[1:], of, strict=False)
        seconds = ((getattr(spent, kind) for spent in three) for three in around)
        return [(before + after) / 2 / own for before, after, own in seconds]


def main() -> None:
    """Print the table, and on a GPU how fast it multiplies matrices."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=("resnet18", "resnet50"), default="resnet18")
    parser.add_argument("--last-stage", type=int, default=4)
    parser.add_argument("--size", type=int, default=64, help="side of the network's input, px")
    parser.add_argument("--batch", type=int, help="default: 32 below 128 px, else 8")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="steps of an epoch")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--lightly", action="store_true", help="measure that recipe too")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    setting = Setting(
        network={"name": arguments.network, "last_stage": arguments.last_stage},
        size=arguments.size, batch=arguments.batch or (32 if arguments.size < 128 else 8),
        device=choose_device(arguments.device), precision=arguments.precision,
        steps=arguments.steps, rounds=arguments.rounds,
    )  # fmt: skip
    print(
        f"{arguments.network} up to stage {arguments.last_stage}, {setting.size} px, batch "
        f"{setting.batch}, {setting.steps} steps an epoch, {setting.precision}, {setting.device}, "
        f"{arguments.threads} threads, torch {torch.__version__}\n"
    )
    print(header(setting, arguments.lightly), flush=True)
    for name in arguments.tasks:
        measured = measure(name, setting, arguments.lightly)
        print(row(name, setting, measured, arguments.lightly), flush=True)
    if setting.device.type == "cuda":
        print(f"\n{matrix_rate(setting.device):.0f} TFLOP/s in bf16 matrix products")


@functools.lru_cache(maxsize=1)  # at 224 px they take seconds, and tasks share them
def pictures(number: int, side: int) -> np.ndarray:
    """Return uint8 (number, side, side): smooth random fields with a little grain.

    Not plain noise, because PNG files of that are slower to read than radiographs.
    """
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(number, 1, 6, 6, generator=generator)
    smooth = F.interpolate(coarse, (side, side), mode="bicubic")[:, 0]
    grain = torch.rand(smooth.shape, generator=generator) * 0.03
    return ((smooth + grain).clamp(0, 1) * 255).to(torch.uint8).numpy()


def make_task(name: str, setting: Setting, pixels: np.ndarray) -> Task:
    """Return the task as the project sets it up, with default options, on ``setting.device``."""
    torch.manual_seed(0)
    backbone, number = build_backbone(**setting.network), len(pixels)
    # SwAV's queue must be a multiple of the batch; the default, 64, is so for common batches.
    options = {"queue": 2 * setting.batch} if name == "swav" else {}
    task = build_task(
        name, backbone, options=options, image_size=setting.size, images=number,
        mean=float(pixels.mean() / 255), std=float(pixels.std() / 255), batch_size=setting.batch,
        patients=torch.arange(number), classes=CLASSES,
        labels=stand_in_labels(name, torch.arange(number), CLASSES),
        training_rows=torch.arange(number),
    )  # fmt: skip
    return task.to(setting.device, memory_format=torch.channels_last)


class WrittenAtOnce(Saver):
    """Saves within the epoch on a GPU, too, or the floor would be timed while a thread writes."""

    def save(self, *given: Any) -> None:
        """Replace the state file, and return when it is there."""
        super().save(*given)
        self._finish()


def measure(name: str, setting: Setting, with_recipe: bool) -> Measured:
    """Train task ``name``, with the floor's and the recipe's turns between the epochs."""
    device, measured = setting.device, Measured()
    pixels = pictures(setting.images, round(PACKED * setting.size))
    common = (name, setting.network, setting.size, setting.batch, device, setting.precision)
    floor = Floor(*common)
    with tempfile.TemporaryDirectory() as folder:
        recipe = None
        if with_recipe:
            files = write_pngs(pixels, Path(folder) / "png")
            recipe = Recipe(*common, files)
        held = 0
        if device.type == "cuda":
            floor.step()
            held = torch.cuda.memory_allocated(device)
            torch.cuda.reset_peak_memory_stats(device)
        began: tuple[float, float] | None = None
        stepped = 0.0  # CPU time when an optimiser last took a step
        busy: list[float] = []  # CPU seconds of the steps of each epoch

        def after_step(*_: object) -> None:
            nonlocal stepped
            stepped = _cpu()

        def turn() -> None:
            nonlocal began
            if began is not None:
                busy.append(stepped - began[1])
                measured.ours.append(_since(began, device))
                if recipe is not None:
                    measured.recipe.append(_timed(recipe.epoch, device))
            else:  # the first epoch has ended: warm up the others too
                if device.type == "cuda":
                    measured.memory = torch.cuda.max_memory_allocated(device) - held
                    if recipe is not None:
                        recipe.epoch()
                _bare_steps(floor, max(2, setting.steps // 4))
            measured.floor.append(_timed(lambda: _bare_steps(floor, setting.steps), device))
            began = _now(device)

        task = make_task(name, setting, pixels)
        optimizer = PUBLISHED_OPTIMIZER.get(name, "sgd")
        epochs = 1 + setting.rounds
        logger, handler = logging.getLogger("sscdl.train"), logging.Handler(logging.INFO)
        handler.emit = lambda record: turn()  # one line for each epoch, at its end
        level, hook = logger.level, register_optimizer_step_post_hook(after_step)
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        try:
            with mock.patch("sscdl.training.loop.Saver", WrittenAtOnce):
                history = train(
                    task,
                    Images(torch.from_numpy(pixels).to(device), torch.arange(len(pixels)), None),
                    Schedule(optimizer, 0.01, 0.9, 1e-4, setting.batch, epochs, "cosine"),
                    start=0, stop=epochs, seed=0, state=Path(folder) / "state.pt",
                    fingerprint="speed", precision=setting.precision,
                )  # fmt: skip
        finally:
            hook.remove()
            logger.removeHandler(handler)
            logger.setLevel(level)
    if len(measured.ours) != setting.rounds:
        raise RuntimeError("the training's log has not one line for each epoch: nothing is timed")
    # The loop's own clock stops before the state file is written.
    loop = [setting.images / record["images_per_second"] for record in history[1:]]
    measured.steps = [Spent(wall, cpu) for wall, cpu in zip(loop, busy, strict=True)]
    return measured


def _bare_steps(floor: Floor, steps: int) -> None:
    for _ in range(steps):
        floor.step()


def _now(device: torch.device) -> tuple[float, float]:
    """Return wall and CPU time in seconds, the latter with processes that have ended."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter(), _cpu()


def _cpu() -> float:
    ended = os.times()
    return time.process_time() + ended.children_user + ended.children_system


def _since(began: tuple[float, float], device: torch.device) -> Spent:
    wall, cpu = _now(device)
    return Spent(wall - began[0], cpu - began[1])


def _timed(call: Callable[[], object], device: torch.device) -> Spent:
    began = _now(device)
    call()
    return _since(began, device)


def header(setting: Setting, with_recipe: bool) -> str:
    """Return the two first lines of the table."""
    names = ["task", "views an image", "ours, images/s", "views/s", "floor, images/s", "views/s"]
    if setting.device.type == "cuda":
        names += ["ratio, wall", "of the steps alone", "peak memory, MiB"]
    else:
        names += ["ratio, CPU", "of the steps alone", "ratio, wall", "of the steps alone"]
    if with_recipe:
        names += ["lightly, images/s", "its ratio, CPU", "its ratio, wall"]
    return f"| {' | '.join(names)} |\n|---|{'---:|' * (len(names) - 1)}"


def row(name: str, setting: Setting, measured: Measured, with_recipe: bool) -> str:
    """Return the line of one task."""
    views = sum(views.number for views in views_of(name, setting.size))

    def rates(seconds: list[Spent]) -> list[str]:
        rate = setting.images / statistics.median(spent.wall for spent in seconds)
        return [f"{rate:.1f}", f"{rate * views:.1f}"]

    cells = [name, str(views), *rates(measured.ours), *rates(measured.floor)]
    for kind in ["wall"] if setting.device.type == "cuda" else ["cpu", "wall"]:
        cells += [spread(measured.ratios(kind, of)) for of in (measured.ours, measured.steps)]
    if setting.device.type == "cuda":
        cells.append(f"{measured.memory / 2**20:.0f}")
    if with_recipe:
        cells.append(rates(measured.recipe)[0])
        cells += [spread(measured.ratios(kind, measured.recipe)) for kind in ("cpu", "wall")]
    return f"| {' | '.join(cells)} |"


def spread(ratios: list[float]) -> str:
    """Return the median and the range of ``ratios``."""
    return f"{statistics.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}]"


def matrix_rate(device: torch.device, side: int = 8192, rounds: int = 20) -> float:
    """Return the measured rate of square bf16 matrix products, in TFLOP/s."""
    a, b, product = (torch.randn(side, side, device=device).bfloat16() for _ in range(3))

    def multiply() -> None:
        for _ in range(rounds):
            torch.mm(a, b, out=product)

    multiply()
    return 2 * side**3 * rounds / _timed(multiply, device).wall / 1e12


if __name__ == "__main__":
    main()
