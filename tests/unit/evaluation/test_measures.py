"""Measures against scikit-learn; influences against leaving patients out and against DeLong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from sscdl.evaluation import measures
from tests.unit.evaluation.made_up_scores import CLASSES, made_up

ALL = {
    "balanced accuracy": measures.balanced_accuracy,
    "macro F1": measures.macro_f1,
    "AUC": measures.auc,
    "mean": measures.mean_of("prob_negative"),
}


@pytest.mark.parametrize("classes", [CLASSES[:2], CLASSES])
def test_values_agree_with_scikit_learn(classes):
    table = made_up(300, classes)
    true, guess = table["label"], table["predicted"]
    scores = table[[f"prob_{name}" for name in classes]].to_numpy()
    areas = [reference.roc_auc_score(true == name, scores[:, i]) for i, name in enumerate(classes)]
    for name, expected in {
        "balanced accuracy": reference.balanced_accuracy_score(true, guess),
        "macro F1": reference.f1_score(true, guess, average="macro"),
        "AUC": areas[1] if len(classes) == 2 else np.mean(areas),
        "mean": table["prob_negative"].mean(),
    }.items():
        assert measures.value(table, ALL[name]) == pytest.approx(expected), name


def test_auc_with_ties_is_scikit_learns():
    generator = np.random.default_rng(3)
    table = made_up(200, CLASSES[:2])
    table["prob_typical"] = generator.integers(5, size=200) / 4
    expected = reference.roc_auc_score(table["label"] == "typical", table["prob_typical"])
    assert measures.value(table, measures.auc) == pytest.approx(expected)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("classes", [CLASSES[:2], CLASSES[:3]])
def test_an_influence_is_what_leaving_a_patient_out_does(name, classes):
    """The jackknife, patient by patient, to within what a single patient is worth."""
    table = made_up(400, classes, per_patient=2).sample(frac=1, random_state=0)
    patients = pd.Index(table["patient_id"].unique())
    codes = patients.get_indexer(table["patient_id"])
    strata = ALL[name](table, codes, len(patients))
    influence = np.sum([part.weight * part.influence for part in strata], axis=0)
    whole = measures.value(table, ALL[name])
    left = [measures.value(table[codes != one], ALL[name]) for one in range(len(patients))]
    moved = whole - np.array(left)
    assert influence == pytest.approx(moved, abs=0.1 * np.abs(moved).max())
    assert (influence**2).sum() == pytest.approx((moved**2).sum(), rel=0.04)


def test_the_variance_of_the_auc_is_delongs():
    """With one image a patient: his formula with its two sums, written out."""
    table = made_up(80, CLASSES[:2])
    scores, ill = table["prob_typical"].to_numpy(), (table["label"] == "typical").to_numpy()
    wins = (scores[ill][:, None] > scores[~ill][None]).astype(float)
    first, second = wins.mean(axis=1), wins.mean(axis=0)
    expected = first.var(ddof=1) / len(first) + second.var(ddof=1) / len(second)
    (found,) = measures.auc(table, np.arange(80), 80)
    assert (found.influence**2).sum() == pytest.approx(expected)


def test_the_variance_of_a_recall_is_that_of_a_mean_over_patients():
    table = made_up(90, CLASSES[:2])
    for part, name in zip(
        measures.balanced_accuracy(table, np.arange(90), 90), sorted(CLASSES[:2]), strict=True
    ):
        right = (table["predicted"] == name)[table["label"] == name].astype(float)
        assert part.value == right.mean()
        assert (part.influence**2).sum() == pytest.approx(right.var(ddof=1) / len(right))
        assert (part.weight, part.images, part.patients) == (0.5, len(right), len(right))


def test_a_class_of_one_patient_has_no_variance():
    table = made_up(30, CLASSES[:2]).assign(patient_id="p")
    table.loc[table["label"] == "negative", "patient_id"] = [
        f"n{k}" for k in range((table["label"] == "negative").sum())
    ]
    codes = pd.factorize(table["patient_id"])[0]
    for name in ("balanced accuracy", "macro F1", "AUC"):
        influences = [part.influence for part in ALL[name](table, codes, codes.max() + 1)]
        assert np.isnan(influences).any(), name
        assert np.isfinite(measures.value(table, ALL[name])), name


def test_what_is_undefined_is_empty():
    table = made_up(10, CLASSES[:2]).assign(ail=[0.5, np.nan] * 5)
    assert measures.value(table, measures.mean_of("ail")) == 0.5
    assert measures.mean_of("ail")(table.assign(ail=np.nan), np.arange(10), 10) == []
    one_class = table.assign(label="typical")
    assert measures.auc(one_class, np.arange(10), 10) == []
    assert np.isnan(measures.value(one_class, measures.auc))
    assert np.isnan(measures.value(table.iloc[:0], measures.balanced_accuracy))
