"""Differences of models: published limits, agreement of p and interval, seeds, and false alarms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t, ttest_ind, ttest_rel

from benchmarks.coverage import World
from sscdl.errors import InputError
from sscdl.evaluation import measures
from sscdl.evaluation.differences import (
    Comparison,
    compare,
    compare_groups,
    compare_same,
    of_factors,
)
from sscdl.evaluation.inference import Factor, Score, Variance, score
from tests.unit.evaluation.made_up_scores import CLASSES, made_up

BALANCED = measures.balanced_accuracy
ATTENTION = measures.mean_of("ail")


def world(accuracies, trainings: int, deviation: float, patients: int = 200, seed: int = 0):
    made = World(np.random.default_rng(seed), patients, 0.5)
    return [made.model(one, trainings, deviation) for one in accuracies]


def proportion(right: int, of: int) -> Score:
    """Return the score of independent images, of so many patients that t is normal."""
    p = right / of
    influence = np.full(1, np.sqrt(p * (1 - p) / of))
    part = measures.Stratum(1.0, p, influence, of, 10**9)
    return Score((part,), Factor(np.array([p]), influence[None]))


def test_independent_proportions_have_newcombes_limits():
    """Newcombe (1998), method 10, his example (a): 56 of 70 less 48 of 80."""
    first, second = proportion(56, 70), proportion(48, 80)
    total = first.variance().total + second.variance().total
    found = Comparison(first, second, Variance(total, total, 1e9), True)
    assert found.value == pytest.approx(0.2)
    assert found.limits(0.05) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize("measure", [BALANCED, measures.auc, measures.macro_f1, ATTENTION])
@pytest.mark.parametrize(
    ("accuracies", "seeds"), [((0.9, 0.8), 3), ((0.8, 0.8), 2), ((0.99, 0.9), 1)]
)
def test_p_is_where_the_interval_touches_zero(measure, accuracies, seeds):
    found = compare(*world(accuracies, seeds, 0.02), measure)
    low, high = found.limits(found.p)
    assert min(abs(low), abs(high)) < 1e-6
    for alpha in (0.01, 0.05, 0.2):
        low, high = found.limits(alpha)
        assert (low > 0 or high < 0) == (found.p < alpha)
    back = compare(*reversed(world(accuracies, seeds, 0.02)), measure)
    assert back.p == pytest.approx(found.p, rel=1e-6)
    assert back.interval() == pytest.approx((-found.value, *(-x for x in found.limits(0.05)[::-1])))


def test_with_one_image_a_patient_and_no_bounds_it_is_the_paired_t_test():
    generator = np.random.default_rng(1)
    first = made_up(50, CLASSES[:2]).assign(ail=generator.normal(0.4, 0.1, 50))
    second = first.assign(ail=first["ail"] + generator.normal(0.02, 0.05, 50))
    assert compare(first, second, ATTENTION).p == pytest.approx(
        ttest_rel(first["ail"], second["ail"]).pvalue
    )


def test_where_patients_say_nothing_it_is_welchs_test_of_trainings():
    values = [np.array([0.70, 0.72, 0.75, 0.71]), np.array([0.66, 0.71, 0.62])]
    scores = []
    for of_model in values:
        nothing = np.zeros((len(of_model), 30))
        part = measures.Stratum(
            1.0, float(of_model.mean()), nothing[0] + 1e-9, 30, 30, bounded=False
        )
        scores.append(Score((part,), Factor(of_model, nothing + 1e-9)))
    found = of_factors(*scores, [one.trainings for one in scores], tested=True)
    assert found.p == pytest.approx(ttest_ind(*values, equal_var=False).pvalue, rel=1e-4)


def test_three_seeds_that_contradict_each_other_show_nothing():
    """Differences of -6, +6 and +18 points on 1,200 patients: over seeds [-24, 36], no "better"."""
    base = made_up(1200, ["a", "b"], skill=8.0)
    parts: dict[str, list[pd.DataFrame]] = {"first": [], "second": []}
    for seed, (first, second) in enumerate([(0.77, 0.83), (0.83, 0.77), (0.89, 0.71)]):
        for name, accuracy in (("first", first), ("second", second)):
            wrong = np.arange(1200) % 100 >= round(100 * accuracy)
            other = base["label"].map({"a": "b", "b": "a"})
            part = base.assign(seed=seed, predicted=base["label"].where(~wrong, other))
            parts[name].append(part)
    found = compare(pd.concat(parts["first"]), pd.concat(parts["second"]), BALANCED)
    assert found.value == pytest.approx(0.06, abs=0.01)
    assert found.p > 0.1
    low, high = found.limits(0.05)
    assert low < -0.04
    assert high > 0.16
    assert found.as_trained().limits(0.05)[0] > 0, (
        "of these trainings and other patients it is true"
    )


def test_rare_classes_count_as_much_in_p_as_in_the_difference():
    """180 to 20 images: what is gained on the rare class is found, though few images are."""
    labels = ["common"] * 180 + ["rare"] * 20
    base = pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(200)], "patient_id": [f"p{k}" for k in range(200)],
            "seed": 0, "label": labels, "prob_common": 0.5, "prob_rare": 0.5,
        }
    )  # fmt: skip
    first = base.assign(predicted=["rare"] * 18 + ["common"] * 162 + ["rare"] * 18 + ["common"] * 2)
    second = base.assign(predicted=["common"] * 180 + ["rare"] * 2 + ["common"] * 18)
    found = compare(first, second, BALANCED)
    assert found.value == pytest.approx(0.35)
    assert found.p < 0.001
    assert found.limits(0.05)[0] > 0.15


def test_the_same_model_twice_is_no_different():
    table = made_up(100, CLASSES[:2])
    found = compare(table, table.sample(frac=1, random_state=1), BALANCED)
    assert found.value == 0
    assert found.p == 1
    # None of 100 images tells them apart, so that it is less than three in a hundred that do.
    low, high = found.limits(0.05)
    assert -0.03 < low < 0 < high < 0.03


def test_only_common_patients_count():
    table = made_up(40, CLASSES[:2], per_patient=2)
    found = compare(table, table.iloc[10:], BALANCED)
    assert found.value == 0
    assert len(found.first.influence) == 15


def test_one_training_is_not_tested_unless_the_other_is_no_training():
    one, three = world((0.8, 0.8), 1, 0.0), world((0.8, 0.8), 3, 0.02)
    assert not compare(*one, BALANCED).tested
    assert not compare(three[0], one[1], BALANCED).tested
    assert compare(*three, BALANCED).tested
    assert compare(three[0], one[1], BALANCED, fixed=True).tested
    assert not compare(*one, BALANCED, fixed=True).tested
    assert np.isnan(compare(*one, BALANCED).another()).all()
    assert compare(*one, BALANCED).trainings_for(0.1) is None


def test_another_training_lies_within_students_prediction_interval():
    first, second = world((0.8, 0.75), 5, 0.03)
    found = compare(first, second, BALANCED)
    low, high = found.another()
    variances = [
        score(table, BALANCED).trainings.values.var(ddof=1) * 6 / 5 for table in (first, second)
    ]
    df = sum(variances) ** 2 / sum(one**2 / 4 for one in variances)
    half = t.ppf(0.975, df) * np.sqrt(sum(variances))
    assert (low, high) == pytest.approx((found.value - half, found.value + half))


def test_equivalence_needs_an_interval_within_the_margin():
    close = compare(*world((0.8, 0.8), 10, 0.0, patients=1000), BALANCED)
    low, high = close.limits(0.1)
    edge = max(-low, high)
    assert close.p_equivalent(edge * 1.01) < 0.05 < close.p_equivalent(edge * 0.99)
    assert close.p_equivalent(abs(close.value) / 2) == 0.5
    far = compare(*world((0.9, 0.7), 5, 0.01), BALANCED)
    assert far.p_equivalent(0.05) == 0.5
    assert far.p_equivalent(0.9) < 1e-6


def test_more_trainings_find_smaller_differences_until_patients_are_too_few():
    found = compare(*world((0.8, 0.78), 3, 0.03, patients=1000), BALANCED)
    numbers = [found.trainings_for(size) for size in (0.3, 0.1, 0.05)]
    assert None not in numbers
    assert numbers == sorted(numbers)
    assert found.trainings_for(0.001) is None
    assert found.detectable > 2 * np.sqrt(found.spread.total)


def test_the_same_trainings_on_two_sets_of_images_are_paired():
    first, second = world((0.85, 0.7), 5, 0.05)
    # The second set is the first, but for a few images: trainings differ together.
    second = first.copy()
    flip = np.random.default_rng(0).random(len(second)) < 0.1
    second.loc[flip, "predicted"] = "ill"
    paired, apart = compare_same(first, second, BALANCED), compare(first, second, BALANCED)
    assert paired.value == pytest.approx(apart.value)
    assert np.diff(paired.limits(0.05)) < 0.7 * np.diff(apart.limits(0.05))
    fewer = compare_same(first, second[second["seed"] < 2], BALANCED)
    assert len(fewer.first.trainings.values) == 2


def test_groups_of_other_patients_vary_apart_and_of_the_same_together():
    (rows,) = world((0.8,), 1, 0.0, patients=300, seed=5)
    number = pd.factorize(rows["patient_id"])[0]
    inside, rest = rows[number % 3 == 0], rows[number % 3 > 0]
    found = compare_groups(inside, rest, ATTENTION)
    own = [score(part, ATTENTION).variance().total for part in (inside, rest)]
    assert found.spread.total == pytest.approx(sum(own))
    assert found.value == pytest.approx(inside["ail"].mean() - rest["ail"].mean())
    # Each image twice, once in either group: nothing varies between them.
    assert compare_groups(rows, rows, ATTENTION).spread.total == pytest.approx(0, abs=1e-12)
    # Without the patients of one group, nothing would be left to compare.
    with pytest.raises(InputError, match="share no patient_id"):
        compare_same(inside, rest, ATTENTION)


@pytest.mark.parametrize(("seeds", "deviation"), [(3, 0.03), (5, 0.03), (3, 0.0)])
def test_one_recipe_trained_twice_is_seldom_called_different(seeds, deviation):
    """A small version of benchmarks/coverage.py: at most 5 %, and chance of 150 simulations."""
    found = [
        compare(*world((0.8, 0.8), seeds, deviation, patients=100, seed=seed), BALANCED)
        for seed in range(150)
    ]
    alarms = np.mean([not low <= 0 <= high for low, high in (one.limits(0.05) for one in found)])
    assert alarms <= 0.1
    patients_alone = np.mean(
        [not low <= 0 <= high for low, high in (one.as_trained().limits(0.05) for one in found)]
    )
    assert alarms <= patients_alone or deviation == 0
