"""The archive that is made of synthetic radiographs."""

from __future__ import annotations

import ast
import csv
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from sscdl.archives.cohorts import MARKED
from sscdl.errors import InputError
from sscdl.phantom.archive import write_archive
from sscdl.phantom.findings import LABELS
from sscdl.phantom.radiograph import DEFAULT_CONTRAST

SIZE = 96
SHORTCUT = 0.9
CLASSES = {"negative": 2, "typical": 1, "indeterminate": 0.5, "atypical": 0.5}
ARGUMENTS = {
    "patients": 32,
    "size": SIZE,
    "seed": 5,
    "classes": CLASSES,
    "contrast": DEFAULT_CONTRAST,
    "shortcut": SHORTCUT,
    "marked_test": 12,
}
# The challenge's identifiers are no valid UIDs.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
ID = re.compile(r"[0-9a-f]{12}")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


class Root:
    """What a reader of one archive sees, parsed here without the package's own reader."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = {path.stem: path for path in (root / "train").glob("*/*/*.dcm")}
        self.headers = {name: pydicom.dcmread(path) for name, path in self.files.items()}
        self.pixels = {
            name: 4095 - h.pixel_array if "1" in h.PhotometricInterpretation else h.pixel_array
            for name, h in self.headers.items()
        }
        self.marks = {
            row["image_id"]: json.loads(row["mark"]) if row["mark"] else None
            for row in rows(root / "truth" / "truth.csv")
        }
        self.studies = {}
        for row in rows(root / "train_study_level.csv"):
            name = row.pop("id")
            assert sorted(row.values()) == ["0", "0", "0", "1"]
            self.studies[name.removesuffix("_study")] = LABELS[list(row.values()).index("1")]
        self.images = {
            row["id"].removesuffix("_image"): row for row in rows(root / "train_image_level.csv")
        }
        self.label = {n: self.studies[p.parent.parent.name] for n, p in self.files.items()}

    def mask(self, name: str) -> np.ndarray:
        mask = cv2.imread(str(self.root / "truth" / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (SIZE, SIZE)
        assert set(np.unique(mask)) == {0, 255}
        return mask > 0

    def agreement(self) -> list[bool]:
        """Return, image by image, whether a mark's presence says "not negative" rightly."""
        return [
            (self.marks[name] is not None) == (self.label[name] != "negative")
            for name in self.files
        ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantom") / "archive"
    write_archive(root, **ARGUMENTS)
    return root


@pytest.fixture(scope="module")
def archive(folder: Path) -> Root:
    return Root(folder)


@pytest.fixture(scope="module")
def cohorts(folder: Path) -> list[Root]:
    return [Root(folder / "cohorts" / name) for name in MARKED]


def test_archive_has_the_layout_of_the_challenge(archive: Root) -> None:
    assert len(archive.files) > 32
    assert set(archive.images) == set(archive.files) == set(archive.marks)
    assert set(archive.studies) == {path.parent.parent.name for path in archive.files.values()}
    for name, header in archive.headers.items():
        path = archive.files[name]
        series, study = path.parent.name, path.parent.parent.name
        assert all(ID.fullmatch(part) for part in (name, series, study, header.PatientID))
        assert str(header.SOPInstanceUID) == name
        assert str(header.StudyInstanceUID) == study == archive.images[name]["StudyInstanceUID"]
        assert str(header.get("PatientName", "PHANTOM")) == "PHANTOM"
        assert header.PatientSex in "MF"
        assert 18 <= int(header.PatientAge[:3]) <= 92
        assert header.ViewPosition in ("AP", "PA")
        assert (header.BitsAllocated, header.BitsStored) == (16, 12)
        assert header.pixel_array.max() <= 4095
        assert 0.15 < archive.mask(name).mean() < 0.45


def test_archive_is_as_mixed_as_a_real_one(archive: Root) -> None:
    headers = archive.headers.values()
    assert len({header.file_meta.TransferSyntaxUID for header in headers}) >= 5
    inverted = np.mean([header.PhotometricInterpretation == "MONOCHROME1" for header in headers])
    assert 0.1 < inverted < 0.45
    studies = defaultdict(set)
    for name, header in archive.headers.items():
        studies[header.PatientID].add(archive.files[name].parent.parent.name)
    images = Counter(header.PatientID for header in headers)
    assert len(images) == ARGUMENTS["patients"]
    assert max(images.values()) == 3
    assert any(images[patient] > len(own) for patient, own in studies.items())
    assert any(len(own) > 1 for own in studies.values())
    assert all(len({archive.studies[study] for study in own}) == 1 for own in studies.values())
    areas = defaultdict(list)
    for name, header in archive.headers.items():
        areas[header.PatientID].append(archive.mask(name).sum())
    within = [max(own) / min(own) for own in areas.values() if len(own) > 1]
    firsts = [own[0] for own in areas.values()]
    assert np.mean(within) < 1.06 < 1.15 < np.percentile(firsts, 90) / np.percentile(firsts, 10)
    labels = Counter(archive.studies[min(own)] for own in studies.values())
    assert labels == {"negative": 16, "typical": 8, "indeterminate": 4, "atypical": 4}


def test_boxes_are_in_pixels_and_their_centres_in_the_lungs(archive: Root) -> None:
    for name, row in archive.images.items():
        if archive.label[name] == "negative":
            assert (row["boxes"], row["label"]) == ("", "none 1 0 0 1 1")
            continue
        words = row["label"].split()
        lungs = archive.mask(name)
        boxes = ast.literal_eval(row["boxes"])
        assert len(words) == 6 * len(boxes) > 0
        for i, box in enumerate(boxes):
            x0, y0, x1, y1 = (float(word) for word in words[6 * i + 2 : 6 * i + 6])
            assert words[6 * i : 6 * i + 2] == ["opacity", "1"]
            assert (box["x"], box["y"]) == (x0, y0)
            assert (box["x"] + box["width"], box["y"] + box["height"]) == pytest.approx((x1, y1))
            assert lungs[int((y0 + y1) / 2), int((x0 + x1) / 2)]


def test_marks_agree_with_the_label_as_often_as_asked(archive: Root) -> None:
    assert np.mean(archive.agreement()) == pytest.approx(SHORTCUT, abs=0.03)
    for name, mark in archive.marks.items():
        if mark is not None:
            x0, y0, x1, y1 = (round(edge * SIZE) for edge in mark)
            assert archive.pixels[name][y0:y1, x0:x1].max() > 4000
            assert not archive.mask(name)[y0:y1, x0:x1].any()


def test_cohorts_differ_only_in_the_mark(archive: Root, cohorts: list[Root]) -> None:
    ids = [set(root.files) for root in (archive, *cohorts)]
    assert len(set.union(*ids)) == sum(map(len, ids))
    studies = [set(root.studies) for root in (archive, *cohorts)]
    assert len(set.union(*studies)) == sum(map(len, studies))
    patients = [{h.PatientID for h in root.headers.values()} for root in (archive, *cohorts)]
    assert patients[1] == patients[2] == patients[3]
    assert not patients[0] & patients[1]
    assert len(patients[1]) == ARGUMENTS["marked_test"]

    trained, removed, reversed_ = cohorts
    plain = {
        removed.mask(n).tobytes() + removed.pixels[n][SIZE // 2 :].tobytes(): n
        for n in removed.files
    }
    shown = Counter()
    for cohort in (trained, reversed_):
        for name, pixels in cohort.pixels.items():
            twin = plain[cohort.mask(name).tobytes() + pixels[SIZE // 2 :].tobytes()]
            assert cohort.label[name] == removed.label[twin]
            assert cohort.headers[name].PatientID == removed.headers[twin].PatientID
            differs = pixels != removed.pixels[twin]
            if cohort.marks[name] is not None:
                shown[twin] += 1
                x0, y0, x1, y1 = (round(edge * SIZE) for edge in cohort.marks[name])
                assert differs[y0:y1, x0:x1].any()
                differs[y0:y1, x0:x1] = False
            assert not differs.any()
    assert shown == dict.fromkeys(removed.files, 1)
    assert not any(removed.marks.values())
    assert np.mean(trained.agreement()) == pytest.approx(SHORTCUT, abs=0.06)
    assert np.mean(trained.agreement()) + np.mean(reversed_.agreement()) == pytest.approx(1.0)


def test_archive_is_the_same_bytes_again_and_replaces_what_was_there(tmp_path: Path) -> None:
    few = {**ARGUMENTS, "patients": 6, "marked_test": 2}
    contents = []
    for name in ("a", "b"):
        root = tmp_path / name
        (root / "train" / "left_over").mkdir(parents=True)
        write_archive(root, **few)
        contents.append(
            {p.relative_to(root): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
        )
        assert not (root / "train" / "left_over").exists()
    assert contents[0] == contents[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    write_archive(tmp_path / "c", **{**few, "seed": 6})
    assert not {p.name for p in (tmp_path / "c").rglob("*.dcm")} & {p.name for p in contents[0]}


def test_no_shortcut_means_no_mark(tmp_path: Path) -> None:
    write_archive(tmp_path / "a", patients=4, size=SIZE, seed=0, classes={"typical": 1})
    assert {row["mark"] for row in rows(tmp_path / "a" / "truth" / "truth.csv")} == {""}
    assert not (tmp_path / "a" / "cohorts").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": {"normal": 1}}, "unknown label 'normal'"),
        ({"classes": {"negative": 0}}, "not all 0"),
        ({"shortcut": 0.3}, "between 0.5 and 1"),
        ({"shortcut": None}, "marked_test needs a mark"),
        ({"patients": 0}, "patients must be 1"),
        ({"size": 8}, "size 8"),
        ({"contrast": -1.0}, "negative"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_archive(tmp_path / "a", **{**ARGUMENTS, **change})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt"):
        write_archive(tmp_path / "a", **ARGUMENTS)
    assert (tmp_path / "a" / "notes.txt").read_text() == "mine"


def test_the_package_reads_what_it_writes(archive: Root, folder: Path) -> None:
    siim = pytest.importorskip("sscdl.archives.siim", reason="the reader is not there yet")
    index = siim.read_index(folder)
    assert index.problems.empty
    assert dict(zip(index.images.image_id, index.images.label, strict=True)) == archive.label
    for image, boxes in zip(index.images.image_id, index.images.boxes, strict=True):
        assert len(boxes) == archive.images[image]["label"].count("opacity")
