"""What exported models say of image files."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest

from sscdl.errors import InputError
from sscdl.model.command import main
from sscdl.model.folder import Model
from sscdl.model.image_files import _endings, _names
from sscdl.model.predict import _pack, predict_folder
from sscdl.recipe import file_hash
from sscdl.segment.predict import Segmenter
from tests.unit.dicom_files import PATIENT_NAME, write_dicom
from tests.unit.exported_models import CLASSES, CPU, build, chances_of, change, lines_of, radiograph
from tests.unit.records import OF_ROWS
from tests.unit.render_helpers import ACCEPT_ALL


def test_files_of_all_kinds_and_those_that_cannot_be_used(exported_folder, tmp_path):
    images, out = tmp_path / "images", tmp_path / "out"
    gray = radiograph()
    write_dicom(images / "PLANTED-0815" / "plain.dcm", gray)
    write_dicom(
        images / "PLANTED-0815" / "inverse.dcm", 255 - gray, PhotometricInterpretation="MONOCHROME1"
    )
    cv2.imwrite(str(images / "picture.png"), gray)
    cv2.imwrite(str(images / "tall.png"), cv2.resize(gray, (96, 150)))
    cv2.imwrite(str(images / "strip.png"), radiograph()[:2])
    cv2.imwrite(str(images / "blank.png"), np.zeros((40, 40), np.uint8))
    (images / "broken.dcm").write_bytes((images / "PLANTED-0815/plain.dcm").read_bytes()[:2000])
    (images / "text.jpg").write_text("no picture")
    (images / "empty.png").write_bytes(b"")
    assert main(["predict", str(exported_folder), str(images), str(out), "--device", "cpu"]) == 1
    lines = lines_of(out)
    assert list(lines) == sorted(lines)
    assert len(lines) == 9
    for name in ("plain.dcm", "inverse.dcm", "picture.png", "tall.png"):
        assert not lines[name]["error"]
        assert sum(chances_of(lines[name])) == pytest.approx(1, abs=1e-5)
        assert lines[name]["predicted"] == CLASSES[int(np.argmax(chances_of(lines[name])))]
        assert 0 <= float(lines[name]["ail"]) <= 1
    # One picture, stored with black and white exchanged.
    assert chances_of(lines["plain.dcm"]) == pytest.approx(
        chances_of(lines["inverse.dcm"]), abs=1e-5
    )
    assert cv2.imread(str(out / "masks" / "tall.png"), 0).shape == (150, 96)
    for name in ("blank.png", "broken.dcm", "text.jpg", "empty.png"):
        assert lines[name]["error"]
        assert not lines[name]["predicted"]
    assert not (out / "attention").exists()
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    for secret in (PATIENT_NAME.encode(), b"PLANTED-0815", b"1.2.3"):
        assert secret not in written
        assert all(secret.decode() not in path.name for path in out.rglob("*"))


def test_names_say_nothing_and_what_is_not_read_is_listed(exported_folder, tmp_path, caplog):
    images = tmp_path / "images"
    write_dicom(images / "a.IMA", radiograph())
    write_dicom(images / "b", radiograph())
    (images / "labels.csv").write_text("file,label\n")
    arguments = ["predict", str(exported_folder), "--device", "cpu"]
    with caplog.at_level("INFO", logger="sscdl"):
        assert main([*arguments, str(images), str(tmp_path / "one")]) == 0
    assert "1 file that holds text passed over, such as labels.csv" in caplog.text
    assert [name for name, line in lines_of(tmp_path / "one").items() if line["predicted"]] == [
        "a.IMA", "b",
    ]  # fmt: skip
    (images / "c.dcm.gz").write_bytes(b"\x1f\x8b\x08")
    (images / "d.bin").write_bytes(bytes(range(99)))
    assert main([*arguments, str(images), str(tmp_path / "two")]) == 1
    lines = lines_of(tmp_path / "two")
    assert lines["c.dcm.gz"]["error"] == "compressed (gzip), which is not read; unpack it"
    assert lines["d.bin"]["error"].startswith("no image (DICOM,")
    assert main([*arguments, str(images / "c.dcm.gz"), str(tmp_path / "three")]) == 1


@pytest.mark.parametrize("variant", ["segmented_black", "full"])
def test_without_lungs_only_models_of_full_images_predict(tmp_path, monkeypatch, variant):
    def nothing(self, images, batch_size=1, **_):
        return [(np.zeros(image.shape, bool), np.zeros(image.shape, bool), 0.0) for image in images]

    monkeypatch.setattr(Segmenter, "predict_with_doubt", nothing)
    model = Model(build(tmp_path / "model", variant=variant), CPU)
    cv2.imwrite(str(tmp_path / "a.png"), radiograph())
    failed = predict_folder(model, tmp_path / "a.png", tmp_path / "out")
    line = lines_of(tmp_path / "out")["a.png"]
    assert line["ail"] == ""
    assert line["mask_faults"] == "no lung"
    if variant == "full":
        assert failed == 0
        assert line["predicted"] in CLASSES
    else:
        assert failed == 1
        assert "no lungs were found" in line["error"]


def test_implausible_masks_are_treated_as_in_the_study(tmp_path, monkeypatch):
    def one_lung(self, images, batch_size=1, **_):
        mask = np.zeros(images[0].shape, bool)
        mask[20:70, 10:50] = True
        return [(mask, mask, 0.0)]

    monkeypatch.setattr(Segmenter, "predict_with_doubt", one_lung)
    folder = build(tmp_path / "model")
    cv2.imwrite(str(tmp_path / "a.png"), radiograph())
    assert predict_folder(Model(folder, CPU), tmp_path / "a.png", tmp_path / "out") == 0
    lungs = json.loads((folder / "model.json").read_text())["lungs"]
    change(folder, lungs=lungs | {"implausible": "drop"})
    assert predict_folder(Model(folder, CPU), tmp_path / "a.png", tmp_path / "out") == 1
    assert "a single component" in lines_of(tmp_path / "out")["a.png"]["error"]


def test_attention_is_drawn_only_if_asked_for(exported_model, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), radiograph())
    predict_folder(exported_model, tmp_path / "a.png", tmp_path / "out", attention=True)
    assert cv2.imread(str(tmp_path / "out" / "attention" / "a.png")) is not None


def test_surroundings_get_the_gray_of_the_study(tmp_path):
    model = Model(build(tmp_path / "model", variant="segmented_gray", gray=0.3), CPU)
    png = tmp_path / "images" / "png"
    masks = tmp_path / "masks" / "png"
    png.mkdir(parents=True)
    masks.mkdir(parents=True)
    mask = np.zeros((72, 72), np.uint8)
    mask[10:20, 10:20] = 255
    cv2.imwrite(str(png / "0.png"), np.full((72, 72), 200, np.uint8))
    cv2.imwrite(str(masks / "0.png"), mask)
    found = {**OF_ROWS["masks"], "sha256": file_hash(masks / "0.png")}
    array, lungs, ids = _pack(model, tmp_path, ["0"], [{**found, "image_id": "0", "png": "0.png"}])
    assert ids == ["0"]
    assert (array[0] == np.where(mask > 0, 200, round(0.3 * 255))).all()
    assert (lungs[0] == mask).all()


def test_accepted_views_are_those_of_the_study(tmp_path):
    folder = build(tmp_path / "model")
    ingest = json.loads((folder / "model.json").read_text())["ingest"]
    change(folder, ingest=ingest | {"accept": ACCEPT_ALL | {"view": ["PA"]}})
    images = tmp_path / "images"
    write_dicom(images / "side.dcm", radiograph(), ViewPosition="LL")
    cv2.imwrite(str(images / "picture.png"), radiograph())
    model = Model(folder, CPU)
    assert predict_folder(model, images, tmp_path / "first") == 2
    assert predict_folder(model, images, tmp_path / "second", view="PA") == 1
    lines = lines_of(tmp_path / "second")
    assert lines["picture.png"]["predicted"]
    assert lines["side.dcm"]["error"].startswith("view LL is not accepted")


def test_outputs_have_names_of_their_own():
    assert _endings(["a/x/1.dcm", "b/x/1.dcm", "b/2.dcm", "2.png"]) == [
        "a/x/1.dcm", "b/x/1.dcm", "2.dcm", "2.png",
    ]  # fmt: skip
    assert _endings(["1.dcm", "a/1.dcm"]) == ["1.dcm", "a/1.dcm"]
    names = _names(["2.dcm", "2.png", "A.png", "a.png", "x/1.dcm", "n" * 300, "n" * 301])
    assert len({name.casefold() for name in names}) == len(names)
    assert names[:2] == ["2", "2.png"]
    assert max(map(len, names)) <= 150


@pytest.mark.parametrize(
    ("images", "out", "message"),
    [
        ("nowhere", "out", "no such file or folder"),
        ("empty", "out", "holds no DICOM"),
        ("empty", "empty/out", "lies in the folder of the images"),
        ("empty", "file", "is a file"),
    ],
)
def test_places_that_cannot_be_used_are_named(exported_model, tmp_path, images, out, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=message):
        predict_folder(exported_model, tmp_path / images, tmp_path / out)


def test_changed_code_is_told(exported_folder, tmp_path, caplog):
    copy = tmp_path / "copy"
    shutil.copytree(exported_folder, copy)
    change(copy, preprocessing="0" * 12)
    cv2.imwrite(str(tmp_path / "a.png"), radiograph())
    predict_folder(Model(copy, CPU), tmp_path / "a.png", tmp_path / "out")
    assert "has changed since the model was exported" in caplog.text
