"""Studies that share a store and stand beside each other in a table."""

from __future__ import annotations

import copy
import re

import pandas as pd
import pytest

from sscdl.report.check import check_tables
from tests.workflow.conftest import TINY, Runner


@pytest.fixture(scope="module")
def few(study) -> Runner:
    """Return a study in the folder of the tiny one, with a part of the labels, beside it."""
    config = copy.deepcopy(TINY)
    config |= {"study": "few", "label_share": 0.6, "variants": ["full"]}
    config["stages"]["classify"]["batch_size"] = 4
    config["results"] = {"beside": ["tiny"]}
    runner = Runner(study.folder, config)
    runner.output = runner("results/few/tables/beside.csv")
    return runner


def test_few_labels_train_classifiers_anew_and_pretext_stages_not(few):
    nodes = set(re.findall(r"\[(\S+) full s\d+\] \S+ \S+ lr \S+ epoch", few.output))
    assert nodes == {"classify", "rotation+classify"}


def test_the_table_compares_both_studies_and_can_be_made_again(few):
    table = pd.read_csv(few.results / "tables/beside.csv")
    assert table["curriculum"].tolist() == ["scratch", "rotation"]
    assert set(table["study"]) == {"tiny"}
    gap = table["balanced_accuracy"] - table["balanced_accuracy_against"]
    assert table["difference"].tolist() == pytest.approx(gap.tolist())
    faults, checked = check_tables(few.results)
    assert faults == []
    assert checked["beside"] == table.size
    table.loc[0, "difference"] += 1
    table.to_csv(few.results / "tables/beside.csv", index=False)
    assert len(check_tables(few.results)[0]) == 1


def test_a_study_that_was_not_run_is_named(few):
    config = copy.deepcopy(few.config)
    config["results"]["beside"] = ["tini"]
    output = Runner(few.folder, config)("--dry-run", ok=False)
    assert "results.beside: results/tini/predictions has no predictions" in output
