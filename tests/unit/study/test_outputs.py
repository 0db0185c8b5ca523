"""What a study has by name, and what of an earlier configuration is outdated."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from sscdl.study import thesis
from sscdl.study.config_files import laid_over
from sscdl.study.outputs import LISTS, MADE, SUMMARY, Outputs
from sscdl.study.reading import read_config
from sscdl.study.study import Study
from tests.conftest import ROOT

SHAPES = {
    "demo": ["demo"],
    "thesis": ["thesis", "thesis-shape"],
    "naive": ["thesis", "thesis-naive", "thesis-shape"],
    "half": ["thesis", "thesis-naive", "thesis-naive-half", "thesis-shape"],
}
ALWAYS = {*LISTS, *SUMMARY}  # so they are never outdated
EVERYTHING = {
    "variants": ["full", "segmented_black", "segmented_gray", "inverted", "lung_box"],
    "seeds": [0, 1],
    "results": {"cross_variants": True, "beside": ["other"], "patient_images": True},
}


def outputs(*names: str, **change) -> Outputs:
    config = read_config([ROOT / f"config/{name}.yaml" for name in names])
    return Outputs(laid_over(config, copy.deepcopy(change)))


@pytest.mark.parametrize("shape", SHAPES)
def test_stages_and_tables_are_those_of_the_trie(shape):
    config = read_config([ROOT / f"config/{name}.yaml" for name in SHAPES[shape]])
    study, names = Study(config), Outputs(config)
    assert names.models == list(study.models)
    nodes = study.nodes.values()
    assert {one[:5] for one in names.stages} == {
        (n.variant, n.seed, n.name, n.task, n.root) for n in nodes
    }
    assert {one.name for one in names.stages if one.parent is None} == {
        node.name for node in nodes if node.parent is None
    }
    batches = {task: stage["batch_size"] for task, stage in config["stages"].items()}
    assert names.thesis_tables == thesis.tables_of(
        nodes, classes=config["classes"], batches=batches
    )
    assert names.thesis_tables


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("change", [{}, EVERYTHING], ids=["as shipped", "everything"])
def test_whatever_is_asked_for_is_known_as_made_here(shape, change):
    asked = outputs(*SHAPES[shape], **change).asked
    assert {name for name in asked if not MADE.fullmatch(name)} == ALWAYS


def made(folder: Path, names: set[str]) -> None:
    """Make what a study of these names leaves, and files of the user's own beside."""
    for name in names:
        path = folder / name
        if name.startswith("monitors/"):
            path = path / "lr0.01" / "records.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


OWN = {
    "notes.txt", "tables/mine.csv", "tables/notes.md", "predictions/mine.csv",
    "predictions/full.rotation.csv", "predictions/full.rotation.s0.csv.bak", "figures/roc-mine.png",
    "predictions/ensemble.rotation.s0.csv", "report.zip", "plan.csv", "contact_sheet/sheet-1.png",
    "attention/notes.txt", "logs/predict/full.rotation.s7.log", "plots/monitors/full/rotation.s0",
    "predictions/shown/deeper/full.rotation.s0.csv", "tables/4.14_accuracy_overview.xlsx",
}  # fmt: skip


def test_dropped_variants_curricula_seeds_and_options_are_outdated(tmp_path):
    before = outputs("demo", seeds=[0, 1], results={"cross_variants": True})
    made(tmp_path, before.asked | OWN)
    (tmp_path / "predictions/full.moco.s9.csv").symlink_to(tmp_path / "notes.txt")
    assert before.outdated(tmp_path) == []
    now = outputs("demo", variants=["full"], curricula=["scratch", "rotation"])
    found = now.outdated(tmp_path)
    assert set(found) == before.asked - now.asked
    for name in (
        "predictions/full.rotation+moco.s0.csv", "predictions/segmented_black.scratch.s0.csv",
        "predictions/full.scratch.s1.csv", "predictions/probe/full.s1.csv",
        "predictions/shown/full.scratch.s0.csv", "predictions/untrained/segmented_black.csv",
        "attention/full.rotation+moco.s0.npz", "tables/cross_variants.html",
        "tables/B.5_pretext_2tasks_full.csv", "monitors/full/rotation+moco+classify.s0",
    ):  # fmt: skip
        assert name in found
    assert not {"predictions/metadata.csv", "images.csv", "tables/dataset.csv"} & set(found)


def test_pages_that_a_smaller_study_does_not_have_are_outdated(tmp_path):
    before = outputs("thesis", "thesis-shape", classes=["negative", "typical", "atypical"],
                     variants=EVERYTHING["variants"])  # fmt: skip
    made(tmp_path, before.asked)
    now = outputs("thesis", "thesis-shape", curricula=["scratch", "moco"])
    pages = [name for name in now.outdated(tmp_path) if name.startswith("figures/")]
    for page in ("4.2_validation_curves-full-2_tasks", "comparisons-inverted-first_task",
                 "roc-lung_box", "4.4_attention-full-0_tasks"):  # fmt: skip
        assert f"figures/{page}.png" in pages
    assert not set(pages) & {f"figures/{name}.png" for name in now.figures}


@pytest.mark.parametrize(
    ("classes", "variants", "paged"), [(2, 9, False), (2, 10, True), (3, 3, False), (3, 4, True)]
)
def test_curves_have_a_page_for_each_variant_above_nine_panels(classes, variants, paged):
    """Two classes are told apart by one curve; of more, each has its own."""
    study = outputs("thesis", classes=[f"class{n}" for n in range(classes)])
    study.variants = [f"v{n}" for n in range(variants)]
    pages = [name for name in study.figures if name.startswith("roc")]
    assert pages == ([f"roc-v{n}" for n in range(variants)] if paged else ["roc"])
