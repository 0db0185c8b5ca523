"""One study beside others: paired differences on the images that both tested."""

from __future__ import annotations

import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from sscdl.errors import InputError
from sscdl.evaluation.prediction_files import of_other_studies
from sscdl.tables.beside import COLUMNS, beside
from sscdl.tables.comparisons import holm
from tests.unit.made_up import made_up


def accuracy(rows: pd.DataFrame) -> float:
    """Return the mean over seeds of scikit-learn's balanced accuracy, in percent."""
    seeds = [
        100 * balanced_accuracy_score(part["label"], part["predicted"])
        for _, part in rows.groupby("seed")
    ]
    return sum(seeds) / len(seeds)


def test_each_model_stands_beside_itself_in_another_study():
    here = [made_up("full", "moco", right=0.9), made_up("full", "scratch", right=0.7)]
    there = [made_up("full", "moco", right=0.6, seed=s) for s in (0, 1)]
    other = pd.concat([*there, made_up("full", "swav")])
    table = beside(pd.concat(here), {"thesis": other}, "test")
    assert tuple(table.columns) == COLUMNS
    assert table[["variant", "curriculum", "study"]].to_numpy().tolist() == [
        ["full", "moco", "thesis"]
    ], "models that only one of the two has are left out"
    row = table.iloc[0]
    assert row["balanced_accuracy"] == pytest.approx(accuracy(here[0]))
    assert row["balanced_accuracy_against"] == pytest.approx(accuracy(pd.concat(there)))
    assert row["difference"] == pytest.approx(
        row["balanced_accuracy"] - row["balanced_accuracy_against"]
    )
    assert row["difference_low"] < row["difference"] < row["difference_high"]
    assert (row["n_seeds"], row["chance"]) == (1, 50), "as many seeds as both have"
    assert row["verdict"] == "one training: not tested", "this study has one"


def test_verdicts_are_corrected_for_all_rows_of_the_table():
    models = [("full", "moco"), ("full", "swav"), ("full", "relloc"), ("segmented_black", "moco")]
    here = pd.concat([made_up(*model, right=0.95, seed=s) for model in models for s in (0, 1, 2)])
    there = pd.concat([made_up(*model, right=0.6, seed=s) for model in models for s in (3, 4, 5)])
    table = beside(here, {"thesis": there}, "test")
    assert table["p_holm"].to_numpy() == pytest.approx(holm(table["p"]))
    assert table["p_holm"].min() == pytest.approx(4 * table["p"].min())
    assert table["verdict"].tolist() == ["better"] * 4
    assert (table["only_model"] > table["only_against"]).all()


def test_only_images_that_both_tested_count():
    model = made_up("full", "moco", right=0.8)
    half = model[model["patient_id"].isin(model["patient_id"].unique()[::2])]
    row = beside(model, {"half": half}, "test").iloc[0]
    assert row["n_images"] == len(half) < len(model)
    assert row["balanced_accuracy"] == pytest.approx(accuracy(half))
    assert row["difference"] == 0
    assert -12 < row["difference_low"] < 0 < row["difference_high"] < 12, "one model, 40 images"


def test_a_study_of_other_images_is_refused():
    model = made_up("full", "moco")
    other = model.assign(image_id="x" + model["image_id"])
    with pytest.raises(InputError, match="results.beside: elsewhere tested none of the images"):
        beside(model, {"elsewhere": other}, "test")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"label": {"negative": "typical", "typical": "negative"}}, "80 of 80 images"),
        ({}, "other classes"),
    ],
)
def test_a_study_of_another_question_is_refused(change, why):
    model = made_up("full", "moco")
    other = model.replace(change) if change else model.assign(prob_atypical=0.1)
    with pytest.raises(InputError, match=f"elsewhere cannot be set beside this study .{why}"):
        beside(model, {"elsewhere": other}, "test")


def test_the_files_of_another_study_are_found_by_model(tmp_path):
    folder = tmp_path / "thesis/predictions"
    folder.mkdir(parents=True)
    for name in ("full.moco.s0", "full.moco.s1", "full.moco+swav.s0", "metadata", "full.swav.s0"):
        (folder / f"{name}.csv").touch()
    models = [("full", "moco", 0), ("full", "moco+swav", 0), ("segmented_black", "moco", 0)]
    found = of_other_studies(tmp_path / "strict", ["thesis"], models)
    names = [path.name for path in found["thesis"]]
    assert names == ["full.moco.s0.csv", "full.moco.s1.csv", "full.moco+swav.s0.csv"]


@pytest.mark.parametrize(
    ("study", "message"),
    [("strikt", "strikt/predictions has no predictions of"), ("strict", "is this study itself")],
)
def test_a_study_without_predictions_is_named(tmp_path, study, message):
    with pytest.raises(InputError, match=f"results.beside: .*{message}"):
        of_other_studies(tmp_path / "strict", [study], [("full", "moco", 0)])
