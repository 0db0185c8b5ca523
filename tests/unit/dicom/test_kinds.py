"""Files by their contents: what they are, and that every reader asks these and not the name."""

from __future__ import annotations

import gzip
import zipfile

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from sscdl.archives.listing import IMAGE_CSV, STUDY_CSV, scan, scan_pictures
from sscdl.archives.reading import read_index
from sscdl.dicom import kinds
from sscdl.dicom.radiograph import ImageError, Rendering
from sscdl.images.picture import read_image
from tests.unit.dicom_files import RAMP, write_archive, write_dicom
from tests.unit.table_archives import archive

GRAY = (RAMP // 16).astype(np.uint8)


def write(path, kind):
    """Write a file of a kind, whatever its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "DICOM":
        write_dicom(path, RAMP, bits=12)
    elif kind in ("PNG", "JPEG", "TIFF"):
        with path.open("wb") as file:
            Image.fromarray(GRAY).save(file, format=kind)
    elif kind == "zip":
        zipfile.ZipFile(path, "w").writestr("x", "x")
    else:
        contents = {
            "gzip": gzip.compress(b"x" * 500),
            "text": "a,é\n" * 100,
            "noise": bytes(range(99)),
        }
        content = contents[kind]
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def start_of(path):
    return path.read_bytes()[: kinds.LENGTH]


@pytest.mark.parametrize("kind", ["DICOM", "PNG", "JPEG", "TIFF"])
def test_kinds_of_images(tmp_path, kind):
    start = start_of(write(tmp_path / "x", kind))
    assert kinds.image_kind(start) == kind
    assert not kinds.packed_by(start)
    assert not kinds.is_text(start)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_old_dicom_files_have_no_preamble(tmp_path, syntax):
    path = write_dicom(tmp_path / "x", RAMP, bits=12, syntax=syntax)
    content = path.read_bytes()[132:]
    at = content.index(b"\x08\x00" if syntax.is_little_endian else b"\x00\x08", 100)
    assert kinds.image_kind(content[: kinds.LENGTH]) == "DICOM"
    assert kinds.image_kind(content[at : at + kinds.LENGTH]) == "DICOM"


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"", True), (b"a,b\n1,2\n", True), ("\ufeffé".encode() * 60, True), (b"a\0b", False),
     (("x" * 131 + "é").encode(), True),
     (b"\xff\xfea\0", False), (bytes(range(99)), False), (b"x" * 100 + b"\xe9" * 30, False)],
)  # fmt: skip
def test_texts(content, text):
    assert kinds.is_text(content[: kinds.LENGTH]) is text
    assert not kinds.image_kind(content)


NAMES = ("a.IMA", "b.img", "c", "d.xyz", "e.dcm", "1.2.840.7")


def test_an_archive_with_names_of_all_sorts(tmp_path):
    for name in NAMES:
        write(tmp_path / name, "DICOM")
    write(tmp_path / "p.bin", "PNG")
    dataset = archive(tmp_path, ("f",), [(name,) for name in (*NAMES, "p.bin", "z.dcm.gz")], [])
    write(tmp_path / "z.dcm.gz", "gzip")
    write(tmp_path / "readme.md", "text")
    write(tmp_path / "thumbs.db", "noise")
    write(tmp_path / ".hidden.IMA", "DICOM")
    listing = scan_pictures(tmp_path)
    assert [path for path, _ in listing.files] == sorted([*NAMES, "p.bin"])
    assert listing.problems == [
        ("thumbs.db", "no image (DICOM, PNG, JPEG, TIFF) by its contents"),
        ("z.dcm.gz", "compressed (gzip), which is not read; unpack it"),
    ]
    assert listing.texts == ["readme.md", "table.csv"]
    index = read_index({**dataset, "ids": "file"})
    assert sorted(index.images["image_id"]) == ["1.2.840.7", "a", "b", "c", "d.xyz", "e", "p.bin"]
    assert ("z.dcm.gz", listing.problems[1][1]) in set(
        index.problems.itertuples(index=False, name=None)
    )


def test_what_has_the_name_of_an_image_is_not_opened_to_list_it(tmp_path):
    for name in ("a.png", "b.dcm", "c"):
        (tmp_path / name).write_bytes(b"")
    assert [path for path, _ in scan_pictures(tmp_path).files] == ["a.png", "b.dcm", "c"]


def test_the_challenge_s_layout_takes_dicom_under_any_name(tmp_path):
    root = write_archive(tmp_path, [("s1", "a", "negative"), ("s2", "b", "typical")])
    series = root / "train/s1/series"
    (series / "a.dcm").rename(series / "a.IMA")
    write(series / "thumb.png", "PNG")
    write(series / "c.dcm.gz", "gzip")
    write(series / "notes.txt", "text")
    assert [path for path, _ in scan(root).files] == [
        "train/s1/series/a.IMA",
        "train/s2/series/b.dcm",
    ]
    index = read_index({"layout": "siim", "root": str(root), "id_key": "k"})
    assert list(index.images["image_id"]) == ["a", "b"]
    assert sorted(index.images["label"]) == ["negative", "typical"]
    assert set(index.problems.itertuples(index=False, name=None)) == {
        ("train/s1/series/thumb.png", "a PNG file, of which there is no use here"),
        ("train/s1/series/c.dcm.gz", "compressed (gzip), which is not read; unpack it"),
    }
    assert {IMAGE_CSV, STUDY_CSV} <= {path.name for path in root.iterdir()}


@pytest.mark.parametrize("name", ["x", "x.png", "x.dcm", "x.dcm.gz"])
@pytest.mark.parametrize("kind", ["gzip", "zip"])
def test_a_compressed_file_is_named_as_such_wherever_it_is_read(tmp_path, name, kind):
    with pytest.raises(ImageError, match=rf"compressed \({kind}\), which is not read; unpack it"):
        read_image(write(tmp_path / name, kind), Rendering())
