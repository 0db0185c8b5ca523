"""Splits that are given, in the form in which data sets are published, through Snakemake."""

from __future__ import annotations

import copy
import csv
import re

import cv2
import numpy as np
import pandas as pd
import pytest

from sscdl.identifiers import pseudonym
from sscdl.phantom.archive import write_archive
from tests.conftest import ROOT
from tests.workflow.conftest import TINY, Runner
from tests.workflow.test_layouts import as_table

KERMANY = {
    "chest_xray/test/NORMAL/IM-0001-0001.jpeg": ("normal", "IM-0001", "test"),
    "chest_xray/test/NORMAL/NORMAL2-IM-0041-0001.jpeg": ("normal", "NORMAL2-IM-0041", "test"),
    "chest_xray/test/PNEUMONIA/person101_bacteria_484.jpeg":
        ("pneumonia", "person101", "test"),
    "chest_xray/test/PNEUMONIA/person101_bacteria_485.jpeg":
        ("pneumonia", "person101", "test"),
    "chest_xray/test/PNEUMONIA/person1_virus_6.jpeg": ("pneumonia", "person1", "test"),
    "chest_xray/train/NORMAL/IM-0115-0001.jpeg": ("normal", "IM-0115", "rest"),
    "chest_xray/train/NORMAL/NORMAL2-IM-0173-0001-0002.jpeg": ("normal", "NORMAL2-IM-0173", "rest"),
    "chest_xray/train/NORMAL/NORMAL2-IM-0173-0001.jpeg": ("normal", "NORMAL2-IM-0173", "rest"),
    "chest_xray/train/PNEUMONIA/person101_virus_187.jpeg":
        ("pneumonia", "person101", "rest"),
    "chest_xray/train/PNEUMONIA/person101_virus_188.jpeg":
        ("pneumonia", "person101", "rest"),
    "chest_xray/train/PNEUMONIA/person1_bacteria_1.jpeg":
        ("pneumonia", "person1", "rest"),
    "chest_xray/train/PNEUMONIA/person1_bacteria_2.jpeg":
        ("pneumonia", "person1", "rest"),
    "chest_xray/val/NORMAL/NORMAL2-IM-1427-0001.jpeg": ("normal", "NORMAL2-IM-1427", "rest"),
    "chest_xray/val/PNEUMONIA/person1946_bacteria_4874.jpeg":
        ("pneumonia", "person1946", "rest"),
}  # fmt: skip
NIH = {
    "images_001/images/00000001_000.png": ("negative", "1", "rest"),
    "images_001/images/00000001_001.png": ("typical", "1", "rest"),
    "images_001/images/00000002_000.png": ("typical", "2", "rest"),
    "images_002/images/00000003_000.png": ("negative", "3", "rest"),
    "images_002/images/00000003_001.png": ("", "3", "rest"),
    "images_002/images/00000004_000.png": ("typical", "4", "rest"),
    "images_003/images/00000005_000.png": ("negative", "5", "test"),
    "images_003/images/00000006_000.png": ("typical", "6", "test"),
    "images_003/images/00000007_000.png": ("typical", "7", "unlisted"),
}
NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
FINDINGS = {"negative": "No Finding", "typical": "Infiltration|Pneumonia", "": "Mass"}
CHEXPERT = {
    "train/patient00001/study1/view1_frontal.jpg": ("negative", "00001", "rest"),
    "train/patient00002/study1/view1_frontal.jpg": ("typical", "00002", "rest"),
    "train/patient00002/study2/view1_frontal.jpg": ("typical", "00002", "rest"),
    "train/patient00003/study1/view1_frontal.jpg": ("negative", "00003", "rest"),
    "train/patient00004/study1/view1_frontal.jpg": ("typical", "00004", "rest"),
    "valid/patient64541/study1/view1_frontal.jpg": ("negative", "64541", "test"),
    "valid/patient64542/study1/view1_frontal.jpg": ("typical", "64542", "test"),
}
LATERAL = "valid/patient64541/study1/view2_lateral.jpg"


def pictures(root, files):
    """Write a picture of its own for each of ``files``."""
    random = np.random.default_rng(7)
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (6, 6)).astype(np.uint8)
        cv2.imwrite(str(root / file), cv2.resize(coarse, (96, 96), interpolation=cv2.INTER_CUBIC))


def nih(root):
    """Write NIH's table, and its lists as published: no header, no newline at the end."""
    pictures(root, NIH)
    lines = [NIH_HEADER]
    for number, (file, (label, patient, _)) in enumerate(NIH.items()):
        name = file.rpartition("/")[2]
        lines.append(f"{name},{FINDINGS[label]},{number},{patient},45,M,PA,2500,2048,0.17,0.17")
    (root / "Data_Entry_2017_v2020.csv").write_text("\n".join(lines) + "\n")
    for name, side in (("train_val_list.txt", "rest"), ("test_list.txt", "test")):
        named = [file.rpartition("/")[2] for file, row in NIH.items() if row[2] == side]
        named += ["00000099_000.png"] if side == "test" else []
        (root / name).write_text("\n".join(named))


def chexpert(root):
    """Write CheXpert's two tables, of the small version."""
    pictures(root / "CheXpert-v1.0-small", [*CHEXPERT, LATERAL])
    for name in ("train", "valid"):
        rows = ["Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Pneumonia"]
        for file, (label, _, _) in CHEXPERT.items():
            marks = {"negative": "1.0,", "typical": ",1.0"}[label]
            rows.append(f"CheXpert-v1.0-small/{file},Female,68,Frontal,AP,{marks}")
        rows.append(f"CheXpert-v1.0-small/{LATERAL},Female,68,Lateral,,1.0,")
        kept = [rows[0], *(row for row in rows if f"/{name}/" in row)]
        (root / f"{name}.csv").write_text("\n".join(kept) + "\n")


LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}
TABLES = {"train": "train.csv", "test": "valid.csv"}
# What the header of each configuration leaves to the command line, or to a file beside it.
PUBLISHED = {
    "kermany": (lambda root: pictures(root, KERMANY), KERMANY, "", "folders", {}, {}),
    "nih-chestxray14": (nih, NIH, "", "table", {}, {"source": "lists", "lists": LISTS}),
    "chexpert": (
        chexpert, CHEXPERT, "CheXpert-v1.0-small/", "table", {"further": ["valid.csv"]},
        {"source": "lists", "lists": TABLES},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sets_are_listed_with_their_published_split(tmp_path, name):
    write, expected, above, layout, more, split = PUBLISHED[name]
    root = tmp_path / "archive"
    write(root)
    changes = {
        "dataset": {layout: {"root": str(root), **more}}, "split": {"val": 0.3, **split},
        "ingest": {"shards": 1}, "lungs": {"source": "default"},
    }  # fmt: skip
    runner = Runner(
        tmp_path / "run", changes | {"study": "s"}, (str(ROOT / f"config/{name}.yaml"),)
    )
    runner("images")
    images = pd.read_csv(runner.results / "images.csv", dtype=str, keep_default_na=False)
    found = images.set_index("image_id")[["label", "patient_id", "split"]].to_dict("index")
    assert len(found) == len(expected)
    drawn = {}
    for file, (label, patient, side) in expected.items():
        row = found[pseudonym(above + file, name)]
        assert row["label"] == label, file
        assert row["patient_id"] == pseudonym(patient, name), file
        if side == "rest":
            drawn.setdefault(row["split"], set()).add(patient)
        else:
            assert row["split"] == side, file
    assert drawn.keys() == {"train", "val"}
    assert not drawn["train"] & drawn["val"]
    if name == "kermany":
        # Its published sides share numbers of persons, which is told.
        both = {pseudonym(number, name) for number in ("person1", "person101")}
        remark = "of a patient on several sides of the given split"
        assert both == set(images.loc[images["remark"].str.contains(remark), "patient_id"])
    if name == "nih-chestxray14":
        reasons = pd.read_csv(runner.results / "rejected.csv").to_dict("records")
        gone = {"file": "test_list.txt", "reason": "line 3: no such file below the root"}
        assert gone in reasons
        left = {"file": ".", "reason": "images on no side of the given split, left out: 1"}
        assert left in reasons


@pytest.fixture(scope="module")
def straddling(tmp_path_factory) -> Runner:
    """Return a finished study whose lists have one patient on both sides, as it is told to take."""
    place = tmp_path_factory.mktemp("given")
    write_archive(place / "siim", patients=24, size=96, seed=3, classes={"negative": 0.5,
                  "typical": 0.5})  # fmt: skip
    root = place / "pictures"
    as_table(place / "siim", root)
    with open(root / "entries.csv", newline="") as file:
        rows = list(csv.DictReader(file))[1:]  # the first is a lateral view
    patients = sorted({row["Patient ID"] for row in rows})
    test = [row["Image Index"] for row in rows if row["Patient ID"] in patients[:8]]
    train = [row["Image Index"] for row in rows if row["Patient ID"] in patients[8:-1]]
    several = next(p for p in patients[8:-1] if sum(row["Patient ID"] == p for row in rows) > 1)
    moved = next(row["Image Index"] for row in rows if row["Patient ID"] == several)
    train.remove(moved)
    (root / "train.txt").write_text("\r\n".join(train))
    (root / "test.txt").write_text("\n".join([*test, moved]))
    config = copy.deepcopy(TINY)
    columns = {"file": "Image Index", "patient": "Patient ID", "sex": "Sex",
               "view": "View Position"}  # fmt: skip
    labels = {
        "healthy": {"column": "Finding Labels", "values": ["No Finding"]},
        "ill": {"column": "Finding Labels", "values": ["Pneumonia"], "separator": "|"},
    }
    table = {"root": str(root), "table": "entries.csv", "columns": columns, "labels": labels}
    config |= {
        "dataset": {"layout": "table", "table": table}, "classes": ["healthy", "ill"],
        "variants": ["full"], "study": "given", "store": str(place / "store"),
        "split": {
            "source": "lists", "lists": {"train": "train.txt", "test": "test.txt"},
            "near_duplicates": "ignore",  # synthetic chests are alike
        },
    }  # fmt: skip
    runner = Runner(place / "run", config)
    said = runner("plan", ok=False)
    assert "split.lists: 1 patients have images on several sides" in said
    config["split"]["straddling"] = "tell"
    runner()
    return runner


def test_a_patient_on_both_sides_is_told_wherever_results_are(straddling):
    results = straddling.results
    table = pd.read_csv(results / "tables/dataset.csv").set_index(["group", "value"])
    assert table.loc[("patients", "in several splits"), "test"] == 1
    assert table.loc[("images", "all"), "unlisted"] >= 1
    note = "patients may be on several sides of it (split.straddling: tell)"
    for name in ("4.14_accuracy_overview", "comparisons", "subgroups"):
        assert note in (results / f"tables/{name}.md").read_text(), name
    summary = re.sub(r"\s+", " ", (results / "summary.html").read_text())
    assert "1 of the 9 patients of the test set has images in training or validation" in summary
    assert "The split is given, by lists of files; of its training side, 15 % were" in summary
    assert "patients are on several sides of it: 1 of 9" in straddling("plan")


def test_a_list_that_changes_nothing_but_the_findings_has_these_listed_anew(straddling):
    """No stage is trained by it."""
    file = straddling.folder.parent / "pictures/test.txt"
    before = file.read_text()
    file.write_text(before + "\ngone.png")
    said = straddling("--dry-run", "--quiet", "rules")
    assert "triggered jobs: list_images\n" in said
    assert "finetune" not in said
    straddling("images")
    findings = (straddling.results / "rejected.csv").read_text()
    assert "test.txt,line" in findings
    assert "no such file below the root" in findings
    file.write_text(before)
    straddling("images")
    assert "no such file below the root" not in (straddling.results / "rejected.csv").read_text()


def test_another_study_may_draw_its_split_of_the_same_pictures(straddling):
    config = {**straddling.config, "study": "drawn", "split": {"near_duplicates": "ignore"}}
    said = Runner(straddling.folder, config)("--dry-run", "--quiet", "rules")
    assert "ingest" not in said
    assert "segment" not in said
    assert "finetune" in said
