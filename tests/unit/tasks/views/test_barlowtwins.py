"""Barlow Twins: the loss against an independent implementation, the formula and its traps."""

from __future__ import annotations

import pytest
import torch

from sscdl.tasks.views.barlowtwins import cross_correlation
from tests.unit.lightly_reference import BarlowTwinsLoss
from tests.unit.task_helpers import BATCH, draws_for, make_task, pictures, step


def embeddings(count=8, dimension=6, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(count, dimension, generator=generator, dtype=dtype)
    return shared + 3 * torch.arange(dimension, dtype=dtype)  # means far from 0


def loss_of(task, monkeypatch, first, second):
    given = iter((first, second))
    monkeypatch.setattr(task, "_embed", lambda _: next(given))
    return task((None, None), torch.arange(len(first)), 0, 1).loss


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_loss_and_gradients_are_those_of_lightly(monkeypatch, dtype, rounding):
    task = make_task("barlowtwins", redundancy=0.02)
    first, second = (embeddings(seed=seed, dtype=dtype).requires_grad_() for seed in (1, 2))
    ours = loss_of(task, monkeypatch, first, second)
    theirs = BarlowTwinsLoss(lambda_param=0.02)(first, second)
    assert ours.item() == pytest.approx(theirs.item(), rel=rounding)
    slopes = (torch.autograd.grad(loss, (first, second)) for loss in (ours, theirs))
    for one, two in zip(*slopes, strict=True):
        # Gradients are small beside what cancels in them: the divisor is that of the embeddings.
        assert (one - two).norm() < 10 * rounding * two.norm()


def test_correlations_are_those_of_numpys_definition():
    first, second = embeddings(seed=1), embeddings(seed=2)
    both = torch.corrcoef(torch.cat([first, second], dim=1).T)
    torch.testing.assert_close(cross_correlation(first, second), both[:6, 6:], atol=1e-4, rtol=0)
    assert not cross_correlation(first, torch.ones(8, 6).double()).any()


def test_the_scale_of_the_embedding_does_not_matter_but_which_numbers_agree_does(monkeypatch):
    task = make_task("barlowtwins", redundancy=0.02)
    first, second = embeddings(seed=1), embeddings(seed=2)
    plain = loss_of(task, monkeypatch, first, second).item()
    assert loss_of(task, monkeypatch, 100 * first, second).item() == pytest.approx(plain, rel=1e-3)
    # A covariance within one view would be the same for numbers in another order; correlations
    # between views are not.
    turned = loss_of(task, monkeypatch, first, first.roll(1, dims=1)).item()
    assert loss_of(task, monkeypatch, first, first).item() < turned


def test_a_short_last_batch_has_no_correlations_by_chance(monkeypatch):
    """By chance they are as large as those of a whole batch, and not several times as large."""
    losses = {}
    for count in (3, BATCH):
        task, losses[count] = make_task("barlowtwins", redundancy=1.0), 0.0
        for seed in range(40):
            first, second = embeddings(count, 64, seed=seed), embeddings(count, 64, seed=99 - seed)
            losses[count] += loss_of(task, monkeypatch, first, second).item()
    assert losses[3] == pytest.approx(losses[BATCH], rel=0.2)


def test_a_network_with_one_embedding_for_all_has_the_loss_of_chance():
    task = make_task("barlowtwins", dimension=16)
    assert task.chance_loss == 16
    with torch.no_grad():
        task.head[-1].weight.zero_()
    assert step(task, pictures()).loss.item() == pytest.approx(16, rel=1e-6)


def test_a_batch_of_one_image_has_a_loss(monkeypatch):
    task = make_task("barlowtwins", dimension=6).eval()
    assert loss_of(task, monkeypatch, embeddings(1), embeddings(1)).item() == pytest.approx(6)


def test_training_makes_the_numbers_agree_and_then_differ():
    """On one batch: at first they agree, also with each other; this then falls."""
    task = make_task("barlowtwins", dimension=16, redundancy=0.1)
    views = task.views(pictures()[:16], draws_for(task, 16))
    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-3)
    losses, own, others = [], [], []
    for _ in range(31):
        loss = task(views, torch.arange(16), 0, 1).loss
        with torch.no_grad():
            found = cross_correlation(*map(task._embed, views))
        losses.append(loss.item())
        own.append(found.diagonal().mean().item())
        others.append((found - found.diagonal().diag()).square().sum().item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.2 * losses[0]
    assert own[-1] > own[0] + 0.5
    assert others[-1] < 0.8 * others[6]
