from __future__ import annotations

import hashlib
import logging
import re
import struct
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sscdl.archives.index import make_index
from sscdl.dicom.radiograph import Rendering
from sscdl.errors import InputError
from sscdl.files import read_json
from sscdl.identifiers import pseudonym
from sscdl.images import ingest as module
from sscdl.images import renderer
from sscdl.images.ingest import collect, collect_problems, ingest_shard
from sscdl.images.picture import read_image
from sscdl.images.render_worker import pixel_hash
from tests.unit.dicom_files import (
    IMAGE_HEADER,
    PATIENT_NAME,
    write_archive,
    write_dicom,
    write_table,
)
from tests.unit.render_helpers import ACCEPT_ALL

IMAGES = [("s1", "a", "negative"), ("s2", "b", "typical"), ("s2", "c", "typical")]


@pytest.fixture
def root(tmp_path):
    return write_archive(tmp_path / "data", IMAGES)


def ingest(roots, out, shard=0, shards=1, id_key="key", **settings):
    manifest = out / f"manifest-{shard}.json"
    cohorts = {
        name: {"layout": "siim", "root": str(root), "id_key": id_key}
        for name, root in roots.items()
    }
    settings = {"rendering": Rendering(), "accept": ACCEPT_ALL, "find_text": False} | settings
    settings.setdefault("time_limit", 30)
    ingest_shard(cohorts, shard, shards, out / "png", manifest, **settings)
    return manifest


def chunks(png):
    """Return the chunk types of a PNG file's bytes."""
    found, position = [], 8
    while position < len(png):
        length, kind = struct.unpack_from(">I4s", png, position)
        found.append(kind.decode())
        position += 12 + length
    return found


def test_manifest_and_pictures(root, tmp_path):
    manifest = ingest({"main": root}, tmp_path / "out")
    content = read_json(manifest)
    assert content["rejected"] == content["failed"] == content["problems"] == []
    assert [row["image_id"] for row in content["images"]] == ["a", "b", "c"]
    for row in content["images"]:
        path = tmp_path / "out" / "png" / row["png"]
        assert row["png"] == f"{row['image_id']}.png"
        assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        with Image.open(path) as picture:
            assert picture.mode == "L"
            shown = np.asarray(picture)
        source = root / "train" / row["study_id"] / "series" / f"{row['image_id']}.dcm"
        assert np.array_equal(shown, read_image(source, Rendering()).pixels)
        assert row["pixel_hash"] == pixel_hash(shown)
    first = content["images"][0]
    assert first.pop("sha256")
    assert first.pop("pixel_hash")
    assert first == {
        "cohort": "main",
        "image_id": "a",
        "study_id": "s1",
        "patient_id": hashlib.blake2b(b"ID-s1", key=b"key").hexdigest()[:16],
        "label": "negative",
        "boxes": [],
        "view": "",
        "sex": "F",
        "age": 45.0,
        "rows": 12,
        "columns": 16,
        "transfer_syntax": "Explicit VR Little Endian",
        "photometric": "MONOCHROME2",
        "bits_stored": 8,
        "modality": "CR",
        "body_part": "",
        "png": "a.png",
        "text": None,
    }


def test_nothing_of_the_patient_is_left(root, tmp_path):
    out = tmp_path / "out"
    manifest = ingest({"main": root}, out)
    source = (root / "train/s1/series/a.dcm").read_bytes()
    assert PATIENT_NAME.encode() in source
    assert b"ID-s1" in source
    for path in (manifest, *sorted((out / "png").iterdir())):
        content = path.read_bytes()
        for planted in (b"Planted", b"Jane", b"ID-s"):
            assert planted not in content
        if path.suffix == ".png":
            assert chunks(content) == ["IHDR", "IDAT", "IEND"]


def test_pseudonyms_hang_on_patient_and_key(root, tmp_path):
    pixels = np.arange(192, dtype=np.uint8).reshape(12, 16)
    write_dicom(root / "train/s1/series/a.dcm", pixels, PatientID=None)
    one = {
        r["image_id"]: r["patient_id"]
        for r in read_json(ingest({"main": root}, tmp_path / "1"))["images"]
    }
    two = read_json(ingest({"main": root}, tmp_path / "2", id_key="other"))["images"]
    assert one["a"] == pseudonym("s1", "key")
    assert one["b"] == one["c"] != one["a"]
    assert two[1]["patient_id"] != one["b"]
    long = ["k" * 100 + end for end in "xy"]
    assert pseudonym("p", long[0]) != pseudonym("p", long[1])
    with pytest.raises(InputError, match="id_key"):
        ingest({"main": root}, tmp_path / "3", id_key="")


def test_boxes_become_fractions_of_the_image(root, tmp_path):
    box = "{{'x': {}, 'y': {}, 'width': {}, 'height': {}}}"
    texts = ["4, 3, 8, 6", "-4, 9, 8, 9", "16, 0, 5, 5"]
    boxes = ", ".join(box.format(*text.split(", ")) for text in texts)
    rows = [
        ("a_image", f"[{boxes}]", "", "s1"),
        ("b_image", "", "", "s2"),
        ("c_image", "", "", "s2"),
    ]
    write_table(root / "train_image_level.csv", IMAGE_HEADER, rows)
    content = read_json(ingest({"main": root}, tmp_path / "out"))
    assert content["images"][0]["boxes"] == [[0.25, 0.25, 0.75, 0.75], [0.0, 0.75, 0.25, 1.0]]
    assert content["problems"] == [
        {"file": "train/s1/series/a.dcm", "reason": "box outside the image; dropped"}
    ]


def test_remarks_on_headers_are_kept(root, tmp_path):
    pixels = np.arange(192, dtype=np.uint8).reshape(12, 16)
    write_dicom(root / "train/s1/series/a.dcm", pixels, WindowCenter=9, WindowWidth=0)
    images, _ = collect([ingest({"main": root}, tmp_path / "out")])
    assert [len(remarks) for remarks in images["remarks"]] == [2, 0, 0]
    told = "header field WindowWidth is malformed; taken as missing"
    assert images["remarks"][0][1] == told


def test_bad_file_is_rejected_and_the_others_are_kept(root, tmp_path):
    (root / "train/s2/series/b.dcm").write_bytes(b"nothing")
    images, rejected = collect([ingest({"main": root}, tmp_path / "out")])
    assert list(images["image_id"]) == ["a", "c"]
    assert rejected.to_dict("records") == [
        {"file": "train/s2/series/b.dcm", "reason": "not a DICOM file"}
    ]
    assert not (tmp_path / "out/png/b.png").exists()


def test_file_that_breaks_the_decoder_has_failed(root, tmp_path, monkeypatch):
    breaking = (
        "import os; import sscdl.images.render_worker as w; real = w.read_image\n"
        "w.read_image = lambda file, how: os.abort() if 'b.dcm' in str(file) else real(file, how)\n"
        "w.main()"
    )
    monkeypatch.setattr(renderer, "_COMMAND", [sys.executable, "-P", "-c", breaking])
    (root / "train/s2/series/c.dcm").write_bytes(b"nothing")
    manifest = ingest({"main": root}, tmp_path / "out")
    content = read_json(manifest)
    reason = "decoder crashed (signal 6)"
    assert content["failed"] == [{"file": "train/s2/series/b.dcm", "reason": reason}]
    assert [len(content[key]) for key in ("images", "rejected", "failed")] == [1, 1, 1]
    images, rejected = collect([manifest])
    assert list(images["image_id"]) == ["a"]
    assert list(rejected["reason"]) == [reason, "not a DICOM file"]


def test_image_that_is_not_accepted_is_rejected(root, tmp_path):
    accept = {**ACCEPT_ALL, "modality": ["DX"]}
    content = read_json(ingest({"main": root}, tmp_path / "out", accept=accept))
    assert content["images"] == []
    assert len(content["rejected"]) == 3
    assert "ingest.accept.modality" in content["rejected"][0]["reason"]
    assert list((tmp_path / "out/png").iterdir()) == []


def test_what_the_tables_say_goes_before_the_header(root, tmp_path, monkeypatch):
    def read_index(description):
        common = {"study_id": "s", "label": "", "boxes": []}
        rows = [
            {"image_id": "a", "path": "train/s1/series/a.dcm", "shown": "line 2", **common},
            {
                "image_id": "b", "path": "train/s2/series/b.dcm", "shown": "line 3",
                "patient_id": "TABLE-9", "sex": "M", "age": 70.0, "view": "AP", **common,
            },
            {"image_id": "c", "path": "train/none.dcm", "shown": "line 4", **common},
        ]  # fmt: skip
        return make_index(rows, [])

    monkeypatch.setattr(module, "read_index", read_index)
    content = read_json(ingest({"main": root}, tmp_path / "out"))
    one, two = content["images"]
    assert [one[key] for key in ("sex", "age", "view")] == ["F", 45.0, ""]
    assert one["patient_id"] == pseudonym("ID-s1", "key")
    assert [two[key] for key in ("sex", "age", "view")] == ["M", 70.0, "AP"]
    assert two["patient_id"] == pseudonym("TABLE-9", "key")
    assert content["rejected"][0]["file"] == "line 4"


def test_view_of_the_table_is_what_is_accepted_or_not(root, tmp_path, monkeypatch):
    def read_index(description):
        rows = [
            {
                "image_id": image, "path": f"train/{study}/series/{image}.dcm", "shown": image,
                "study_id": study, "label": "", "boxes": [], "view": view,
            }
            for study, image, view in (("s1", "a", "PA"), ("s2", "b", "LL"))
        ]  # fmt: skip
        return make_index(rows, [])

    monkeypatch.setattr(module, "read_index", read_index)
    accept = {**ACCEPT_ALL, "view": ["PA"]}
    content = read_json(ingest({"main": root}, tmp_path / "out", accept=accept))
    assert [row["image_id"] for row in content["images"]] == ["a"]
    reason = "view LL is not accepted (ingest.accept.view)"
    assert content["rejected"] == [{"file": "b", "reason": reason}]


def test_sixteen_bits_and_search_for_text(root, tmp_path):
    manifest = ingest(
        {"main": root}, tmp_path / "out", rendering=Rendering(bits=16), find_text=True
    )
    with Image.open(tmp_path / "out/png/a.png") as picture:
        assert picture.mode == "I;16"
    images, _ = collect([manifest])
    assert list(images["text"]) == [[], [], []]


def test_text_that_was_not_looked_for_is_none(root, tmp_path):
    images, _ = collect([ingest({"main": root}, tmp_path / "out")])
    assert all(found is None for found in images["text"])


def test_shards_together_are_the_whole(root, tmp_path):
    extra = write_archive(tmp_path / "extra", [("t1", "d", "negative"), ("t2", "e", "atypical")])
    (root / "train/s2/series/bad id.dcm").touch()
    (extra / "train/t2/series/e.dcm").write_bytes(b"")
    roots = {"main": root, "other": extra}
    parts = [ingest(roots, tmp_path / "parts", shard, 3) for shard in range(3)]
    found = [[row["image_id"] for row in read_json(part)["images"]] for part in parts]
    assert found == [["a", "d"], ["b"], ["c"]]
    images, rejected = collect(parts)
    assert list(images["cohort"]) == ["main", "main", "main", "other"]
    assert list(rejected["file"]) == ["other/train/t2/series/e.dcm"]
    whole = ingest(roots, tmp_path / "whole")
    pd.testing.assert_frame_equal(images, collect([whole])[0])
    assert collect_problems(parts).equals(collect_problems([whole]))
    assert list(collect_problems(parts)["file"]) == ["train/s2/series/bad id.dcm"]


@pytest.mark.parametrize("name", ["b", "B"])
def test_image_id_in_two_cohorts(root, tmp_path, name):
    extra = write_archive(tmp_path / "extra", [("t1", name, "negative")])
    manifest = ingest({"main": root, "other": extra}, tmp_path / "out")
    images, _ = collect([manifest])
    assert sorted(images.loc[images["cohort"] == "main", "image_id"]) == ["a", "b", "c"]
    [other] = images.loc[images["cohort"] == "other", "image_id"]
    assert re.fullmatch("[0-9a-f]{16}", other)


def test_second_run_changes_nothing_and_repairs_what_is_damaged(root, tmp_path):
    out = tmp_path / "out"
    before = ingest({"main": root}, out).read_bytes()
    inode = (out / "png/a.png").stat().st_ino
    whole = (out / "png/b.png").read_bytes()
    (out / "png/b.png").write_bytes(whole[:-20])
    assert ingest({"main": root}, out).read_bytes() == before
    assert (out / "png/a.png").stat().st_ino == inode
    assert (out / "png/b.png").read_bytes() == whole


def test_progress_is_logged(root, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="sscdl.images.ingest")
    (root / "train/s2/series/b.dcm").write_bytes(b"nothing")
    ingest({"main": root}, tmp_path / "out")
    assert "rejected train/s2/series/b.dcm: not a DICOM file" in caplog.text
    line = r"shard 0 of 1: 3 of 3 images \(1 rejected, 0 failed\), \d+\.\d images/s, 0 s left"
    assert re.search(line, caplog.text)


def test_no_usable_image_quotes_the_commonest_reason(root, tmp_path):
    for name in ("s1/series/a", "s2/series/b"):
        (root / f"train/{name}.dcm").write_bytes(b"nothing")
    write_dicom(root / "train/s2/series/c.dcm", np.zeros((4, 4), np.uint8), NumberOfFrames=2)
    manifest = ingest({"main": root}, tmp_path / "out")
    with pytest.raises(InputError, match=r"3 were rejected.*\(2 files\): not a DICOM file"):
        collect([manifest])
