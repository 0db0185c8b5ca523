from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sscdl.errors import InputError
from sscdl.tasks.clusters.swav import sinkhorn, swapped_loss
from tests.unit.lightly_reference import SwaVLoss
from tests.unit.task_helpers import BATCH, draws_for, make_task, pictures, step, train

SMALL = {"prototypes": 10, "local_crops": 1, "queue": 0}


def cosines(count: int, prototypes: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    z = F.normalize(torch.randn(count, 32, generator=generator), dim=1)
    c = F.normalize(torch.randn(prototypes, 32, generator=generator), dim=1)
    return z @ c.T


def sinkhorn_by_hand(scores: np.ndarray, epsilon: float, iterations: int) -> np.ndarray:
    """Algorithm 1 in the appendix of the SwAV paper, in float64."""
    q = np.exp(scores.astype(np.float64) / epsilon).T
    q /= q.sum()
    k, b = q.shape
    for _ in range(iterations):
        q *= (1 / k) / q.sum(axis=1, keepdims=True)
        q *= (1 / b) / q.sum(axis=0, keepdims=True)
    return (q / q.sum(axis=0, keepdims=True)).T


@pytest.mark.parametrize("iterations", [1, 3])
def test_sinkhorn_matches_the_paper(iterations):
    scores = cosines(40, 7, seed=0)
    codes = sinkhorn(scores, 0.05, iterations)
    np.testing.assert_allclose(
        codes.numpy(), sinkhorn_by_hand(scores.numpy(), 0.05, iterations), rtol=1e-4, atol=1e-7
    )
    torch.testing.assert_close(codes.sum(dim=1), torch.ones(40))


def test_sinkhorn_balances_prototypes():
    scores = cosines(200, 5, seed=0)
    scores[:, 0] += 0.5
    share = sinkhorn(scores, 0.05, 50).mean(dim=0)
    torch.testing.assert_close(share, torch.full((5,), 0.2), atol=0.01, rtol=0)


def test_sinkhorn_survives_large_scores_and_half_precision():
    scores = cosines(16, 6, seed=0)
    shifted = sinkhorn(scores + 30, 0.05, 3)
    torch.testing.assert_close(shifted, sinkhorn(scores, 0.05, 3), atol=1e-3, rtol=0)
    half = sinkhorn(scores.to(torch.bfloat16), 0.05, 3)
    assert half.dtype == torch.float32
    assert torch.isfinite(half).all()


@pytest.mark.parametrize("queued", [0, 24])
def test_loss_matches_an_independent_implementation(queued):
    scores = [cosines(8, 6, seed=i) for i in range(5)]
    queues = [cosines(queued, 6, seed=10 + i) for i in range(2)] if queued else None
    codes = [
        sinkhorn(torch.cat([scores[i], queues[i]]) if queues else scores[i], 0.05, 3)[:8]
        for i in range(2)
    ]
    theirs = SwaVLoss(temperature=0.1, sinkhorn_iterations=3, sinkhorn_epsilon=0.05)
    expected = theirs(scores[:2], scores[2:], queues).squeeze()
    torch.testing.assert_close(swapped_loss(scores, codes, 0.1), expected)


def test_a_step_joins_views_head_and_queue_as_documented():
    task, images = make_task("swav", **{**SMALL, "queue": 16, "queue_start": 0.0}), pictures()
    generator = torch.Generator().manual_seed(5)
    task.queue.copy_(F.normalize(torch.randn(task.queue.shape, generator=generator), dim=2))
    task.queue_filled.fill_(16)
    task.eval()
    u = draws_for(task, BATCH).chunk(3, dim=1)
    with torch.no_grad():
        result = step(task, images, 0)
        views = [task.augment(images[:BATCH], u[0]), task.augment(images[:BATCH], u[1]),
                 task.augment_local(images[:BATCH], u[2])]  # fmt: skip
        assert [v.shape[-1] for v in views] == [32, 32, 14]
        features = [task.head(task.backbone(task.normalise(v))) for v in views]
        c = F.normalize(task.prototypes.weight, dim=1)
        scores = [F.normalize(f, dim=1) @ c.T for f in features]
        theirs = SwaVLoss(temperature=0.1, sinkhorn_iterations=3, sinkhorn_epsilon=0.05)
        expected = theirs(scores[:2], scores[2:], [q @ c.T for q in task.queue]).item()
    assert result.loss.item() == pytest.approx(expected, rel=1e-5)


def test_prototypes_have_no_bias_and_are_normalised_before_each_forward():
    task = make_task("swav", **SMALL)
    assert task.prototypes.bias is None
    with torch.no_grad():
        task.prototypes.weight.mul_(7)
    before = task.prototypes.weight.detach().clone()
    step(task, pictures(), 0).loss.backward()
    torch.testing.assert_close(task.prototypes.weight.detach(), F.normalize(before, dim=1))
    assert task.prototypes.weight.grad.abs().sum() > 0


def test_evaluation_sees_normalised_prototypes_but_leaves_them():
    task = make_task("swav", **SMALL).eval()
    scaled = copy.deepcopy(task)
    with torch.no_grad():
        scaled.prototypes.weight.mul_(7)
        before = scaled.prototypes.weight.clone()
        a, b = step(task, pictures(), 0), step(scaled, pictures(), 0)
    torch.testing.assert_close(a.loss, b.loss)
    assert torch.equal(before, scaled.prototypes.weight)


def test_queue_is_used_only_when_full_and_after_its_start():
    task = make_task("swav", **{**SMALL, "queue": 16, "queue_start": 0.5})
    scores, weight = [cosines(BATCH, 10, seed=i) for i in range(3)], task.prototypes.weight.detach()
    without = [sinkhorn(score, 0.05, 3) for score in scores[:2]]

    def uses_queue(epoch):
        codes = task._codes(scores, weight, epoch, 4)
        assert [c.shape for c in codes] == [without[0].shape] * 2
        return not all(torch.equal(a, b) for a, b in zip(codes, without, strict=True))

    step(task, pictures(), 0)
    assert not uses_queue(3)
    step(task, pictures(), 1)
    assert [uses_queue(epoch) for epoch in range(4)] == [False, False, True, True]


def test_queue_keeps_the_latest_global_crops():
    task = make_task("swav", **{**SMALL, "queue": 16})
    batches = [F.normalize(torch.randn(2 * BATCH, 128), dim=1) for _ in range(3)]
    for batch in batches:
        task._enqueue(batch)
    for crop in range(2):
        rows = slice(crop * BATCH, (crop + 1) * BATCH)
        assert torch.equal(task.queue[crop], torch.cat([batches[2][rows], batches[1][rows]]))
    before = task.queue.clone()
    step(task, pictures(), 0)
    torch.testing.assert_close(task.queue[:, :8], before[:, :8])
    assert not torch.allclose(task.queue[:, 8:], before[:, 8:])
    torch.testing.assert_close(task.queue.norm(dim=2), torch.ones(2, 16))


def test_queue_must_be_a_multiple_of_the_batch():
    with pytest.raises(InputError, match="multiple"):
        make_task("swav", queue=12)


@pytest.mark.parametrize(
    ("freeze", "epochs", "frozen"), [(0.25, 8, 2), (0.05, 10, 0), (0.29, 100, 29), (0.0, 5, 0)]
)
def test_prototypes_are_frozen_for_whole_epochs(freeze, epochs, frozen):
    task = make_task("swav", freeze=freeze)
    held = []
    for epoch in range(epochs):
        task.prototypes.weight.grad = torch.ones_like(task.prototypes.weight)
        task.after_backward(epoch, epochs)
        held.append(task.prototypes.weight.grad is None)
    assert held == [True] * frozen + [False] * (epochs - frozen)


def test_works_without_local_crops_and_knows_its_draws_and_chance():
    task = make_task("swav", prototypes=12, local_crops=0, queue=0)
    assert task.draws == 20
    assert task.chance_loss == pytest.approx(math.log(12))
    assert torch.isfinite(step(task, pictures(), 0).loss)
    assert make_task("swav", local_crops=4).draws == 60


def test_learns_below_chance():
    task = make_task(
        "swav", prototypes=8, flip=False, rotation=0.0, crop=[0.6, 1.0], local_crops=2, queue=0
    )
    losses = train(task, pictures(), steps=48, lr=0.1)
    assert np.mean(losses[-6:]) < 0.92 * task.chance_loss


def test_a_loaded_state_decides_whether_the_queue_is_full():
    task = make_task("swav", prototypes=12, local_crops=0, queue=16, queue_start=0.0)
    empty = copy.deepcopy(task.state_dict())
    for number in range(3):
        step(task, pictures(), number)
    assert task._queue_is_full()
    task.load_state_dict(empty)
    assert not task._queue_is_full()
