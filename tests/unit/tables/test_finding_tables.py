"""Tables of findings: which images, patients and findings count, and that they are made again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from sscdl.errors import InputError
from sscdl.evaluation.differences import compare
from sscdl.evaluation.finding_measures import mean_over
from sscdl.evaluation.inference import score
from sscdl.evaluation.measures import one_auc
from sscdl.figures import drawing
from sscdl.finding_labels import known, read_label
from sscdl.report.check import check_tables
from sscdl.tables.column_texts import explain
from sscdl.tables.comparisons import holm
from sscdl.tables.findings import comparisons
from sscdl.tables.findings.comparisons import finding_comparisons
from sscdl.tables.findings.scores import COLUMNS, finding_scores
from sscdl.tables.headings import RESULTS, place
from sscdl.tables.write import write_prediction_table
from tests.unit.made_up import THESIS
from tests.unit.made_up_findings import SHARES, made_up_findings

NAMES = ("finding_scores", "finding_comparisons")
ALONE = ("finding_calibration", "finding_operating_points", "finding_subgroups")
TOLD = list(SHARES)[:3]
SKILLS = {"scratch": 0.3, "moco": 0.3, "moco+swav": 1.5}


def trained(variant: str, curriculum: str, **more) -> pd.DataFrame:
    """Return predictions of three trainings of one model."""
    skill = SKILLS[curriculum]
    return pd.concat(
        made_up_findings(variant, curriculum, seed=seed, skill=skill, **more) for seed in range(3)
    )


@pytest.fixture(scope="module")
def predictions() -> pd.DataFrame:
    """Return those of three models, also of images that are not reported on."""
    parts = [trained("full", name) for name in SKILLS]
    return pd.concat([*parts, trained("full", "moco", split="val")], ignore_index=True)


def test_scores_are_those_of_the_images_that_say_something_of_the_finding(predictions):
    table = finding_scores(predictions, "test")
    assert table.columns.tolist() == list(COLUMNS)
    assert table["finding"].tolist() == ["mean", *SHARES] * 3
    assert table["curriculum"].unique().tolist() == list(SKILLS)
    assert table["split"].eq("test").all()
    assert table["n_seeds"].eq(3).all()
    rows = predictions[(predictions["curriculum"] == "moco") & (predictions["split"] == "test")]
    own = table[table["curriculum"] == "moco"].set_index("finding")
    for name in SHARES:
        state = np.array([read_label(label, [name])[0] for label in rows["label"]])
        seen, line = rows[state >= 0], own.loc[name]
        shown = rows[state == 1]
        assert line["n_images"] == seen["image_id"].nunique() < 117
        assert line["n_patients"] == seen["patient_id"].nunique()
        assert line["n_positive"] == shown["image_id"].nunique()
        assert line["n_positive_patients"] == shown["patient_id"].nunique()
        if name not in TOLD:
            continue
        parts = [part for _, part in seen.assign(shown=state[state >= 0] == 1).groupby("seed")]
        for column, measured in (
            ("auc", reference.roc_auc_score),
            ("average_precision", reference.average_precision_score),
        ):
            each = [measured(part["shown"], part[f"prob_{name}"]) for part in parts]
            assert line[column] == pytest.approx(np.mean(each))
            assert line[f"{column}_std"] == pytest.approx(np.std(each, ddof=1))
            assert line[f"{column}_low"] < line[column] < line[f"{column}_high"]
        assert line["average_precision_chance"] == pytest.approx(len(shown) / len(seen))


def test_the_mean_is_over_the_findings_that_can_be_scored(predictions):
    table = finding_scores(predictions, "test")
    scores = ["auc", "average_precision", "average_precision_chance"]
    images = sum(known(label, TOLD) for label in made_up_findings("full", "moco")["label"])
    for _, rows in table.groupby("curriculum"):
        single = rows.set_index("finding")
        assert single["n_findings"].tolist() == [3, 1, 1, 1, 0]
        assert single.loc["mean", scores].tolist() == pytest.approx(
            single.loc[TOLD, scores].mean().tolist()
        )
        columns = [column for column in table if column.startswith(("auc", "average"))]
        assert single.loc["Hernia", columns].isna().all()
        assert single.loc["Hernia", "n_positive"] == 0
        assert single.loc["mean", "n_images"] == images < 117
    best = predictions[predictions["curriculum"] == "moco+swav"]
    own = table[table["curriculum"] == "moco+swav"].iloc[0]
    expected = score(best, mean_over(TOLD, one_auc)).interval()
    assert (own["auc"], own["auc_low"], own["auc_high"]) == pytest.approx(expected)


def test_comparisons_are_of_the_mean_over_the_same_findings(predictions):
    table = finding_comparisons(predictions, "test", margin=2)
    assert table.columns.tolist() == list(comparisons.COLUMNS)
    pairs = list(zip(table["curriculum"], table["against"], strict=True))
    assert pairs == [("moco", "scratch"), ("moco+swav", "scratch"), ("moco+swav", "moco")]
    assert table["verdict"].tolist() == ["not shown", "better", "better"]
    assert table["n_findings"].eq(3).all()
    assert table["n_images"].eq(117).all()
    assert table["margin"].eq(2).all()
    assert table["p_holm"].to_numpy() == pytest.approx(holm(table["p"]))
    apart = 100 * (table["auc"] - table["auc_against"])
    assert table["difference"].to_numpy() == pytest.approx(apart.to_numpy())
    told = predictions[(predictions["split"] == "test") & (predictions["label"] != "")]
    told = told[~told["label"].str.count("[?]").eq(len(SHARES))]
    models = {name: part for name, part in told.groupby("curriculum")}
    tested = models["moco+swav"], models["scratch"]
    found = compare(*tested, mean_over(TOLD, one_auc))
    row = table.iloc[1]
    assert row["p"] == pytest.approx(found.p)
    assert row["difference_low"] == pytest.approx(100 * found.interval().low)
    assert row["auc"] == pytest.approx(found.first.value)
    means = finding_scores(predictions, "test").set_index(["curriculum", "finding"])["auc"]
    assert row["auc_against"] == pytest.approx(means["scratch", "mean"])


def test_why_nothing_is_tested_is_told_as_it_is(predictions):
    one = predictions[predictions["seed"] == 0]
    assert set(finding_comparisons(one, "test")["verdict"]) == {"one training: not tested"}
    nobody = predictions.assign(label="-")
    table = finding_comparisons(nobody, "test")
    assert set(table["verdict"]) == {"too few patients"}
    assert table[["auc", "difference", "p", "p_holm"]].isna().all(axis=None)
    means = finding_scores(nobody, "test").query("finding == 'mean'")
    assert means["n_findings"].eq(0).all()
    assert means["auc"].isna().all()


def test_images_that_say_nothing_and_splits_without_models_have_no_scores(predictions):
    with pytest.raises(InputError, match="no image model has rows of split other"):
        finding_scores(predictions, "other")
    assert finding_scores(predictions.assign(label=""), "test").empty
    one = predictions[predictions["curriculum"] == "moco"]
    table = finding_comparisons(one, "test")
    assert table.empty
    assert table.columns.tolist() == list(comparisons.COLUMNS)


@pytest.fixture
def results(tmp_path) -> Path:
    """Write predictions and tables of a small study and return its results folder."""
    (tmp_path / "predictions").mkdir()
    files = []
    for name in SKILLS:
        for seed, part in trained("full", name, rows=60).groupby("seed"):
            files.append(tmp_path / f"predictions/full.{name}.s{seed}.csv")
            part.to_csv(files[-1], index=False)
    for name in (*NAMES, *ALONE):
        write_prediction_table(
            name, files, tmp_path / f"tables/{name}.csv", split="test", convention="lungs",
            thesis=THESIS, thesis_figures=False, margin=3, stand_ins=[], map_notes=[],
        )  # fmt: skip
    return tmp_path


def test_every_cell_is_made_again_and_a_wrong_one_is_found(results):
    faults, checked = check_tables(results)
    assert faults == []
    assert set(checked) == {*NAMES, *ALONE}
    path = results / "tables/finding_scores.csv"
    table = pd.read_csv(path)
    table.loc[2, "auc"] += 0.01
    table.to_csv(path, index=False)
    (fault,) = check_tables(results)[0]
    assert fault.startswith("finding_scores: variant full, curriculum scratch, split test")
    assert ", finding Effusion, auc: " in fault
    made_up_findings("full", "swav").to_csv(results / "predictions/full.swav.s0.csv", index=False)
    strays = [fault for fault in check_tables(results)[0] if fault.startswith("full swav: ")]
    assert len(strays) == 1


def test_tables_are_explained_rounded_and_have_a_place(results):
    for name in NAMES:
        table = pd.read_csv(results / f"tables/{name}.csv")
        assert [column for column in table if not explain(column)] == []
        text = (results / f"tables/{name}.md").read_text()
        assert f"{table['auc'][0]:.3f} |" in text
        assert f"{table['auc'][0]:.4f}" not in text
        other = table["auc_against" if "auc_against" in table else "average_precision_chance"]
        assert f"| {other[0]:.3f} |" in text
        assert place(name)[0] == RESULTS
        assert "AIL" not in text


def test_the_figure_of_comparisons_says_what_it_is_of(results):
    figure = drawing.draw_comparisons(results / "tables/finding_comparisons.csv")
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert "difference in mean AUC of findings (percent points)" in labels
