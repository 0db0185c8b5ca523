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
    calibrated_ece,
    calibration,
    calibration_bins,
    ece_statistic,
    nll_values,
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


def ece(rows: pd.DataFrame) -> float:
    return float(ece_statistic(rows, np.ones((1, len(rows))))[0])


def test_ece_by_hand():
    # Twenty images make two bins of ten: sure ones, nine right; unsure ones, four right.
    p = np.array([0.9] * 5 + [0.96] * 5 + [0.6] * 10)
    right = np.array([1] * 9 + [0] + [1] * 4 + [0] * 6)
    rows = pd.DataFrame({"prob_a": p, "prob_b": 1 - p, "predicted": "a"})
    rows["label"] = np.where(right, "a", "b")
    assert ece(rows) == pytest.approx(0.5 * (0.93 - 0.9) + 0.5 * (0.6 - 0.4))
    # Weights: all in the second bin.
    weights = np.concatenate([np.zeros(10), np.ones(10)])[None]
    assert ece_statistic(rows, np.concatenate([weights, 1 - weights])) == pytest.approx([0.2, 0.03])
    # Which class is which, and the order of the rows, make no difference.
    turned = rows.rename(columns={"prob_a": "prob_b", "prob_b": "prob_a"})
    swap = {"a": "b", "b": "a"}
    turned = turned.assign(label=rows["label"].map(swap), predicted="b").sample(frac=1)
    assert ece(turned) == pytest.approx(ece(rows))


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


def test_the_floor_is_what_calibrated_models_show():
    found = [model(300, seed=seed) for seed in range(40)]
    shown = np.mean([ece(rows) for rows in found])
    assert np.mean([calibrated_ece(rows) for rows in found]) == pytest.approx(shown, rel=0.1)
    assert ece(model(300, sharper=3)) > 2 * calibrated_ece(model(300, sharper=3))


def test_the_table_tells_a_calibrated_model_from_one_too_sure_of_itself():
    parts = [
        model(400, sharper, seed=seed, curriculum=name).assign(seed=seed)
        for name, sharper in (("good", 1.0), ("sure", 3.0))
        for seed in (0, 1)
    ]
    rows = pd.concat([*parts, parts[0].assign(split="val"), parts[0].assign(label="")])
    table = calibration(rows, draws=200)
    assert table.columns.tolist() == list(COLUMNS)
    assert table[["curriculum", "split"]].to_numpy().tolist() == [
        ["good", "test"], ["good", "val"], ["sure", "test"],
    ]  # fmt: skip
    sure = table.iloc[2]
    assert sure["n_images"] == 400
    assert sure["n_seeds"] == 2
    assert sure["n_bins"] == 15
    errors = [100 * ece(part) for part in parts[2:]]
    assert sure["ece"] == pytest.approx(np.mean(errors))
    assert sure["ece_std"] == pytest.approx(np.std(errors, ddof=1))
    assert sure["confidence"] - sure["accuracy"] > 5
    assert 0 < sure["ece_calibrated"] < sure["ece_low"] < sure["ece"]
    # Resampling adds noise, and noise adds to the error: quantiles would all lie above the floor.
    good = table.iloc[0]
    assert good["ece_low"] < good["ece_high"] < good["ece_calibrated"] * 1.5
    assert good["ece_low"] < good["ece_calibrated"] / 2
    for name, values in (("brier", brier_values), ("nll", nll_values)):
        each = [values(part).mean() for part in parts[2:]]
        assert sure[name] == pytest.approx(np.mean(each))
        assert sure[f"{name}_low"] < sure[name] < sure[f"{name}_high"]
    shares = parts[2]["label"].value_counts(normalize=True)
    prior = np.tile(shares[["a", "b"]].to_numpy(), (400, 1))
    assert sure["nll_prior"] == pytest.approx(log_loss(parts[2]["label"], prior))
    guess = brier_score_loss(parts[2]["label"] == "b", prior[:, 1])
    assert sure["brier_prior"] == pytest.approx(guess)


def test_bins_add_up_to_the_model():
    rows = pd.concat([model(100), model(100, seed=1).assign(seed=1)])
    metadata = model(100).assign(variant="metadata", curriculum="metadata:view")
    bins = calibration_bins(pd.concat([rows, metadata]), "test", draws=50)
    assert bins.columns.tolist() == list(BIN_COLUMNS)
    assert set(bins["variant"]) == {"full"}
    assert bins["bin"].tolist() == list(range(10))
    assert bins["n_predictions"].eq(20).all(), "two seeds of ten images a bin"
    assert bins["confidence"].is_monotonic_increasing
    right = 100 * (rows["label"] == rows["predicted"]).mean()
    assert bins["accuracy"].mean() == pytest.approx(right)
    assert (bins["accuracy_low"] <= bins["accuracy"]).all()
    assert (bins["accuracy"] <= bins["accuracy_high"]).all()
