"""Small structured images and a plain training loop, for the tests of the tasks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sscdl.tasks import build_task, stand_in_labels
from sscdl.tasks.base import Step, Task
from sscdl.training.backbones import build_backbone
from sscdl.training.optim import build_optimizer

BATCH = 8
IMAGES = 48
CLASSES = 3


def pictures(count: int = IMAGES, size: int = 40, own: float = 1.2) -> Tensor:
    """Return uint8 (count, 1, size, size): a shared asymmetric layout plus each image's blobs."""
    generator = torch.Generator().manual_seed(0)
    line = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(line, line, indexing="ij")
    layout = 0.3 + 0.2 * y + 0.3 * torch.exp(-((x - 0.35) ** 2 + (y - 0.3) ** 2) / 0.1)
    layout = layout + 0.2 * torch.exp(-(x**2 / 0.02 + (y + 0.6) ** 2 / 0.2))
    coarse = torch.rand(count, 1, 5, 5, generator=generator) - 0.5
    blobs = F.interpolate(coarse, (size, size), mode="bicubic")
    return ((layout + own * blobs).clamp(0, 1) * 255).to(torch.uint8)


def class_pictures() -> tuple[Tensor, Tensor]:
    """Return pictures in which the height of a bright square tells the class, and the classes."""
    images, labels = pictures(own=0.35), torch.arange(IMAGES) % CLASSES
    for image, label in zip(images, labels.tolist(), strict=True):
        image[0, 4 + 11 * label : 14 + 11 * label, 5:15] = 250
    return images, labels


def make_task(
    name: str,
    seed: int = 0,
    patients: Tensor | None = None,
    backbone: tuple[str, int] = ("resnet18", 2),
    **options: Any,
) -> Task:
    """Return task ``name`` on the first half of a ResNet-18, for 32 px images."""
    torch.manual_seed(seed)
    return build_task(
        name,
        build_backbone(*backbone),
        options=options,
        image_size=32,
        images=IMAGES,
        mean=0.45,
        std=0.25,
        patients=patients,
        batch_size=BATCH,
        labels=stand_in_labels(name, torch.arange(IMAGES), CLASSES),
        classes=CLASSES,
    )


def draws_for(task: Task, count: int, seed: int = 0) -> Tensor:
    """Return uniform numbers (count, task.draws)."""
    return torch.rand(count, task.draws, generator=torch.Generator().manual_seed(seed))


def step(task: Task, images: Tensor, number: int = 0, epoch: int = 0, epochs: int = 1) -> Step:
    """Run ``task`` forward on batch ``number`` of ``images``."""
    index = (torch.arange(BATCH) + number * BATCH) % len(images)
    return task(task.views(images[index], draws_for(task, BATCH, number)), index, epoch, epochs)


def train(task: Task, images: Tensor, steps: int, lr: float) -> list[float]:
    """Train with SGD over shuffled images; return the loss of every step."""
    optimizer = build_optimizer(task, "sgd", lr=lr, momentum=0.9, weight_decay=1e-4)
    generator = torch.Generator().manual_seed(1)
    per_epoch = len(images) // (2 * BATCH)
    epochs = -(-steps // per_epoch)
    losses = []
    for epoch in range(epochs):
        for index in torch.randperm(len(images), generator=generator).split(2 * BATCH):
            draws = torch.rand(len(index), task.draws, generator=generator)
            result = task(task.views(images[index], draws), index, epoch, epochs)
            optimizer.zero_grad()
            result.loss.backward()
            task.after_backward(epoch, epochs)
            optimizer.step()
            task.after_step(epoch + 1, epochs)
            losses.append(result.loss.item())
    return losses[:steps]


def follow_on_one_batch(task: Task, images: Tensor, steps: int = 36) -> list[Step]:
    """Train with AdamW on one batch, a teacher following from step to step; return all steps."""
    trained = [parameter for parameter in task.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-3)
    found = []
    for number in range(steps):
        found.append(step(task, images, epoch=1))
        optimizer.zero_grad()
        found[-1].loss.backward()
        optimizer.step()
        task.after_step((number + 1) / steps, 1)
    return found


def assert_same_gradients(
    loss: Tensor, task: Task, expected: Tensor, twin: Task, rtol: float = 1e-4
) -> None:
    """Fail unless the gradients of ``loss`` by ``task`` are those of ``expected`` by ``twin``."""
    ours, theirs = (
        torch.autograd.grad(one, [p for p in module.parameters() if p.requires_grad])
        for one, module in ((loss, task), (expected, twin))
    )
    for mine, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, their, rtol=rtol, atol=1e-6)
