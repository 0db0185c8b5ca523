"""A small task that asks for every way of training that tasks have beside the plain one.

A predictor whose rate does not fall, a head with twice the rate and without momentum, a position
that does not decay, and a teacher that follows more slowly from step to step.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sscdl.tasks.base import Setup, Step, Task
from sscdl.tasks.teachers import follow, rising, teacher_of
from sscdl.training.backbones import build_backbone
from sscdl.training.loop import Images, train
from sscdl.training.optim import Own, build_optimizer
from sscdl.training.schedule import Schedule
from tests.unit.task_helpers import pictures

OPTIMIZERS = ("sgd", "lars", "adam", "adamw")
BATCH, EPOCHS, ROWS, SIDE = 8, 3, 24, 32


class Small(Task):
    """Tell from a view what a slower network makes of it."""

    name = "small"
    metric = "loss"
    draws = 1

    def __init__(self, backbone: nn.Module, setup: Setup) -> None:
        super().__init__(backbone, setup)
        width = backbone.channels
        self.position = nn.Parameter(torch.ones(1, width))
        self.predictor = nn.Linear(width, 8)
        self.head = nn.Linear(8, 8)
        self.teacher = teacher_of(self.predictor)

    @property
    def chance_loss(self) -> float:
        return 1.0

    def no_weight_decay(self) -> set[str]:
        return {"position"}

    def trained_otherwise(self) -> Sequence[Own]:
        head = Own(list(self.head.parameters()), rate=2.0, momentum=0.0)
        return Own(list(self.predictor.parameters()), falls=False), head

    def views(self, images: Tensor, draws: Tensor) -> Tensor:
        return images.float() / 255 * (0.5 + draws[:, :1, None, None])

    def forward(self, views: Tensor, index: Tensor, epoch: int, epochs: int) -> Step:
        features = self.backbone(self.normalise(views)) + self.position
        told = self.head(torch.relu(self.predictor(features)))
        with torch.no_grad():
            wanted = self.teacher(features)
        return Step(loss=(told - wanted).square().mean(), count=len(index))

    def after_step(self, done: float, epochs: int) -> None:
        """Follow as BYOL's teacher does: 0.9 of it is kept at first, all at the end."""
        follow(self.teacher, self.predictor, rising(0.9, done, epochs))


def small(optimizer: str, **change: Any) -> tuple[Small, Schedule]:
    """Return the task and a schedule with all that came after SGD and the cosine."""
    torch.manual_seed(5)
    task = Small(build_backbone("resnet18", 2), Setup({}, SIDE, 16, 0.5, 0.25, BATCH))
    settings = {
        "warmup_epochs": 0.5, "betas": (0.8, 0.95), "milestones": (0.5,), "factor": 0.2,
        "clip_gradients": 0.1, **change,
    }  # fmt: skip
    rate = {"sgd": 0.02, "lars": 1.0}.get(optimizer, 0.002)
    return task, Schedule(optimizer, rate, 0.9, 0.01, BATCH, EPOCHS, "milestones", **settings)


def optimizer_for(task: Task, schedule: Schedule) -> torch.optim.Optimizer:
    """Return the optimiser that the loop trains ``task`` with."""
    return build_optimizer(
        task, schedule.optimizer, schedule.learning_rate, schedule.momentum, schedule.weight_decay,
        adapted=schedule.adapted, decayed=schedule.decayed, betas=schedule.betas,
        own=task.trained_otherwise(),
    )  # fmt: skip


def images_on(device: str = "cpu") -> Images:
    """Return 16 images to train on, two steps an epoch, and 8 to validate on."""
    pixels = pictures(ROWS, SIDE)[:, 0].to(device)
    return Images(pixels, torch.arange(16), torch.arange(16, ROWS))


def train_small(
    task: Small, schedule: Schedule, state: Path, stop: int = EPOCHS, images: Images | None = None
) -> list[dict[str, Any]]:
    """Train ``task`` up to an epoch, from where ``state`` is, and return the records."""
    return train(
        task, images or images_on(), schedule, start=0, stop=stop, seed=1, state=state,
        fingerprint="small",
    )  # fmt: skip
