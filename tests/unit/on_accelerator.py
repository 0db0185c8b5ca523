"""The same work on the CPU and on the accelerator of ``accelerator.py``; prints a JSON object.

A process of its own, as a device cannot be taken away again: python -m tests.unit.on_accelerator
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sscdl.evaluation.classifier import Classifier
from sscdl.evaluation.probe import extract_features
from sscdl.evaluation.untrained import untrained
from sscdl.segment.predict import load_segmenter
from sscdl.stages.stage import run_stage
from sscdl.tasks.options import DECLARATIONS, DEFAULTS
from sscdl.training.loop import Images, _train_epoch, train, validate
from sscdl.training.monitor import Monitor
from sscdl.training.scalars import Scalars
from tests.unit.accelerator import NAME, accelerator
from tests.unit.real_stage import real_stage, same_weights, untimed, weights
from tests.unit.small_task import OPTIMIZERS, optimizer_for, small
from tests.unit.task_helpers import pictures
from tests.unit.training.test_loop import make

TASKS = tuple(DEFAULTS)
# A task with ways of its own, and with all that a schedule may ask for.
SMALL = {f"small by {optimizer}": optimizer for optimizer in OPTIMIZERS}
DEVICES = ("cpu", f"{NAME}:0")
ROWS, SIDE, BATCH = 24, 32, 4
SEGMENTER = Path(__file__).parents[2] / "resources/segmenter/lungs.safetensors"


def images_on(device: str, training: int) -> Images:
    """Return images that ``device`` holds: the first ``training`` to train, the rest validate."""
    pixels = pictures(ROWS, SIDE)[:, 0].to(device)
    return Images(pixels, torch.arange(training), torch.arange(training, ROWS))


def task_on(device: str, name: str) -> tuple[torch.nn.Module, Any]:
    """Return a task on ``device`` and its schedule."""
    if name in SMALL:
        task, schedule = small(SMALL[name])
        schedule = replace(schedule, batch_size=BATCH)
    else:
        task, schedule = make(name)
        kind = DECLARATIONS[name].settings.get("optimizer", "sgd")
        schedule = replace(schedule, optimizer=kind)
    return task.to(device, memory_format=torch.channels_last), schedule


def waits_of(name: str, training: int, waits: list[str]) -> dict[str, list[str]]:
    """Return what makes the host wait in the second epoch and its validation."""
    task, schedule = task_on(DEVICES[1], name)
    images = images_on(DEVICES[1], training)
    optimizer = optimizer_for(task, schedule)
    found = {}
    for epoch in range(2):
        waits.clear()
        _train_epoch(
            task, task, optimizer, images, schedule, epoch=epoch, seed=1, precision="float32"
        )
        found["epoch"] = list(waits)
        waits.clear()
        validate(task, images, schedule, seed=1, precision="float32")
        found["validation"] = list(waits)
    return found


def trained(name: str, device: str, folder: Path) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Return weights and records of a run on ``device`` that stops once and goes on."""
    rows, labels = torch.arange(16), torch.arange(ROWS) % 2
    for stop in (1, 3):
        task, schedule = task_on(device, name)
        history = train(
            task, images_on(device, 16), schedule, start=0, stop=stop, seed=1,
            state=folder / f"{name}.{device}.pt", fingerprint="key",
            monitor=Monitor(Scalars(None), rows, labels, torch.arange(ROWS), SIDE),
        )  # fmt: skip
    return {key: value.to("cpu") for key, value in task.state_dict().items()}, untimed(history)


def node(task: str, device: str, folder: Path) -> Any:
    """Return a node of the workflow, its images streamed to ``device``."""
    stage = real_stage(folder / device, task, device=device)
    run_stage(stage)
    return stage


def looked_at(device: str, pointer: Path) -> dict[str, np.ndarray]:
    """Return what finished networks make of pictures on ``device``."""
    images = pictures(6, 40)[:, 0]
    with torch.no_grad():
        model = Classifier(pointer, torch.device(device))
        chances, maps = model(images)
        random = untrained(
            0, {"name": "resnet18", "last_stage": 2}, images,
            classes=model.classes, size=32, mean=0.5, std=0.25, device=torch.device(device),
        )  # fmt: skip
        features = extract_features(model.backbone, images, 0.5, 0.25, 32, 4)
        masks = load_segmenter(SEGMENTER, device=device).predict_with_doubt(list(images.numpy()), 2)
    found = {"chances": chances, "maps": maps, "untrained": random(images)[0], "features": features}
    arrays = {name: tensor.to("cpu").numpy() for name, tensor in found.items()}
    return arrays | {"masks": np.stack([post for _, post, _ in masks])}


def main() -> None:
    """Do everything on both devices and print whether it agrees, and what made the host wait."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, accelerator() as waits:
        folder = Path(name)
        for task in (*TASKS, *SMALL):
            runs = [trained(task, device, folder) for device in DEVICES]
            found[task] = {
                "weights": same_weights(runs[0][0], runs[1][0]),
                "records": runs[0][1] == runs[1][1],
                "waits": [waits_of(task, steps * BATCH, waits) for steps in (2, 4)],
            }
        nodes = [node("classify", device, folder) for device in DEVICES]
        found["streamed"] = same_weights(*map(weights, nodes))
        one, other = (
            looked_at(device, stage.pointer) for device, stage in zip(DEVICES, nodes, strict=True)
        )
        found["looked_at"] = {key: bool((one[key] == other[key]).all()) for key in one}
        found["refused"] = refused()
    print(json.dumps(found))


def refused() -> list[str]:
    """Return what the accelerator says to operations that a GPU would refuse."""
    here, there = torch.ones(2), torch.ones(2, device=NAME)
    said = []
    for operation in (lambda: here + there, lambda: torch.cat([there, here])):
        try:
            operation()
        except RuntimeError as error:
            said.append(str(error))
    return said


if __name__ == "__main__":
    main()
