"""The table of models shown other variants: which rows it compares, and by how much they differ."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from sscdl.errors import InputError
from sscdl.tables.cross_variants import COLUMNS, cross_variants
from tests.unit.made_up import made_up


def on(trained: str, shown: str, right: float, *, seed: int = 0) -> pd.DataFrame:
    """Return predictions of a model trained on one variant that was shown another."""
    rows = made_up(trained + shown, "moco", right=right, seed=seed)
    rows["ail"] = rows["lung_share"] + right / 2
    if shown == "segmented_black":
        rows["lung_share"] += 0.05
    return rows.assign(variant=trained, shown=shown)


@pytest.fixture(scope="module")
def predictions() -> pd.DataFrame:
    parts = [on("full", "segmented_black", 0.6, seed=seed) for seed in range(3)]
    # What a model predicts for its own variant comes from files without that column.
    parts += [on("full", "full", 0.95, seed=seed).drop(columns="shown") for seed in range(3)]
    parts += [on("segmented_black", "segmented_black", 0.8).drop(columns="shown")]
    parts += [on("segmented_black", "full", 0.8), made_up("metadata", "metadata:view")]
    parts.append(on("full", "segmented_black", 0.0).assign(split="val"))
    return pd.concat(parts, ignore_index=True)


def accuracy(rows: pd.DataFrame) -> float:
    seeds = [balanced_accuracy_score(p["label"], p["predicted"]) for _, p in rows.groupby("seed")]
    return 100 * float(np.mean(seeds))


def test_own_variant_comes_first_and_the_drop_is_from_it(predictions):
    table = cross_variants(predictions, "test")
    assert table.columns.tolist() == list(COLUMNS)
    assert table[["variant", "shown"]].to_numpy().tolist() == [
        ["full", "full"], ["full", "segmented_black"], ["segmented_black", "segmented_black"],
        ["segmented_black", "full"],
    ]  # fmt: skip
    test = predictions[(predictions["split"] == "test") & (predictions["variant"] == "full")]
    own, other = test[test["shown"].isna()], test[test["shown"] == "segmented_black"]
    first, second = table.iloc[0], table.iloc[1]
    assert first["balanced_accuracy"] == pytest.approx(accuracy(own))
    assert second["balanced_accuracy"] == pytest.approx(accuracy(other))
    assert second["drop"] == pytest.approx(accuracy(own) - accuracy(other))
    assert second["drop"] > 20
    assert 0 < second["drop_low"] < second["drop"] < second["drop_high"]
    assert first[["drop", "drop_low", "drop_high"]].isna().all()
    assert (table["n_images"] == 80).all()
    assert (table["n_patients"] == 40).all()
    assert (table["chance"] == 50).all()
    assert np.isfinite(first["balanced_accuracy_std"])
    assert np.isnan(table.iloc[2]["balanced_accuracy_std"])


def test_attention_and_floor_are_those_of_the_pictures_shown(predictions):
    table = cross_variants(predictions, "test").set_index(["variant", "shown"])
    rows = made_up("full", "moco")
    floor = 100 * rows["lung_share"].mean()
    assert table.loc[("full", "full"), "ail_floor"] == pytest.approx(floor)
    assert table.loc[("full", "segmented_black"), "ail_floor"] == pytest.approx(floor + 5)
    assert table.loc[("full", "full"), "ail"] == pytest.approx(floor + 47.5)
    assert table.loc[("full", "segmented_black"), "ail"] == pytest.approx(floor + 30)


def test_equal_predictions_drop_by_nothing(predictions):
    same = predictions[predictions["shown"].isna()]
    both = pd.concat([same, same.query("variant == 'full'").assign(shown="lung_box")])
    line = cross_variants(both, "test").set_index("shown").loc["lung_box"]
    assert line["drop"] == 0
    assert -10 < line["drop_low"] < 0 < line["drop_high"] < 10, "eighty images say no more"


def test_only_images_count_that_both_variants_show(predictions):
    """One of two images of a patient is missing in what is shown: the drop is not of the others."""
    own = predictions[predictions["shown"].isna()].query("variant == 'full'")
    shown = own.assign(shown="lung_box")
    first = ~shown.duplicated(["seed", "patient_id"])
    both = pd.concat([own, shown[first]])
    line = cross_variants(both, "test").set_index("shown").loc["lung_box"]
    assert line["drop"] == 0


def test_without_other_variants_there_is_a_line_for_each_model(predictions):
    own = predictions[predictions["shown"].isna()].drop(columns="shown")
    table = cross_variants(own, "test")
    assert (table["variant"] == table["shown"]).all()
    assert len(table) == 2


def test_a_model_without_its_own_predictions_is_refused(predictions):
    with pytest.raises(InputError, match="full was shown segmented_black, but not full"):
        cross_variants(predictions[predictions["shown"].notna()], "test")
