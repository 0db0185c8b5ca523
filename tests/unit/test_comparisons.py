"""Comparisons between models: which are made, and what is left of them after correction."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sscdl.comparisons import COLUMNS, comparisons, holm, mcnemar, references
from sscdl.trie import thesis_curricula
from tests.unit.made_up import made_up


def outcomes(right: list[bool], seed: int = 0) -> pd.DataFrame:
    """Return predictions of which the given ones are right."""
    return pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(len(right))],
            "seed": seed,
            "label": "a",
            "predicted": ["a" if one else "b" for one in right],
        }
    )


def test_every_model_is_compared_with_scratch_imagenet_and_its_first_task():
    names = thesis_curricula()
    assert references("moco+swav", names) == ["scratch", "imagenet", "moco"]
    assert references("moco", names) == ["scratch", "imagenet"]
    assert references("imagenet", names) == ["scratch"]
    assert references("scratch", names) == []
    assert references("swav+moco", ["scratch", "swav+moco"]) == ["scratch"]
    assert references("imagenet+moco+swav", ["imagenet", "imagenet+moco"]) == [
        "imagenet",
        "imagenet+moco",
    ]
    assert sum(len(references(name, names)) for name in names) == 63


def test_mcnemar_counts_the_images_that_one_model_alone_gets_right():
    first = outcomes([True] * 8 + [False] * 1 + [True] * 5 + [False] * 3)
    second = outcomes([False] * 8 + [True] * 1 + [True] * 5 + [False] * 3)
    found = mcnemar(first, second.iloc[::-1])
    assert (found.only_first, found.only_second) == (8, 1)
    # Twice the probability of at most 1 of 9 heads: 2 (1 + 9) / 512.
    assert found.p == pytest.approx(20 / 512)
    assert mcnemar(first, first) == (0, 0, 1.0)


def test_mcnemar_counts_each_image_once_however_many_seeds():
    first = pd.concat([outcomes([True, True, False]), outcomes([True, False, False], seed=1)])
    second = pd.concat([outcomes([False, True, False]), outcomes([True, False, True], seed=1)])
    assert mcnemar(first, second)[:2] == (1, 1)


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
    assert table["p_holm"].to_numpy() == pytest.approx(holm(table["p_mcnemar"]))
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
    wrong = better.index[better["label"] != better["predicted"]][:6]
    better.loc[wrong, "predicted"] = better.loc[wrong, "label"]
    alone = comparisons(pd.concat([scratch, better]), "test", draws=200)
    assert alone["p_mcnemar"].tolist() == pytest.approx([2 / 64])
    assert alone["verdict"].tolist() == ["better"]
    more = [scratch.assign(curriculum=name) for name in ("swav", "relloc")]
    among = comparisons(pd.concat([scratch, better, *more]), "test", draws=200)
    assert among["verdict"].tolist() == ["not shown"] * 3


def test_nothing_to_compare_with_gives_no_rows():
    table = comparisons(made_up("full", "moco"), "test", draws=20)
    assert table.empty
    assert table.columns.tolist() == list(COLUMNS)
