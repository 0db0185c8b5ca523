"""A folder of image files and a table: what the rows become, and which files they mean."""

from __future__ import annotations

import math

import pytest

from sscdl import identifiers
from sscdl.archives import lookup, table
from sscdl.archives.digests import Digests, content
from sscdl.archives.index import COLUMNS
from sscdl.archives.layouts import list_files
from sscdl.archives.lookup import find_files
from sscdl.archives.reading import read_index
from sscdl.errors import InputError
from tests.unit.operations import count_operations
from tests.unit.table_archives import NIH_ROWS, archive, chexpert, images, nih, problems


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


def test_ages_sexes_and_views(tmp_path):
    ages = {
        "45": 45, "045Y": 45, "006M": 0.5, "2.5": 2.5, "0": 0, "": math.nan, "411": math.nan,
        "old": math.nan, "-1": math.nan, "010d": 10 / 365.25, "nan": math.nan, "130": 130,
    }  # fmt: skip
    sexes = {
        "F": "F",
        "male": "M",
        "FEMALE": "F",
        "m": "M",
        "O": "",
        "Unknown": "",
        "": "",
        "Jane": "OTHER",
    }
    views = {
        "pa": "PA", "AP_SUPINE": "AP", "AP (portable)": "AP", "Lateral": "LATERAL", "L": "LATERAL",
        "LL": "LL", "": "", "Jane": "OTHER", "P": "OTHER",
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
    assert lines == [8, 9, 10]


def test_studies_without_a_patient(tmp_path):
    rows = [("a.dcm", "s1"), ("b.dcm", "s1"), ("c.dcm", "s2")]
    dataset = archive(tmp_path, ("f", "s"), rows, [row[0] for row in rows])
    assert len({row["study_id"] for row in images(dataset).values()}) == 3
    dataset["columns"]["study"] = "s"
    studies = {path: row["study_id"] for path, row in images(dataset).items()}
    assert studies["a.dcm"] == studies["b.dcm"] != studies["c.dcm"]
    assert problems(dataset) == []


def test_keep_takes_several_values_and_the_empty_one(tmp_path):
    rows = [("a.png", "x"), ("b.png", ""), ("c.png", "z")]
    dataset = archive(tmp_path, ("f", "k"), rows, [row[0] for row in rows])
    assert set(images({**dataset, "keep": {"column": "k", "values": ["x", ""]}})) == {
        "a.png",
        "b.png",
    }
    with pytest.raises(InputError, match=r"no row has one of the values of table.keep"):
        read_index({**dataset, "keep": {"column": "k", "values": ["y"]}})


def test_content_changes_with_files_and_table_alone(tmp_path):
    digests = Digests(tmp_path / "digests")
    dataset = nih(tmp_path / "one")
    assert list_files(dataset).images == [
        f"images_00{n}/images/{row[0]}" for n, row in enumerate(NIH_ROWS, 1)
    ]
    first = content(list_files(dataset), digests)
    (tmp_path / "one").rename(tmp_path / "two")
    dataset = {**dataset, "root": str(tmp_path / "two")}
    assert content(list_files(dataset), digests) == first
    absolute = tmp_path / "table.csv"
    (tmp_path / "two/table.csv").rename(absolute)
    dataset["table"] = str(absolute)
    assert content(list_files(dataset), digests) == first
    (tmp_path / "two/images_001/images" / NIH_ROWS[0][0]).write_bytes(b"x")
    changed = content(list_files(dataset), digests)
    assert changed != first
    absolute.write_text(absolute.read_text() + "\n")
    assert content(list_files(dataset), digests) not in (first, changed)


def many_rows(folder, number):
    """Return an archive whose table has a folder too many and names another one wrongly."""
    rows = [(f"c/train/patient{n:05d}/1/frontal.jpg", str(n % 2)) for n in range(number)]
    dataset = archive(folder, ("f", "l"), rows, [row[0].removeprefix("c/") for row in rows])
    (folder / "train").rename(folder / "part")
    return {**dataset, "labels": {"negative": {"column": "l", "values": [0]}}}


def test_work_grows_as_the_number_of_rows(tmp_path):
    few, many = (many_rows(tmp_path / str(number), number) for number in (100, 400))
    assert len(read_index(many).images) == 400
    assert count_operations(read_index, many) < 4.5 * count_operations(read_index, few)


@pytest.mark.parametrize("part", ["x/", "../", "a\\"])
def test_work_grows_as_the_length_of_a_name(part):
    paths = ["x/" * 50 + "a.png", "b.png"]
    few, many = (
        count_operations(find_files, [part * number + "a.png"], paths) for number in (500, 2000)
    )
    assert many < 4.5 * few


def test_only_the_last_parts_of_a_long_name_are_compared(monkeypatch):
    class Counted(set):
        asked = 0

        def __contains__(self, path):
            Counted.asked += 1
            return super().__contains__(path)

    monkeypatch.setattr(lookup, "set", Counted, raising=False)
    counts = []
    for number in (3, 500, 2000):
        Counted.asked = 0
        assert find_files(["x/" * number + "y.png"], ["a/y.png"])[0]
        counts.append(Counted.asked)
    assert counts[0] == 4
    assert counts[1] == counts[2] < 100


def test_dispatch_names_the_layout(tmp_path):
    dataset = nih(tmp_path)
    assert read_index(dataset).images.equals(table.read_index(dataset).images)


def test_further_tables_have_rows_like_the_first(tmp_path):
    """CheXpert has a table for each of its sets."""
    dataset = chexpert(tmp_path)
    lines = (tmp_path / "table.csv").read_text().splitlines()
    (tmp_path / "table.csv").write_text("\n".join(lines[:2]) + "\n")
    (tmp_path / "valid.csv").write_text("\n".join([lines[0], *lines[2:], lines[1]]) + "\n")
    dataset |= {"further": ["valid.csv"]}
    index = read_index(dataset)
    assert set(index.images["shown"]) == {
        "table.csv, line 2", "valid.csv, line 2", "valid.csv, line 4"
    }  # fmt: skip
    assert set(index.images["label"]) == {"negative", "typical", ""}
    again = ("valid.csv", "line 5: file of an earlier row; left out (table.csv, line 2)")
    assert again in problems(dataset)
    text = (tmp_path / "valid.csv").read_text()
    (tmp_path / "valid.csv").write_text(text.replace(",AP,1.0,", ",AP,,1.0"))
    message = "table.csv, line 2, and valid.csv, line 5: one image file, but the label differs"
    with pytest.raises(InputError, match=message):
        read_index(dataset)


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ("vaild.csv", "there is no such file; 'valid.csv' is there; set table.further to the CSV"),
        ("other/table.csv", "table.further: table.csv is the name of two tables"),
        ("bare.csv", "bare.csv: column 'Age' is missing"),
    ],
)
def test_further_tables_that_cannot_be_read_are_named(tmp_path, further, message):
    dataset = chexpert(tmp_path) | {"further": [further]}
    text = (tmp_path / "table.csv").read_text()
    (tmp_path / "other").mkdir()
    for name in ("valid.csv", "other/table.csv"):
        (tmp_path / name).write_text(text)
    (tmp_path / "bare.csv").write_text(text.replace("Age", "Years"))
    with pytest.raises(InputError, match=message):
        read_index(dataset)


@pytest.mark.parametrize(
    ("patients", "doubtful"),
    [
        (["7", "07", "7.0", "8"], 1),
        (["a1", "A1", "b", "B"], 2),
        (["7", "8", "a", ""], 0),
        (["10", "1", "01.5", "1.5"], 1),
    ],
)
def test_ids_of_patients_in_several_spellings_are_warned_of(tmp_path, patients, doubtful):
    """Two spellings of one patient may come to two sides; which are one cannot be known here."""
    rows = [(f"{number}.png", whose) for number, whose in enumerate(patients)]
    columns = {"file": "f", "patient": "p"}
    dataset = archive(tmp_path, ("f", "p"), rows, [row[0] for row in rows], columns=columns)
    warned = [text for text in read_index(dataset).warnings if "in several spellings" in text]
    assert [text.split(" ids in")[0].rsplit(" ", 1)[1] for text in warned] == (
        [str(doubtful)] if doubtful else []
    )
    assert not any("column 'p'" not in text for text in warned)
