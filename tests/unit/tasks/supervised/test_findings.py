"""Findings: the loss of what is known, its weights and chance, and the mean AUC."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional as F

from sscdl.errors import InputError
from sscdl.tasks import build_task
from sscdl.tasks.supervised.findings import balancing_weights, mean_auc
from sscdl.training.backbones import build_backbone
from tests.unit.task_helpers import draws_for, pictures

# Of three findings: the second is unknown in half of the images, the third is shown in few.
STATES = torch.tensor([[1, 0, 0], [0, -1, 0], [1, 1, 0], [0, -1, 1], [0, 0, 0], [1, -1, 0]] * 4)


def make(states=STATES, **options):
    torch.manual_seed(0)
    return build_task(
        "findings", build_backbone("resnet18", 2), options=options, image_size=32,
        images=len(states), mean=0.45, std=0.25, batch_size=8, labels=states,
    )  # fmt: skip


def loss_of(task, index):
    images = pictures(len(task.labels))[index]
    views = task.views(images, draws_for(task, len(index)))
    return task(views, index, 0, 1), views


def test_the_loss_is_the_mean_over_what_is_known_and_nothing_else():
    task, index = make(), torch.arange(8)
    step, views = loss_of(task, index)
    with torch.no_grad():
        logits = task.head(task.backbone(task.normalise(views))).double()
    known = STATES[:8] >= 0
    expected = F.binary_cross_entropy_with_logits(logits[known], (STATES[:8] == 1)[known].double())
    torch.testing.assert_close(step.loss.double(), expected, rtol=1e-5, atol=0)
    assert (step.count, step.of) == (8, 0)
    assert step.logits.shape == (8, 3)


def test_what_is_unknown_has_no_gradient_whatever_stands_there():
    task, index = make(), torch.arange(8)
    gradients = []
    for unknown in (-1, -7):
        task.labels = torch.where(STATES < 0, unknown, STATES)
        step, _ = loss_of(task, index)
        gradients.append(torch.autograd.grad(step.loss, task.head.weight)[0])
    assert torch.equal(*gradients)
    task.labels = STATES.clone()
    task.labels[:, 1] = -1
    step, _ = loss_of(task, index)
    (gradient,) = torch.autograd.grad(step.loss, task.head.weight)
    assert [bool(row.any()) for row in gradient] == [True, False, True]


def test_a_batch_of_which_nothing_is_known_costs_nothing():
    step, _ = loss_of(make(torch.full((8, 2), -1)), torch.arange(8))
    assert step.loss.item() == 0


def test_balancing_weights_make_both_sides_of_a_finding_count_alike():
    weights = balancing_weights(STATES)
    for column, (absent, shown) in zip(STATES.T, weights.T, strict=True):
        sides = [
            float(weight * (column == side).sum()) for side, weight in enumerate((absent, shown))
        ]
        assert sides[0] == pytest.approx(sides[1])
        assert sum(sides) == pytest.approx(float((column >= 0).sum()))
    one_sided = balancing_weights(torch.tensor([[0, 1], [0, 0], [-1, 1]]))
    assert one_sided[:, 0].tolist() == [1, 1]


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_chance_is_the_loss_of_the_best_constant(weights):
    task = make(finding_weights=weights)
    known = STATES >= 0
    sides = task.weights

    def loss(shares):
        chances = torch.tensor(shares).expand(len(STATES), -1)
        losses = F.binary_cross_entropy(chances, (STATES == 1).float(), reduction="none")
        return float((torch.where(STATES == 1, sides[1], sides[0]) * losses)[known].mean())

    best = [
        float(w[1] * (s == 1).sum() / (w[1] * (s == 1).sum() + w[0] * (s == 0).sum()))
        for s, w in zip(STATES.T, sides.T, strict=True)
    ]
    assert task.chance_loss == pytest.approx(loss(best), rel=1e-5)
    assert all(loss([min(p + d, 0.99) for p in best]) > task.chance_loss for d in (0.05, -0.05))
    if weights == "balanced":
        assert task.chance_loss == pytest.approx(math.log(2), rel=1e-5)


def test_mean_auc_is_that_of_scikit_learn_over_what_is_known():
    chance = np.random.default_rng(0)
    scores = torch.tensor(chance.integers(0, 6, (60, 4)) / 2.0)  # with ties
    states = torch.tensor(chance.integers(-1, 2, (60, 4)))
    states[:, 3] = 0  # nobody has the last one
    expected = [
        roc_auc_score(state[state >= 0], score[state >= 0])
        for score, state in zip(scores.T[:3], states.T[:3], strict=True)
    ]
    assert mean_auc(scores, states) == pytest.approx(np.mean(expected))
    scrambled = torch.where(states < 0, torch.rand_like(scores), scores)
    assert mean_auc(scrambled, states) == mean_auc(scores, states)
    assert mean_auc(torch.zeros(60, 4), states) == 0.5
    assert math.isnan(mean_auc(scores, states * 0))


def test_validation_without_both_sides_of_any_finding_ends_the_run_by_name():
    task = make(torch.zeros(8, 2, dtype=torch.long))
    with pytest.raises(InputError, match="findings: none of them is both shown and absent"):
        task.measures(torch.randn(8, 2), torch.arange(8))
    task = make()
    assert task.measures(torch.full((24, 3), math.nan), torch.arange(24)) == {"mean_auc": None}


def test_two_ranks_weigh_what_each_knows_as_one_process_does(monkeypatch):
    # One rank knows of all three findings of its images, the other of two.
    task, index = make(), torch.arange(8)
    whole, _ = loss_of(task, index)
    known = (STATES[:8] >= 0).sum()
    monkeypatch.setattr("sscdl.training.ranks.world", lambda: 2)
    monkeypatch.setattr("sscdl.training.ranks.summed", lambda own: known.float())
    parts = []
    images = pictures(len(STATES))
    draws = draws_for(task, 8)
    task.backbone.eval()  # batch statistics are another matter
    for part in (index[::2], index[1::2]):  # all three are known of each of the first
        views = task.views(images[part], draws[part])
        parts.append(task(views, part, 0, 1).loss)
    monkeypatch.undo()
    views = task.views(images[index], draws)
    torch.testing.assert_close(sum(parts) / 2, task(views, index, 0, 1).loss)
    assert whole.loss.isfinite()
