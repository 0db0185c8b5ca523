from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sscdl._torchvision import torchvision
from sscdl.errors import InputError
from sscdl.tasks import build_task
from sscdl.tasks.supervised.classify import balanced_weights
from sscdl.training.augment import center_resize
from sscdl.training.backbones import build_backbone
from tests.unit.task_helpers import (
    BATCH,
    CLASSES,
    class_pictures,
    draws_for,
    make_task,
    pictures,
    step,
    train,
)


def uneven(training_rows=None, class_weights="balanced", labels=None):
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2]) if labels is None else labels
    torch.manual_seed(0)
    return build_task(
        "classify",
        build_backbone("resnet18", 2),
        options={"class_weights": class_weights},
        image_size=32,
        images=8,
        mean=0.45,
        std=0.25,
        batch_size=8,
        labels=labels,
        classes=3,
        training_rows=training_rows,
    )


def test_evaluation_sees_the_whole_image_without_augmentation():
    task, images = make_task("classify").eval(), pictures()
    with torch.no_grad():
        results = [
            task(
                task.views(images[:BATCH], draws_for(task, BATCH, seed)), torch.arange(BATCH), 0, 1
            )
            for seed in range(2)
        ]
        views = (center_resize(images[:BATCH], 32) - 0.45) / 0.25
        expected = task.head(task.backbone(views.repeat(1, 3, 1, 1)))
    torch.testing.assert_close(results[0].logits, expected)
    assert torch.equal(results[0].logits, results[1].logits)


def test_training_augments_and_scores():
    task, images = make_task("classify"), pictures()
    a = step(task, images, 0)
    b = task(task.views(images[:BATCH], draws_for(task, BATCH, 5)), torch.arange(BATCH), 0, 1)
    assert not torch.allclose(a.logits, b.logits)
    truth = torch.arange(BATCH) % CLASSES
    torch.testing.assert_close(a.loss.detach(), F.cross_entropy(a.logits, truth))
    assert a.correct.item() == (a.logits.argmax(dim=1) == truth).sum().item()
    assert (a.count, a.of) == (BATCH, BATCH)
    assert not a.logits.requires_grad
    assert task.chance_loss == pytest.approx(math.log(CLASSES))
    assert task.metric == "balanced_accuracy"


def test_balanced_weights_even_out_classes():
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    weights = balanced_weights(labels, 3)
    assert weights[labels].mean().item() == pytest.approx(1)
    totals = torch.bincount(labels, weights=weights[labels])
    torch.testing.assert_close(totals, totals[0].expand(3))
    with pytest.raises(InputError, match=r"\[3\]"):
        balanced_weights(labels, 4)


def test_class_weights_count_training_rows_only_and_enter_the_loss():
    images, index = pictures(8), torch.arange(8)
    task = uneven(training_rows=torch.tensor([0, 1, 5, 6, 7]))
    torch.testing.assert_close(task.weights, 5 / 3 / torch.tensor([2.0, 2.0, 1.0]))
    task = uneven()
    result = task(task.views(images, draws_for(task, 8)), index, 0, 1)
    log_p = result.logits.log_softmax(dim=1).numpy()
    weight = 8 / 3 / np.array([5, 2, 1])
    truth = task.labels.numpy()
    expected = np.mean([-weight[y] * log_p[i, y] for i, y in enumerate(truth)])
    assert result.loss.item() == pytest.approx(expected, rel=1e-5)
    assert torch.equal(uneven(class_weights="none").weights, torch.ones(3))


def test_labels_are_looked_up_by_row():
    task, images = make_task("classify").eval(), pictures()
    rows = torch.tensor([40, 3, 17, 5, 6, 30, 31, 32])
    with torch.no_grad():
        result = task(task.views(images[rows], draws_for(task, 8)), rows, 0, 1)
    torch.testing.assert_close(result.loss, F.cross_entropy(result.logits, rows % CLASSES))


def test_needs_labels():
    with pytest.raises(InputError, match="labels"):
        build_task("classify", build_backbone("resnet18", 2), options={}, image_size=32, images=8,
                   mean=0.5, std=0.2, batch_size=8)  # fmt: skip


@pytest.mark.parametrize(("name", "layer"), [("resnet18", "fc"), ("densenet121", "classifier")])
def test_finished_classifier_loads_into_torchvision(name, layer):
    task = build_task(
        "classify",
        build_backbone(name),
        options={},
        image_size=64,
        images=8,
        mean=0.5,
        std=0.2,
        batch_size=8,
        labels=torch.arange(8) % 4,
        classes=4,
    )
    theirs = getattr(torchvision.models, name)(num_classes=4)
    theirs.load_state_dict(task.classifier_state(), strict=True)
    x = torch.randn(2, 3, 64, 64)
    task.eval()
    theirs.eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs(x), task.head(task.backbone(x)))
        assert torch.equal(getattr(theirs, layer).weight, task.head.weight)


def test_learns_well_below_chance():
    images, _ = class_pictures()
    task = make_task("classify", flip=False)
    losses = train(task, images, steps=24, lr=0.02)
    assert np.mean(losses[-4:]) < 0.4 * task.chance_loss
