"""What each stage's training came to, from its records."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from sscdl.stages.stage import run_stage
from sscdl.tables.rates import OF_TRAININGS, trainings
from sscdl.tables.write import write_trainings
from tests.unit.real_stage import real_stage


def node(task: str = "moco", **last) -> dict:
    record = {"epoch": 5, "finite": True, "loss": 3.0, "chance": 6.0}
    first = {"floor": 6.0} if "floor" in last else {}
    return {
        "node": f"rotation+{task}", "variant": "full", "seed": 2, "learning_rate": 0.03,
        "final": {"history": [record | {"loss": 6.0} | first, record | last]},
    }  # fmt: skip


def test_each_stage_has_what_its_last_epoch_says():
    known = {"floor": 4.0, "accuracy": 0.25, "feature_std": 0.4, "knn_accuracy": 0.5}
    table = trainings([node(**known), node("swav", loss=5.95), node("byol", floor=1e-7)])
    assert tuple(table) == OF_TRAININGS
    first = table.iloc[0].to_dict()
    assert first == {
        "variant": "full", "stage": "rotation+moco", "seed": 2, "lr": 0.03, "epochs": 5,
        "loss": 3.0, "loss_nothing": 4.0, "verdict": "learnt", "accuracy_training": 25.0,
        "feature_std": 0.4, "knn_accuracy": 50.0,
    }  # fmt: skip
    assert table["verdict"].tolist() == ["learnt", "not shown", "collapsed"]
    assert table["loss_nothing"].tolist() == [4.0, 6.0, 1e-7]
    assert table["accuracy_training"].isna().tolist() == [False, True, True]


def test_a_loss_that_is_not_finite_has_no_number():
    (row,) = trainings([node(loss=None, finite=False)]).to_dict("records")
    assert row["verdict"] == "infinite"
    assert math.isnan(row["loss"])


@pytest.mark.parametrize(("task", "rate", "verdict"), [("rotation", 0.1, "learnt")])
def test_a_trained_stage_is_told(tmp_path, task, rate, verdict):
    settings = {"search_epochs": 6, "final_epochs": 0, "decay": "constant"}
    told = {}
    for chosen in (rate, 1e-7):
        stage = real_stage(tmp_path, task, settings=settings, learning_rates=(chosen,))
        stage.pointer.unlink(missing_ok=True)
        run_stage(stage)
        write_trainings([stage.pointer], tmp_path / "trainings.csv")
        (told[chosen],) = pd.read_csv(tmp_path / "trainings.csv").to_dict("records")
    assert told[rate]["verdict"] == verdict
    assert told[1e-7]["verdict"] == "not shown"
    assert told[rate]["loss"] < told[1e-7]["loss"]
    assert "collapsed: all images have one embedding" in (tmp_path / "trainings.md").read_text()
