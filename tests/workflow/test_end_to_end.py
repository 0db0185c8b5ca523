"""The whole workflow on a tiny synthetic archive: what it writes, and what it does not do twice."""

from __future__ import annotations

import copy
import json
import re
import shutil
import zipfile

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from sscdl.images.variants import read_pack
from sscdl.tables.predictions import PREDICTION_TABLES
from sscdl.tables.write import read_predictions
from tests.conftest import ROOT
from tests.workflow.conftest import TINY, Runner


def trained(output: str) -> list[str]:
    """Return the nodes that trained an epoch in a run."""
    lines = re.findall(r"\[(\S+ \S+) s\d+\] \S+ \S+ lr \S+ epoch", output)
    return sorted(set(lines))


def test_everything_is_written(study):
    tables = {path.name for path in (study.results / "tables").iterdir()}
    for name in ("4.1_normalisation", "4.14_accuracy_overview", "4.15_ail_overview", "shortcut"):
        assert {f"{name}.csv", f"{name}.md", f"{name}.tex"} <= tables
    figures = {path.stem for path in (study.results / "figures").iterdir()}
    assert {"4.1_variants", "4.2_validation_curves", "4.3_ail_by_model", "4.4_attention"} <= figures
    assert len(list((study.results / "predictions").glob("*.csv"))) == 5
    for folder, files in (("probe", 4), ("untrained", 2), ("faithfulness", 4)):
        assert len(list((study.results / "predictions" / folder).glob("*.csv"))) == files
    assert {"label_efficiency", "calibration"} <= figures


def test_images_csv_has_the_documented_columns_and_no_patient_straddles(study):
    images = pd.read_csv(study.results / "images.csv", keep_default_na=False)
    assert list(images.columns[:7]) == [
        "image_id", "study_id", "patient_id", "label", "split", "png", "mask",
    ]  # fmt: skip
    main = images[images["cohort"] == "main"]
    assert main.groupby("patient_id")["split"].nunique().max() == 1
    others = images[images["cohort"] != "main"]
    assert not set(main["patient_id"]) & set(others["patient_id"])
    for path in images["png"].head(3):
        assert (study.folder / path).exists()


def test_tables_follow_from_the_predictions_alone(study):
    files = sorted((study.results / "predictions").glob("*.csv"))
    rows = read_predictions(files)
    for name in ("4.14_accuracy_overview", "shortcut"):
        again = PREDICTION_TABLES[name].make(rows, "test", ROOT / "resources/thesis", 100)
        written = pd.read_csv(study.results / f"tables/{name}.csv")
        again = again.set_index(list(again.columns[:1])).sort_index()
        written = written.set_index(list(written.columns[:1])).sort_index()
        for column in ("full", "balanced_accuracy"):
            if column in written:
                assert sorted(again[column]) == pytest.approx(sorted(written[column]))


def test_the_overview_has_the_thesis_columns_first(study):
    table = pd.read_csv(study.results / "tables/4.14_accuracy_overview.csv")
    assert list(table.columns[:4]) == ["curriculum", "full", "segmented_black", "better"]
    assert table["chance"].eq(50).all()


def test_no_figure_of_the_thesis_stands_beside_synthetic_images(study):
    columns = {
        column
        for path in (study.results / "tables").glob("*.csv")
        for column in pd.read_csv(path, nrows=0)
    }
    assert {column for column in columns if column.endswith("_thesis")} == set()
    assert "thesis" not in (study.results / "summary.html").read_text().partition("<script>")[0]


def test_a_rerun_does_nothing(study):
    assert "Nothing to be done" in study()


@pytest.mark.parametrize(
    ("module", "old", "new", "again", "kept"),
    [
        ("evaluation/classifier.py", "BATCH = 64", "BATCH = 65", "predict", "table_dataset"),
        ("tables/calibration.py", "SMALLEST = ", "SMALLEST = 2 * ", "table_calibration", "predict"),
        (
            "figures/charts.py",
            "PAGE_WIDTH = 6.5",
            "PAGE_WIDTH = 7",
            "figure_masks",
            "table_dataset",
        ),
    ],
)
def test_results_are_made_again_when_their_code_changes(
    study, tmp_path, module, old, new, again, kept
):
    for name in ("Snakefile", "workflow", "sscdl", "config", "profiles", "resources", "envs"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    path = tmp_path / "sscdl" / module
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))
    changed = Runner(study.folder, study.config, snakefile=str(tmp_path / "Snakefile"))
    output = changed("--dry-run", "all")
    jobs = set(re.findall(r"^(\w\S*) +\d+$", output, re.MULTILINE))
    assert again in jobs
    assert not {kept, "finetune", "pretext_stage", "pack_full"} & jobs


def test_weights_load_into_torchvision_and_carry_their_lineage(study):
    from sscdl.training.backbones import build_backbone  # imports torchvision safely

    store = study.folder.parent / "store"
    pointers = sorted((store / "recipes").glob("rotation+classify.*.json"))
    assert len(pointers) == 2
    folder = store / "objects" / json.loads(pointers[0].read_text())["object"]
    import torchvision

    model = torchvision.models.resnet18(num_classes=2)
    model.layer3 = model.layer4 = torch.nn.Identity()
    model.fc = torch.nn.Linear(128, 2)
    model.load_state_dict(load_file(folder / "weights.safetensors"), strict=True)
    lineage = json.loads((folder / "lineage.json").read_text())
    assert lineage["before"]["node"] == "rotation"
    assert lineage["recipe"]["data"]["classes"] == ["negative", "typical"]
    before = load_file(store / "objects" / lineage["before"]["object"] / "weights.safetensors")
    build_backbone("resnet18", 2).load_state_dict(before, strict=True)


def test_no_identifier_of_a_header_is_in_any_output(study):
    """Patient ids of the headers are hashed; PNGs carry no text chunks."""
    import pydicom

    store = study.folder.parent / "store"
    headers = {
        str(pydicom.dcmread(path, stop_before_pixels=True).PatientID)
        for path in list(store.glob("phantom/*/archive/train/*/*/*.dcm"))[:10]
    }
    assert headers
    for path in study.results.rglob("*"):
        if path.suffix in (".csv", ".md", ".tex", ".log"):
            text = path.read_text()
            assert not [name for name in headers if name in text], path
    for path in list(store.glob("images/*/png/*.png"))[:5]:
        assert not re.search(rb"tEXt|iTXt|zTXt|eXIf", path.read_bytes())


def test_the_report_is_one_file_with_captions(study):
    study("--report", str(study.results / "report.zip"))
    with zipfile.ZipFile(study.results / "report.zip") as report:
        page = next(name for name in report.namelist() if name.endswith("report.html"))
        text = report.read(page).decode()
    for name in ("4.3_ail_by_model", "4.14_accuracy_overview"):
        assert name in text
    assert "class activation maps of the predicted class" in text.lower()


def test_a_second_study_elsewhere_trains_only_what_is_new(study, place):
    config = copy.deepcopy(TINY)
    config |= {"study": "second", "curricula": ["rotation", "rotation+moco"]}
    config["variants"] = ["full"]
    second = Runner(place / "second", config)
    output = second("results/second/predictions/full.rotation+moco.s0.csv",
                    "results/second/predictions/full.rotation.s0.csv")  # fmt: skip
    assert trained(output) == ["rotation+moco full", "rotation+moco+classify full"]
    assert "rule ingest" not in output


def test_a_new_learning_rate_trains_that_candidate_alone_unless_it_wins(study, place):
    config = copy.deepcopy(TINY)
    config |= {"study": "third", "curricula": ["rotation"], "variants": ["full"]}
    config["stages"]["rotation"]["learning_rates"] = [0.01, 1e-6, 0.03]
    third = Runner(place / "third", config)
    output = third("pretrain")
    rates = set(re.findall(r"rotation full lr (\S+) epoch", output))
    assert rates == {"1e-06"}


def test_the_catalog_starts_the_same_workflow(study, place):
    config = copy.deepcopy(TINY) | {"store": str(place / "other")}
    catalog = Runner(place / "catalog", config, snakefile="workflow/Snakefile")
    assert "8 stages to train" not in catalog("images")
    assert (catalog.results / "images.csv").read_bytes()
    assert "Nothing to be done" in catalog("images")


def test_an_existing_checkpoint_can_be_the_root_of_a_curriculum(study, place):
    store = study.folder.parent / "store"
    pointer = json.loads(next((store / "recipes").glob("rotation.*.json")).read_text())
    weights = store / "objects" / pointer["object"] / "weights.safetensors"
    config = copy.deepcopy(TINY)
    config |= {"study": "rooted", "curricula": ["mine+moco"], "variants": ["full"]}
    config["roots"] = {"mine": {"file": str(weights)}}
    output = Runner(place / "rooted", config)("pretrain")
    assert trained(output) == ["mine+moco full"]
    stored = load_file(next((store / "roots").glob("mine.*.safetensors")))
    assert all(torch.equal(stored[name], tensor) for name, tensor in load_file(weights).items())


def test_lungs_removed_and_cropped_to_with_a_soft_edge_and_a_sheet_of_masks(study, place):
    store, truth = study.folder.parent / "store", place / "true-masks"
    truth.mkdir()
    for mask in store.glob("phantom/*/archive/**/truth/masks/*.png"):
        shutil.copy(mask, truth)
    cv2.imwrite(str(sorted(truth.iterdir())[0]), np.zeros((96, 96), np.uint8))
    config = copy.deepcopy(TINY) | {"study": "variants", "curricula": ["scratch"]}
    config |= {"variants": ["inverted", "lung_box"], "variant_edge": 0.03}
    config |= {"lungs": {"source": "masks", "masks": {"folder": str(truth)}}}
    config["stages"]["classify"]["learning_rates"] = [0.01]
    runner = Runner(place / "variants", config)
    names = ["tables/4.15_ail_overview.csv", "tables/4.1_normalisation.csv",
             "tables/shortcut.csv", "tables/implausible_masks.csv",
             "figures/4.1_variants.png", "figures/4.4_attention.png"]  # fmt: skip
    runner("mask_sheet", *(f"results/variants/{name}" for name in names))
    faults = pd.read_csv(runner.results / "tables/implausible_masks.csv")
    assert faults["faults"].tolist() == ["no lung"]
    sheet = cv2.imread(str(runner.results / "mask_sheet/sheet-1.png"))
    assert (sheet == np.array([0x00, 0x5E, 0xD5])).all(axis=-1).any(), "a frame"
    # The share of the lungs in each picture, as attention is compared with it.
    for variant, pack in (("inverted", "lungs"), ("lung_box", "lung_box_lungs")):
        rows = pd.read_csv(runner.results / f"predictions/{variant}.scratch.s0.csv")
        assert faults["image_id"].item() not in set(rows["image_id"])
        newest = max(store.glob(f"packs/{pack}.*.json"), key=lambda path: path.stat().st_mtime)
        array, described = read_pack(newest)
        share = dict(zip(described["ids"], (array > 127).mean(axis=(1, 2)), strict=True))
        expected = [share[name] for name in rows["image_id"]]
        assert rows["lung_share"].tolist() == pytest.approx(expected, abs=1e-5)
    table = pd.read_csv(runner.results / "tables/4.15_ail_overview.csv")
    assert (table["lung_box_floor"] > 1.3 * table["inverted_floor"]).all()
    assert "mask_sheet" not in runner("--dry-run")


def test_the_plan_says_what_is_finished(study):
    config = copy.deepcopy(TINY) | {"curricula": ["rotation", "rotation+relloc"]}
    output = Runner(study.folder, config)("plan")
    assert re.search(r"finished\s+full\s+seed 0\s+rates 0.01, 0.03\s+rotation\n", output)
    assert re.search(r"to train\s+full\s+seed 0\s+rates 0.03\s+rotation\+relloc\n", output)
    assert "4 stages to train, 4 finished" in output
