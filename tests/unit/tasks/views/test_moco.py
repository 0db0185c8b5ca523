from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sscdl.errors import InputError
from sscdl.tasks.queues import queue_length
from sscdl.tasks.views.moco import another, floor_loss, info_nce
from sscdl.training.optim import build_optimizer
from tests.unit.lightly_reference import NTXentLoss
from tests.unit.task_helpers import BATCH, IMAGES, draws_for, make_task, pictures, step, train


def unit(count: int, dimension: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, dimension, generator=generator), dim=1)


def fill_queue(task, rows: torch.Tensor | None = None) -> None:
    """Fill the queue with random keys of images that are in no batch, or of ``rows``."""
    length, dimension = task.queue.shape
    task.queue.copy_(unit(length, dimension, seed=9))
    task.queue_rows.copy_(torch.arange(length) + IMAGES - length if rows is None else rows)


def by_hand(query, key, queue, allowed, temperature) -> float:
    """InfoNCE as in equation 1 of the MoCo paper, in float64."""
    query, key, queue = (np.asarray(x.detach(), dtype=np.float64) for x in (query, key, queue))
    losses = []
    for i in range(len(query)):
        positive = np.exp(query[i] @ key[i] / temperature)
        negative = sum(
            np.exp(query[i] @ queue[j] / temperature) for j in range(len(queue)) if allowed[i][j]
        )
        losses.append(-np.log(positive / (positive + negative)))
    return float(np.mean(losses))


def test_key_network_starts_as_a_copy_that_is_never_optimised():
    task = make_task("moco")
    for slow, fast in ((task.key_backbone, task.backbone), (task.key_head, task.head)):
        for (name, a), b in zip(slow.state_dict().items(), fast.state_dict().values(), strict=True):
            assert torch.equal(a, b), name
            assert a.data_ptr() != b.data_ptr()
    step(task, pictures(), 0)
    step(task, pictures(), 1).loss.backward()
    assert all(p.grad is None for p in task.key_backbone.parameters())
    assert all(p.grad is not None for p in task.backbone.parameters())
    held = build_optimizer(task, "sgd", 0.1, 0.9, 0.0).param_groups[0]["params"]
    assert len(held) == len(list(task.backbone.parameters())) + len(list(task.head.parameters()))


def test_average_covers_parameters_but_not_batch_norm_statistics():
    task = make_task("moco", momentum=0.75)
    with torch.no_grad():
        for p in task.backbone.parameters():
            p.add_(1.0)
        task.backbone.bn1.running_mean.fill_(123.0)
    before = copy.deepcopy(task.key_backbone)
    task._average()
    torch.testing.assert_close(
        task.key_backbone.conv1.weight,
        0.75 * before.conv1.weight + 0.25 * task.backbone.conv1.weight,
    )
    torch.testing.assert_close(
        task.key_backbone.bn1.weight, 0.75 * before.bn1.weight + 0.25 * task.backbone.bn1.weight
    )
    assert torch.equal(task.key_backbone.bn1.running_mean, before.bn1.running_mean)


def test_one_step_averages_then_encodes_then_compares_then_enqueues():
    task, images = make_task("moco", momentum=0.5), pictures()
    fill_queue(task)
    with torch.no_grad():
        for p in task.backbone.parameters():
            p.mul_(1.5)
    twin = copy.deepcopy(task)
    old_queue = task.queue.clone()
    result = step(task, images, 0)
    draws, index = draws_for(twin, BATCH), torch.arange(BATCH)
    twin._average()
    with torch.no_grad():
        query = twin._embed(twin.backbone, twin.head, twin.augment(images[index], draws[:, :10]))
        key = twin._embed(
            twin.key_backbone, twin.key_head, twin.augment(images[index], draws[:, 10:])
        )
    everyone = np.ones((BATCH, len(old_queue)), dtype=bool)
    expected = by_hand(query, key, old_queue, everyone, task.temperature)
    assert result.loss.item() == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(task.queue, key)
    assert task.queue_rows.tolist() == index.tolist()


def test_info_nce_matches_an_independent_implementation():
    query, key, queue = unit(6, 16, seed=1), unit(6, 16, seed=2), unit(20, 16, seed=3)
    theirs = NTXentLoss(temperature=0.2, memory_bank_size=(20, 16))
    theirs.memory_bank.bank = queue.clone()
    theirs.memory_bank.bank_ptr = torch.zeros(1, dtype=torch.long)
    logits = info_nce(query, key, queue, torch.ones(6, 20, dtype=torch.bool), 0.2)
    ours = F.cross_entropy(logits, torch.zeros(6, dtype=torch.long))
    torch.testing.assert_close(ours, theirs(query, key))


def test_keys_of_the_same_image_or_patient_are_no_negatives():
    patients = torch.arange(IMAGES) // 3
    task, images = make_task("moco", patients=patients, queue=16), pictures()
    rows = torch.tensor([0, 1, 2, 3, 3, 5, 7, 47, 46, 45, 44, 43, 9, 8, 30, 31])
    fill_queue(task, rows)
    index = torch.arange(BATCH)
    expected = patients[index][:, None] != patients[rows]
    assert torch.equal(task._allowed(index), expected)
    assert not expected.all()
    task.eval()
    with torch.no_grad():
        u = draws_for(task, BATCH).chunk(2, dim=1)
        query = task._embed(task.backbone, task.head, task.augment(images[index], u[0]))
        key = task._embed(task.key_backbone, task.key_head, task.augment(images[index], u[1]))
        loss = step(task, images, 0).loss.item()
    assert loss == pytest.approx(by_hand(query, key, task.queue, expected, 0.2), rel=1e-5)
    alone = make_task("moco", queue=16)
    alone.queue_rows.copy_(rows)
    assert torch.equal(alone._allowed(index), index[:, None] != rows)


def test_unfilled_slots_are_no_negatives():
    task, images = make_task("moco", queue=24), pictures()
    assert step(task, images, 0).loss.item() == 0
    assert task._allowed(torch.arange(8, 16)).sum(dim=1).tolist() == [BATCH] * BATCH
    loss = step(task, images, 1).loss
    assert 0 < loss.item() < math.log(1 + BATCH) + 2
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in task.backbone.parameters())


def test_queue_is_a_ring_that_drops_no_key():
    task = make_task("moco", queue=24)
    keys = unit(70, 128, seed=4)
    for start in range(0, 70, 7):
        # Batches of 7 do not divide 24, so they wrap in the middle.
        task._enqueue(keys[start : start + 7], torch.arange(start, start + 7))
    assert sorted(task.queue_rows.tolist()) == list(range(46, 70))
    assert torch.equal(task.queue, keys[task.queue_rows])
    assert task.queue_pointer.item() == 70 % 24


@pytest.mark.parametrize(
    ("queue", "images", "batch", "expected"),
    [("auto", 5000, 32, 992), ("auto", 160, 32, 32), ("auto", 100, 32, 32), (64, 100, 32, 64)],
)
def test_queue_length(queue, images, batch, expected):
    assert queue_length(queue, images, batch) == expected


@pytest.mark.parametrize("queue", [0, -32, 100, 2.5, "long"])
def test_impossible_queue_lengths_are_refused(queue):
    with pytest.raises(InputError, match="queue"):
        queue_length(queue, 1000, 32)


@pytest.mark.parametrize("fill", [True, False])
def test_the_queue_is_filled_with_keys_of_the_key_network(fill):
    task, images = make_task("moco", queue=24, fill=fill), pictures()
    before = copy.deepcopy(task.state_dict())
    index = [torch.arange(k * BATCH, (k + 1) * BATCH) for k in range(6)]
    views = [task.views(images[rows], draws_for(task, BATCH, k)) for k, rows in enumerate(index)]
    rest = iter(zip(views, index, strict=True))
    task.train()
    with torch.no_grad():
        task.before_training(rest)
    moved = {k for k, v in task.state_dict().items() if not torch.equal(v, before[k])}
    if not fill:
        assert moved == set()
        assert len(list(rest)) == 6
        return
    assert len(list(rest)) == 3, "no more than the queue takes"
    assert task.queue_rows.tolist() == list(range(24))
    assert task.queue_pointer.item() == 0
    twin = make_task("moco", queue=24)
    with torch.no_grad():
        keys = [twin._embed(twin.key_backbone, twin.key_head, view) for _, view in views[:3]]
    torch.testing.assert_close(task.queue, torch.cat(keys))
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert all(k.startswith("queue") or k.endswith(statistics) for k in moved)
    assert all(k.startswith(("queue", "key_backbone.")) for k in moved)


def test_the_floor_is_the_loss_with_the_next_images_key_as_positive():
    task, images = make_task("moco"), pictures()
    fill_queue(task)
    twin, old_queue = copy.deepcopy(task), task.queue.clone()
    result = step(task, images, 0)
    draws, index = draws_for(twin, BATCH), torch.arange(BATCH)
    twin._average()
    with torch.no_grad():
        first, second = twin.views(images[index], draws)
        query = twin._embed(twin.backbone, twin.head, first)
        key = twin._embed(twin.key_backbone, twin.key_head, second)
    everyone = np.ones((BATCH, len(old_queue)), dtype=bool)
    expected = by_hand(query, key.roll(-1, dims=0), old_queue, everyone, task.temperature)
    assert result.floor.item() == pytest.approx(expected, rel=1e-5)
    assert not result.floor.requires_grad


def test_the_floor_takes_another_patient_where_there_is_one():
    index = torch.tensor([4, 5, 9, 2])
    patients = torch.tensor([0, 0, 1, 0, 7, 7, 0, 0, 0, 7])
    assert another(index, index, 0, None).tolist() == [1, 2, 3, 0]
    assert another(index, index, 0, patients).tolist() == [3, 3, 3, 0]
    assert another(index, index, 0, torch.zeros(10)).tolist() == [1, 2, 3, 0]
    # A rank's two images among those of two ranks.
    assert another(index[2:], index, 2, patients).tolist() == [3, 0]
    assert another(index[:1], index[:1], 0, patients).tolist() == [0]


def test_a_network_that_sees_only_what_is_fresh_is_at_the_floor():
    """Queries and keys of a batch share a direction that stale keys lack, and nothing else."""
    logits_of = torch.Generator().manual_seed(0)
    noise = torch.randn(24 + 24 + 256, 32, generator=logits_of)
    noise[:48, 0] += 8
    unit_ = F.normalize(noise, dim=1)
    query, key, queue = unit_[:24], unit_[24:48], unit_[48:]
    logits = info_nce(query, key, queue, torch.ones(24, 256, dtype=torch.bool), 0.2)
    other = (query * key.roll(1, 0)).sum(dim=1) / 0.2
    loss = F.cross_entropy(logits, torch.zeros(24, dtype=torch.long))
    assert loss < 0.8 * math.log(257), "less than chance, and yet nothing of the images"
    assert floor_loss(logits, other) == pytest.approx(loss.item(), rel=0.02)


def test_chance_loss_counts_the_queue_and_patients_stay_out_of_the_state():
    task = make_task("moco", queue=24, patients=torch.arange(IMAGES))
    assert task.chance_loss == pytest.approx(math.log(25))
    assert "patients" not in task.state_dict()
    assert {"queue", "queue_rows", "queue_pointer", "key_backbone.conv1.weight"} <= set(
        task.state_dict()
    )


def test_learns_well_below_chance():
    task = make_task("moco", momentum=0.9, crop=[0.6, 1.0], flip=False, queue=16)
    losses = train(task, pictures(), steps=36, lr=0.02)
    assert np.mean(losses[-6:]) < 0.75 * task.chance_loss
