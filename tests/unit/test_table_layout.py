"""A folder of image files and a table: rows to images, faults to messages, nothing to outside."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import time

import pytest

from sscdl import identifiers, table_layout
from sscdl.errors import InputError
from sscdl.index import COLUMNS, read_index
from sscdl.layouts import content
from sscdl.lookup import find_files

NIH = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "Patient Gender", "View")
NIH_ROWS = [
    ("00000001_000.png", "No Finding", "1", "58", "M", "PA"),
    ("00000001_001.png", "Mass|Pneumonia", "1", "59", "M", "AP"),
    ("00000002_000.png", "Mass", "2", "045Y", "F", "PA"),
]
NIH_SETTINGS = {
    "columns": {
        "file": "Image Index",
        "patient": {"column": "Patient ID"},
        "study": None,
        "sex": {"column": "Patient Gender", "pattern": None},
        "age": "Patient Age",
        "view": "View",
    },
    "labels": {
        "negative": {"column": "Finding Labels", "values": ["No Finding"]},
        "typical": {"column": "Finding Labels", "values": ["Pneumonia"], "separator": "|"},
        "atypical": None,
    },
}


def archive(folder, header, rows, files, **settings):
    """Write empty image files and their table; return the description of the archive."""
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    dataset = {"layout": "table", "root": str(folder), "table": "table.csv", "id_key": "k"}
    return {**dataset, "columns": {"file": header[0]}, **settings}


def nih(folder, rows=NIH_ROWS, **settings):
    files = [f"images_00{n}/images/{row[0]}" for n, row in enumerate(NIH_ROWS, start=1)]
    return archive(folder, NIH, rows, files, **{**NIH_SETTINGS, **settings})


def images(dataset):
    return read_index(dataset).images.set_index("path").to_dict("index")


def problems(dataset):
    return list(read_index(dataset).problems.itertuples(index=False, name=None))


def test_bare_names_in_a_deep_folder(tmp_path):
    index = read_index(nih(tmp_path))
    assert list(index.images.columns) == COLUMNS
    assert index.problems.empty
    assert list(index.images["image_id"]) == sorted(index.images["image_id"])
    rows = index.images.set_index("shown").to_dict("index")
    path = "images_002/images/00000001_001.png"
    assert rows["table.csv, line 3"] == {
        "image_id": identifiers.pseudonym(path, "k"),
        "study_id": identifiers.pseudonym("1", "k"),
        "path": path,
        "label": "typical",
        "boxes": [],
        "patient_id": "1",
        "sex": "M",
        "age": 59.0,
        "view": "AP",
    }
    assert [rows[f"table.csv, line {n}"]["label"] for n in (2, 3, 4)] == ["negative", "typical", ""]
    assert rows["table.csv, line 4"]["age"] == 45.0
    assert rows["table.csv, line 2"]["study_id"] == rows["table.csv, line 3"]["study_id"]


def test_no_id_of_a_patient_leaves_but_in_the_one_column(tmp_path):
    rows = [(f"secret-{n}/secret.png", "secret-x", f"secret-s{n}") for n in range(3)]
    rows += [rows[0], ("secret-none/a.png", "secret-y", ""), ("secret-c.png", "", "secret")]
    files = [row[0] for row in rows[:3]] + ["secret-d.png", "secret-c.png"]
    columns = {"file": "f", "patient": "p", "study": "s"}
    dataset = archive(tmp_path, ("f", "p", "s"), rows, files, columns=columns)
    (tmp_path / "secret-link.png").symlink_to("/etc/passwd")
    index = read_index(dataset)
    assert set(index.images.pop("patient_id")) == {"secret-x", ""}
    paths = index.images.pop("path")
    assert paths.str.contains("secret").all()
    assert "secret" not in index.images.to_csv() + index.problems.to_csv()
    link = "link leads out of the root, not followed: 1 below the root (ids: file lists them)"
    assert problems(dataset) == [
        ("table.csv", "line 7: names no patient; one of its own unless the file's header does"),
        ("table.csv", "line 5: file of an earlier row; left out (line 2)"),
        ("table.csv", "line 6: no such file below the root; left out"),
        (".", link),
        ("table.csv", "image files without a row, left out: 1"),
    ]


def test_names_of_files_as_ids(tmp_path):
    files = ["a/one.png", "a/two.dcm", "b/two.jpeg", "b/1.2.840.1", "b/Three.TIF", "c/three"]
    dataset = archive(tmp_path, ("f",), [(file,) for file in files], files, ids="file")
    (tmp_path / "a" / "link.png").symlink_to("/etc/passwd")
    assert {path: row["image_id"] for path, row in images(dataset).items()} == {
        "a/one.png": "one",
        "a/two.dcm": "a_two",
        "b/two.jpeg": "b_two",
        "b/1.2.840.1": "1.2.840.1",
        "b/Three.TIF": "b_Three",
        "c/three": "c_three",
    }
    assert images(dataset)["a/one.png"]["shown"] == "a/one.png"
    assert ("a/link.png", "link leads out of the root, not followed") in problems(dataset)


def test_names_that_become_one_id_or_none(tmp_path):
    files = ["a/b_c.png", "a_b/c.png", "x/c.png", "y/b_c.png", "sp ace.png", "nul.png", "é.png"]
    dataset = archive(tmp_path, ("f",), [(file,) for file in files], files, ids="file")
    found = {path: row["image_id"] for path, row in images(dataset).items()}
    assert found == {"a/b_c.png": "a_b_c", "x/c.png": "x_c", "y/b_c.png": "y_b_c"}
    reasons = [reason for _, reason in problems(dataset)]
    also = "line 3: image id is also that of another file; left out (ids: hash takes every file"
    assert sum(reason.startswith(also) for reason in reasons) == 1
    assert sum("image id is not 1 to 64" in reason for reason in reasons) == 2
    assert sum("image id is the name of a device" in reason for reason in reasons) == 1
    assert len(images({**dataset, "ids": "hash"})) == len(files)


NO_PATIENT = "no column for the patient: each PNG, JPEG or TIFF file counts as another patient"
CHEXPERT = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding", "Pneumonia")
CHEXPERT_ROWS = [
    (f"CheXpert-v1.0/train/{path}", *values)
    for path, *values in (
        ("patient00001/study1/view1_frontal.jpg", "Female", "68", "Frontal", "AP", "1.0", ""),
        ("patient00002/study1/view1_frontal.jpg", "Male", "0", "Frontal", "PA", "", "1.0"),
        ("patient00002/study1/view2_lateral.jpg", "Male", "87", "Lateral", "", "", "1.0"),
        ("patient00002/study2/view1_frontal.jpg", "Unknown", "87", "Frontal", "LL", "0.0", "-1.0"),
    )
]
CHEXPERT_SETTINGS = {
    "columns": {
        "file": "Path",
        "patient": {"column": "Path", "pattern": r"patient(\d+)"},
        "study": {"column": "Path", "pattern": r"study\d+"},
        "sex": "Sex",
        "age": "Age",
        "view": "AP/PA",
    },
    "keep": {"column": "Frontal/Lateral", "values": ["Frontal"]},
    "labels": {
        "negative": {"column": "No Finding", "values": [1]},
        "typical": {"column": "Pneumonia", "values": ["1"]},
    },
}


def chexpert(folder, start="", only=slice(None), **settings):
    files = [start + row[0].removeprefix("CheXpert-v1.0/") for row in CHEXPERT_ROWS[only]]
    return archive(folder, CHEXPERT, CHEXPERT_ROWS, files, **{**CHEXPERT_SETTINGS, **settings})


def test_paths_with_a_folder_too_many_and_rows_to_keep(tmp_path):
    dataset = chexpert(tmp_path)
    found = images(dataset)
    assert problems(dataset) == []
    assert [(row["label"], row["sex"], row["age"], row["view"], row["patient_id"])
            for _, row in sorted(found.items())] == [
        ("negative", "F", 68.0, "AP", "00001"),
        ("typical", "M", 0.0, "PA", "00002"),
        ("", "", 87.0, "LL", "00002"),
    ]  # fmt: skip
    # study1 of the one patient is not study1 of the other.
    assert len({row["study_id"] for row in found.values()}) == 3


def test_folders_that_are_named_otherwise(tmp_path):
    dataset = chexpert(tmp_path, start="CheXpert batch 2/")
    (tmp_path / "CheXpert batch 2/train").rename(tmp_path / "CheXpert batch 2/part 1")
    assert len(images(dataset)) == 3
    assert problems(dataset) == []


@pytest.mark.parametrize("moved", ["", "other/", "view1_frontal.jpg"])
def test_an_incomplete_archive_gives_no_wrong_images(tmp_path, moved):
    dataset = chexpert(tmp_path, only=slice(0, 1))
    file = tmp_path / "train/patient00001/study1/view1_frontal.jpg"
    if moved == "other/":
        file.parent.parent.parent.rename(tmp_path / "other")
    if moved == "view1_frontal.jpg":
        # As far as the names tell, this may be any of three: it is none.
        file.rename(tmp_path / moved)
        with pytest.raises(InputError, match="no row leads to a file below .*; line 2: leads to"):
            read_index({**dataset, "labels": {}})
        return
    found = read_index(dataset)
    assert list(found.images["patient_id"]) == ["00001"]
    assert [reason for _, reason in problems(dataset)] == [
        f"line {line}: no such file below the root; left out" for line in (3, 5)
    ]


def test_ways_to_write_a_path():
    paths = ["a/b/1.png", "a/c/1.png", "a/c/2.png", "3.dcm", "d/3.png", "e/4.png", "f/4", "5.tif"]
    good = {
        "a/b/1.png": "a/b/1.png",
        "./a//b/./1.png": "a/b/1.png",
        "x/y/a/c/1.png": "a/c/1.png",
        "/a/c/2.png": "a/c/2.png",
        "3.png": "d/3.png",
        "e\\4.png": "e/4.png",
        "f/4": "f/4",
        "C:\\data\\5.tif": "5.tif",
    }
    found, reasons = find_files(good, paths)
    assert found == good
    assert reasons == {}
    bad = {
        "1.png": "fits several files below the root",
        "3": "fits several files below the root",
        "c": "no such file below the root",
        "c/": "no such file below the root",
        "2.PNG": "no such file below the root",
        "": "names no file",
        "/": "names no file",
        "..": "file name is not one below the root",
    }
    found, reasons = find_files(bad, paths)
    assert found == {}
    assert reasons == bad
    assert find_files(["c/2"], paths)[0] == {"c/2": "a/c/2.png"}
    assert find_files(["9/4.png"], paths)[0] == {"9/4.png": "e/4.png"}


ADVERSARIAL = [
    "../outside.png", "../../outside.png", "in/../../outside.png", "in/../a.png", "..\\outside.png",
    "{outside}", "/etc/passwd", "file:///etc/passwd", "~/a.png", "a.png\0.jpg", "a\n.png",
    "x" * 5000, "x/" * 60000 + "y", "..\u2215outside.png", "\uff0e\uff0e/outside.png",
    "\u2024\u2024/outside.png", "a\u202egnp.exe", "\u0430.png", "CON", "nul.png", "COM1.dcm",
    "link.png", "folder/outside.png", "in", ".", "..", "...", "*", "?.png", "%2e%2e/outside.png",
    "$(id).png", "in/b.png/x", "\ufeffa.png",
]  # fmt: skip


@pytest.mark.parametrize("ids", ["hash", "file"])
def test_nothing_leads_out_of_the_root(tmp_path, ids):
    root, outside = tmp_path / "root", tmp_path / "outside.png"
    outside.touch()
    names = [name.replace("{outside}", str(outside)) for name in ADVERSARIAL]
    dataset = archive(root, ("f",), [(n,) for n in [*names, "in/b.png"]], ["in/b.png"], ids=ids)
    (root / "link.png").symlink_to(outside)
    (root / "folder").symlink_to(tmp_path)
    started = time.process_time()
    index = read_index(dataset)
    assert time.process_time() - started < 5
    assert list(index.images["path"]) == ["in/b.png"]
    listed = [reason for file, reason in problems(dataset) if file == "table.csv"]
    assert len([reason for reason in listed if reason.startswith("line ")]) == len(names)


@pytest.mark.parametrize("ids", ["hash", "file"])
def test_no_file_name_becomes_an_output_elsewhere(tmp_path, ids):
    files = [
        "a\\up.png", "con.png", "a b.png", "\u2215etc\u2215x.png", "\uff0e\uff0e.png", "~.png",
        "$(id).png", "-rf.png", "x" * 250 + ".png", "é.dcm", "\u0430.png", "b.png",
    ]  # fmt: skip
    hidden = ["...png", "..\\up.png"]
    files += ["in/" + file for file in files + hidden]
    dataset = archive(tmp_path, ("f",), [(file,) for file in files], files, ids=ids)
    found = images(dataset)
    for path, row in found.items():
        assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", row["image_id"])
        assert not identifiers.fault(row["image_id"])
        assert (tmp_path / path).is_file()
    if ids == "file":
        ids_found = {row["image_id"] for row in found.values()}
        assert ids_found == {"-rf", "in_-rf", "b", "in_b", "in_con"}
    else:
        # Backslashes in a name are read as those of another system, which finds nothing here.
        assert len(found) == len(files) - len(hidden) - 2


def test_names_that_cannot_be_printed_and_odd_files(tmp_path):
    dataset = archive(tmp_path, ("f",), [("a.png",), ("pipe.png",)], ["a.png"], ids="file")
    (tmp_path / "line\nbreak.png").touch()
    (tmp_path / os.fsdecode(b"\xff\xfe.png")).touch()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/a.png").touch()
    assert problems(dataset) == [
        ("table.csv", "line 3: no such file below the root; left out"),
        ("\\udcff\\udcfe.png", "name cannot be printed"),
        ("line\\nbreak.png", "name cannot be printed"),
        ("pipe.png", "not a regular file, or a broken link"),
        ("table.csv", NO_PATIENT),
    ]


def test_rows_that_fit_two_labels_or_none(tmp_path):
    rows = [*NIH_ROWS[:2], ("00000002_000.png", "No Finding|Pneumonia", "2", "45", "F", "PA")]
    labels = json.loads(json.dumps(NIH_SETTINGS["labels"]))
    labels["negative"]["separator"] = "|"
    dataset = nih(tmp_path, rows, labels=labels)
    assert [row["label"] for row in images(dataset).values()].count("") == 1
    assert problems(dataset) == [
        ("table.csv", "line 4: fits the labels negative and typical; used without a label")
    ]
    assert {row["label"] for row in images({**dataset, "labels": {}}).values()} == {""}


def test_rows_again(tmp_path):
    dataset = nih(tmp_path, [*NIH_ROWS, NIH_ROWS[0], (*NIH_ROWS[1][:3], "60", *NIH_ROWS[1][4:])])
    assert len(images(dataset)) == 3
    assert problems(dataset) == [
        ("table.csv", "line 5: file of an earlier row; left out (line 2)"),
        ("table.csv",
         "line 6: file of an earlier row, but another age, sex or view; left out (line 3)"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("00000001_000.png", "Pneumonia", "1"), r"label differs \(negative and typical\)"),
        (("./00000001_000.png", "Mass", "1"), r"label differs \(negative and none\)"),
        (("00000001_000.png", "No Finding", "7"), "patient differs;"),
    ],
)
def test_rows_that_contradict_each_other(tmp_path, row, message):
    dataset = nih(tmp_path, [*NIH_ROWS, (*row, "58", "M", "PA")])
    with pytest.raises(
        InputError, match=rf"table.csv, lines 2 and 5: one image file, but the {message}"
    ):
        read_index(dataset)


def test_ages_sexes_and_views(tmp_path):
    ages = {
        "45": 45, "045Y": 45, "006M": 0.5, "2.5": 2.5, "0": 0, "": math.nan, "411": math.nan,
        "old": math.nan, "-1": math.nan, "010d": 10 / 365.25, "nan": math.nan, "130": 130,
    }  # fmt: skip
    sexes = {"F": "F", "male": "M", "FEMALE": "F", "m": "M", "O": "", "Unknown": "", "": ""}
    views = {
        "pa": "PA", "AP_SUPINE": "AP", "AP (portable)": "AP", "Lateral": "LATERAL", "L": "LATERAL",
        "LL": "LL", "": "", "Jane": "", "P": "",
    }  # fmt: skip
    values = [(age, "", "") for age in ages]
    values += [("", sex, "") for sex in sexes] + [("", "", view) for view in views]
    rows = [(f"{n}.png", *row) for n, row in enumerate(values)]
    columns = {"file": "f", "age": "a", "sex": "s", "view": "v"}
    files = [row[0] for row in rows]
    dataset = archive(tmp_path, ("f", "a", "s", "v"), rows, files, columns=columns)
    found = images(dataset)
    got = [found[row[0]] for row in rows]
    for expected, row in zip(ages.values(), got, strict=False):
        assert row["age"] == pytest.approx(expected, nan_ok=True)
    assert [row["sex"] for row in got[len(ages) :]][: len(sexes)] == list(sexes.values())
    assert [row["view"] for row in got[-len(views) :]] == list(views.values())
    lines = [int(reason.split()[1][:-1]) for _, reason in problems(dataset) if "age is" in reason]
    assert lines == [8, 9, 10, 12]


def test_studies_without_a_patient(tmp_path):
    rows = [("a.dcm", "s1"), ("b.dcm", "s1"), ("c.dcm", "s2")]
    dataset = archive(tmp_path, ("f", "s"), rows, [row[0] for row in rows])
    assert len({row["study_id"] for row in images(dataset).values()}) == 3
    dataset["columns"]["study"] = "s"
    studies = {path: row["study_id"] for path, row in images(dataset).items()}
    assert studies["a.dcm"] == studies["b.dcm"] != studies["c.dcm"]
    assert problems(dataset) == []


def test_many_rows_with_one_fault_are_counted(tmp_path):
    rows = [(f"{n}.png",) for n in range(1203)]
    found = problems(archive(tmp_path, ("f",), rows, ["0.png"]))
    assert len(found) == 1002
    assert found[999] == ("table.csv", "line 1002: no such file below the root; left out")
    assert found[1000] == ("table.csv", "202 more: no such file below the root; left out")


def test_keep_takes_several_values_and_the_empty_one(tmp_path):
    rows = [("a.png", "x"), ("b.png", ""), ("c.png", "z")]
    dataset = archive(tmp_path, ("f", "k"), rows, [row[0] for row in rows])
    assert set(images({**dataset, "keep": {"column": "k", "values": ["x", ""]}})) == {
        "a.png",
        "b.png",
    }
    with pytest.raises(InputError, match=r"no row has one of the values of table.keep"):
        read_index({**dataset, "keep": {"column": "k", "values": ["y"]}})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"root": None}, r"table.root: missing"),
        ({"root": "/nowhere"}, "/nowhere: there is no such folder; set table.root"),
        ({"table": ""}, r"table.table: missing"),
        ({"table": "tabel.csv"}, "tabel.csv: there is no such file; 'table.csv' is there; set"),
        ({"columns": {}}, r"table.columns.file: missing"),
        ({"columns": {"file": "Image index"}}, "'Image index' is missing; .* 'Image Index'"),
        ({"columns": {"file": {"pattern": "x"}}}, r"table.columns.file.column: missing"),
        ({"columns": {"file": {"column": "View", "pattern": "(x"}}}, r"file.pattern: '\(x' is no"),
        ({"keep": {"column": "View"}}, r"table.keep.values: missing"),
        ({"labels": {"typical": {"values": ["x"]}}}, r"table.labels.typical.column: missing"),
        (
            {"labels": {"a": {"column": "View", "values": [True]}}},
            "a.values: True is no text .*quo",
        ),
        ({"labels": {"typical": {"column": "Sex", "values": ["F"]}}}, "column 'Sex' is missing"),
    ],
)
@pytest.mark.parametrize("read", [read_index, content])
def test_settings_that_are_wrong(tmp_path, read, settings, message):
    with pytest.raises(InputError, match=message):
        read(nih(tmp_path, **settings))


def test_label_that_no_row_has(tmp_path):
    labels = {"typical": {"column": "Finding Labels", "values": ["Pneumonia"]}}
    with pytest.raises(
        InputError, match=r"table.labels.typical in column 'Finding Labels'; .* sep"
    ):
        read_index(nih(tmp_path, labels=labels))


def test_tables_that_are_odd(tmp_path):
    dataset = nih(tmp_path)
    table = tmp_path / "table.csv"
    text = table.read_text()
    # A mark of the byte order, spaces in the header, a blank line, and commas at the ends of rows.
    spaced = text.replace("\n", ",,\n", 1).replace("View", " View ").replace("\n", "\n\n", 1)
    table.write_text("\ufeff" + spaced, encoding="utf-8")
    with pytest.raises(InputError, match="line 3: the row does not have the 8 fields"):
        read_index(dataset)
    table.write_text(
        "\ufeff" + spaced.replace(",,", "").replace("PA\n", "PA,,\n"), encoding="utf-8"
    )
    assert len(images(dataset)) == 3
    table.write_text(text.replace("View", "Patient ID"))
    with pytest.raises(InputError, match="column 'Patient ID' is there twice; rename or delete"):
        read_index({**dataset, "columns": {"file": "Image Index", "patient": "Patient ID"}})
    table.write_text(text + "00000003_000.png,short\n")
    with pytest.raises(InputError, match="line 5: the row does not have the 6 fields") as caught:
        read_index(dataset)
    assert "00000003" not in str(caught.value)
    table.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read as a CSV file in UTF-8"):
        read_index(dataset)
    table.write_text(text.splitlines()[0] + "\n")
    with pytest.raises(InputError, match=r"table.csv: there are no rows"):
        read_index(dataset)
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    with pytest.raises(
        InputError, match=r"no image file \(.dcm, .*\) at any depth; check the root"
    ):
        read_index(dataset)


def test_content_changes_with_files_and_table_alone(tmp_path):
    dataset = nih(tmp_path / "one")
    first = content(dataset)
    assert json.loads(json.dumps(first)) == first
    assert first[0] == [[f"images_00{n}/images/{row[0]}", 0] for n, row in enumerate(NIH_ROWS, 1)]
    (tmp_path / "one").rename(tmp_path / "two")
    dataset = {**dataset, "root": str(tmp_path / "two")}
    assert content(dataset) == first
    absolute = tmp_path / "table.csv"
    (tmp_path / "two/table.csv").rename(absolute)
    dataset["table"] = str(absolute)
    assert content(dataset) == first
    (tmp_path / "two/images_001/images" / NIH_ROWS[0][0]).write_bytes(b"x")
    changed = content(dataset)
    assert changed != first
    absolute.write_text(absolute.read_text() + "\n")
    assert content(dataset)[0] == changed[0]
    assert content(dataset)[1] != changed[1]


def test_thousands_of_rows_take_seconds(tmp_path):
    rows = [(f"c/train/patient{n:05d}/study1/view1_frontal.jpg", str(n % 2)) for n in range(5000)]
    dataset = archive(tmp_path, ("f", "l"), rows, [row[0].removeprefix("c/") for row in rows])
    dataset["labels"] = {"negative": {"column": "l", "values": [0]}}
    (tmp_path / "train").rename(tmp_path / "part")
    started = time.process_time()
    assert len(read_index(dataset).images) == 5000
    assert time.process_time() - started < 10


def test_dispatch_names_the_layout(tmp_path):
    dataset = nih(tmp_path)
    assert read_index(dataset).images.equals(table_layout.read_index(dataset).images)
