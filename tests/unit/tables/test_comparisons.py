"""Comparisons between models: which are made, and what is left of them after correction."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from sscdl.tables.comparisons import (
    COLUMNS,
    comparisons,
    holm,
    permutation_test,
    with_verdicts,
)
from tests.unit.made_up import made_up


def outcomes(right: list[bool], seed: int = 0) -> pd.DataFrame:
    """Return predictions of which the given ones are right."""
    return pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(len(right))],
            "patient_id": [f"p{k}" for k in range(len(right))],
            "seed": seed,
            "label": "a",
            "predicted": ["a" if one else "b" for one in right],
        }
    )


def test_with_one_seed_and_one_image_a_patient_it_is_mcnemars_test():
    first = outcomes([True] * 8 + [False] * 1 + [True] * 5 + [False] * 3)
    second = outcomes([False] * 8 + [True] * 1 + [True] * 5 + [False] * 3)
    found = permutation_test(first, second.iloc[::-1])
    assert (found.only_first, found.only_second, found.gain) == (8, 1, 7)
    assert found.p == pytest.approx(binomtest(8, 9).pvalue)
    assert permutation_test(first, first) == (0, 0, 0, 1.0)
    more = pd.concat([first, outcomes([True] * 30).iloc[20:]])
    assert permutation_test(more, second) == found, "images of one model alone say nothing"


def test_each_choice_of_signs_counts_once():
    """All signs of the patients' differences, counted one by one."""
    generator = np.random.default_rng(4)
    images = 24
    patient = [f"p{index}" for index in generator.integers(9, size=images)]
    tables = []
    for seeds, rate in ((3, 0.8), (2, 0.55)):
        right = generator.random((seeds, images)) < rate
        parts = [outcomes(list(row), seed=seed) for seed, row in enumerate(right)]
        tables.append(pd.concat([part.assign(patient_id=patient) for part in parts]))
    found = permutation_test(*tables)
    shares = [
        (table["label"] == table["predicted"]).groupby(table["image_id"]).mean() for table in tables
    ]
    gain = shares[0] - shares[1]
    assert (found.only_first, found.only_second) == ((gain > 0).sum(), (gain < 0).sum())
    assert found.gain == pytest.approx(gain.sum())
    whose = dict(zip(tables[0]["image_id"], tables[0]["patient_id"], strict=True))
    sizes = gain.groupby(gain.index.map(whose)).sum().to_numpy()
    signs = np.array(list(itertools.product((-1, 1), repeat=len(sizes))))
    far = np.abs(signs @ sizes) >= abs(sizes.sum()) - 1e-9
    assert found.p == pytest.approx(far.mean())


@pytest.mark.parametrize("other", [1, 3])
def test_a_steadier_model_is_no_better_for_it(other):
    """Models alike but for how much their seeds differ are told apart as often as the level."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(100):
        noisy = pd.concat([outcomes(list(generator.random(60) < 0.8), seed=s) for s in range(3)])
        same = list(generator.random(60) < 0.8)
        steady = pd.concat([outcomes(same, seed=s) for s in range(other)])
        found.append(permutation_test(noisy, steady).p)
    assert np.mean(np.array(found) < 0.05) < 0.15


def test_images_of_a_patient_keep_together():
    first, second = outcomes([True] * 12), outcomes([False] * 12)
    apart = permutation_test(first, second).p
    assert apart == pytest.approx(2 / 2**12)
    one = [table.assign(patient_id=np.arange(12) // 4) for table in (first, second)]
    assert permutation_test(*one).p == pytest.approx(2 / 2**3)


def test_holm_agrees_with_the_definition():
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


def test_comparisons_within_each_variant():
    parts = [
        made_up("full", "scratch", right=0.6, rows=300),
        made_up("full", "moco", right=0.6, rows=300),
        made_up("full", "moco+swav", right=0.9, rows=300),
        made_up("full", "moco+rotation", right=0.3, rows=300),
        made_up("full", "moco", right=0.1, rows=300, split="val"),
        made_up("segmented_black", "moco", rows=300),
        made_up("metadata", "metadata:view", rows=300),
    ]
    table = comparisons(pd.concat(parts), "test", draws=200)
    assert table.columns.tolist() == list(COLUMNS)
    assert set(table["variant"]) == {"full"}
    pairs = list(zip(table["curriculum"], table["against"], strict=True))
    assert pairs == [
        ("moco", "scratch"), ("moco+swav", "scratch"), ("moco+swav", "moco"),
        ("moco+rotation", "scratch"), ("moco+rotation", "moco"),
    ]  # fmt: skip
    assert table["verdict"].tolist() == ["not shown", "better", "better", "worse", "worse"]
    assert table["n_images"].eq(300).all()
    assert table["n_patients"].eq(150).all()
    both = table["balanced_accuracy"] - table["balanced_accuracy_against"]
    assert table["difference"].to_numpy() == pytest.approx(both.to_numpy())
    assert (table["difference_low"] < table["difference"]).all()
    assert (table["difference"] < table["difference_high"]).all()
    assert table["p_holm"].to_numpy() == pytest.approx(holm(table["p_permutation"]))
    row = table.iloc[1]
    plain = [(part["label"] == part["predicted"]).to_numpy() for part in (parts[2], parts[0])]
    assert row["only_model"] == np.sum(plain[0] & ~plain[1])
    assert row["only_against"] == np.sum(~plain[0] & plain[1])


def test_the_family_is_one_variant():
    one = [made_up("full", name, rows=60) for name in ("scratch", "moco", "swav")]
    other = [part.assign(variant="segmented_black") for part in one]
    alone = comparisons(pd.concat(one), "test", draws=20)
    both = comparisons(pd.concat(one + other), "test", draws=20)
    assert both["p_holm"].tolist() == alone["p_holm"].tolist() * 2


def test_an_advantage_that_many_comparisons_may_bring_is_not_shown():
    scratch = made_up("full", "scratch", right=0.7, rows=200)
    better = scratch.assign(curriculum="moco")
    wrong = better[better["label"] != better["predicted"]].drop_duplicates("patient_id").index[:6]
    better.loc[wrong, "predicted"] = better.loc[wrong, "label"]
    alone = comparisons(pd.concat([scratch, better]), "test", draws=200)
    assert alone["p_permutation"].tolist() == pytest.approx([2 / 64])
    assert alone["verdict"].tolist() == ["better"]
    more = [scratch.assign(curriculum=name) for name in ("swav", "relloc")]
    among = comparisons(pd.concat([scratch, better, *more]), "test", draws=200)
    assert among["verdict"].tolist() == ["not shown"] * 3


@pytest.mark.parametrize(
    ("low", "high", "gain", "verdict"),
    [
        (1, 9, 3.0, "better"),
        (-9, -1, -3.0, "worse"),
        (-1, 9, 3.0, "not shown"),
        # Rare classes weigh more in the interval than in the test: both must point the same way.
        (1, 9, -3.0, "not shown"),
        (-9, -1, 3.0, "not shown"),
    ],
)
def test_a_verdict_needs_interval_and_test_to_agree(low, high, gain, verdict):
    line = {"difference_low": low, "difference_high": high, "gain": gain, "p_permutation": 0.001}
    assert [found["verdict"] for found in with_verdicts([line])] == [verdict]


def test_nothing_to_compare_with_gives_no_rows():
    table = comparisons(made_up("full", "moco"), "test", draws=20)
    assert table.empty
    assert table.columns.tolist() == list(COLUMNS)
