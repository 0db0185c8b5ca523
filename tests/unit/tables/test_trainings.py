"""What each stage's training came to, from its records, and whether it has learnt anything."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from sscdl.stages.stage import run_stage
from sscdl.tables.rates import OF_TRAININGS, learnt, trainings
from sscdl.tables.write import write_trainings
from sscdl.tasks.options import DECLARATIONS
from tests.unit.real_stage import real_stage
from tests.unit.task_helpers import follow_on_one_batch, make_task, pictures, step

RECORD = {"epoch": 5, "finite": True, "loss": 2.0, "chance": 4.0}
TOLD = [task for task, declared in DECLARATIONS.items() if declared.learnt_by]


def node(task: str = "moco", **last) -> dict:
    first = RECORD | {"loss": 4.0} | ({"floor": 4.0} if "floor" in last else {})
    between = first | {"loss": 2.2}
    return {
        "node": f"rotation+{task}", "task": task, "variant": "full", "seed": 2,
        "learning_rate": 0.03, "final": {"history": [first, *[between] * 3, RECORD | last]},
    }  # fmt: skip


def test_each_stage_has_what_its_last_epoch_says():
    known = {"floor": 4.0, "accuracy": 0.25, "feature_std": 0.4, "knn_accuracy": 0.5}
    table = trainings([node(**known), node("rotation", loss=3.99), node("swav"), node("classify")])
    assert tuple(table) == OF_TRAININGS
    assert table.iloc[0].to_dict() == {
        "variant": "full", "stage": "rotation+moco", "seed": 2, "lr": 0.03, "epochs": 5,
        "loss": 2.0, "loss_nothing": 4.0, "learnt": "yes", "accuracy_training": 25.0,
        "feature_std": 0.4, "knn_accuracy": 50.0,
    }  # fmt: skip
    assert table["learnt"].tolist() == ["yes", "not shown", "", ""]
    assert table["loss_nothing"].isna().tolist() == [False, False, True, True]
    assert table["accuracy_training"].isna().tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    ("losses", "floors", "expected"),
    [
        # A network that was not trained tells views of an image from others; it learns nothing.
        ((3.6, 3.6, 3.6, 3.6, 3.6), (4.0,) * 5, "not shown"),
        ((3.6, 3.5, 3.4, 3.3, 3.2), (4.0,) * 5, "yes"),
        # Steadily, although by no more than varies.
        ((3.6, 3.5, 3.49, 3.3, 3.29, 3.1), (4.0,) * 6, "yes"),
        # So little that it is nothing, if steadily.
        ((3.6, 3.599, 3.598, 3.597, 3.596), (4.0,) * 5, "not shown"),
        # At once, and no more after that.
        ((3.6, 2.6, 2.61, 2.59, 2.6), (4.0,) * 5, "yes"),
        # By what varies.
        ((3.6, 3.3, 3.7, 3.4, 3.3), (4.0,) * 5, "not shown"),
        # Embeddings come together, floor and loss alike.
        ((3.6, 2.7, 1.8, 1.35, 0.9), (4.0, 3.0, 2.0, 1.5, 1.0), "not shown"),
        ((4.5, 4.4, 4.3, 4.2, 4.1), (4.0,) * 5, "not shown"),
        # Of few epochs that cannot be said, unless much is known.
        ((3.6, 2.5), (4.0, 4.0), ""),
        ((1.5,), (4.0,), "yes"),
        ((3.6, 1.5), (4.0, 4.0), "yes"),
        # One embedding for all images: what is left is rounding.
        ((3.6, 1e-6, 1e-6, 1e-6, 1e-6), (4.0, 2e-6, 3e-6, 2e-6, 3e-6), "not shown"),
        ((3.6, -1e-7, -1e-7, -1e-7, -1e-7), (4.0, 0.0, 0.0, 0.0, 0.0), "not shown"),
        # Before there were floors, or not finite.
        ((3.6, 2.0), (None, None), ""),
        ((3.6, None), (4.0, 4.0), ""),
    ],
)
def test_with_a_floor_more_has_to_be_known_than_at_first(losses, floors, expected):
    records = [
        RECORD | {"loss": loss, "floor": floor} for loss, floor in zip(losses, floors, strict=True)
    ]
    assert learnt("simclr", records) == expected
    assert learnt("classify", records) == "", "the shares of the classes alone are below chance"


@pytest.mark.parametrize(
    ("loss", "expected"), [(3.95, "yes"), (3.97, "not shown"), (5, "not shown")]
)
def test_without_one_the_loss_has_to_be_below_that_of_guessing(loss, expected):
    assert learnt("rotation", [RECORD | {"loss": loss}]) == expected


@pytest.mark.parametrize(("epochs", "most"), [(5, 0.03), (12, 0.015)])
def test_what_only_varies_has_rarely_learnt(epochs, most):
    random, found = np.random.default_rng(0), []
    for _ in range(2000):
        losses = 3.6 + 0.1 * random.normal(size=epochs)
        records = [RECORD | {"loss": float(loss), "floor": 4.0} for loss in losses]
        found.append(learnt("simclr", records) == "yes")
    assert 0 < np.mean(found) < most


@pytest.mark.parametrize("task", DECLARATIONS)
def test_no_task_is_said_to_have_learnt_where_nothing_can_be(tmp_path, task):
    settings = {"search_epochs": 5, "final_epochs": 0, "decay": "constant"}
    stage = real_stage(tmp_path, task, settings=settings, learning_rates=(1e-9,))
    run_stage(stage)
    write_trainings([stage.pointer], tmp_path / "trainings.csv")
    (row,) = pd.read_csv(tmp_path / "trainings.csv", keep_default_na=False).to_dict("records")
    assert row["learnt"] == ("not shown" if task in TOLD else "")
    assert f"of tasks other than {', '.join(TOLD)}." in (tmp_path / "trainings.md").read_text()


@pytest.mark.parametrize(
    "name", [task for task in TOLD if DECLARATIONS[task].learnt_by == "chance"]
)
def test_what_guesses_well_without_training_is_not_said_to_have_learnt(name):
    """Of few images, too: a network that was not trained has a loss above that of guessing."""
    images = pictures()
    for seed in range(20):
        task = make_task(name, seed=seed)
        assert learnt(name, [record_of(step(task, images, seed), task)]) == "not shown"


def record_of(result, task) -> dict:
    floor = {} if result.floor is None else {"floor": result.floor.item()}
    return {**RECORD, "chance": task.chance_loss, "loss": result.loss.item(), **floor}


@pytest.mark.parametrize("name", ["moco", "simclr", "rotation"])
def test_a_task_that_learns_is_said_to_have_learnt(name):
    task = make_task(name)
    found = follow_on_one_batch(task, pictures())
    assert learnt(name, [record_of(one, task) for one in found]) == "yes"


@pytest.mark.parametrize("name", ["byol", "simsiam"])
def test_a_head_that_has_one_embedding_for_all_images_has_learnt_nothing(name):
    task = make_task(name, dimension=24, hidden=32)
    before = record_of(step(task, pictures()), task)
    with torch.no_grad():
        for parameter in (*task.predictor[-1].parameters(), *task.head[-1].parameters()):
            parameter.zero_()
        task.predictor[-1].bias.fill_(1.0)
        if name == "byol":
            task.teacher_head[-1].weight.zero_()
            task.teacher_head[-1].bias.fill_(1.0)
    after = record_of(step(task, pictures()), task)
    assert math.isclose(after["loss"], after["floor"], abs_tol=1e-5)
    assert learnt(name, [before, *[after] * 5]) == "not shown"
