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
    assert verdict(RECORD | change) == expected


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


@pytest.mark.parametrize("name", ["byol", "simsiam"])
def test_a_head_that_has_one_embedding_for_all_images_is_found(name):
    task = make_task(name, dimension=24, hidden=32)
    with torch.no_grad():
        for parameter in (*task.predictor[-1].parameters(), *task.head[-1].parameters()):
            parameter.zero_()
        task.predictor[-1].bias.fill_(1.0)
        if name == "byol":
            task.teacher_head[-1].weight.zero_()
            task.teacher_head[-1].bias.fill_(1.0)
    found = verdict(record_of(step(task, pictures()), task))
    assert found in (COLLAPSED, NOT_SHOWN)


def test_a_task_that_learns_is_said_to_have_learnt():
    task, images = make_task("simclr"), pictures()
    found = follow_on_one_batch(task, images)
    assert verdict(record_of(found[-1], task)) == LEARNT
