"""Comparisons between models: which are made, and what is left of them after correction."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sscdl.evaluation import measures
from sscdl.evaluation.differences import compare
from sscdl.tables.comparisons import COLUMNS, comparisons, holm, with_verdicts
from tests.unit.made_up import made_up

SEEDS = (0, 1, 2)


def trained(variant: str, curriculum: str, right: float = 0.7, **more) -> pd.DataFrame:
    """Return predictions of three trainings of one model."""
    rows = {"rows": 300, **more}
    return pd.concat([made_up(variant, curriculum, right=right, seed=s, **rows) for s in SEEDS])


def test_holm_agrees_with_the_definition_and_leaves_out_what_is_not_tested():
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []
    some = holm([np.nan, 0.01, np.nan, 0.03])
    assert some[[1, 3]].tolist() == pytest.approx([0.02, 0.03])
    assert np.isnan(some[[0, 2]]).all()


def test_comparisons_within_each_variant():
    parts = [
        trained("full", "scratch", 0.6),
        trained("full", "moco", 0.6),
        trained("full", "moco+swav", 0.9),
        trained("full", "moco+rotation", 0.3),
        trained("full", "moco", 0.1, split="val"),
        trained("segmented_black", "moco"),
        made_up("metadata", "metadata:view", rows=300),
    ]
    table = comparisons(pd.concat(parts), "test")
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
    assert table["n_seeds"].eq(3).all()
    both = table["balanced_accuracy"] - table["balanced_accuracy_against"]
    assert table["difference"].to_numpy() == pytest.approx(both.to_numpy())
    assert (table["difference_low"] < table["difference"]).all()
    assert (table["difference"] < table["difference_high"]).all()
    assert (table["another_low"] < table["another_high"]).all()
    assert table["p_holm"].to_numpy() == pytest.approx(holm(table["p"]))
    row, found = table.iloc[1], compare(parts[2], parts[0], measures.balanced_accuracy)
    assert row["p"] == pytest.approx(found.p)
    assert row["difference_low"] == pytest.approx(100 * found.interval().low)
    assert row["patients_high"] == pytest.approx(100 * found.as_trained().interval().high)
    assert row["another_low"] == pytest.approx(100 * found.another()[0])
    assert row["detectable"] == pytest.approx(100 * found.detectable)
    assert row["seeds_needed"] == (found.trainings_for(0.05) or pytest.approx(np.nan, nan_ok=True))
    shares = [
        (part["label"] == part["predicted"]).groupby(part["image_id"]).mean()
        for part in (parts[2], parts[0])
    ]
    assert row["only_model"] == (shares[0] > shares[1]).sum()
    assert row["only_against"] == (shares[0] < shares[1]).sum()


def test_one_training_is_told_to_be_one():
    """However large the difference: another training might turn it round."""
    rows = pd.concat([made_up("full", "scratch", right=0.3), made_up("full", "moco", right=0.95)])
    (row,) = comparisons(rows, "test").to_dict("records")
    assert row["verdict"] == "one training: not tested"
    assert row["difference_low"] > 0
    assert row["difference_low"] == row["patients_low"]
    empty = ("p", "p_holm", "p_equivalent", "another_low", "another_high", "seeds_needed")
    assert np.isnan([row[name] for name in empty]).all()
    assert row["detectable"] > 0


def test_the_family_is_the_table():
    one = [trained("full", name, rows=60) for name in ("scratch", "moco", "swav")]
    other = [part.assign(variant="segmented_black") for part in one]
    both = comparisons(pd.concat(one + other), "test")
    assert len(both) == 4
    assert both["p_holm"].to_numpy() == pytest.approx(holm(both["p"]))
    alone = comparisons(pd.concat(one), "test")
    assert (both["p_holm"].to_numpy()[:2] >= alone["p_holm"].to_numpy()).all()


def test_an_advantage_that_many_comparisons_may_bring_is_not_shown():
    scratch = trained("full", "scratch", 0.7)
    better = scratch.assign(curriculum="moco")
    # The same trainings, of which each gets a few more images right.
    better = better.reset_index(drop=True)
    wrong = better[better["label"] != better["predicted"]]
    for_each = wrong.groupby("seed").head(40).index
    better.loc[for_each, "predicted"] = better.loc[for_each, "label"]
    alone = comparisons(pd.concat([scratch, better]), "test")
    p = alone["p"].iloc[0]
    many = int(0.05 / p) + 1
    more = [scratch.assign(curriculum=f"swav+{k}") for k in range(many)]
    assert alone["verdict"].tolist() == ["better"]
    among = comparisons(pd.concat([scratch, better, *more]), "test")
    assert among.set_index("curriculum").loc["moco", "verdict"] != "better"


def test_models_that_are_shown_to_be_alike_are_called_so():
    rows = [trained("full", name, 0.9, rows=2000) for name in ("scratch", "moco")]
    rows[1]["predicted"] = rows[0]["predicted"].to_numpy()
    verdicts = [
        comparisons(pd.concat(rows), "test", margin=margin)["verdict"].item()
        for margin in (20.0, 0.01)
    ]
    assert verdicts == ["equivalent", "not shown"]


@pytest.mark.parametrize(
    ("p", "equivalent", "difference", "verdict"),
    [
        (0.001, 1.0, 3.0, "better"),
        (0.001, 1.0, -3.0, "worse"),
        # A difference that is shown stays one, however small.
        (0.001, 0.001, 0.3, "better"),
        (0.4, 0.001, 0.3, "equivalent"),
        (0.4, 0.4, 3.0, "not shown"),
    ],
)
def test_verdicts(p, equivalent, difference, verdict):
    line = {"difference": difference, "p": p, "p_equivalent": equivalent, "verdict": ""}
    assert [found["verdict"] for found in with_verdicts([line])] == [verdict]


def test_why_nothing_is_tested_is_told_as_it_is():
    """A class of one patient, and images of one class, however many trainings there are."""
    rows = pd.concat([trained("full", "scratch"), trained("full", "moco")])
    alone = rows["image_id"].isin(rows.loc[rows["label"] == "typical", "image_id"].iloc[:1])
    few = rows[(rows["label"] == "negative") | alone]
    (line,) = comparisons(few, "test").to_dict("records")
    assert line["verdict"] == "too few patients"
    assert np.isnan(line["p"])
    (line,) = comparisons(rows[rows["label"] == "negative"], "test").to_dict("records")
    assert line["verdict"] == "one class only"


def test_nothing_to_compare_with_gives_no_rows():
    table = comparisons(made_up("full", "moco"), "test")
    assert table.empty
    assert table.columns.tolist() == list(COLUMNS)
