"""From two archives to training rows: nobody is both pretrained on and tested."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sscdl.archives.cohorts import PRETRAINING
from sscdl.dicom.radiograph import Rendering
from sscdl.files import read_json, write_json
from sscdl.images.imagelist import list_images
from sscdl.images.ingest import ingest_shard
from sscdl.images.rows import select_rows
from sscdl.tables.dataset import dataset_table
from tests.unit.records import OF_ROWS
from tests.unit.render_helpers import ACCEPT_ALL

PATIENTS = 12
SPLIT = {"by": "patient", "stratified": True, "val": 0.2, "test": 0.3, "seed": 0}


@pytest.fixture
def root(tmp_path):
    """Two pictures of each of twelve patients; the first of the first eight is labelled."""
    folder = tmp_path / "all"
    folder.mkdir()
    rows = []
    for number in range(2 * PATIENTS):
        pixels = np.random.default_rng(number).integers(0, 256, (24, 24)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        patient = number // 2
        label = ("negative", "typical")[patient % 2] if number % 2 == 0 and patient < 8 else ""
        rows.append((f"{number}.png", patient, label))
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("f", "p", "l"), *rows])
    return folder


@pytest.mark.parametrize("other_key", ["k", "another"])
def test_no_patient_is_both_pretrained_on_and_tested(root, tmp_path, other_key):
    whole = {"layout": "table", "root": str(root), "table": "table.csv", "id_key": "k",
             "columns": {"file": "f", "patient": "p"}}  # fmt: skip
    labels = {name: {"column": "l", "values": [name]} for name in ("negative", "typical")}
    keep = {"column": "l", "values": list(labels)}
    cohorts = {
        "main": {**whole, "keep": keep, "labels": labels},
        PRETRAINING: {**whole, "id_key": other_key},
    }
    manifest = tmp_path / "images/0.json"
    ingest_shard(
        cohorts, 0, 1, tmp_path / "images/png", manifest,
        rendering=Rendering(), accept=ACCEPT_ALL, find_text=False, time_limit=30,
    )  # fmt: skip
    images = read_json(manifest)["images"]
    masks = tmp_path / "masks/0.json"
    masks.parent.mkdir()
    mask = {**OF_ROWS["masks"], "png": "m.png", "sha256": "0"}
    rows = [{**mask, "image_id": row["image_id"]} for row in images]
    write_json(masks, {"masks": rows})
    table = tmp_path / "images.csv"
    list_images(
        [manifest], [masks], [], table, tmp_path / "rejected.csv",
        implausible="keep", split=SPLIT, classes=list(labels), masked=False,
    )  # fmt: skip
    listed = pd.read_csv(table, dtype=str, keep_default_na=False).set_index("image_id")
    assert listed["cohort"].value_counts().to_dict() == {PRETRAINING: 16, "main": 8}
    assert listed["patient_id"].nunique() == PATIENTS
    held_out = set(listed.loc[listed["split"].isin(["val", "test"]), "patient_id"])
    assert held_out
    ids = list(listed.index)
    found = select_rows(
        table, {"ids": ids, "sha256": "0"},
        {"train": "train", "validate": "val", "normalise": "train", "masked": False,
         "also": PRETRAINING},
    )  # fmt: skip
    trained = listed.loc[[ids[row] for row in found.train]]
    assert not held_out & set(trained["patient_id"])
    # All pictures of the other patients, labelled or not.
    assert len(trained) == 2 * (PATIENTS - len(held_out))
    rejected = pd.read_csv(tmp_path / "rejected.csv")
    report = dataset_table(listed.reset_index(), rejected).set_index(["group", "value"])
    assert report.loc[("patients", "also in the pretraining archive"), "total"] == 8
    assert report.loc[("set aside", "files of the archive main, left out of pretraining: 8")].any()


def test_warnings_of_the_archives_reach_the_terminal_once(root, tmp_path, caplog):
    whole = {"layout": "table", "root": str(root), "table": "table.csv", "id_key": "k",
             "columns": {"file": "f", "patient": "p", "view": "l"}}  # fmt: skip
    table = root / "table.csv"
    table.write_text(table.read_text().replace(",negative", ",AP"))
    for shard in range(2):
        ingest_shard(
            {"main": whole}, shard, 2, tmp_path / "png", tmp_path / f"{shard}.json",
            rendering=Rendering(), accept=ACCEPT_ALL, find_text=False, time_limit=30,
        )  # fmt: skip
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == 2
    assert said[0].endswith(
        "(table.columns.view) says nothing in 16 of 24 rows, for example line 3"
    )
    assert said[1].endswith("cannot be understood in 4 of 24 rows, for example line 4")
    reasons = [row["reason"] for row in read_json(tmp_path / "0.json")["problems"]]
    assert "line 4: view is not understood; counts as OTHER (ingest.accept.view)" in reasons
