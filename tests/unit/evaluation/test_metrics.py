"""Metrics against scikit-learn, and the bootstrap's units, pairing and blocks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from sscdl.errors import InputError
from sscdl.evaluation import metrics

CLASSES = ["negative", "typical", "indeterminate", "atypical"]


def made_up(
    rows: int, classes: list[str], *, seed: int = 0, skill: float = 1.0, per_patient: int = 1
) -> pd.DataFrame:
    """Return predictions whose scores carry ``skill`` logits of information about the label."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(len(classes), size=rows)
    logits = generator.normal(size=(rows, len(classes)))
    logits[np.arange(rows), labels] += skill
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = pd.DataFrame(
        {
            "image_id": [f"i{index}" for index in range(rows)],
            "patient_id": [f"p{index // per_patient}" for index in range(rows)],
            "seed": 0,
            "label": np.array(classes)[labels],
            "predicted": np.array(classes)[probabilities.argmax(axis=1)],
        }
    )
    for index, name in enumerate(classes):
        table[f"prob_{name}"] = probabilities[:, index]
    return table


@pytest.mark.parametrize("classes", [CLASSES[:2], CLASSES])
def test_metrics_agree_with_scikit_learn(classes):
    table = made_up(300, classes)
    matrix = metrics.confusion_matrix(table["label"], table["predicted"], classes)
    true, guess = table["label"], table["predicted"]
    assert (matrix == reference.confusion_matrix(true, guess, labels=classes)).all()
    recall = reference.recall_score(true, guess, labels=classes, average=None)
    assert metrics.per_class_accuracy(matrix) == pytest.approx(recall)
    assert metrics.balanced_accuracy(matrix) == pytest.approx(
        reference.balanced_accuracy_score(true, guess)
    )
    assert metrics.macro_f1(matrix) == pytest.approx(
        reference.f1_score(true, guess, average="macro")
    )
    scores = table[[f"prob_{name}" for name in classes]].to_numpy()
    expected = (
        reference.roc_auc_score(true == classes[1], scores[:, 1])
        if len(classes) == 2
        else np.mean(
            [reference.roc_auc_score(true == c, scores[:, i]) for i, c in enumerate(classes)]
        )
    )
    assert metrics.evaluate(table, metrics.auc_statistic) == pytest.approx(expected)


def test_weighted_auc_with_ties_equals_repeated_rows():
    generator = np.random.default_rng(3)
    scores = generator.integers(5, size=60) / 4
    positive = generator.random(60) < 0.4
    weights = generator.integers(3, size=(4, 60)).astype(float)
    ours = metrics.weighted_auc(scores, positive, weights)
    for row, value in zip(weights.astype(int), ours, strict=True):
        expected = reference.roc_auc_score(np.repeat(positive, row), np.repeat(scores, row))
        assert value == pytest.approx(expected)


def test_classes_without_images_are_left_out():
    table = made_up(200, CLASSES)
    table = table[table["label"].isin(["negative", "typical"])]
    matrix = metrics.confusion_matrix(table["label"], table["predicted"], CLASSES)
    accuracy = metrics.per_class_accuracy(matrix)
    assert np.isnan(accuracy[2:]).all()
    assert metrics.balanced_accuracy(matrix) == pytest.approx(accuracy[:2].mean())
    assert np.isnan(metrics.balanced_accuracy(np.zeros((2, 2))))
    # Such a class has not been lost by a draw: it was never there.
    for statistic in (metrics.balanced_accuracy_statistic, metrics.macro_f1_statistic):
        assert np.isfinite(metrics.bootstrap_interval(table, statistic, draws=20)).all()


def test_guessing_among_three_is_right_once_in_three_where_two_occur():
    """Also where a class of the model has no image, it can be guessed."""
    classes = CLASSES[:3]
    table = made_up(6000, classes)
    assert metrics.chance(table) == pytest.approx(1 / 3)
    table = table[table["label"].isin(classes[:2])].copy()
    table["predicted"] = np.random.default_rng(0).choice(classes, size=len(table))
    guessed = metrics.evaluate(table, metrics.balanced_accuracy_statistic)
    assert metrics.chance(table) == pytest.approx(1 / 3)
    assert guessed == pytest.approx(metrics.chance(table), abs=0.02)
    assert np.isnan(metrics.chance(table[["label", "predicted"]]))


def test_columns_of_another_tables_classes_are_none_of_this_ones():
    tables = [made_up(20, CLASSES[:2]), made_up(20, CLASSES[:3])]
    joined = pd.concat([table.assign(study=k) for k, table in enumerate(tables)])
    assert metrics.class_names(joined[joined["study"] == 0]) == CLASSES[:2]
    assert metrics.class_names(joined) == CLASSES[:3]


def test_unlabelled_rows_take_no_part():
    table = made_up(100, CLASSES[:2])
    more = table.copy()
    more.loc[:29, "label"] = ""
    more.loc[30:39, "label"] = None
    rest = table.iloc[40:]
    assert len(metrics.labelled(more)) == 60
    for statistic in (
        metrics.balanced_accuracy_statistic,
        metrics.auc_statistic,
        metrics.macro_f1_statistic,
    ):
        assert metrics.evaluate(more, statistic) == pytest.approx(metrics.evaluate(rest, statistic))


def test_prediction_outside_the_classes_is_refused():
    with pytest.raises(InputError, match="predicted class"):
        metrics.confusion_matrix(["negative"], ["other"], CLASSES)


def test_bootstrap_draws_patients_and_equals_a_plain_loop():
    table = made_up(60, CLASSES[:2], per_patient=3).sample(frac=1, random_state=0)
    interval = metrics.bootstrap_interval(
        table, metrics.balanced_accuracy_statistic, draws=200, seed=5
    )
    groups = [group for _, group in table.groupby("patient_id")]
    drawn = np.random.default_rng(5).integers(len(groups), size=(200, len(groups)))
    values = []
    for row in drawn:
        sample = pd.concat([groups[index] for index in row])
        values.append(reference.balanced_accuracy_score(sample["label"], sample["predicted"]))
    assert interval.low == pytest.approx(np.quantile(values, 0.025))
    assert interval.high == pytest.approx(np.quantile(values, 0.975))
    assert interval.estimate == pytest.approx(
        reference.balanced_accuracy_score(table["label"], table["predicted"])
    )


def test_clustered_images_widen_the_interval():
    one = made_up(40, CLASSES[:2])
    copies = pd.concat([one] * 10, ignore_index=True)
    statistic = metrics.balanced_accuracy_statistic
    by_patient = metrics.bootstrap_interval(copies, statistic, draws=300)
    by_row = metrics.bootstrap_interval(
        copies.assign(row=range(len(copies))), statistic, by="row", draws=300
    )
    assert by_patient.high - by_patient.low > 2 * (by_row.high - by_row.low)


def test_blocks_do_not_change_the_interval(monkeypatch):
    table = made_up(50, CLASSES[:2], per_patient=2)
    whole = metrics.bootstrap_interval(table, metrics.auc_statistic, draws=100, seed=1)
    monkeypatch.setattr(metrics, "_BLOCK_ELEMENTS", 350)
    assert metrics.bootstrap_interval(table, metrics.auc_statistic, draws=100, seed=1) == whole


@pytest.mark.parametrize(
    "statistic",
    [
        metrics.balanced_accuracy_statistic,
        metrics.macro_f1_statistic,
        metrics.auc_statistic,
    ],
)
@pytest.mark.parametrize("classes", [CLASSES[:2], CLASSES[:3]])
def test_draws_that_lose_a_class_are_left_out(statistic, classes):
    table = made_up(30, classes)
    rare = table.index[table["label"] == classes[-1]]
    table = table.drop(rare[2:])
    whole = np.ones((1, len(table)))
    lost = np.where(table["label"] == classes[-1], 0.0, 1.0)[None]
    assert np.isfinite(statistic(table, whole)).all()
    assert np.isnan(statistic(table, lost)).all()
    assert np.isnan(statistic(table, np.concatenate([whole, lost]))).tolist() == [False, True]


def test_a_model_that_always_says_the_same_is_at_chance_in_every_draw():
    table = made_up(40, CLASSES[:2])
    table = table.drop(table.index[table["label"] == CLASSES[1]][3:]).assign(predicted=CLASSES[0])
    interval = metrics.bootstrap_interval(table, metrics.balanced_accuracy_statistic, draws=300)
    assert (interval.estimate, interval.low, interval.high) == (0.5, 0.5, 0.5)


def test_one_patient_has_no_interval():
    table = made_up(6, CLASSES[:2], per_patient=6)
    interval = metrics.bootstrap_interval(table, metrics.balanced_accuracy_statistic)
    assert np.isfinite(interval.estimate)
    assert np.isnan([interval.low, interval.high]).all()


def test_missing_patients_are_refused():
    table = made_up(6, CLASSES[:2])
    table.loc[2, "patient_id"] = None
    with pytest.raises(InputError, match="patient_id"):
        metrics.bootstrap_interval(table, metrics.balanced_accuracy_statistic)


def test_paired_difference_of_equal_models_is_nothing():
    table = made_up(100, CLASSES[:2])
    same = metrics.paired_difference(table, table.sample(frac=1, random_state=1))
    assert same[:4] == (0.0, 0.0, 0.0, 1.0)


def test_pairing_narrows_the_interval_and_finds_a_difference():
    good = made_up(300, CLASSES[:2], skill=2.0)
    worse = good.copy()
    flip = np.random.default_rng(0).random(300) < 0.08
    swap = {"negative": "typical", "typical": "negative"}
    worse.loc[flip, "predicted"] = worse.loc[flip, "label"].map(swap)
    paired = metrics.paired_difference(good, worse, draws=400)
    statistic = metrics.balanced_accuracy_statistic
    single = [metrics.bootstrap_interval(t, statistic, draws=400) for t in (good, worse)]
    assert paired.low > 0
    assert paired.p < 0.05
    assert paired.patients == 300
    assert paired.high - paired.low < max(i.high - i.low for i in single)
    back = metrics.paired_difference(worse, good, draws=400)
    assert back.estimate == -paired.estimate
    assert back.p == paired.p


def test_paired_difference_uses_common_patients_only():
    table = made_up(40, CLASSES[:2], per_patient=2)
    part = table.iloc[10:]
    assert metrics.paired_difference(table, part, draws=20)[:4] == (0.0, 0.0, 0.0, 1.0)
    assert metrics.paired_difference(table, part, draws=20).patients == 15
    with pytest.raises(InputError, match="share no patient_id"):
        metrics.paired_difference(table.iloc[:10], part)


def test_seeds_are_averaged_not_pooled():
    first, second = made_up(80, CLASSES[:2]), made_up(80, CLASSES[:2], seed=4).iloc[:20]
    both = pd.concat([first, second.assign(seed=1)])
    statistic = metrics.balanced_accuracy_statistic
    expected = np.mean([metrics.evaluate(t, statistic) for t in (first, second)])
    assert metrics.evaluate(both, metrics.mean_over_seeds(statistic)) == pytest.approx(expected)


def test_column_mean_skips_undefined_values():
    table = made_up(10, CLASSES[:2]).assign(ail=[0.5, np.nan] * 5)
    assert metrics.evaluate(table, metrics.column_mean("ail")) == 0.5


def test_draws_are_evaluated_together_and_in_bounded_blocks(monkeypatch):
    shapes = []

    def statistic(predictions, weights):
        shapes.append(weights.shape)
        return metrics.balanced_accuracy_statistic(predictions, weights)

    table = made_up(1000, CLASSES[:2])
    metrics.bootstrap_interval(table, statistic, draws=1000)
    assert shapes == [(1, 1000), (1000, 1000)]
    shapes.clear()
    monkeypatch.setattr(metrics, "_BLOCK_ELEMENTS", 300_000)
    metrics.bootstrap_interval(table, statistic, draws=1000)
    assert shapes == [(1, 1000), *[(300, 1000)] * 3, (100, 1000)]
    shapes.clear()
    metrics.paired_difference(table, table, statistic, draws=500)
    assert shapes == [(1, 1000)] * 2 + [(300, 1000)] * 2 + [(200, 1000)] * 2
