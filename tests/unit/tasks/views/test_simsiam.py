"""SimSiam: the step against an independent implementation, and what keeps it from collapse."""

from __future__ import annotations

import pytest
import torch

from sscdl.training.optim import build_optimizer, set_rates
from sscdl.training.schedule import Schedule
from tests.unit.lightly_reference import NegativeCosineSimilarity
from tests.unit.task_helpers import BATCH, draws_for, make_task, pictures, step, train

SMALL = {"dimension": 32, "hidden": 16}


def test_a_step_is_one_plus_half_the_negative_cosine_of_each_direction():
    task, images = make_task("simsiam", **SMALL), pictures()
    result = step(task, images)
    views = task.views(images[:BATCH], draws_for(task, BATCH))
    first, second = (task.head(task.backbone(task.normalise(view))) for view in views)
    theirs = NegativeCosineSimilarity()
    one = theirs(task.predictor(first), second.detach())
    two = theirs(task.predictor(second), first.detach())
    expected = 1 + (one + two) / 2
    assert result.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    parameters = [p for p in task.parameters() if p.requires_grad]
    ours, wanted = (torch.autograd.grad(x, parameters) for x in (result.loss, expected))
    for mine, their in zip(ours, wanted, strict=True):
        torch.testing.assert_close(mine, their, rtol=1e-4, atol=1e-6)


class Given(torch.nn.Module):
    """What hands out embeddings, whatever it is shown."""

    def __init__(self, embeddings):
        super().__init__()
        self.left = iter(embeddings)

    def forward(self, x):
        return next(self.left)


def test_targets_have_no_gradient():
    """Without the stop, one embedding for all is where the gradient leads."""
    task = make_task("simsiam", **SMALL)
    embeddings = [torch.randn(8, 32).requires_grad_() for _ in range(2)]
    task.head, task.predictor = Given(embeddings), torch.nn.Identity()
    loss = step(task, pictures()).loss
    # Each is the target of the other: with a stop, its slope is that of half the loss.
    (slope,) = torch.autograd.grad(loss, embeddings[0])
    half = torch.cosine_similarity(embeddings[0], embeddings[1].detach()).mean() / 2
    torch.testing.assert_close(slope, -torch.autograd.grad(half, embeddings[0])[0])


def test_the_last_norm_of_the_projector_neither_scales_nor_shifts():
    task, images = make_task("simsiam", **SMALL), pictures()
    train(task, images, steps=4, lr=0.05)
    last = task.head[-1]
    assert torch.equal(last.weight, torch.ones(32))
    assert torch.equal(last.bias, torch.zeros(32))
    assert task.head[-2].bias is None
    found = task.head(torch.randn(64, 128))
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(32), atol=1e-5, rtol=0)
    held = build_optimizer(task, "sgd", 0.1, 0.9, 0.0, own=task.trained_otherwise()).param_groups
    assert not any(p is last.weight or p is last.bias for group in held for p in group["params"])


def test_the_rate_of_the_predictor_does_not_fall():
    task = make_task("simsiam", **SMALL)
    schedule = Schedule("sgd", 0.4, 0.9, 1e-4, BATCH, 10, "cosine")
    optimizer = build_optimizer(task, "sgd", 0.4, 0.9, 1e-4, own=task.trained_otherwise())
    set_rates(optimizer, schedule, 9.9)
    rates = {
        name: group["lr"]
        for group in optimizer.param_groups
        for name, parameter in task.named_parameters()
        for p in group["params"]
        if p is parameter
    }
    for name, rate in rates.items():
        assert rate == 0.4 if name.startswith("predictor") else rate < 0.001, name


def test_rates_are_compared_by_what_collapse_does_not_improve():
    task = make_task("simsiam", **SMALL)
    assert task.metric == "accuracy"
    with torch.no_grad():
        task.predictor[-1].weight.zero_()  # one prediction for all
    assert step(task, pictures()).correct <= 4, "of 16, by chance 2"


def test_it_learns_to_tell_images_apart():
    task, images = make_task("simsiam", crop=[0.6, 1.0], flip=False, **SMALL), pictures()
    before = step(task, images)
    train(task, images, steps=60, lr=0.05)
    after = step(task, images)
    assert after.loss < before.loss - 0.2
    assert after.floor - after.loss > before.floor - before.loss + 0.1
