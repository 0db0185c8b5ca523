"""Whether a network has learnt anything, by what its records say and by what it does."""

from __future__ import annotations

import pytest
import torch

from sscdl.training.scalars import (
    COLLAPSED,
    INFINITE,
    LEARNT,
    NOT_SHOWN,
    log_line,
    verdict,
)
from tests.unit.task_helpers import follow_on_one_batch, make_task, pictures, step

RECORD = {"epoch": 5, "finite": True, "loss": 2.0, "chance": 4.0}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, LEARNT),
        ({"loss": 3.97}, NOT_SHOWN),
        ({"loss": 3.95}, LEARNT),
        ({"loss": 4.5}, NOT_SHOWN),
        # Below guessing, as embeddings have come together, but no image is known.
        ({"floor": 2.01}, NOT_SHOWN),
        ({"floor": 2.5}, LEARNT),
        # Nearly alike, and yet told apart.
        ({"loss": 0.004, "floor": 0.008}, LEARNT),
        ({"loss": 1e-6, "floor": 2e-6}, COLLAPSED),
        ({"loss": -1e-7, "floor": 0.0}, COLLAPSED),
        ({"floor": None}, LEARNT),
        ({"finite": False, "loss": None}, INFINITE),
    ],
)
def test_losses_are_compared_with_that_of_knowing_nothing(change, expected):
    before = {"loss": 4.0} | ({"floor": 4.0} if change.get("floor") is not None else {})
    assert verdict([RECORD | before, RECORD | change]) == expected
    if expected == NOT_SHOWN:
        line = log_line("a", {"images_per_second": 1.0} | RECORD | change, 8, "5 s")
        assert ", no better than knowing nothing" in line


@pytest.mark.parametrize(
    ("losses", "floors", "expected"),
    [
        # An untrained network tells views of an image from others; it has learnt nothing.
        ((3.6, 3.6, 3.6), (4.0, 4.0, 4.0), NOT_SHOWN),
        ((3.6, 3.4, 3.2), (4.0, 4.0, 4.0), LEARNT),
        # Embeddings come together, floor and loss alike.
        ((3.6, 2.0, 0.9), (4.0, 2.2, 1.0), NOT_SHOWN),
        ((3.6,), (4.0,), NOT_SHOWN),
        ((4.4, 4.0, 3.9), (4.0, 4.0, 4.0), LEARNT),
        ((4.4, 4.3, 4.1), (4.0, 4.0, 4.0), NOT_SHOWN),
        # Without a floor, the loss of guessing is that of an untrained network.
        ((3.6,), (None,), LEARNT),
    ],
)
def test_with_a_floor_more_has_to_be_known_than_at_first(losses, floors, expected):
    records = [
        RECORD | {"loss": loss, "floor": floor} for loss, floor in zip(losses, floors, strict=True)
    ]
    assert verdict(records) == expected


def test_the_line_of_an_epoch_says_so_after_a_tenth_of_them():
    record = RECORD | {"loss": 4.0, "images_per_second": 80.0}
    lines = [log_line("a", record | {"epoch": epoch}, 20, "5 s") for epoch in (1, 2, 3, 20)]
    told = ["no better than knowing nothing" in line for line in lines]
    assert told == [False, False, True, True]
    one = log_line("a", record | {"epoch": 1, "loss": 0.0, "floor": 0.0}, 20, "5 s")
    assert "all images have one embedding" in one


def record_of(result, task) -> dict:
    floor = {} if result.floor is None else {"floor": result.floor.item()}
    known = {"epoch": 1, "finite": True, "chance": task.chance_loss}
    return {**known, "loss": result.loss.item(), **floor}


# The last batch normalisation of SimSiam's head makes nothing of one embedding: at right angles.
@pytest.mark.parametrize(("name", "expected"), [("byol", COLLAPSED), ("simsiam", NOT_SHOWN)])
def test_a_head_that_has_one_embedding_for_all_images_is_found(name, expected):
    task = make_task(name, dimension=24, hidden=32)
    with torch.no_grad():
        for parameter in (*task.predictor[-1].parameters(), *task.head[-1].parameters()):
            parameter.zero_()
        task.predictor[-1].bias.fill_(1.0)
        if name == "byol":
            task.teacher_head[-1].weight.zero_()
            task.teacher_head[-1].bias.fill_(1.0)
    record = record_of(step(task, pictures()), task)
    assert verdict([record, record]) == expected


def test_a_task_that_learns_is_said_to_have_learnt():
    task, images = make_task("simclr"), pictures()
    found = follow_on_one_batch(task, images)
    records = [record_of(one, task) for one in found]
    assert verdict(records) == LEARNT
    assert verdict(records[:1]) == NOT_SHOWN
