"""SimCLR: the step against an independent implementation, and what it must not be taught by."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.unit.lightly_reference import NTXentLoss
from tests.unit.task_helpers import BATCH, IMAGES, draws_for, make_task, pictures, step, train

SMALL = {"dimension": 16}


def test_a_step_is_the_cross_entropy_of_both_views_in_one_batch():
    task, images = make_task("simclr", temperature=0.3, **SMALL), pictures()
    result = step(task, images)
    views = task.views(images[:BATCH], draws_for(task, BATCH))
    # One batch, and so one mean and variance: by themselves, views would have others.
    with torch.no_grad():
        both = task.head(task.backbone(task.normalise(torch.cat(views))))
        apart = [task.head(task.backbone(task.normalise(view))) for view in views]
        theirs = NTXentLoss(temperature=0.3)
        assert result.loss.item() == pytest.approx(theirs(*both.chunk(2)).item(), rel=1e-5)
        assert result.loss.item() != pytest.approx(theirs(*apart).item(), rel=1e-3)
    assert (result.count, result.of) == (BATCH, 2 * BATCH)


def test_images_of_the_same_patient_are_no_negatives():
    patients = torch.arange(IMAGES) // 3
    task, images = make_task("simclr", patients=patients, **SMALL), pictures()
    index = torch.tensor([0, 1, 5, 9])  # the first two are of one
    views = task.views(images[index], draws_for(task, 4))
    result = task(views, index, 0, 1)
    scores = (lambda z: z @ z.T / task.temperature)(task._embed(views).detach())
    losses = []
    for anchor in range(8):
        others = [k for k in range(8) if k % 4 != anchor % 4]
        negatives = [k for k in others if {k % 4, anchor % 4} != {0, 1}]
        positive = (anchor + 4) % 8
        losses.append(
            scores[anchor, [positive, *negatives]].logsumexp(0) - scores[anchor, positive]
        )
    assert result.loss.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


@pytest.mark.parametrize("count", [3, 4, 8])
def test_a_network_that_knows_nothing_is_at_the_floor_however_few_images_there_are(count):
    """Chance is that of a whole batch without images of one patient."""
    task, index = (
        make_task("simclr", patients=torch.arange(IMAGES) // 2, **SMALL),
        torch.arange(count),
    )
    task._embed = lambda views: torch.ones(2 * count, 16) / 4
    result = task.eval()((None, None), index, 0, 1)
    assert result.loss.item() == pytest.approx(result.floor.item(), rel=1e-6)
    assert result.loss.item() < task.chance_loss


def test_the_floor_has_another_patients_view_in_the_place_of_the_right_one(monkeypatch):
    task = make_task("simclr", patients=torch.tensor([0, 0, 1, 2]), temperature=0.5, **SMALL)
    z = torch.nn.functional.normalize(torch.randn(8, 16), dim=1)
    monkeypatch.setattr(task, "_embed", lambda views: z)
    result = task.eval()((None, None), torch.arange(4), 0, 1)
    scores = z @ z.T / 0.5
    # The other view of the next of another patient.
    others = {0: 6, 1: 6, 2: 7, 3: 4, 4: 2, 5: 2, 6: 3, 7: 0}
    losses = []
    for anchor, wrong in others.items():
        left_out = {anchor} | ({1 - anchor % 4, 5 - anchor % 4} if anchor % 4 < 2 else set())
        kept = [k for k in range(8) if k not in left_out]
        losses.append(scores[anchor, kept].logsumexp(0) - scores[anchor, wrong])
    assert result.floor.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


def test_an_image_that_is_twice_in_a_batch_is_its_own_positive():
    task, images = make_task("simclr", **SMALL), pictures()
    index = torch.tensor([0, 0, 1, 2])
    result = task(task.views(images[index], draws_for(task, 4)), index, 0, 1)
    everyone = task._embed(task.views(images[index], draws_for(task, 4))).detach()
    rows = index.repeat(2)
    scores = (everyone @ everyone.T / task.temperature).fill_diagonal_(-math.inf)
    shares = scores.log_softmax(dim=1)
    positive = (rows[:, None] == rows) & ~torch.eye(8, dtype=torch.bool)
    wanted = -torch.stack([shares[k][positive[k]].mean() for k in range(8)]).mean()
    assert result.loss.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_chance_counts_the_other_views_of_a_whole_batch():
    task = make_task("simclr", **SMALL)
    assert task.chance_loss == pytest.approx(math.log(2 * BATCH - 1))
    with torch.no_grad():
        task.head[-1].weight.zero_()
    assert step(task, pictures()).loss.item() == pytest.approx(task.chance_loss, rel=1e-6)


def test_learns_well_below_chance_and_tells_views_apart():
    task = make_task("simclr", crop=[0.6, 1.0], flip=False, **SMALL)
    images = pictures()
    before = step(task, images)
    losses = train(task, images, steps=36, lr=0.05)
    after = step(task, images)
    chance = math.log(4 * BATCH - 1)  # of batches of twice the size
    assert np.mean(losses[-6:]) < 0.75 * chance
    assert after.correct > before.correct
