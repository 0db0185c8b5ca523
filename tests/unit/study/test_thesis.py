"""Which tables of the thesis a study has, told from its configuration."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config

from sscdl.study.config import check_config, load_schema
from sscdl.study.study import Study
from sscdl.study.thesis import (
    HALF_BATCH,
    HALVED,
    KINDS,
    THESIS_TABLES,
    first_task,
    nodes_of,
    pretext_tasks,
    reference_kind,
    references,
    tables_of,
)
from sscdl.study.trie import thesis_curricula
from tests.conftest import ROOT
from tests.unit.made_up import THESIS

SCHEMA = load_schema(ROOT / "workflow/schemas/config.schema.yaml")


def study(*files: str, **changes: object) -> Study:
    """Return the study of some configuration files, laid over each other as Snakemake does.

    Its archive is a synthetic one, which needs no files.
    """
    config: dict = {}
    for name in ("config", *files):
        update_config(config, yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()))
    config["dataset"]["layout"] = "phantom"
    return Study(check_config(config | changes, SCHEMA))


def tables(given: Study) -> list[str]:
    batches = {task: stage["batch_size"] for task, stage in given.config["stages"].items()}
    return tables_of(given.nodes.values(), classes=given.config["classes"], batches=batches)


def test_every_file_of_the_thesis_has_a_counterpart():
    others = {"3.1_backbones", "4.1_normalisation", "4.14_accuracy_overview", "4.15_ail_overview"}
    files = {path.stem for path in THESIS.glob("*.csv")}
    assert set(THESIS_TABLES) - {KINDS} == files - others


@pytest.mark.parametrize("name", sorted(set(THESIS_TABLES) - {KINDS}))
def test_the_name_of_a_table_says_what_its_file_holds(name):
    printed = pd.read_csv(THESIS / f"{name}.csv")
    curricula = printed["pretraining" if "pretraining" in printed else "curriculum"]
    kind, _, tasks = THESIS_TABLES[name]
    assert {len(pretext_tasks(curriculum)) for curriculum in curricula} <= set(tasks)
    assert tasks[-1] in {len(pretext_tasks(curriculum)) for curriculum in curricula}
    if "metric" in printed:
        measured = {"balanced_accuracy"} if kind == "classification" else {"accuracy", "loss"}
        assert set(printed["metric"]) == measured


def test_the_study_of_the_thesis_has_all_tables_of_two_classes():
    whole = study("thesis")
    expected = [n for n, table in THESIS_TABLES.items() if table.kind != "naive"]
    assert tables(whole) == expected
    found = {name: len(nodes_of(name, whole.nodes.values())) for name in expected}
    assert found["4.8_summary_full"] == found["B.2_classification_1task_full"] == 6
    assert found["4.11_summary_segmented_black"] == found["B.5_pretext_2tasks_full"] == 12
    assert found["B.12_classification_3tasks_segmented_black"] == 6
    assert found["B.3_pretext_1task_segmented_black"] == 4
    assert found[KINDS] == 8
    for name in expected[6:-1]:
        rates = pd.read_csv(THESIS / f"{name}.csv").query("lr != 'best'")["lr"].astype(float)
        for node in nodes_of(name, whole.nodes.values()):
            assert set(node.learning_rates) == set(rates), name


def test_the_naive_studies_have_the_tables_of_four_classes():
    naive = study("thesis", "thesis-naive")
    expected = ["4.5_naive_full", "4.6_naive_segmented_black", "4.7_naive_segmented_gray", KINDS]
    assert tables(naive) == expected
    assert all(node.learning_rates == (0.01,) for node in naive.nodes.values())
    assert [len(nodes_of(name, naive.nodes.values())) for name in expected] == [6, 6, 6, 12]
    half = study("thesis", "thesis-naive", "thesis-naive-half")
    assert tables(half) == [HALF_BATCH, KINDS]
    printed = pd.read_csv(THESIS / f"{HALF_BATCH}.csv").set_index("pretraining")["batch_size"]
    assert {task: printed[task] for task in HALVED} == HALVED
    batches = {task: half.config["stages"][task]["batch_size"] for task in (*HALVED, "classify")}
    assert batches == {**HALVED, "classify": printed["scratch"]}


def test_the_naive_runs_share_what_the_study_of_the_thesis_pretrains():
    """A run's key holds its one rate, so the search at 0.01 is trained once for both studies."""
    both = study("thesis"), study("thesis", "thesis-naive")
    recipes = [
        {n.name: n.recipe for n in one.nodes.values() if n.variant == "full" and n.task == "moco"}
        for one in both
    ]
    assert recipes[0]["moco"] == recipes[1]["moco"]


def test_a_small_study_has_the_tables_that_it_has_rows_of():
    small = study(curricula=["scratch", "moco+swav"], variants=["full", "inverted"])
    assert tables(small) == [
        "4.8_summary_full", "4.10_summary_full", "B.1_pretext_1task_full",
        "B.2_classification_1task_full", "B.5_pretext_2tasks_full",
        "B.6_classification_2tasks_full", KINDS,
    ]  # fmt: skip
    assert tables(study(curricula=["scratch"], variants=["segmented_gray"])) == []


def test_tasks_of_curricula():
    assert pretext_tasks("imagenet+moco+swav") == pretext_tasks("moco+swav+classify")
    assert pretext_tasks("imagenet") == pretext_tasks("classify") == ()
    assert first_task("moco+swav+relloc") == first_task("scratch+moco+swav") == "moco"
    assert first_task("imagenet+moco+swav") == "imagenet+moco"
    assert first_task("imagenet") == first_task("scratch") == ""


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
    kinds = [reference_kind(name) for name in references("imagenet+moco+swav", ["imagenet+moco"])]
    assert kinds == ["first_task"]
    assert [reference_kind(name) for name in references("moco+swav", names)] == [
        "scratch", "imagenet", "first_task",
    ]  # fmt: skip
