"""Variances against a plain analysis of variance, limits against published ones and SciPy's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, t

from sscdl.errors import InputError
from sscdl.evaluation import measures
from sscdl.evaluation.inference import (
    Factor,
    Score,
    Variance,
    _wilson_high,
    patients_of,
    score,
    variance,
)
from tests.unit.evaluation.made_up_scores import CLASSES, made_up

RIGHT = measures.mean_of("right", bounded=True)


def trained(seeds: int, rows: int = 80, spread: float = 0.3, **more) -> pd.DataFrame:
    """Return predictions of several trainings of different skill on the same images."""
    generator = np.random.default_rng(5)
    first = made_up(rows, CLASSES[:2], **more)
    parts = []
    for seed in range(seeds):
        flip = generator.random(rows) < generator.uniform(0, spread)
        other = first["predicted"].map({"negative": "typical", "typical": "negative"})
        part = first.assign(seed=seed, predicted=first["predicted"].where(~flip, other))
        parts.append(part.assign(right=(part["label"] == part["predicted"]).astype(float)))
    return pd.concat(parts, ignore_index=True)


def test_the_variance_is_that_of_a_two_way_analysis_of_variance():
    """Trainings by patients, an image each: (MS_T + MS_P - MS_TP) / (T P) (Dorfman et al. 1992)."""
    table = trained(4)
    y = table["right"].to_numpy().reshape(4, -1)
    trainings, patients = y.shape
    apart = y - y.mean(axis=1, keepdims=True) - y.mean(axis=0) + y.mean()
    of_trainings = patients * y.mean(axis=1).var(ddof=1)
    of_patients = trainings * y.mean(axis=0).var(ddof=1)
    of_both = (apart**2).sum() / ((trainings - 1) * (patients - 1))
    found = score(table, RIGHT).variance()
    expected = (of_trainings + of_patients - of_both) / (trainings * patients)
    assert found.total == pytest.approx(expected)
    common = (of_patients - of_both) / (trainings * patients)
    assert found.common == pytest.approx(common)
    # Hillis (2007), and what the common part is unsure of by itself.
    between = of_trainings / (trainings * patients)
    unsure = between**2 / (trainings - 1) + common**2 / (patients - 1)
    assert found.df == pytest.approx(expected**2 / unsure)


def test_one_training_varies_over_patients_alone():
    table = trained(1, per_patient=2)
    found = score(table, RIGHT).variance()
    sums = (table["right"] - table["right"].mean()).groupby(table["patient_id"]).sum()
    expected = (sums**2).sum() / len(table) ** 2 * len(sums) / (len(sums) - 1)
    assert found.total == pytest.approx(expected)
    assert found.df == len(sums) - 1


def test_trainings_that_differ_widen_the_interval_and_alike_ones_do_not():
    one, alike = trained(1), trained(1)
    alike = pd.concat([alike.assign(seed=seed) for seed in range(5)])
    widths = [
        np.diff(score(table, measures.balanced_accuracy).interval()[1:])[0]
        for table in (one, alike, trained(5, spread=0.6))
    ]
    assert widths[1] == pytest.approx(widths[0], rel=0.02)
    assert widths[2] > 1.2 * widths[0]
    whole = score(trained(5, spread=0.6), measures.balanced_accuracy)
    assert np.isnan(whole.as_trained().deviation)
    assert np.diff(whole.as_trained().interval()[1:]) < 0.8 * widths[2]


def test_two_trainings_that_agree_by_chance_are_no_certainty():
    rows = trained(2, spread=0.6)
    found = score(rows, RIGHT)
    total, common = found.variance().total, found.variance().common
    low, high = found.variance().df, t.ppf(0.975, found.variance().df)
    squares = t.ppf(0.975, 1) ** 2 * (total - common) + t.ppf(0.975, 79) ** 2 * common
    assert high**2 == pytest.approx(squares / total, rel=1e-6)
    assert 1 <= low <= 79


@pytest.mark.parametrize(("right", "of"), [(10, 40), (33, 40), (70, 100), (0, 30), (30, 30)])
def test_proportions_have_wilsons_limits(right, of):
    expected = binomtest(right, of).proportion_ci(method="wilson")
    z = 1.959963984540054
    assert _wilson_high(right / of, of, z, 0.05) == pytest.approx(expected.high)
    assert 1 - _wilson_high(1 - right / of, of, z, 0.05) == pytest.approx(expected.low)


def test_few_errors_have_poissons_limit():
    """Brown, Cai & DasGupta (2001): 2 of 50 wrong, lower limit of a Poisson mean 0.355."""
    high = _wilson_high(48 / 50, 50, 1.96, 0.05)
    assert 1 - high == pytest.approx(0.35536 / 50, rel=1e-3)
    assert high > binomtest(48, 50).proportion_ci(method="wilson").high


def test_all_right_is_no_certainty_and_limits_stay_within_bounds():
    table = made_up(40, CLASSES[:2], per_patient=4)
    perfect = table.assign(predicted=table["label"])
    found = score(perfect, measures.balanced_accuracy).interval()
    assert (found.estimate, found.high) == (1.0, 1.0)
    # Ten patients with four images each: known no better than from ten images.
    assert 0.6 < found.low < 0.85
    auc = score(perfect.assign(prob_typical=(perfect["label"] == "typical") * 1.0), measures.auc)
    assert auc.interval().high == 1.0
    assert auc.interval().low < 0.85
    none = table.assign(
        predicted=table["label"].map(dict(zip(CLASSES, CLASSES[1::-1], strict=False)))
    )
    assert score(none, measures.balanced_accuracy).interval().low == 0.0


def test_a_model_that_always_says_the_same_is_not_known_to_be_at_chance_exactly():
    table = made_up(40, CLASSES[:2]).assign(predicted="typical")
    found = score(table, measures.balanced_accuracy).interval()
    assert found.estimate == 0.5
    assert found.low < 0.5 < found.high


def test_images_of_a_patient_are_not_independent():
    one = made_up(40, CLASSES[:2])
    copies = pd.concat([one] * 10, ignore_index=True)
    widths = [
        np.diff(score(table, measures.balanced_accuracy).interval()[1:])[0]
        for table in (one, copies, copies.assign(patient_id=np.arange(400).astype(str)))
    ]
    assert widths[1] == pytest.approx(widths[0], rel=0.02)
    assert widths[2] < 0.5 * widths[0]


def test_what_cannot_be_told_is_not_told():
    one_patient = made_up(6, CLASSES[:2], per_patient=6)
    found = score(one_patient, measures.balanced_accuracy).interval()
    assert np.isfinite(found.estimate)
    assert np.isnan([found.low, found.high]).all()
    blank = trained(2).assign(ail=np.nan)
    blank.loc[:79, "ail"] = 0.5
    assert np.isnan(score(blank, measures.mean_of("ail")).interval()).all(), "one seed has none"
    missing = made_up(6, CLASSES[:2])
    missing.loc[2, "patient_id"] = None
    with pytest.raises(InputError, match="patient_id"):
        score(missing, measures.balanced_accuracy)


def test_trainings_are_averaged_not_pooled():
    parts = [made_up(80, CLASSES[:2]), made_up(80, CLASSES[:2], seed=4).iloc[:20].assign(seed=1)]
    found = score(pd.concat(parts), measures.balanced_accuracy)
    expected = [measures.value(part, measures.balanced_accuracy) for part in parts]
    assert found.value == pytest.approx(np.mean(expected))
    assert found.deviation == pytest.approx(np.std(expected, ddof=1))


def test_factors_add_up_and_what_they_share_counts_once():
    influence = np.array([0.1, -0.1, 0.05, -0.05])
    alone = variance(influence, [])
    assert alone.total == pytest.approx((influence**2).sum())
    factor = Factor(np.array([0.4, 0.6, 0.5]), np.tile(influence, (3, 1)))
    both = variance(influence, [factor])
    assert both.total == pytest.approx(alone.total + 0.01 / 3), "no interaction: patients and s^2/R"
    twice = variance(influence, [factor, factor])
    assert twice.total == pytest.approx(alone.total + 0.02 / 3)
    assert both.df < twice.df
    limits = Score((measures.Stratum(1.0, 0.5, influence, 4, 4, bounded=False),), factor).limits(
        Variance(both.total, both.common, 1e9), 0.05
    )
    half = t.ppf(0.975, 3) * np.sqrt(both.total)
    assert limits == pytest.approx((0.5 - half, 0.5 + half)), "never surer than its patients allow"


def test_what_was_repeated_twice_keeps_its_own_quantile_beside_what_was_repeated_often():
    """Two trainings and ten random networks: the two are not surer for the ten."""
    nothing = np.zeros((10, 50))
    two = Factor(np.array([0.5, 0.6]), nothing[:2])
    ten = Factor(np.linspace(0.4, 0.5, 10), nothing)
    found = variance(np.zeros(50), [two, ten])
    squares = t.ppf(0.975, 1) ** 2 * two.between + t.ppf(0.975, 9) ** 2 * ten.between
    assert t.ppf(0.975, found.df) ** 2 == pytest.approx(squares / found.total, rel=1e-6)
    assert variance(np.zeros(50), [two, two]).df == pytest.approx(2)


def test_trainings_of_one_kind_each_that_differ_are_not_certain():
    """Two call all positive and one none: patients make no difference, another training would."""
    parts = [made_up(60, CLASSES[:2]).assign(seed=seed, right=float(seed < 2)) for seed in range(3)]
    found = score(pd.concat(parts), RIGHT).interval()
    assert found.estimate == pytest.approx(2 / 3)
    assert found.low < 0.3
    assert found.high > 0.9


def test_trainings_that_were_tested_on_other_classes_are_refused():
    parts = [made_up(60, CLASSES[:3]), made_up(60, CLASSES[:3]).assign(seed=1)]
    for left in ("typical", "indeterminate"):
        parts[1] = made_up(60, CLASSES[:3]).assign(seed=1)
        parts[1] = parts[1][parts[1]["label"] != left]
        with pytest.raises(InputError, match="images of different classes"):
            score(pd.concat(parts), measures.balanced_accuracy)
    parts[0] = parts[0][parts[0]["label"] != "negative"]
    with pytest.raises(InputError, match="images of different classes"):
        score(pd.concat(parts), measures.balanced_accuracy)


def test_patients_are_those_in_all_tables():
    tables = [made_up(40, CLASSES[:2], per_patient=2), made_up(50, CLASSES[:2], per_patient=2)]
    assert len(patients_of(*tables)) == 20
    with pytest.raises(InputError, match="share no patient_id"):
        patients_of(tables[0].iloc[:10], tables[0].iloc[10:])
