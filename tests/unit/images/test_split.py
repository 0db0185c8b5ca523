from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sscdl.errors import InputError
from sscdl.images.split import assign_split
from sscdl.recipe import fingerprint

SHARES = {"negative": 0.28, "typical": 0.47, "indeterminate": 0.17, "atypical": 0.08}


def population(patients=600, seed=0, unlabelled=0.0):
    """Patients with one to six images, mostly of one label."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(patients):
        label = rng.choice(list(SHARES), p=list(SHARES.values()))
        for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
            own = label if rng.random() > 0.05 else rng.choice(list(SHARES))
            shown = "" if rng.random() < unlabelled else own
            rows.append((f"i{len(rows)}", f"p{patient}", shown, "main"))
    return pd.DataFrame(rows, columns=["image_id", "patient_id", "label", "cohort"])


def split(images, **changes):
    arguments = {"by": "patient", "stratified": True, "val": 0.1, "test": 0.2, "seed": 3}
    return assign_split(images, **(arguments | changes))


@pytest.mark.parametrize("stratified", [True, False])
def test_patients_never_straddle_and_sizes_hold(stratified):
    images = population(unlabelled=0.1)
    chosen = split(images, stratified=stratified)
    assert chosen.index.equals(images.index)
    assert (chosen.groupby(images["patient_id"]).nunique() == 1).all()
    sizes = chosen.value_counts(normalize=True)
    assert sizes["train"] == pytest.approx(0.7, abs=0.02)
    assert sizes["val"] == pytest.approx(0.1, abs=0.015)
    assert sizes["test"] == pytest.approx(0.2, abs=0.015)


def test_stratified_shares_are_those_of_the_whole():
    worst = {True: [], False: []}
    for seed in range(5):
        images = population(seed=seed)
        whole = images["label"].value_counts(normalize=True)
        for stratified, gaps in worst.items():
            chosen = split(images, stratified=stratified, seed=seed)
            shares = images["label"].groupby(chosen).value_counts(normalize=True).unstack()
            gaps.append(float((shares - whole).abs().to_numpy().max()))
    assert max(worst[True]) < 0.03
    assert max(worst[False]) > 0.06


@pytest.mark.parametrize(
    ("by", "stratified", "expected"),
    [
        ("patient", True, "230a48d8d39d"),
        ("patient", False, "51a564b16b59"),
        ("image", True, "b2a2ca59c9b7"),
        ("image", False, "6106abce8926"),
    ],
)
def test_what_users_have_trained_by_stays_as_it_is(by, stratified, expected):
    chosen = split(population(100, unlabelled=0.1), by=by, stratified=stratified)
    assert fingerprint(list(chosen)) == expected


def test_large_patients_are_in_all_splits():
    images = population()
    images["split"] = split(images)
    sizes = images.groupby("patient_id").agg(n=("image_id", "size"), split=("split", "first"))
    means = sizes.groupby("split")["n"].mean()
    assert means.min() > 0.75 * means.max()


def test_row_order_does_not_matter_and_the_seed_does():
    images = population(unlabelled=0.2)
    shuffled = images.sample(frac=1, random_state=1)
    for by in ("patient", "image"):
        chosen = split(images, by=by)
        assert split(shuffled, by=by).sort_index().equals(chosen)
        assert not split(images, by=by, seed=4).equals(chosen)


def test_by_image_is_a_plain_draw():
    images = population(1000)
    chosen = split(images, by="image", stratified=False, val=0, test=0.2)
    count = len(images)
    assert set(chosen) == {"train", "test"}
    assert (chosen == "test").sum() == pytest.approx(0.2 * count, abs=1)
    straddling = chosen.groupby(images["patient_id"]).nunique() == 2
    assert straddling.any()


def test_by_image_stratified_counts_are_exact():
    images = population()
    chosen = split(images, by="image", val=0, test=0.2)
    counts = images["label"].groupby(chosen).value_counts()
    for label, total in images["label"].value_counts().items():
        assert counts["test", label] == pytest.approx(0.2 * total, abs=1)


def test_other_cohorts_keep_their_name_and_change_nothing():
    images = population(100)
    extra = population(50, seed=9).assign(cohort="mark_removed")
    extra["image_id"] = "x" + extra["image_id"]
    chosen = split(pd.concat([images, extra], ignore_index=True))
    assert chosen[: len(images)].equals(split(images))
    assert set(chosen[len(images) :]) == {"mark_removed"}


@pytest.mark.parametrize("seed", range(10))
def test_three_patients_of_a_label_are_enough_for_three_splits(seed):
    rows = [(f"i{n}", f"p{n // 2}", "negative" if n < 6 else "typical") for n in range(40)]
    images = pd.DataFrame(rows, columns=["image_id", "patient_id", "label"]).assign(cohort="main")
    chosen = split(images, seed=seed, val=0.05, test=0.1)
    assert set(chosen[images["label"] == "negative"]) == {"train", "val", "test"}


def test_unlabelled_images_get_a_split():
    images = population(300, unlabelled=0.5)
    chosen = split(images)
    assert set(chosen[images["label"] == ""]) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val": 1.0}, "split val: is 1.0"),
        ({"test": -0.1}, "split test: is -0.1"),
        ({"test": float("nan")}, "split test: is nan"),
        ({"val": 0.5, "test": 0.5}, "leave nothing for training"),
        ({"by": "study"}, "split by: is 'study'"),
    ],
)
def test_impossible_settings(changes, message):
    with pytest.raises(InputError, match=message):
        split(population(50), **changes)


def test_cohort_with_the_name_of_a_split():
    images = pd.concat([population(50), population(5).assign(cohort="test")], ignore_index=True)
    with pytest.raises(InputError, match="cohort test: is also the name of a split"):
        split(images)


@pytest.mark.parametrize("stratified", [True, False])
def test_class_that_would_be_missing_from_a_split(stratified):
    images = population(200)
    images.loc[images["label"] == "atypical", "label"] = "typical"
    images.loc[0, "label"] = "atypical"
    with pytest.raises(
        InputError, match=r"split \w+: would have no image labelled atypical \(1 in"
    ):
        split(images, stratified=stratified)


def with_findings(patients=300, rare=9):
    """Patients of three images; the last of ``rare`` of them shows a rare finding."""
    rows = []
    for number in range(patients):
        common = ("A|B", "A", "-", "A?", "")[number % 5]
        last = "A|Rare" if number < rare else common
        labels = common, common, last
        rows += [(f"i{len(rows) + k}", f"p{number}", own) for k, own in enumerate(labels)]
    images = pd.DataFrame(rows, columns=["image_id", "patient_id", "label"])
    return images.assign(cohort="main")


@pytest.mark.parametrize("seed", range(5))
def test_a_rare_finding_is_spread_over_the_sets(seed):
    images = with_findings()
    chosen = split(images, several=True, seed=seed, val=1 / 3, test=1 / 3)
    assert (chosen.groupby(images["patient_id"]).nunique() == 1).all()
    rare = chosen[images["label"].str.contains("Rare")]
    assert rare.value_counts().to_dict() == {"train": 3, "val": 3, "test": 3}
    for label in ("A|B", "A", ""):
        sizes = chosen[images["label"] == label].value_counts()
        assert sizes.max() - sizes.min() <= 15, label
    # What shows nothing is one stratum, whether something is unknown in it or not.
    sizes = chosen[images["label"].isin(["-", "A?"])].value_counts()
    assert sizes.max() - sizes.min() <= 15


def test_a_finding_of_one_image_stops_no_split():
    images = with_findings(60, rare=1)
    for stratified in (True, False):
        assert set(split(images, several=True, stratified=stratified)) == {"train", "val", "test"}
    shuffled = images.sample(frac=1, random_state=1)
    assert split(shuffled, several=True).sort_index().equals(split(images, several=True))
    with pytest.raises(InputError, match="would have no image labelled"):
        split(images)
