"""The summary of a study of findings: its mean AUC in words, on the page and on the terminal."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from sscdl.images.vouched import describe_list
from sscdl.report.facts import facts, reading
from sscdl.report.findings import TRAININGS, findings, outcome
from sscdl.report.scores import FINDING_COMPARISONS, FINDING_SCORES
from sscdl.report.summary import write_summary
from sscdl.tables.column_texts import explain
from tests.unit.report.test_summary import COMPARISONS, CONFIG, PLACE, RATES, TABLES

NAN = float("nan")
AREAS = {"scratch": (0.65, 0.6, 0.7), "moco": (0.7123, 0.69, 0.731)}


def scored(variant: str, curriculum: str, areas=AREAS, **more) -> pd.DataFrame:
    """Return the rows of a model: the mean of two findings, each, and one without scores."""
    rows = pd.DataFrame(
        {"finding": ["mean", "Edema", "Mass", "Hernia"], "n_findings": [2, 1, 1, 0]}
    )
    for column, value in zip(("auc", "auc_low", "auc_high"), areas[curriculum], strict=True):
        rows[column] = value + pd.Series([0, 0.01, -0.01, NAN])
    about = {"variant": variant, "curriculum": curriculum, "auc_std": 0.01, **more}
    return rows.assign(n_positive_patients=20, **about)


COMPARED = TABLES[COMPARISONS].assign(auc=0.7123, auc_against=0.65)
STUDY = {
    FINDING_SCORES: pd.concat([scored("full", name) for name in AREAS], ignore_index=True),
    FINDING_COMPARISONS: COMPARED,
    TRAININGS: TABLES[TRAININGS],
}
LEFT = (
    "Without scores and not in the mean, as fewer than two patients tested show it, or do not, on "
    "every variant or some: Hernia."
)


def test_the_mean_is_told_with_its_interval_and_what_comparisons_show():
    mean, left = findings(STUDY)
    assert mean.startswith(
        "Mean AUC of 2 findings on full: highest with moco, 0.712 (0.690 to 0.731), lowest with "
        "scratch, 0.650; chance is 0.500. Comparisons with no pretraining"
    )
    assert "over patients and trainings: 1 better. To find a difference of 5 percent" in mean
    assert left == LEFT
    every = STUDY[FINDING_SCORES].query("finding != 'Hernia'")
    assert len(findings(STUDY | {FINDING_SCORES: every})) == 1
    failed = STUDY[TRAININGS].assign(learnt="not shown")
    assert "(table trainings): moco on full" in findings(STUDY | {TRAININGS: failed})[-1]


def test_the_terminal_has_the_means_with_intervals():
    lines = outcome(STUDY).splitlines()
    assert lines[:4] == [
        "Mean AUC of 2 findings, with 95 % intervals (chance: 0.500)",
        "           full",
        "  scratch  0.650 (0.600 to 0.700)",
        "  moco     0.712 (0.690 to 0.731)",
    ]
    text = " ".join(outcome(STUDY).split())
    assert "1 better" in text
    assert LEFT in text
    assert max(map(len, lines)) <= 100


def test_variants_that_are_tested_on_other_images_may_have_other_findings():
    less = scored("lung_box", "moco").query("finding != 'Mass'")
    less.loc[less["finding"] == "mean", "n_findings"] = 1
    tables = STUDY | {FINDING_SCORES: pd.concat([STUDY[FINDING_SCORES], less])}
    lines = outcome(tables).splitlines()
    assert lines[0].startswith("Mean AUC of 1 to 2 findings, ")
    assert lines[2].split("  ")[-1] == "-"  # scratch was not trained on it


def test_where_nothing_can_be_scored_that_is_said():
    rows = STUDY[FINDING_SCORES].assign(n_findings=0, auc=NAN, auc_low=NAN, auc_high=NAN)
    (text,) = findings(STUDY | {FINDING_SCORES: rows})
    assert text.endswith(": Edema, Mass and Hernia.")
    assert "Edema, Mass and Hernia" in " ".join(outcome(STUDY | {FINDING_SCORES: rows}).split())


def test_the_question_is_which_findings_an_image_shows():
    names = ["Edema", "Mass", "Hernia"]
    told = CONFIG | {"findings": names, "classes": []}
    found = dict(facts(told, **PLACE, rates=RATES))
    assert found["Question"] == (
        "Tell which of 3 findings a chest radiograph shows: Edema, Mass and Hernia."
    )


def test_only_what_a_study_has_is_explained():
    of_classes, of_findings = (dict(reading(findings=one)) for one in (False, True))
    assert "Mean AUC" in of_findings
    assert "Mean AUC" not in of_classes
    assert not {"Balanced accuracy", "Attention inside the lungs (AIL)"} & set(of_findings)
    assert set(of_classes) - set(of_findings) == {
        "Balanced accuracy", "Attention inside the lungs (AIL)",
    }  # fmt: skip


@pytest.fixture
def page(tmp_path) -> str:
    rows = [("p1", "train", "Edema|Mass?"), ("p1", "train", "-"), ("p2", "test", "")]
    images = pd.DataFrame(rows, columns=["patient_id", "split", "label"])
    images.to_csv(tmp_path / "images.csv", index=False)
    describe_list(tmp_path / "images.csv", split={}, source="")
    tables = {}
    for name, table in STUDY.items():
        tables[name] = tmp_path / f"{name}.csv"
        table.to_csv(tables[name], index=False)
    out = tmp_path / "summary.html"
    picture = tmp_path / "comparisons.png"
    picture.write_bytes(b"\x89PNG")
    write_summary(
        out, tmp_path / "summary.rst", tmp_path / "summary.txt", study="several", facts=[],
        images_csv=tmp_path / "images.csv", tables=tables, figures={"comparisons": picture},
    )  # fmt: skip
    return out.read_text(encoding="utf-8")


def test_the_page_has_the_scores_of_all_findings_and_of_each(page):
    assert page.count('<section class="table">') == 4
    assert page.count("data:image/png;base64,") == 1
    assert "0.712" in page
    assert "0.722" in page  # of Edema
    assert "Mean AUC of 2 findings: differences, in percent points." in page
    columns = re.findall(r'data-column="([^"]*)"', page)
    assert [column for column in columns if not explain(column)] == []
    assert "chance" not in columns
    assert "Balanced accuracy" not in page
    assert "AIL" not in page.partition("<script>")[0]
