"""Scores of findings against scikit-learn; influences against weights moved a little."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from benchmarks.finding_coverage import World, truth
from sscdl.evaluation.differences import compare
from sscdl.evaluation.finding_measures import average_precision, mean_over, states, told
from sscdl.evaluation.inference import score
from sscdl.evaluation.measures import one_auc, value
from sscdl.finding_labels import POSITIVE, UNKNOWN

AUC = (one_auc, reference.roc_auc_score)
PRECISION = (average_precision, reference.average_precision_score)
NAMES = [f"finding {number}" for number in range(3)]


def made_up(seed: int = 0, patients: int = 80, trainings: int = 1) -> pd.DataFrame:
    """Return predictions of three findings, some of them unknown, with scores that tie."""
    rows = World(np.random.default_rng(seed), patients, [0.5, 0.3, 0.2]).model(0.8, trainings)
    scores = [f"prob_{name}" for name in NAMES]
    return rows.assign(**rows[scores].round(1))


def known(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return of a finding its score, whether it is shown, and whose the image is, where known."""
    state = states(rows["label"], [name])[:, 0]
    columns = {"score": rows[f"prob_{name}"], "shown": state == POSITIVE, "of": rows["patient_id"]}
    return pd.DataFrame(columns)[state != UNKNOWN]


@pytest.mark.parametrize(("summary", "expected"), [AUC, PRECISION])
def test_values_and_means_are_those_of_scikit_learn(summary, expected):
    rows = made_up()
    assert states(rows["label"], NAMES).min() == UNKNOWN
    single = [expected(one["shown"], one["score"]) for one in (known(rows, n) for n in NAMES)]
    for name, one in zip(NAMES, single, strict=True):
        assert value(rows, mean_over([name], summary)) == pytest.approx(one)
    assert value(rows, mean_over(NAMES, summary)) == pytest.approx(np.mean(single))
    assert value(rows, mean_over(NAMES[1:], summary)) == pytest.approx(np.mean(single[1:]))


@pytest.mark.parametrize(("summary", "expected"), [AUC, PRECISION])
def test_an_influence_is_how_the_score_moves_by_the_weight_of_a_patient(summary, expected):
    rows = known(made_up(), NAMES[1])
    patients, names = pd.factorize(rows["of"])
    positive = rows["shown"].to_numpy()
    _, found, fewest = summary(rows["score"].to_numpy(), positive, patients, len(names))
    sides = [len(set(patients[positive == side])) for side in (True, False)]
    assert fewest == min(sides)
    moved, step = np.zeros(len(names)), 1e-5
    for side, number in zip((True, False), sides, strict=True):
        for patient in range(len(names)):
            chosen = (patients == patient) & (positive == side)
            up, down = (
                expected(positive, rows["score"], sample_weight=1 + chosen * change)
                for change in (step, -step)
            )
            # The few patients of one side are corrected for as few.
            moved[patient] += (up - down) / (2 * step) * np.sqrt(number / (number - 1))
    assert found == pytest.approx(moved, abs=1e-8)
    assert np.abs(found).max() > 1e-3


def test_images_of_a_patient_are_not_independent():
    rows = known(made_up(), NAMES[0])
    positive, places = rows["shown"].to_numpy(), np.arange(len(rows))
    scores = rows["score"].to_numpy()
    patients, names = pd.factorize(rows["of"])
    for summary in (one_auc, average_precision):
        _, alone, _ = summary(scores, positive, places, len(rows))
        _, together, _ = summary(scores, positive, patients, len(names))
        # But for the correction for their number, sums over the images of each.
        assert together == pytest.approx(np.bincount(patients, alone), rel=0.05, abs=2e-4)
        assert (together**2).sum() > 1.1 * (alone**2).sum()


def test_a_model_that_always_says_the_same_is_at_chance_exactly():
    rows = made_up().assign(**{f"prob_{name}": 0.3 for name in NAMES})
    found = score(rows, mean_over(NAMES, one_auc)).interval()
    assert found.estimate == 0.5
    assert found.low < 0.5 < found.high
    shares = [known(rows, name)["shown"].mean() for name in NAMES]
    assert value(rows, mean_over(NAMES, average_precision)) == pytest.approx(np.mean(shares))


def test_what_is_unknown_of_an_image_counts_nowhere():
    rows = made_up(trainings=2)
    shown, other = states(rows["label"], NAMES), rows.copy()
    for place, name in enumerate(NAMES):
        unknown = shown[:, place] == UNKNOWN
        assert unknown.any()
        other.loc[unknown, f"prob_{name}"] = 1 - other.loc[unknown, f"prob_{name}"]
    assert not other.equals(rows)
    blank = pd.concat([rows, rows.assign(label="")])
    for summary in (one_auc, average_precision):
        measure = mean_over(NAMES, summary)
        expected = score(rows, measure).interval()
        assert score(other, measure).interval() == expected
        assert score(blank, measure).interval() == expected
    assert told(blank) == told(rows) == NAMES


def test_a_finding_is_told_by_two_patients_who_show_it_and_two_who_do_not():
    labels = {"a": ["A", "A"], "b": ["A|B", "-"], "c": ["-", "A|B?"], "d": ["B?", "B?"]}
    pairs = [(patient, label) for patient, of in labels.items() for label in of]
    rows = pd.DataFrame(pairs, columns=["patient_id", "label"])
    rows = rows.assign(seed=0, prob_A=np.linspace(0, 1, 8), prob_B=0.5)
    assert told(rows) == ["A"]  # one patient shows B, and another two may
    more = pd.concat([rows, rows[:1].assign(patient_id="e", label="B")])
    assert told(more) == ["A", "B"]
    assert told(rows[rows["patient_id"].isin(["a", "b"])]) == []  # one of them does not show A
    # Where one of several cannot be scored, a mean over the others would be of something else.
    nowhere = rows.assign(label=rows["label"].str.replace("A|B", "A", regex=False))
    assert np.isfinite(value(nowhere, mean_over(["A"], one_auc)))
    assert np.isnan(value(nowhere, mean_over(["A", "B"], one_auc)))
    assert np.isnan(value(rows, mean_over([], one_auc)))


def test_both_models_of_a_comparison_are_measured_by_the_same_findings():
    world = World(np.random.default_rng(1), 60, [0.4, 0.3, 0.2, 0.001])
    first, second = world.model(0.9, 3), world.model(0.6, 3)
    assert told(first) == told(second) == NAMES
    found = compare(first, second, mean_over(told(first), one_auc))
    means = [
        np.mean([value(part, mean_over(told(first), one_auc)) for _, part in one.groupby("seed")])
        for one in (first, second)
    ]
    assert found.value == pytest.approx(means[0] - means[1])
    assert found.interval().low > 0


def test_a_rare_finding_among_many_does_not_make_the_mean_unknown():
    """Two patients show the last: alone it says little, among the others it is one of twelve."""
    rows = World(np.random.default_rng(7), 100, [0.3] * 11 + [0.02]).model(0.7)
    found = told(rows)
    alone, mean = (score(rows, mean_over(names, one_auc)) for names in (found[-1:], found))
    assert (len(found), alone.strata[0].patients) == (12, 2)
    assert mean.strata[0].worth > 10
    (_, low, high), (_, least, most) = alone.interval(), mean.interval()
    assert most - least < 0.1 * (high - low)


@pytest.mark.parametrize("findings", [1, 8])
def test_intervals_hold_what_they_are_said_to(findings):
    """A small version of benchmarks/finding_coverage.py, and chance of 150 simulations."""
    random, held = np.random.default_rng(3), {"auc": [], "average_precision": []}
    for _ in range(150):
        rows = World(random, 60, [0.2] * findings).model(0.75)
        for name, (summary, _) in zip(held, (AUC, PRECISION), strict=True):
            held[name].append(score(rows, mean_over(told(rows), summary)).interval())
    for name, found in held.items():
        values, low, high = np.transpose(found)
        # Average precision: of what as many patients have on average.
        true = truth(name, 0.75, 0.2) if name == "auc" else values.mean()
        assert ((low <= true) & (true <= high)).mean() > 0.9, name
        assert np.mean(high - low) < 6 * values.std(), name


def test_the_order_of_trainings_changes_nothing():
    """How many patients tell a mean is asked of all trainings together, not of the first."""
    world = World(np.random.default_rng(3), 60, [0.07, 0.4, 0.4])
    rows = pd.concat([world.model(0.7).assign(seed=seed) for seed in range(6)])
    names = told(rows)
    turned = pd.concat([part for _, part in reversed(list(rows.groupby("seed")))])
    one, other = (score(part, mean_over(names, one_auc)).interval() for part in (rows, turned))
    assert one == pytest.approx(other)
