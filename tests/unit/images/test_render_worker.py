from __future__ import annotations

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from sscdl.dicom.radiograph import Rendering
from sscdl.errors import InputError
from sscdl.images.render_worker import encode_png, pixel_hash
from tests.conftest import ROOT
from tests.unit.dicom_files import write_dicom
from tests.unit.render_helpers import ACCEPT_ALL, RAMP, started

# PNG files


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (3, 517), (64, 48)])
def test_png_keeps_every_pixel_and_holds_nothing_else(dtype, shape):
    top = np.iinfo(dtype).max
    pixels = np.random.default_rng(0).integers(0, top, shape, dtype, endpoint=True)
    content = encode_png(pixels)
    assert np.array_equal(cv2.imdecode(np.frombuffer(content, np.uint8), -1), pixels)
    kinds, position = [], 8
    while position < len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        kinds.append(content[position + 4 : position + 8])
        position += 12 + length
    assert sorted(set(kinds)) == [b"IDAT", b"IEND", b"IHDR"]


def test_png_of_a_noisy_picture_is_made_without_a_search_for_strings():
    y, x = np.mgrid[0:256, 0:256]
    noise = np.random.default_rng(0).normal(0, 3, y.shape)
    pixels = np.clip(128 + 60 * np.sin(x / 40) * np.cos(y / 50) + noise, 0, 255).astype(np.uint8)
    # With the search, at a level that is as fast.
    usual = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
    assert len(encode_png(pixels)) < 0.95 * len(usual)


def test_pixel_hash_depends_on_shape_type_and_values():
    pixels = np.zeros((2, 6), np.uint8)
    other = pixels.copy()
    other[1, 5] = 1
    hashes = [
        pixel_hash(p) for p in (pixels, pixels.reshape(3, 4), pixels.astype(np.uint16), other)
    ]
    assert len(set(hashes)) == 4
    assert {len(text) for text in hashes} == {32}
    assert pixel_hash(np.asfortranarray(other)) == hashes[3]


# Files that are what they should be


def test_row_and_picture(tmp_path):
    file = write_dicom(tmp_path / "x.dcm", RAMP, PatientAge="045Y", PatientSex="F")
    with started() as it:
        assert it.pid is None
        kind, row = it.render(file, tmp_path / "x.png")
        first = it.pid
        again = it.render(file, tmp_path / "y.png")
        assert it.pid == first
    assert it.pid is None
    assert it.lost == 0
    assert kind == "image"
    assert again == (kind, row)
    pixels = np.asarray(Image.open(tmp_path / "x.png"))
    assert row["pixel_hash"] == pixel_hash(pixels)
    assert (row["age"], row["sex"], row["patient_id"]) == (45.0, "F", "PLANTED-0815")
    assert row["text"] is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.dcm", "x.png", "y.png"]


def test_sixteen_bits(tmp_path):
    file = write_dicom(tmp_path / "x.dcm", RAMP.astype(np.uint16) * 16, bits=12)
    with started(Rendering(bits=16, window="percentiles", percentiles=(0, 100))) as it:
        assert it.render(file, tmp_path / "x.png")[0] == "image"
    pixels = cv2.imread(str(tmp_path / "x.png"), cv2.IMREAD_UNCHANGED)
    assert pixels.dtype == np.uint16
    assert (pixels.min(), pixels.max()) == (0, 65535)


def test_suspected_text_is_listed_where_asked_for(tmp_path):
    file = write_dicom(tmp_path / "x.dcm", RAMP)
    with started(find_text=True) as it:
        assert it.render(file, tmp_path / "x.png")[1]["text"] == []


def test_reasons_for_which_a_file_is_rejected(tmp_path):
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(b"nothing")
    other = write_dicom(tmp_path / "other.dcm", RAMP, Modality="CT")
    with started(accept={**ACCEPT_ALL, "modality": ["CR", "DX"]}) as it:
        assert it.render(bad, tmp_path / "bad.png") == ("rejected", "not a DICOM file")
        kind, reason = it.render(other, tmp_path / "other.png")
        assert kind == "rejected"
        assert "ingest.accept.modality" in reason
        assert it.render(tmp_path / "none.dcm", tmp_path / "none.png")[0] == "rejected"
    assert not list(tmp_path.glob("*.png"))


def test_folder_that_cannot_be_written_stops_the_run(tmp_path):
    file = write_dicom(tmp_path / "x.dcm", RAMP)
    with started() as it, pytest.raises(InputError, match=r"x\.png: cannot be written \(No such"):
        it.render(file, tmp_path / "missing" / "x.png")


def test_picture_that_is_there_is_left_alone_and_a_damaged_one_replaced(tmp_path):
    file, png = write_dicom(tmp_path / "x.dcm", RAMP), tmp_path / "x.png"
    with started() as it:
        it.render(file, png)
        content, before = png.read_bytes(), png.stat().st_ino
        it.render(file, png)
        assert png.stat().st_ino == before
        png.write_bytes(content[:-9])
        it.render(file, png)
    assert png.read_bytes() == content


def test_worker_ends_at_the_end_of_its_input():
    settings = {
        "rendering": {"window": "first", "percentiles": [0.5, 99.5], "bits": 8, "max_pixels": 9},
        "accept": ACCEPT_ALL, "find_text": False, "memory": 2**32,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "sscdl.images.render_worker"], cwd=ROOT,
        input=json.dumps(settings) + "\n", capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == {"ready": True}
