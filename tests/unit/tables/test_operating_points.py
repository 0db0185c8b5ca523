"""Thresholds and what they are worth, recomputed by counting."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sscdl.tables.operating_points import RULES, operating_points, threshold
from tests.unit.made_up import made_up

THREE = ["a", "b", "c"]


def scored(split: str, seed: int = 0, **more) -> pd.DataFrame:
    """Return predictions whose probabilities overlap, with ties."""
    rows = made_up("full", "moco", split=split, seed=seed, right=0.8, **more)
    draw = np.random.default_rng([seed, len(split)])
    true = rows["label"] == "typical"
    value = np.round(np.clip(0.5 + 0.15 * np.where(true, 1, -1) + draw.normal(0, 0.2, len(rows)),
                             0, 1), 2)  # fmt: skip
    return rows.assign(prob_typical=value, prob_negative=1 - value)


def rates(rows: pd.DataFrame, at: float, positive: str = "typical") -> tuple[float, float]:
    """Return sensitivity and specificity by counting."""
    true, called = rows["label"] == positive, rows[f"prob_{positive}"] >= at
    return float(called[true].mean()), float((~called[~true]).mean())


@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_would_serve_better(seed):
    rows = scored("val", seed)
    every = {at: rates(rows, at) for at in [*rows["prob_typical"].unique(), 2.0]}
    sensitivity, specificity = rates(rows, threshold(rows, "typical", "Youden"))
    assert sensitivity + specificity == pytest.approx(max(sum(pair) for pair in every.values()))
    sensitivity, specificity = rates(rows, threshold(rows, "typical", "sensitivity 90 %"))
    assert sensitivity >= 0.9
    assert specificity == max(pair[1] for pair in every.values() if pair[0] >= 0.9)
    sensitivity, specificity = rates(rows, threshold(rows, "typical", "specificity 90 %"))
    assert specificity >= 0.9
    assert sensitivity == max(pair[0] for pair in every.values() if pair[1] >= 0.9)


def test_where_only_silence_is_specific_enough_no_validation_image_is_positive():
    rows = scored("val")
    rows.loc[rows["label"] == "negative", ["prob_typical", "prob_negative"]] = [1.0, 0.0]
    assert rates(rows, threshold(rows, "typical", "specificity 90 %")) == (0, 1)
    one_sided = rows[rows["label"] == "negative"]
    assert np.isnan(threshold(one_sided, "typical", "Youden"))


def test_thresholds_come_from_validation_and_measures_from_the_reported_images():
    trainings = [(scored("val", seed), scored("test", seed)) for seed in range(3)]
    metadata = made_up("metadata", "metadata:view")
    table = operating_points(
        pd.concat([*(part for pair in trainings for part in pair), metadata]), "test"
    )
    assert table["rule"].tolist() == list(RULES)
    assert set(table["positive"]) == {"typical"}
    assert set(table["chosen_on"]) == {"val"}
    for _, line in table.iterrows():
        at = [threshold(val, "typical", line["rule"]) for val, _ in trainings]
        assert line["threshold"] == pytest.approx(np.mean(at))
        assert line["threshold_std"] == pytest.approx(np.std(at, ddof=1))
        found = [rates(test, one) for one, (_, test) in zip(at, trainings, strict=True)]
        for place, name in enumerate(("sensitivity", "specificity")):
            values = [100 * pair[place] for pair in found]
            assert line[name] == pytest.approx(np.mean(values))
            assert line[f"{name}_std"] == pytest.approx(np.std(values, ddof=1))
            assert line[f"{name}_low"] < line[name] < line[f"{name}_high"]
        ppv, npv = [], []
        for one, (_, test) in zip(at, trainings, strict=True):
            true, called = test["label"] == "typical", test["prob_typical"] >= one
            ppv.append(100 * true[called].mean())
            npv.append(100 * (~true[~called]).mean())
        assert (line["ppv"], line["npv"]) == pytest.approx((np.mean(ppv), np.mean(npv)))
        assert (line["n_images"], line["n_patients"], line["n_seeds"]) == (80, 40, 3)


def test_without_validation_images_the_reported_ones_choose_and_it_is_said():
    test = scored("test")
    table = operating_points(test, "test")
    assert set(table["chosen_on"]) == {"test"}
    youden = table.iloc[0]
    expected = rates(test, threshold(test, "typical", "Youden"))
    assert (youden["sensitivity"] / 100, youden["specificity"] / 100) == pytest.approx(expected)
    assert np.isnan(youden["sensitivity_std"])


def test_of_more_classes_each_is_told_from_all_others():
    parts = [made_up("full", "moco", split=split, classes=THREE) for split in ("val", "test")]
    table = operating_points(pd.concat(parts), "test")
    assert table["positive"].unique().tolist() == THREE
    line = table[(table["positive"] == "c") & (table["rule"] == "Youden")].iloc[0]
    at = threshold(parts[0], "c", "Youden")
    assert (line["sensitivity"], line["specificity"]) == pytest.approx(
        [100 * value for value in rates(parts[1], at, "c")]
    )
    assert line["prevalence"] == pytest.approx(100 * (parts[1]["label"] == "c").mean())


def test_where_no_image_is_called_positive_the_predictive_value_is_undefined():
    val, test = scored("val"), scored("test")
    test["prob_typical"] = 0.0
    line = operating_points(pd.concat([val, test]), "test").iloc[0]
    assert (line["sensitivity"], line["specificity"]) == (0, 100)
    assert np.isnan([line["ppv"], line["ppv_low"], line["ppv_high"]]).all()
    assert 0 <= line["sensitivity_low"] <= line["sensitivity_high"] < 20


def test_trainings_whose_differences_cancel_still_have_an_interval():
    """As right in sum, but on other patients: no variance is left between nor over patients."""
    val = pd.concat([scored("val").assign(seed=seed) for seed in range(2)])
    right = {0: [0.9, 0.9, 0.1, 0.9], 1: [0.9, 0.1, 0.9, 0.9]}
    test = pd.concat(
        made_up("full", "moco", rows=4).assign(
            seed=seed, label="typical", patient_id=list("abcd"), prob_typical=values
        )
        for seed, values in right.items()
    )
    line = operating_points(pd.concat([val, test]), "test").iloc[0]
    assert line["sensitivity"] == 75
    assert 0 < line["sensitivity_low"] < 75 < line["sensitivity_high"] <= 100


def test_a_mean_over_trainings_is_of_all_of_them_or_undefined():
    trainings = [(scored("val", seed), scored("test", seed)) for seed in range(3)]
    silent = trainings[1][1].assign(prob_typical=0.0, prob_negative=1.0)
    rows = pd.concat([*trainings[0], trainings[1][0], silent, *trainings[2]])
    table = operating_points(rows, "test").set_index("rule")
    assert table["ppv"].isna().all(), "the second training calls nothing positive"
    assert table["sensitivity"].notna().all()
    without = rows[~((rows["seed"] == 2) & (rows["split"] == "val"))]
    point = operating_points(without, "test").set_index("rule").loc["Youden"]
    assert np.isnan([point["threshold"], point["sensitivity"], point["npv"]]).all(), (
        "the third has no threshold"
    )
