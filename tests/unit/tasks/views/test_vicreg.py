"""VICReg: the loss, against the formula, an independent implementation and what it must do."""

from __future__ import annotations

import pytest
import torch

from sscdl.tasks.views.vicreg import spread_and_redundancy
from tests.unit.lightly_reference import VICRegLoss
from tests.unit.task_helpers import BATCH, IMAGES, make_task, pictures, step, train


def embeddings(count=8, dimension=6, seed=0, scale=0.5):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(count, dimension, generator=generator, dtype=torch.float64)


def test_the_two_terms_are_those_of_the_formula():
    x = embeddings()
    spread, redundancy = spread_and_redundancy(x)
    covariance = torch.cov(x.T)
    assert spread.item() == pytest.approx((1 - (x.var(dim=0) + 1e-4).sqrt()).clamp(min=0).mean())
    between = covariance - covariance.diag().diag()
    assert redundancy.item() == pytest.approx(between.square().sum().item() / 6)


def test_the_loss_is_that_of_lightly(monkeypatch):
    task = make_task("vicreg")
    first, second = embeddings(seed=1), embeddings(seed=2)
    given = iter((first, second))
    monkeypatch.setattr(task, "_embed", lambda _: next(given))
    assert step(task, pictures()).loss.item() == pytest.approx(VICRegLoss()(first, second).item())


def test_a_short_last_batch_has_no_covariances_by_chance(monkeypatch):
    """By chance they are as large as those of a whole batch, and not several times as large."""
    losses = {}
    for count in (2, 4, BATCH):
        task = make_task("vicreg", invariance=0.0, variance=1e-9)
        losses[count] = 0.0
        for seed in range(40):
            given = iter(embeddings(count, 64, seed=seed).chunk(1) * 2)
            monkeypatch.setattr(task, "_embed", lambda _, given=given: next(given))
            losses[count] += task((None, None), torch.arange(count), 0, 1).loss.item()
    assert losses[2] == pytest.approx(losses[BATCH], rel=0.2)
    assert losses[4] == pytest.approx(losses[BATCH], rel=0.2)


def test_a_network_with_one_embedding_for_all_has_the_loss_of_chance():
    task = make_task("vicreg", dimension=16)
    with torch.no_grad():
        task.head[-1].weight.zero_()
    assert step(task, pictures()).loss.item() == pytest.approx(task.chance_loss, rel=1e-6)


def test_a_network_that_was_not_trained_is_near_it():
    """Not at it: its embeddings differ a little from image to image."""
    task = make_task("vicreg")
    assert 0.8 < step(task, pictures()).loss.item() / task.chance_loss < 1.1


def test_a_batch_of_one_image_has_a_loss():
    task = make_task("vicreg", dimension=16).eval()
    draws = torch.rand(1, task.draws, generator=torch.Generator().manual_seed(0))
    assert task(task.views(pictures()[:1], draws), torch.arange(1), 0, 1).loss.isfinite()


def test_training_spreads_the_embeddings_and_keeps_views_together():
    task, images = make_task("vicreg", dimension=32), pictures()
    draws = torch.rand(IMAGES, task.draws, generator=torch.Generator().manual_seed(3))
    views = task.views(images, draws)

    def looked_at() -> tuple[float, float]:
        """Return the loss, and the distance of an image's views beside that of two images'."""
        task.eval()
        with torch.no_grad():
            loss = task(views, torch.arange(IMAGES), 0, 1).loss.item()
            first, second = map(task._embed, views)
        task.train()
        own, other = (first - second), (first - second.roll(1, dims=0))
        return loss, (own.square().mean() / other.square().mean()).item()

    before = looked_at()
    train(task, images, steps=150, lr=0.005)
    after = looked_at()
    assert after[0] < 0.9 * before[0]
    assert after[1] < 0.85 * before[1]
