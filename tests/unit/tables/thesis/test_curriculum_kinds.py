"""Kinds of curricula, by how hard their tasks were, and what they gain."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from sscdl.tables.thesis.curriculum_kinds import (
    ANTI,
    COLUMNS,
    CURRICULUM,
    MIXED,
    curriculum_kinds,
    difficulties,
    kind,
    means_by_kind,
)
from tests.unit.made_up import THESIS, made_up


def pointer(task: str, loss: float | None, chance: float, seed: int = 0, **more: float) -> dict:
    last = {"loss": loss, "chance": chance, **more}
    history = [{"loss": 99.0, "chance": chance}, last]
    return {"variant": "full", "task": task, "seed": seed, "final": {"history": history}}


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ("relloc odc", ANTI),
        ("relloc odc moco", MIXED),
        ("relloc moco", CURRICULUM),
        ("relloc moco odc", MIXED),
        ("moco odc", ANTI),
        ("moco odc relloc", MIXED),
        ("moco relloc", ANTI),
        ("moco relloc odc", ANTI),
        ("odc relloc", CURRICULUM),
        ("odc relloc moco", CURRICULUM),
        ("odc moco", CURRICULUM),
        ("odc moco relloc", MIXED),
        ("moco", ""),
        ("", ""),
    ],
)
def test_kinds_are_those_of_the_paper(tasks, expected):
    """All rows of the thesis's table 2.5, with the order that the paper gives its tasks."""
    assert kind(tasks.split(), {"odc": 0.1, "relloc": 0.5, "moco": 0.8}) == expected


def test_kinds_of_equal_and_unknown_difficulty():
    assert kind(["a", "b"], {"a": 0.5, "b": 0.5}) == MIXED
    assert kind(["a", "b", "c"], {"a": 0.5, "b": 0.5, "c": 0.6}) == CURRICULUM
    assert kind(["a", "b"], {"a": 0.5}) == ""
    assert kind(["a", "b"], {"a": 0.5, "b": math.nan}) == ""


def test_difficulty_is_the_last_loss_over_that_of_guessing():
    nodes = [
        pointer("moco", 3.0, 4.0),
        pointer("moco", 2.0, 4.0, seed=1),
        pointer("rotation", 0.1, 2.0, val_loss=1.0),
        pointer("swav", None, 2.0),
    ]
    found = difficulties(nodes)
    assert found["full", "moco"] == pytest.approx(0.625)
    assert found["full", "rotation"] == 0.5
    assert math.isnan(found["full", "swav"])


def test_what_a_task_reaches_without_an_image_being_known_is_no_ease():
    """MoCo's loss falls below guessing, to its floor, as fresh keys differ from old ones."""
    nodes = [
        pointer("moco", 5.4, 6.0, floor=5.4, val_loss=5.0),
        pointer("rotation", 1.2, 1.2, val_loss=1.2),
    ]
    found = difficulties(nodes)
    assert found["full", "moco"] == 1
    assert found["full", "rotation"] == 1
    assert difficulties([pointer("moco", 3.0, 6.0, floor=None)])["full", "moco"] == 0.5


def test_how_hard_a_task_was_is_not_known_of_one_embedding_for_all_images():
    """Its loss and its floor are both nothing, of which a ratio would be rounding."""
    found = difficulties(
        [
            pointer("byol", 0.0, 4.0, floor=0.0),
            pointer("simsiam", -1.2e-7, 1.0, floor=6e-8),
            pointer("dino", 4.0, 6.9, floor=5.0),  # holds how sure the teacher is
            pointer("simclr", 3.0, 4.8, floor=4.0),
        ]
    )
    assert found["full", "simclr"] == 0.75
    assert all(math.isnan(found["full", task]) for task in ("byol", "simsiam", "dino"))
    # Images that are nearly alike, but told apart, have a small floor that is one.
    assert difficulties([pointer("simsiam", 0.004, 1.0, floor=0.008)])["full", "simsiam"] == 0.5


def test_the_table_has_the_gains_of_every_model():
    scores = {"scratch": 0.5, "moco": 0.7, "moco+rotation": 0.9, "rotation+moco": 0.6}
    parts = [made_up("full", name, right=right, rows=200) for name, right in scores.items()]
    parts += [made_up("inverted", "moco", rows=200), made_up("metadata", "metadata:view", rows=200)]
    hardness = {("full", "moco"): 0.8, ("full", "rotation"): 0.2, ("inverted", "moco"): 0.7}
    table = curriculum_kinds(pd.concat(parts), "test", hardness=hardness, thesis_dir=THESIS)
    assert table.columns.tolist() == list(COLUMNS)
    assert table["curriculum"].tolist() == [*scores, "moco"]
    rows = table[table["variant"] == "full"].set_index("curriculum")
    assert rows["kind"].tolist() == ["", "", ANTI, CURRICULUM]
    assert rows["difficulty"].tolist() == ["", "0.800", "0.800 0.200", "0.200 0.800"]
    some = curriculum_kinds(
        pd.concat(parts), "test", hardness={("full", "moco"): 0.0434}, thesis_dir=THESIS
    )
    assert some["difficulty"].tolist() == ["", "0.043", "0.043 unknown", "unknown 0.043", ""]
    assert set(some["kind"]) == {""}
    assert rows["first_task"].tolist() == ["", "moco", "moco", "rotation"]
    accuracy = rows["balanced_accuracy"]
    gain = rows.loc["moco+rotation"]
    assert gain["delta"] == pytest.approx(accuracy["moco+rotation"] - accuracy["moco"])
    assert gain["delta_low"] < gain["delta"] < gain["delta_high"]
    assert gain["to_scratch"] == pytest.approx(accuracy["moco+rotation"] - accuracy["scratch"])
    # rotation alone and imagenet are not in this study, and nothing is compared with itself.
    assert math.isnan(rows.loc["rotation+moco", "delta"])
    assert rows["to_imagenet"].isna().all()
    assert math.isnan(rows.loc["moco", "delta"])
    assert math.isnan(rows.loc["scratch", "to_scratch"])
    # Table 4.14: moco+rotation 84.773, moco 83.89, imagenet 82.75, scratch 83.69.
    printed = gain[["delta_thesis", "to_imagenet_thesis", "to_scratch_thesis"]]
    assert printed.tolist() == pytest.approx([0.883, 2.023, 1.083])
    other = table[table["variant"] == "inverted"].iloc[0]
    assert math.isnan(other["balanced_accuracy_thesis"])


def test_means_by_kind_name_how_many_they_are_of():
    table = pd.DataFrame(
        {
            "variant": "full",
            "kind": [CURRICULUM, CURRICULUM, ANTI, ""],
            "delta": [1.0, 2.0, -3.0, math.nan],
        }
    )
    assert means_by_kind(table) == [
        "Mean delta on full (of how many models; no test was made of it): curriculum +1.50 (2), "
        "anti-curriculum -3.00 (1)."
    ]
