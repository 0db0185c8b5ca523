"""BYOL: the step against an independent implementation, and the traps of its teacher."""

from __future__ import annotations

import copy

import pytest
import torch

from sscdl.errors import InputError
from sscdl.study.config import check_config, load_schema
from sscdl.study.reference import SCHEMA
from sscdl.training.optim import build_optimizer
from tests.unit.lightly_reference import NegativeCosineSimilarity
from tests.unit.task_helpers import (
    BATCH,
    assert_same_gradients,
    draws_for,
    make_task,
    pictures,
    step,
    train,
)

SMALL = {"dimension": 24, "hidden": 32}


def pairs(task):
    return (task.teacher_backbone, task.backbone), (task.teacher_head, task.head)


def test_a_step_is_the_sum_of_both_directions_of_two_minus_two_cosines():
    task, images = make_task("byol", **SMALL), pictures()
    train(task, images, steps=3, lr=0.05)  # after which the teacher is another network
    twin = copy.deepcopy(task)
    result = step(task, images)
    views = twin.views(images[:BATCH], draws_for(twin, BATCH))
    one, two = (twin.predictor(twin.head(twin.backbone(twin.normalise(v)))) for v in views)
    first, second = (twin.teacher_head(twin.teacher_backbone(twin.normalise(v))) for v in views)
    theirs = NegativeCosineSimilarity()
    expected = 4 + 2 * theirs(one, second) + 2 * theirs(two, first)
    assert result.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert_same_gradients(result.loss, task, expected, twin)


def test_the_teacher_begins_as_a_copy_of_backbone_and_projector_and_has_no_predictor():
    task = make_task("byol", **SMALL)
    for teacher, student in pairs(task):
        for one, two in zip(teacher.parameters(), student.parameters(), strict=True):
            assert torch.equal(one, two)
            assert one.data_ptr() != two.data_ptr()
    assert not [key for key in task.state_dict() if "teacher_predictor" in key]


def test_the_teacher_is_not_optimised_and_has_no_gradient():
    task = make_task("byol", **SMALL)
    step(task, pictures()).loss.backward()
    for teacher, student in pairs(task):
        assert all(p.grad is None for p in teacher.parameters())
        assert all(p.grad is not None for p in student.parameters())
    held = build_optimizer(task, "sgd", 0.1, 0.9, 0.0).param_groups[0]["params"]
    trained = (task.backbone, task.head, task.predictor)
    assert len(held) == sum(len(list(part.parameters())) for part in trained)


def test_after_a_step_that_keeps_nothing_the_teacher_is_the_student():
    task = make_task("byol", momentum=0.0, **SMALL)
    with torch.no_grad():
        for parameter in task.parameters():
            if parameter.requires_grad:
                parameter.mul_(1.5)
    task.after_step(0, 10)
    for teacher, student in pairs(task):
        for one, two in zip(teacher.parameters(), student.parameters(), strict=True):
            torch.testing.assert_close(one, two)
    before = copy.deepcopy(task.teacher_head.state_dict())
    with torch.no_grad():
        task.head[0].weight.mul_(2)
    task.after_step(10, 10)  # all is kept with the last step
    for key, value in task.teacher_head.state_dict().items():
        torch.testing.assert_close(value, before[key])


def test_half_way_a_teacher_that_keeps_half_at_first_keeps_three_quarters():
    task = make_task("byol", momentum=0.5, **SMALL)
    before = [[one.clone() for one in teacher.parameters()] for teacher, _ in pairs(task)]
    with torch.no_grad():
        for _, student in pairs(task):
            for parameter in student.parameters():
                parameter.add_(1.0)
    task.after_step(5, 10)
    for (teacher, _), were in zip(pairs(task), before, strict=True):
        for one, was in zip(teacher.parameters(), were, strict=True):
            torch.testing.assert_close(one, was + 0.25)


def test_the_teacher_normalises_by_the_batch_and_averages_statistics_of_its_own():
    task, images = make_task("byol", **SMALL), pictures()
    with torch.no_grad():
        task.backbone.conv1.weight.mul_(3)  # the student's statistics are others
    step(task, images)
    mine, students = (net.bn1.running_mean for net in (task.teacher_backbone, task.backbone))
    assert mine.abs().sum() > 0
    assert not torch.allclose(mine, students)
    views = task.views(images[:BATCH], draws_for(task, BATCH))
    # By the batch: running statistics that are far off change nothing in training.
    losses = []
    for shift in (0, 100):
        task.teacher_backbone.bn1.running_mean.fill_(shift)
        losses.append(task(views, torch.arange(BATCH), 0, 1).loss.item())
    assert losses[0] == losses[1]


def test_asymmetric_views_blur_the_first_always_and_the_second_rarely():
    images = pictures(count=400, size=16)
    draws = torch.rand(400, 20, generator=torch.Generator().manual_seed(0))
    still = {"rotation": 0.0, "brightness": 0.0, "contrast": 0.0, "gamma": 0.0, "flip": False}
    sharp = make_task("byol", **still, **SMALL).views(images, draws)
    kept = draws.clone()
    blurred = make_task("byol", asymmetric=True, blur=6.0, **still, **SMALL).views(images, draws)
    assert torch.equal(draws, kept)
    changed = [
        (one - two).abs().amax(dim=(1, 2, 3)) > 1e-3
        for one, two in zip(sharp, blurred, strict=True)
    ]
    assert changed[0].float().mean() > 0.9
    assert 0.05 < changed[1].float().mean() < 0.15


def test_asymmetric_views_need_a_blur():
    config = {"study": "x", "dataset": {"layout": "phantom"}, "curricula": ["scratch"]}
    config["stages"] = {"byol": {"options": {"asymmetric": True}}}
    with pytest.raises(InputError, match=r"stages\.byol\.options\.asymmetric: .*give options\.bl"):
        check_config(config, load_schema(SCHEMA))


def test_it_learns_to_tell_images_apart():
    options = {"momentum": 0.9, "crop": [0.6, 1.0], "flip": False}
    task, images = make_task("byol", **options, **SMALL), pictures()
    before = step(task, images)
    train(task, images, steps=60, lr=0.05)
    after = step(task, images)
    assert after.loss < before.loss - 0.8
    assert after.floor - after.loss > before.floor - before.loss + 0.2
    assert after.correct > before.correct
