"""Shortcuts and subgroups: falls without the mark, and models beside metadata."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from sscdl.archives.cohorts import MARKED
from sscdl.tables import confounders
from sscdl.tables.comparisons import holm
from tests.unit.made_up import made_up, made_up_untrained


def test_shortcut_measures_the_fall_and_the_attention_on_the_mark():
    parts = [
        made_up("full", "moco", split=split, right=right).assign(
            mark_attention=[0.3, np.nan] * 40, mark_share=[0.01, np.nan] * 40
        )
        for split, right in zip(MARKED, (0.95, 0.6, 0.1), strict=True)
    ]
    parts += [made_up_untrained("full", split=split) for split in MARKED]
    table = confounders.shortcut(pd.concat(parts))
    assert table.columns.tolist() == list(confounders.SHORTCUT_COLUMNS)
    assert table["split"].tolist() == list(MARKED)
    accuracy = table["balanced_accuracy"]
    assert np.isnan(table["drop"][0])
    assert table["drop"][2] == pytest.approx(accuracy[0] - accuracy[2])
    assert 0 < table["drop_low"][2] < table["drop"][2] < table["drop_high"][2]
    assert table["mark_attention"].to_numpy() == pytest.approx(30)
    assert table["mark_share"].to_numpy() == pytest.approx(1)
    assert (table["ail"] - table["ail_floor"]).to_numpy() == pytest.approx(10)


def test_shortcut_is_empty_without_its_splits():
    predictions = made_up("full", "moco")
    assert confounders.shortcut(predictions).empty


def test_subgroups_compare_with_the_metadata_that_do_best_on_validation_images():
    models = {"good": 1.0, "bad": 0.05, "same": 0.62}
    parts = [
        pd.concat([made_up("full", name, right=right, seed=seed) for seed in range(3)])
        for name, right in models.items()
    ]
    parts += [
        # The first would be the better choice on the very images that are reported.
        made_up("metadata", "metadata:view", right=0.8),
        made_up("metadata", "metadata:view+sex+age", right=0.7),
        made_up("metadata", "metadata:view", right=0.5, split="val"),
        made_up("metadata", "metadata:view+sex+age", right=0.7, split="val"),
    ]
    table = confounders.subgroups(pd.concat(parts), "test")
    assert table.columns.tolist() == list(confounders.SUBGROUP_COLUMNS)
    groups = ["all", "view AP", "view PA", "sex F", "sex M"]
    groups += ["age below 40", "age 40 to 59"]
    assert table["group"].tolist() == groups * 3, "nobody is older"
    overall = table[table["group"] == "all"].set_index("curriculum")
    assert set(overall["metadata"]) == {"metadata:view+sex+age"}
    assert overall["verdict"].to_dict() == {
        "good": "beats metadata",
        "bad": "worse",
        "same": "not better than metadata",
    }
    assert overall.loc["good", "difference"] == pytest.approx(
        100 - overall.loc["good", "metadata_balanced_accuracy"]
    )
    sizes = table[table["curriculum"] == "good"].set_index("group")["n_images"]
    for name in ("view", "sex", "age"):
        assert sum(sizes[group] for group in groups if group.startswith(name)) == 80, name
    assert sizes["all"] == 80
    # Patients are 20 to 59 years old; there are forty with two images each.
    assert sizes["age below 40"] == 40
    within = parts[0][parts[0]["view"] == "AP"]
    row = table[(table["curriculum"] == "bad") & (table["group"] == "view AP")].iloc[0]
    each = [
        reference.balanced_accuracy_score(bad["label"], bad["predicted"])
        for _, bad in parts[1][parts[1]["image_id"].isin(within["image_id"])].groupby("seed")
    ]
    assert row["balanced_accuracy"] == pytest.approx(100 * np.mean(each))
    tested = table["p"].notna()
    assert tested.any()
    # What a single group shows by chance is not shown: only corrected tests count.
    between = (table["p"] < 0.05) & (table["p_holm"] >= 0.05)
    assert between.any(), "a case in which the correction matters"
    assert set(table.loc[between, "verdict"]) == {"not better than metadata"}
    assert table["p_holm"].to_numpy() == pytest.approx(holm(table["p"]), nan_ok=True)


def test_subgroups_without_baseline_or_with_one_class_give_no_verdict():
    model = made_up("full", "moco")
    assert set(confounders.subgroups(model, "test")["verdict"]) == {""}
    one = model[(model["view"] != "PA") | (model["label"] == "typical")]
    both = pd.concat([one, one.assign(variant="metadata", curriculum="metadata:view")])
    table = confounders.subgroups(both, "test").set_index("group")
    assert table.loc["view PA", "verdict"] == "one class only"
    assert table.loc["view AP", "verdict"] == "one training: not tested"
    three = pd.concat([both, *(one.assign(seed=seed) for seed in (1, 2))])
    table = confounders.subgroups(three, "test").set_index("group")
    assert table.loc["view AP", "verdict"] == "not better than metadata"


@pytest.mark.parametrize("split", ["test", "val"])
def test_without_other_images_the_baseline_is_the_better_one_on_the_reported_ones(split):
    """The worse one would be a straw man."""
    parts = [made_up("full", "moco", split=split)]
    parts += [made_up("metadata", "metadata:view", right=0.9, split=split)]
    parts += [made_up("metadata", "metadata:view+sex+age", right=0.6, split=split)]
    table = confounders.subgroups(pd.concat(parts), split)
    assert set(table["metadata"]) == {"metadata:view"}
