from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest

from sscdl.archives.digests import Digests, content, earlier_content
from sscdl.archives.layouts import list_files
from sscdl.archives.listing import file_list
from sscdl.archives.reading import read_index as read_any
from sscdl.archives.siim import read_index
from sscdl.errors import InputError
from tests.unit.dicom_files import IMAGE_HEADER, STUDY_HEADER, write_archive, write_table

IMAGES = [("s2", "b", "typical"), ("s1", "a", "negative"), ("s2", "c", "typical")]


@pytest.fixture
def root(tmp_path):
    return write_archive(tmp_path / "data", IMAGES, dicom=False)


def add_row(path, *fields):
    with path.open("a", encoding="utf-8") as file:
        file.write(",".join(fields) + "\n")


def problems(index):
    return list(index.problems.itertuples(index=False, name=None))


def test_images_in_order(root):
    index = read_index(root)
    assert index.problems.empty
    paths = [f"train/{s}/series/{i}.dcm" for s, i in (("s1", "a"), ("s2", "b"), ("s2", "c"))]
    # The files' headers are to say the age, which makes it NaN here.
    assert index.images.pop("age").isna().all()
    assert index.images.to_dict("list") == {
        "image_id": ["a", "b", "c"],
        "study_id": ["s1", "s2", "s2"],
        "path": paths,
        "label": ["negative", "typical", "typical"],
        "boxes": [[], [], []],
        "patient_id": ["", "", ""],
        "sex": ["", "", ""],
        "view": ["", "", ""],
        "shown": paths,
    }


def test_index_and_content_of_the_layout(root, tmp_path):
    dataset = {"layout": "siim", "root": str(root), "id_key": "k"}
    assert read_any(dataset).images.equals(read_index(root).images)
    files = list_files(dataset)
    assert files.listed == file_list(root)
    assert files.images == [path for path, _ in file_list(root) if path.endswith(".dcm")]
    assert files.tables == [root / "train_image_level.csv", root / "train_study_level.csv"]
    before = content(files, Digests(tmp_path / "digests"))
    for table in files.tables:
        whole = table.read_bytes()
        table.write_bytes(whole + b"\n")
        assert content(list_files(dataset), Digests(tmp_path / "digests")) != before
        table.write_bytes(whole)
    assert content(list_files(dataset), Digests(tmp_path / "others")) == before
    with pytest.raises(ValueError, match="layout 'other' is unknown"):
        read_any({"layout": "other"})
    with pytest.raises(ValueError, match="layout 'other' is unknown"):
        list_files({"layout": "other"})


def test_the_earlier_content_is_of_names_sizes_and_tables(root):
    """What version 0.1 wrote, or nothing of it would be found again."""
    files = list_files({"layout": "siim", "root": str(root), "id_key": "k"})
    listed = [[path, (root / path).stat().st_size] for path, _ in file_list(root)]
    tables = [
        hashlib.sha256((root / name).read_bytes()).hexdigest()
        for name in ("train_image_level.csv", "train_study_level.csv")
    ]
    text = json.dumps([listed, tables], separators=(",", ":"))
    assert earlier_content(files) == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_every_label_has_its_column(tmp_path):
    names = ["negative", "typical", "indeterminate", "atypical"]
    rows = [(f"s{n}", f"i{n}", name) for n, name in enumerate(names)]
    index = read_index(write_archive(tmp_path, rows, dicom=False))
    assert list(index.images["label"]) == names


def test_boxes(root):
    sound = "[{'x': 1.5, 'y': 2, 'width': 3, 'height': 4.25}, {'x':0,'y':0,'width':1,'height':1}]"
    broken = ["[{'x': 1.5", "__import__('os')", "[{'x': 1}]", "7"]
    broken.append("[{'x': 1, 'y': 2, 'width': -3, 'height': 4}]")
    broken.append(f"[{{'x': {10**400}, 'y': 2, 'width': 3, 'height': 4}}]")
    broken.append("[" * 5000)
    broken.append("[{'x': 1e999, 'y': 2, 'width': 3, 'height': 4}]")
    for text in broken:
        write_table(
            root / "train_image_level.csv",
            IMAGE_HEADER,
            [("a_image", sound, "", "s1"), ("b_image", text, "", "s2"), ("c_image", "", "", "s2")],
        )
        index = read_index(root)
        assert list(index.images["boxes"]) == [[[1.5, 2, 3, 4.25], [0, 0, 1, 1]], [], []]
        assert problems(index) == [
            ("train_image_level.csv", "line 3: image b has broken boxes; dropped")
        ]


@pytest.mark.parametrize("read", [read_index, file_list])
def test_missing_parts_are_named(tmp_path, root, read):
    with pytest.raises(InputError, match="nowhere: there is no such folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(InputError, match="train: there is no such folder"):
        read(tmp_path)
    for name in ("train_study_level.csv", "train_image_level.csv"):
        (root / name).rename(tmp_path / name)
        with pytest.raises(InputError, match=f"{name}: there is no such file"):
            read(root)
        (tmp_path / name).rename(root / name)
    for path in root.glob("train/*/*/*.dcm"):
        path.rename(root / "train" / path.name)
    with pytest.raises(
        InputError, match=r"no DICOM file found .*of 3 set aside: .*such as train/a.dcm"
    ):
        read(root)


def test_missing_column_names_the_nearest(root):
    header = tuple(c.replace("Typical Appearance", "Typical Apearance") for c in STUDY_HEADER)
    write_table(root / "train_study_level.csv", header, [])
    with pytest.raises(InputError, match="'Typical Appearance' is missing.*'Typical Apearance'"):
        read_index(root)
    (root / "train_study_level.csv").write_text("")
    with pytest.raises(InputError, match="'id' is missing"):
        read_index(root)


@pytest.mark.parametrize("row", ["1,1,0,0", "0,0,0,0", "1,0,0,", "1,0,0,2", "yes,0,0,0"])
def test_label_that_is_not_one_hot(root, row):
    add_row(root / "train_study_level.csv", "s9_study", row)
    with pytest.raises(InputError, match=r"train_study_level.csv, line 4, id s9_study: .*one-hot"):
        read_index(root)


def test_row_with_a_field_too_few(root):
    add_row(root / "train_study_level.csv", "s9_study", "1", "0")
    with pytest.raises(InputError, match="line 4, id s9_study: the row does not have the 5 fields"):
        read_index(root)


def test_table_that_is_no_text(root):
    (root / "train_image_level.csv").write_bytes(b"id,boxes,label,StudyInstanceUID\n\xff\xfe\n")
    with pytest.raises(
        InputError, match=r"train_image_level.csv, line 2: a byte \(ff\) is no text"
    ):
        read_index(root)


def test_repeated_rows(root):
    add_row(root / "train_study_level.csv", "s1_study", "1", "0", "0", "0")
    add_row(root / "train_image_level.csv", "a_image", "", "none", "s1")
    assert problems(read_index(root)) == [
        ("train_image_level.csv", "line 5: image a again; first row kept"),
        ("train_study_level.csv", "line 4: study s1 again; first row kept"),
    ]
    add_row(root / "train_study_level.csv", "s2_study", "1", "0", "0", "0")
    with pytest.raises(InputError, match="s2_study: labelled negative here but typical in line 2"):
        read_index(root)


def test_rows_without_files_and_files_without_rows(root):
    (root / "train/s1/series/a.dcm").rename(root / "train/s1/series/new.dcm")
    (root / "train/s3/series").mkdir(parents=True)
    (root / "train/s3/series/d.dcm").touch()
    add_row(root / "train_study_level.csv", "s4_study", "1", "0", "0", "0")
    index = read_index(root)
    labels = index.images.set_index("image_id")["label"].to_dict()
    assert labels == {"b": "typical", "c": "typical", "d": "", "new": "negative"}
    assert problems(index) == [
        ("train/s1/series/new.dcm", "no row in train_image_level.csv; kept without boxes"),
        ("train/s3", "no row in train_study_level.csv; images have no label"),
        ("train/s3/series/d.dcm", "no row in train_image_level.csv; kept without boxes"),
        ("train_image_level.csv", "image a has no usable file"),
        ("train_study_level.csv", "study s4 has no usable file"),
    ]


def test_image_id_in_two_files_keeps_the_first(root):
    (root / "train/s2/series/a.dcm").touch()
    index = read_index(root)
    assert index.images.set_index("image_id")["path"]["a"] == "train/s1/series/a.dcm"
    assert problems(index) == [
        ("train/s2/series/a.dcm", "image id also at train/s1/series/a.dcm; left out")
    ]


def test_study_of_the_table_and_of_the_folder_differ(root):
    (root / "train/s1/series/a.dcm").rename(root / "train/s2/series/a.dcm")
    index = read_index(root)
    assert index.images.set_index("image_id")["label"]["a"] == "typical"
    assert (
        "gives another study" in index.problems.set_index("file")["reason"]["train/s2/series/a.dcm"]
    )


def test_image_ids_that_differ_in_case_alone(root):
    (root / "train/s2/series/A.dcm").touch()
    index = read_index(root)
    assert list(index.images["image_id"]) == ["a", "b", "c"]
    assert problems(index) == [
        ("train/s2/series/A.dcm", "image id also at train/s1/series/a.dcm; left out")
    ]


@pytest.mark.parametrize("name", ["sp ace", ".hidden", "x" * 65, "a;b", "é", "nul", "a\u2215b"])
def test_id_that_cannot_be_a_file_name_is_left_out(root, name):
    (root / f"train/s1/series/{name}.dcm").touch()
    add_row(root / "train_image_level.csv", f"{name}_image", "", "", "s1")
    index = read_index(root)
    assert list(index.images["image_id"]) == ["a", "b", "c"]
    assert [file for file, _ in problems(index)] == [
        f"train/s1/series/{name}.dcm",
        "train_image_level.csv",
    ]


def test_name_that_cannot_be_printed_is_set_aside(root):
    (root / "train/s1/line\nbreak").mkdir()
    os.makedirs(os.fsencode(root / "train/s1") + b"/\xff\xfe")
    found = problems(read_index(root))
    assert found == [
        ("train/s1/\\udcff\\udcfe", "name cannot be printed"),
        ("train/s1/line\\nbreak", "name cannot be printed"),
    ]


def test_links(root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "z.dcm").touch()
    (root / "train/s1/series/z.dcm").symlink_to(outside / "z.dcm")
    (root / "train/s5").symlink_to(outside)
    (root / "train/s6").symlink_to(root / "train" / "s1")
    (root / "train/s1/series/y.dcm").symlink_to("a.dcm")
    (root / "train/s1/series/x.dcm").symlink_to("nothing.dcm")
    index = read_index(root)
    assert list(index.images["image_id"]) == ["a", "b", "c", "y"]
    reasons = dict(problems(index))
    assert reasons["train/s1/series/z.dcm"] == "link leads out of the root, not followed"
    assert reasons["train/s5"] == "link leads out of the root, not followed"
    assert reasons["train/s6"] == "link to a folder, not followed"
    assert reasons["train/s1/series/x.dcm"] == "not a regular file, or a broken link"


def test_train_as_a_link_out_of_the_root(root, tmp_path):
    (root / "train").rename(tmp_path / "elsewhere")
    (root / "train").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="leads out of the root; set the root to the folder that"):
        file_list(root)


def test_root_may_be_a_link(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    assert file_list(tmp_path / "link") == file_list(root)


def test_file_list(root):
    (root / "train/s1/series/a.dcm").write_bytes(b"12345")
    (root / "train/s1/series/notes.txt").touch()
    (root / "elsewhere").mkdir()
    (root / "elsewhere/x.dcm").touch()
    assert file_list(root) == [
        ("train/s1/series/a.dcm", 5),
        ("train/s2/series/b.dcm", 0),
        ("train/s2/series/c.dcm", 0),
        ("train_image_level.csv", (root / "train_image_level.csv").stat().st_size),
        ("train_study_level.csv", (root / "train_study_level.csv").stat().st_size),
    ]


def test_listing_files_loads_nothing_heavy():
    code = (
        "import sys, sscdl.archives.layouts; "
        "print(sorted({'numpy', 'pandas', 'pydicom', 'torch', 'PIL'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_real_index(shared_data):
    index = read_index(shared_data / "nih-siim")
    assert index.problems.empty
    assert len(index.images) == 706
    assert index.images["label"].value_counts().to_dict() == {"negative": 354, "typical": 352}
    assert (index.images["boxes"].str.len() > 0).sum() == 26
