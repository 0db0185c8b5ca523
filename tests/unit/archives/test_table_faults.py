"""A folder of image files and a table with faults: each has a message, nothing leads outside."""

from __future__ import annotations

import json
import os
import re

import pytest

from sscdl import identifiers
from sscdl.archives.layouts import list_files
from sscdl.archives.reading import read_index
from sscdl.errors import InputError
from tests.unit.table_archives import (
    NIH_ROWS,
    NIH_SETTINGS,
    archive,
    chexpert,
    images,
    nih,
    problems,
)

NO_PATIENT = "no column for the patient: each PNG, JPEG or TIFF file counts as another patient"


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
    index = read_index(dataset)
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
        ("table.csv", "line 3: not a regular file, or a broken link; left out"),
        ("\\udcff\\udcfe.png", "name cannot be printed"),
        ("line\\nbreak.png", "name cannot be printed"),
        ("pipe.png", "not a regular file, or a broken link"),
        ("table.csv", NO_PATIENT),
    ]


def test_files_that_are_links_are_told_to_be_links(tmp_path):
    root, other = tmp_path / "root", tmp_path / "other"
    names = ["0.png", "1.png", "pictures/2.png"]
    root.mkdir()
    dataset = archive(root, ("f",), [(name,) for name in names], [])
    (other / "pictures").mkdir(parents=True)
    for name in names:
        (other / name).touch()
    for name in ("0.png", "1.png", "pictures"):
        (root / name).symlink_to(other / name)
    link = "link leads out of the root, not followed"
    told = rf"no image file .*; of 3 set aside: {link} \(3, such as 0.png\); copy linked files, or"
    with pytest.raises(InputError, match=told):
        read_index(dataset)
    (root / "9.png").touch()
    with pytest.raises(InputError, match=rf"no row leads to a file .*; line 2: {link}; .* 3 set"):
        read_index(dataset)
    table = root / "table.csv"
    table.write_text(table.read_text() + "9.png\n")
    rows = [reason for file, reason in problems(dataset) if reason.startswith("line")]
    assert rows == [
        f"line 2: {link}; left out",
        f"line 3: {link}; left out",
        f"line 4: lies in what is set aside ({link}); left out",
    ]


def test_several_rows_a_file_name_the_key_that_chooses(tmp_path):
    rows = [("a.png", "1", "R1"), ("a.png", "0", "R2"), ("b.png", "0", "R1"), ("c.png", "1", "R1")]
    labels = {name: {"column": "k", "values": [name]} for name in ("0", "1")}
    dataset = archive(tmp_path, ("f", "k", "rad"), rows, ["a.png", "b.png", "c.png"], labels=labels)
    with pytest.raises(
        InputError, match=r"lines 2 and 3: one image file, .* table.keep \(column, v"
    ):
        read_index(dataset)
    found = images({**dataset, "keep": {"column": "rad", "values": ["R1"]}})
    assert {path: row["label"] for path, row in found.items()} == {
        "a.png": "1", "b.png": "0", "c.png": "1",
    }  # fmt: skip


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


def test_many_rows_with_one_fault_are_counted(tmp_path):
    rows = [(f"{n}.png",) for n in range(1203)]
    found = problems(archive(tmp_path, ("f",), rows, ["0.png"]))
    assert len(found) == 1002
    assert found[999] == ("table.csv", "line 1002: no such file below the root; left out")
    assert found[1000] == ("table.csv", "202 more: no such file below the root; left out")


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
@pytest.mark.parametrize("read", [read_index, list_files])
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
    with pytest.raises(InputError, match="table.csv: is a text in UTF-16"):
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


def described(folder, texts, column, number=4):
    """Return an archive of as many rows, whose column ``column`` holds ``texts`` in turn."""
    rows = [(f"p/{n}.png", texts[n % len(texts)]) for n in range(number)]
    columns = {"file": "f", column: "c"}
    return archive(folder, ("f", "c"), rows, [row[0] for row in rows], columns=columns)


@pytest.mark.parametrize("column", ["patient", "study", "sex", "age", "view"])
def test_a_column_that_says_nothing_in_any_row(tmp_path, column):
    message = rf"'c' \(table.columns.{column}\) says nothing in any of the 4 rows, .* line 2;"
    with pytest.raises(InputError, match=message):
        read_index(described(tmp_path, [""], column))


@pytest.mark.parametrize(("column", "text"), [("sex", "x"), ("age", "old"), ("view", "EXCLUDE")])
def test_a_column_of_which_nothing_is_understood(tmp_path, column, text):
    message = rf"'c' \(table.columns.{column}\) cannot be understood in any of the 4 rows"
    with pytest.raises(InputError, match=message):
        read_index(described(tmp_path, [text], column))


@pytest.mark.parametrize("column", ["patient", "study", "sex", "age", "view"])
def test_a_pattern_that_fits_no_row(tmp_path, column):
    dataset = described(tmp_path, ["p"], column)
    dataset["columns"][column] = {"column": "f", "pattern": r"patient(\d+)"}
    with pytest.raises(InputError, match=r"pattern 'patient\(.* says nothing in any of the 4 rows"):
        read_index(dataset)


def test_rows_of_which_a_column_says_nothing_are_counted_with_an_example(tmp_path):
    assert read_index(described(tmp_path / "all", ["1", "2"], "patient")).warnings == ()
    [warning] = read_index(described(tmp_path / "some", ["1", ""], "patient")).warnings
    assert warning.endswith(
        "(table.columns.patient) says nothing in 2 of 4 rows, for example line 3"
    )
    index = read_index(described(tmp_path / "odd", ["PA", "EXCLUDE", ""], "view", 6))
    assert [one.partition("(")[2] for one in index.warnings] == [
        "table.columns.view) says nothing in 2 of 6 rows, for example line 4",
        "table.columns.view) cannot be understood in 2 of 6 rows, for example line 3",
    ]
    assert sorted(index.images["view"]) == ["", "", "OTHER", "OTHER", "PA", "PA"]
    reasons = list(index.problems["reason"])
    assert (
        reasons.count("line 6: view is not understood; counts as OTHER (ingest.accept.view)") == 1
    )
