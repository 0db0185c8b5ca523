"""Calibration against scikit-learn, against sums by hand, and on models known to be calibrated."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from sscdl.tables.calibration import (
    BIN_COLUMNS,
    COLUMNS,
    bin_count,
    bins_of,
    brier_values,
    calibration,
    calibration_bins,
    nll_values,
    squared_error,
    with_confidence,
)
from tests.unit.made_up import made_up


def model(images: int, sharper: float = 1.0, seed: int = 0, **more) -> pd.DataFrame:
    """Predictions of a model that is calibrated, or too sure of itself if ``sharper`` than 1."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 1.5, images)
    label = np.where(rng.random(images) < 1 / (1 + np.exp(-logit)), "b", "a")
    p = 1 / (1 + np.exp(-sharper * logit))
    return pd.DataFrame(
        {
            "variant": "full", "curriculum": "moco", "seed": 0, "split": "test",
            "image_id": [f"i{index}" for index in range(images)],
            "patient_id": [f"p{index}" for index in range(images)],
            "label": label, "predicted": np.where(p > 0.5, "b", "a"), "prob_a": 1 - p, "prob_b": p,
        }
    ).assign(**more)  # fmt: skip


def squared(rows: pd.DataFrame) -> float:
    codes, patients = pd.factorize(rows["patient_id"])
    (found,) = squared_error(with_confidence(rows), codes, len(patients))
    return found.value


def test_the_squared_error_by_hand():
    # Twenty images make two bins of ten: sure ones, nine right; unsure ones, four right.
    p = np.array([0.9] * 5 + [0.96] * 5 + [0.6] * 10)
    right = np.array([1] * 9 + [0] + [1] * 4 + [0] * 6)
    rows = pd.DataFrame({"prob_a": p, "prob_b": 1 - p, "predicted": "a"})
    rows["label"] = np.where(right, "a", "b")
    rows["patient_id"] = [f"p{k // 2}" for k in range(20)]
    gaps, products = right - p, [0.0, 0.0]
    for number, part in enumerate((range(10), range(10, 20))):
        pairs = [(i, j) for i in part for j in part if i // 2 != j // 2]
        products[number] = np.mean([gaps[i] * gaps[j] for i, j in pairs])
    assert squared(rows) == pytest.approx(np.mean(products))
    # Which class is which, and the order of the rows, make no difference.
    turned = rows.rename(columns={"prob_a": "prob_b", "prob_b": "prob_a"})
    swap = {"a": "b", "b": "a"}
    turned = turned.assign(label=rows["label"].map(swap), predicted="b").sample(frac=1)
    assert squared(turned) == pytest.approx(squared(rows))


def test_its_influences_are_those_of_leaving_patients_out():
    rows = model(120, sharper=2.0)
    rows["patient_id"] = [f"p{k // 3}" for k in range(120)]
    codes, patients = pd.factorize(rows["patient_id"])
    (found,) = squared_error(with_confidence(rows), codes, len(patients))
    confidence = rows[["prob_a", "prob_b"]].max(axis=1).to_numpy()
    bins = bins_of(confidence, bin_count(120))
    gaps = (rows["label"] == rows["predicted"]).to_numpy() - confidence

    def without(left: int) -> float:
        total, size = 0.0, 0
        for number in np.unique(bins):
            inside = np.flatnonzero((bins == number) & (codes != left))
            pairs = [(i, j) for i in inside for j in inside if codes[i] != codes[j]]
            total += len(inside) * np.mean([gaps[i] * gaps[j] for i, j in pairs])
            size += len(inside)
        return total / size

    left = np.array([without(one) for one in range(len(patients))])
    expected = np.sqrt(39 / 40) * (left.mean() - left)
    assert found.influence == pytest.approx(expected)


def test_bins_hold_the_same_number_and_keep_equal_confidences_together():
    assert [bin_count(n) for n in (1, 19, 20, 149, 150, 10_000)] == [1, 1, 2, 14, 15, 15]
    values = np.random.default_rng(0).random(100)
    bins = bins_of(values, 10)
    assert np.bincount(bins).tolist() == [10] * 10
    assert all(values[bins == k].max() < values[bins == k + 1].min() for k in range(9))
    sure = bins_of(np.array([0.6] * 3 + [0.7] * 3 + [1.0] * 14), 4)
    assert sure.tolist() == [0] * 3 + [0] * 3 + [2] * 14
    assert bins_of(np.ones(7), 5).tolist() == [2] * 7


def test_brier_and_likelihood_are_scikit_learns():
    rows = model(200)
    truth, p = (rows["label"] == "b").to_numpy(), rows["prob_b"].to_numpy()
    assert brier_values(rows).mean() == pytest.approx(brier_score_loss(truth, p))
    assert nll_values(rows).mean() == pytest.approx(log_loss(truth, p))
    classes = ["a", "b", "c", "d"]
    four = made_up("full", "moco", classes=classes)
    chances = four[[f"prob_{name}" for name in classes]].to_numpy()
    one_hot = np.eye(4)[[classes.index(name) for name in four["label"]]]
    assert brier_values(four).mean() == pytest.approx(((chances - one_hot) ** 2).sum(1).mean() / 2)
    assert nll_values(four).mean() == pytest.approx(log_loss(four["label"], chances))
    wrong = pd.DataFrame({"prob_a": [1.0], "prob_b": [0.0], "label": ["b"], "predicted": ["a"]})
    assert nll_values(wrong) == pytest.approx([-np.log(5e-7)]), "a rounded 0 is not impossible"


def test_calibrated_models_have_no_error_on_average():
    """Of few images as of many, and however they are binned; the plain error is far from 0."""
    for images in (60, 300):
        found = np.array([squared(model(images, seed=seed)) for seed in range(60)])
        assert abs(found.mean()) < 3 * found.std() / np.sqrt(60)
        assert (found < 0).mean() > 0.3
    sure = np.array([squared(model(300, sharper=3, seed=seed)) for seed in range(20)])
    assert sure.min() > 0.003


def test_the_table_tells_a_calibrated_model_from_one_too_sure_of_itself():
    parts = [
        model(400, sharper, seed=seed, curriculum=name).assign(seed=seed)
        for name, sharper in (("good", 1.0), ("sure", 3.0))
        for seed in (0, 1)
    ]
    rows = pd.concat([*parts, parts[0].assign(split="val"), parts[0].assign(label="")])
    table = calibration(rows)
    assert table.columns.tolist() == list(COLUMNS)
    assert table[["curriculum", "split"]].to_numpy().tolist() == [
        ["good", "test"], ["good", "val"], ["sure", "test"],
    ]  # fmt: skip
    sure = table.iloc[2]
    assert sure["n_images"] == 400
    assert sure["n_seeds"] == 2
    assert sure["n_bins"] == 15
    squares = np.array([squared(part) for part in parts[2:]])
    assert sure["calibration_error"] == pytest.approx(100 * np.sqrt(squares.mean()))
    assert sure["calibration_error_std"] == pytest.approx(np.std(100 * np.sqrt(squares), ddof=1))
    assert sure["confidence"] - sure["accuracy"] > 5
    low, high = sure["calibration_error_low"], sure["calibration_error_high"]
    assert 0 <= low < sure["calibration_error"] < high
    good = table.iloc[1]
    assert good["calibration_error_low"] == 0
    for name, values in (("brier", brier_values), ("nll", nll_values)):
        each = [values(part).mean() for part in parts[2:]]
        assert sure[name] == pytest.approx(np.mean(each))
        assert sure[f"{name}_low"] < sure[name] < sure[f"{name}_high"]
    shares = parts[2]["label"].value_counts(normalize=True)
    prior = np.tile(shares[["a", "b"]].to_numpy(), (400, 1))
    assert sure["nll_prior"] == pytest.approx(log_loss(parts[2]["label"], prior))
    guess = brier_score_loss(parts[2]["label"] == "b", prior[:, 1])
    assert sure["brier_prior"] == pytest.approx(guess)


def test_limits_stay_where_the_scores_are():
    """Four images say nearly nothing, but a Brier score below 0 is impossible."""
    line = calibration(model(4, seed=1)).iloc[0]
    assert (line["brier_low"], line["nll_low"]) == (0, 0)


def test_bins_add_up_to_the_model():
    rows = pd.concat([model(100), model(100, seed=1).assign(seed=1)])
    metadata = model(100).assign(variant="metadata", curriculum="metadata:view")
    bins = calibration_bins(pd.concat([rows, metadata]), "test")
    assert bins.columns.tolist() == list(BIN_COLUMNS)
    assert set(bins["variant"]) == {"full"}
    assert bins["bin"].tolist() == list(range(10))
    assert bins["n_predictions"].eq(20).all(), "two seeds of ten images a bin"
    assert bins["confidence"].is_monotonic_increasing
    right = 100 * (rows["label"] == rows["predicted"]).mean()
    assert bins["accuracy"].mean() == pytest.approx(right)
    assert (bins["accuracy_low"] <= bins["accuracy"]).all()
    assert (bins["accuracy"] <= bins["accuracy_high"]).all()
