"""DINO: the step against an independent implementation, and what keeps it from collapse."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch.nn import functional as F

from sscdl.errors import InputError
from sscdl.study.config import check_config, load_schema
from sscdl.study.reference import SCHEMA
from tests.unit.lightly_reference import DINOLoss
from tests.unit.task_helpers import (
    BATCH,
    IMAGES,
    assert_same_gradients,
    draws_for,
    follow_on_one_batch,
    make_task,
    pictures,
    step,
    train,
)

SMALL = {"prototypes": 12, "hidden": 16, "dimension": 16, "local_crops": 2}


def scores_of(task, images):
    """Return the scores of each crop by the student and of global ones by the teacher."""
    u = draws_for(task, BATCH).chunk(task.crops, dim=1)
    large = torch.cat([task.augment(images[:BATCH], one) for one in u[:2]])
    small = torch.cat([task.augment_local(images[:BATCH], one) for one in u[2:]])
    student = torch.cat([task.head(task.backbone(task.normalise(v))) for v in (large, small)])
    with torch.no_grad():
        teacher = task.teacher_head(task.teacher_backbone(task.normalise(large)))
    return list(student.chunk(task.crops)), list(teacher.chunk(2))


def test_loss_gradients_and_centre_are_those_of_lightly():
    task, images = make_task("dino", warmup=0.0, **SMALL), pictures()
    train(task, images, steps=3, lr=0.05)  # after which teacher and centre are others
    twin = copy.deepcopy(task)
    theirs = DINOLoss(12, teacher_temp=0.07, student_temp=0.1)
    theirs.center.copy_(twin.centre)
    result = step(task, images)
    student, teacher = scores_of(twin, images)
    expected = theirs(teacher, student)
    assert result.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(task.centre, theirs.center.flatten())
    assert not torch.equal(task.centre, twin.centre)
    assert_same_gradients(result.loss, task, expected, twin)


def test_a_crop_is_told_by_what_the_teacher_sees_in_the_other_one():
    """Not by its own code, which would need nothing but the crop itself."""
    task = make_task("dino", **SMALL)
    own, other = torch.eye(12)[:4], torch.eye(12)[4:8]  # codes of the two global crops of 4 images
    for first, second, right in ((other, own, 8), (own, other, 0)):
        scores = [10 * first, 10 * second]
        _, told = task._beside_others(scores, [own, other], torch.arange(4))
        assert told.sum() == right


def test_the_head_begins_with_narrow_weights_and_without_biases():
    """As in the authors' code; torch's own beginning is five times as wide at this width."""
    task = make_task("dino", prototypes=12, hidden=128, dimension=64)
    for layer in task.head.layers[::2]:
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
        assert not layer.bias.any()


def test_the_code_of_another_image_of_the_patient_does_not_count():
    task = make_task("dino", patients=torch.tensor([0, 0, *range(1, IMAGES - 1)]), **SMALL)
    codes = torch.eye(12)[:4]
    taken = codes[[1, 0, 2, 3]]  # the first two are told by each other's code
    _, told = task._beside_others([10 * taken, 10 * taken], [codes, codes], torch.arange(4))
    assert told.sum() == 4, "images 2 and 3, in both crops; of the first two the own code is far"
    near = 10 * taken + 9.9 * codes
    _, told = task._beside_others([near, near], [codes, codes], torch.arange(4))
    assert told.sum() == 8
    alone = make_task("dino", **SMALL)
    _, told = alone._beside_others([near, near], [codes, codes], torch.arange(4))
    assert told.sum() == 4


def test_prototypes_have_length_one_whatever_their_weights():
    task = make_task("dino", **SMALL)
    features = torch.randn(4, 128)
    before = task.head(features)
    with torch.no_grad():
        task.head.prototypes.weight.mul_(7)
    torch.testing.assert_close(task.head(features), before)
    assert before.abs().max() <= 1 + 1e-6
    assert task.head.prototypes.bias is None


def test_the_teacher_begins_as_a_copy_has_no_gradient_and_follows_by_step():
    task, images = make_task("dino", momentum=0.5, **SMALL), pictures()
    for teacher, student in (
        (task.teacher_backbone, task.backbone),
        (task.teacher_head, task.head),
    ):
        for one, two in zip(teacher.parameters(), student.parameters(), strict=True):
            assert torch.equal(one, two)
    step(task, images).loss.backward()
    assert all(p.grad is None for p in task.teacher_backbone.parameters())
    before = task.teacher_head.layers[0].weight.clone()
    with torch.no_grad():
        task.head.layers[0].weight.add_(1.0)
    task.after_step(1, 2)  # half-way, three quarters are kept
    torch.testing.assert_close(task.teacher_head.layers[0].weight, before + 0.25)


def test_centring_keeps_one_prototype_from_taking_all():
    """Without it a teacher that names one for all images goes on naming it."""
    task, images = make_task("dino", **SMALL), pictures()
    with torch.no_grad():
        task.teacher_head.layers[-1].bias.copy_(100 * task.teacher_head.prototypes.weight[3])
    index = torch.arange(BATCH)
    shares = []
    for number in range(40):
        views = task.views(images[index], draws_for(task, BATCH, number))
        with torch.no_grad():
            seen = task.teacher_head(task.teacher_backbone(task.normalise(views[0])))
            shares.append(F.softmax((seen - task.centre) / 0.04, dim=1)[:, 3].mean().item())
            task(views, index, 0, 1)
    assert shares[0] > 0.9
    assert shares[-1] < 0.3


def test_the_temperature_of_the_teacher_rises_over_a_share_of_the_epochs():
    task = make_task("dino", warmup=0.3, teacher_temperature=[0.04, 0.07], **SMALL)
    found = [task.teacher_temperature(epoch, 10) for epoch in range(10)]
    assert found == pytest.approx([0.04, 0.055, *[0.07] * 8])
    assert task.teacher_temperature(10, 10) == 0.07  # in evaluation
    still = make_task("dino", warmup=0.0, **SMALL)
    assert still.teacher_temperature(0, 10) == 0.07


@pytest.mark.parametrize(("freeze", "frozen"), [(0.25, 2), (0.05, 0), (0.0, 0)])
def test_prototypes_are_frozen_for_whole_epochs(freeze, frozen):
    task = make_task("dino", freeze=freeze, **SMALL)
    held = []
    for epoch in range(8):
        task.head.prototypes.weight.grad = torch.ones_like(task.head.prototypes.weight)
        task.after_backward(epoch, 8)
        held.append(task.head.prototypes.weight.grad is None)
    assert held == [True] * frozen + [False] * (8 - frozen)


def test_a_teacher_that_is_no_sharper_is_refused():
    config = {"study": "x", "dataset": {"layout": "phantom"}, "curricula": ["scratch"]}
    config["stages"] = {"dino": {"options": {"temperature": 0.05}}}
    with pytest.raises(InputError, match=r"stages\.dino\.options\.teacher_temperature: .*0\.05"):
        check_config(config, load_schema(SCHEMA))


def test_evaluation_leaves_the_centre():
    task, images = make_task("dino", **SMALL), pictures()
    step(task, images)
    before = task.centre.clone()
    task.eval()
    step(task, images, 1)
    assert torch.equal(task.centre, before)


def test_the_floor_is_the_loss_with_codes_of_other_images_and_patients_are_known():
    task, images = make_task("dino", patients=torch.arange(IMAGES) // 2, **SMALL), pictures()
    train(task, images, steps=3, lr=0.05)
    task.eval()
    result = step(task, images)
    student, teacher = scores_of(task, images)
    codes = [F.softmax((one - task.centre) / 0.07, dim=1) for one in teacher]
    places = torch.tensor([2, 2, 4, 4, 6, 6, 0, 0])  # the next of another patient
    terms = [
        -(code[places] * (score / 0.1).log_softmax(1)).sum(1).mean()
        for source, code in enumerate(codes)
        for crop, score in enumerate(student)
        if crop != source
    ]
    assert task.metric == "accuracy"
    expected = torch.stack(terms).mean().item()
    assert step(task, images, epoch=1).floor.item() == pytest.approx(expected, rel=1e-4)
    assert 0 <= result.correct <= result.of == 2 * BATCH


def test_a_vision_transformer_takes_crops_of_both_sizes():
    task = make_task("dino", backbone=("test_vit", 4), **SMALL)
    result = step(task, pictures())
    assert result.loss.isfinite()
    result.loss.backward()
    assert all(p.grad is not None for p in task.parameters() if p.requires_grad)


def test_it_learns_to_tell_images_apart():
    """The loss is no sign of it: it rises to chance at first, while the centre settles."""
    options = {"hidden": 32, "prototypes": 24, "local_crops": 0, "crop": [0.6, 1.0]}
    task, images = make_task("dino", momentum=0.9, dimension=16, **options), pictures()
    assert task.chance_loss == pytest.approx(math.log(24))
    found = follow_on_one_batch(task, images)
    apart = [(one.floor - one.loss).item() for one in found]
    right = [one.correct.item() for one in found]
    assert apart[0] < 0.1
    assert apart[-1] > 0.2
    assert max(right[-12:]) > 5, "of 16, by chance 2"
