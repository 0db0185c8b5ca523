"""A folder of pictures with a table, and a second archive that is pretrained on alone."""

from __future__ import annotations

import copy
import csv
import json
import re
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest

from sscdl.dicom.render import read_radiograph
from sscdl.phantom.archive import write_archive
from tests.conftest import ROOT
from tests.workflow.conftest import TINY, Runner

CLASSES = {"negative": 0.5, "typical": 0.5}
COLUMNS = ["Image Index", "Finding Labels", "Patient ID", "Patient Age", "Sex", "View Position"]


def as_table(archive, root):
    """Rewrite an archive of DICOM files as pictures of several kinds and a table."""
    studies = pd.read_csv(archive / "train_study_level.csv")
    findings = studies["Typical Appearance"].map({0: "No Finding", 1: "Pneumonia|Edema"})
    labels = dict(zip(studies["id"].str.removesuffix("_study"), findings, strict=True))
    rows = []
    for number, path in enumerate(sorted((archive / "train").rglob("*.dcm"))):
        seen = read_radiograph(path)
        kind = (".png", ".jpg", ".tif")[number % 3]
        folder = root / f"images_{number % 2}" / "images"
        folder.mkdir(parents=True, exist_ok=True)
        pixels = seen.pixels.astype(np.uint16) * 257 if kind == ".tif" else seen.pixels
        cv2.imwrite(str(folder / f"{path.stem}{kind}"), pixels)
        study = path.parent.parent.name
        rows.append([f"{path.stem}{kind}", labels[study], study, "61", seen.sex, seen.view])
    rows[0][5] = "LATERAL"
    with open(root / "entries.csv", "w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def as_pairs(archive, root):
    """Write pairs of image and lung mask to learn segmentation from."""
    (root / "masks").mkdir(parents=True)
    (root / "images").mkdir()
    lines = ["id,split"]
    for number, path in enumerate(sorted((archive / "train").rglob("*.dcm"))[:10]):
        cv2.imwrite(str(root / f"images/{path.stem}.png"), read_radiograph(path).pixels)
        shutil.copy(archive / f"truth/masks/{path.stem}.png", root / "masks")
        lines.append(f"{path.stem},{'val' if number < 2 else 'train'}")
    (root / "index.csv").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def tabled(tmp_path_factory) -> Runner:
    """Return a study of a folder of pictures that pretrains on a second archive as well."""
    place = tmp_path_factory.mktemp("layouts")
    write_archive(place / "siim", patients=24, size=96, seed=3, classes=CLASSES)
    as_table(place / "siim", place / "pictures")
    write_archive(place / "more", patients=10, size=96, seed=4, classes=CLASSES)
    as_pairs(place / "more", place / "pairs")
    # A picture of the first archive that has found its way into the second.
    stray = sorted((place / "siim/train").rglob("*.dcm"))[3]  # a PNG file in the first
    target = place / "more/train" / "00000000aaaa" / "00000000bbbb" / "00000000cccc.dcm"
    target.parent.mkdir(parents=True)
    target.write_bytes(stray.read_bytes())
    config = copy.deepcopy(TINY)
    settings = {"folder": str(place / "pairs"), "epochs": 4, "phantoms": 24, "phantom_epochs": 3}
    config["lungs"] = {"source": "train", "train": settings}
    config["dataset"] = {
        "layout": "table",
        "table": {
            "root": str(place / "pictures"),
            "table": "entries.csv",
            "columns": {
                "file": "Image Index",
                "patient": "Patient ID",
                "age": "Patient Age",
                "sex": "Sex",
                "view": "View Position",
            },
            "labels": {
                "healthy": {"column": "Finding Labels", "values": ["No Finding"]},
                "pneumonia": {
                    "column": "Finding Labels", "values": ["Pneumonia"], "separator": "|",
                },
            },
        },
    }  # fmt: skip
    config["pretraining_dataset"] = {"layout": "siim", "siim": {"root": str(place / "more")}}
    config |= {"classes": ["healthy", "pneumonia"], "store": str(place / "store")}
    config |= {"variants": ["full"], "curricula": ["rotation"], "study": "tabled"}
    runner = Runner(place / "run", config)
    # The stray is a near-duplicate, too, which is known once both pictures are there.
    said = runner(ok=False)
    assert "near_duplicates" in said
    assert "Nothing was trained: run the same command again" in said
    runner()
    return runner


def test_pictures_of_all_kinds_are_in_the_study(tabled):
    images = pd.read_csv(tabled.results / "images.csv", keep_default_na=False)
    main = images[images["cohort"] == "main"]
    assert set(main["transfer_syntax"]) == {"PNG", "JPEG", "TIFF"}
    assert set(main["label"]) == {"healthy", "pneumonia"}
    assert main["age"].eq(61).all()
    assert set(main["view"]) <= {"AP", "PA"}
    assert main["image_id"].str.fullmatch("[0-9a-f]{16}").all(), "file names may name patients"
    assert main.groupby("patient_id")["split"].nunique().max() == 1


def test_the_second_archive_trains_the_pretext_stage_alone(tabled):
    images = pd.read_csv(tabled.results / "images.csv", keep_default_na=False)
    splits = images["split"].value_counts()
    assert splits["pretraining"] > 0
    sizes = {}
    for pointer in (tabled.folder.parent / "store/recipes").glob("*.json"):
        node = json.loads(pointer.read_text())
        folder = tabled.folder.parent / "store/objects" / node["object"]
        lineage = json.loads((folder / "lineage.json").read_text())
        sizes[lineage["node"]] = lineage["data"]["images"]
    assert sizes["rotation"] == splits["train"] + splits["pretraining"]
    assert sizes["rotation+classify"] == splits["train"]
    assert set(pd.read_csv(next((tabled.results / "predictions").glob("full*")))["split"]) <= {
        "val", "test",
    }  # fmt: skip


def test_a_lateral_view_by_the_table_is_set_aside(tabled):
    rejected = pd.read_csv(tabled.results / "rejected.csv")
    reason = rejected.loc[rejected["file"] == "entries.csv, line 2", "reason"]
    assert "ingest.accept.view" in reason.item()


def test_a_picture_that_is_in_both_archives_is_not_pretrained_on(tabled):
    images = pd.read_csv(tabled.results / "images.csv", dtype=str).set_index("image_id")
    assert images.loc["00000000cccc", "split"] == "duplicate"
    assert "the same picture as" in images.loc["00000000cccc", "remark"]


def test_the_data_report_counts_both(tabled):
    table = pd.read_csv(tabled.results / "tables/dataset.csv", dtype=str)
    assert {"group", "value", "train", "val", "test", "pretraining", "total"} <= set(table)
    assert (tabled.results / "figures/dataset.png").exists()


def test_all_images_are_drawn_in_small_on_request(tabled):
    tabled("contact_sheet")
    sheet = cv2.imread(str(next((tabled.results / "contact_sheet").glob("*.png"))))
    assert sheet.shape[1] >= 12 * 160
    assert sheet.std() > 20


NIH = {
    "table": "Data_Entry_2017_v2020.csv",
    "header": "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
    "View Position",
    "rows": [
        "00000001_000.png,No Finding,0,1,58,M,PA",
        "00000002_000.png,Pneumonia|Edema,0,2,44,F,AP",
    ],
    "files": ["images_001/images/00000001_000.png", "images_002/images/00000002_000.png"],
}
CHEXPERT = {
    "table": "train.csv",
    "header": "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Pneumonia",
    "rows": [
        "CheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,",
        "CheXpert-v1.0/train/patient00002/study1/view1_frontal.jpg,Male,50,Frontal,PA,,1.0",
    ],
    "files": [
        "train/patient00001/study1/view1_frontal.jpg",
        "train/patient00002/study1/view1_frontal.jpg",
    ],
}


PEDIATRIC = {
    "table": "images.csv",
    "header": "file,patient,label",
    "rows": ["a.jpg,1,bacterial", "b.jpg,2,viral", "c.jpg,3,normal"],
    "files": ["images/a.jpg", "images/b.jpg", "images/c.jpg"],
}
# Pretext stages and classifiers of each.
SHIPPED = [
    ("nih-chestxray14", NIH, 6, 10),
    ("chexpert", CHEXPERT, 6, 10),
    ("pediatric", PEDIATRIC, 20, 25),
]


@pytest.mark.parametrize(("name", "made", "pretext", "finetune"), SHIPPED)
def test_the_shipped_studies_of_known_data_sets_are_planned(
    tmp_path, name, made, pretext, finetune
):
    root = tmp_path / "archive"
    for file in made["files"]:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / file), np.eye(64, dtype=np.uint8) * 200)
    (root / made["table"]).write_text("\n".join([made["header"], *made["rows"]]) + "\n")
    changes = {"dataset": {"table": {"root": str(root)}}}
    runner = Runner(tmp_path / "run", changes, (str(ROOT / f"config/{name}.yaml"),))
    output = runner("--dry-run", "--quiet", "rules")
    assert re.search(rf"pretext_stage\s+{pretext}\n", output)
    assert re.search(rf"finetune\s+{finetune}\n", output)
