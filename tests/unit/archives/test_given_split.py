"""A split that is given: lists as NIH and CheXpert publish them, columns, and what is refused."""

from __future__ import annotations

import csv
import re

import pytest

from sscdl.archives.given_split import lacking, read_given_split
from sscdl.archives.layouts import list_files
from sscdl.archives.reading import read_index
from sscdl.csv_rows import read_rows
from sscdl.errors import InputError
from sscdl.identifiers import pseudonym
from tests.unit.table_archives import CHEXPERT, CHEXPERT_SETTINGS, archive

HEADER = ("name", "who", "part")
ROWS = [
    ("a_0.png", "a", "train"),
    ("a_1.png", "a", "train"),
    ("b_0.png", "b", "valid"),
    ("c_0.png", "c", "test"),
    ("d_0.png", "d", ""),
]
FILES = [f"images_00{n % 2 + 1}/images/{row[0]}" for n, row in enumerate(ROWS)]
PATH = dict(zip((row[0] for row in ROWS), FILES, strict=True))
NOTHING = {"train": None, "val": None, "test": None}
BOTH = {"train": "train_val_list.txt", "test": "test_list.txt"}


def made(folder, rows=ROWS, **settings):
    columns = {"file": "name", "patient": "who"}
    return archive(folder, HEADER, rows, FILES, **{"columns": columns, **settings})


def lists(root, straddling="refuse", **files):
    """Return the block of lists of which ``files`` gives the sides, and write their texts."""
    names = {}
    for side, text in files.items():
        names[side] = {"train": "train_val_list.txt"}.get(side, f"{side}_list.txt")
        content = text if isinstance(text, bytes) else "\n".join(text).encode()
        (root / names[side]).write_bytes(content)
    return {"source": "lists", "lists": NOTHING | names, "straddling": straddling}


def column(straddling="refuse", **values):
    block = {"name": "part", "pattern": None, **NOTHING, **values}
    return {"source": "column", "column": block, "straddling": straddling}


def read(dataset, split):
    return read_given_split(dataset, split, list_files(dataset).images)


def test_lists_of_bare_names_find_files_in_several_folders(tmp_path):
    dataset = made(tmp_path)
    split = lists(tmp_path, train=["a_0.png", "a_1.png", "b_0.png"], test=["c_0.png"])
    given = read(dataset, split)
    assert given.sides == {
        PATH["a_0.png"]: "train", PATH["a_1.png"]: "train", PATH["b_0.png"]: "train",
        PATH["c_0.png"]: "test",
    }  # fmt: skip
    assert not given.validated
    assert given.problems == []
    assert given.patients == {PATH[name]: who for name, who, _ in ROWS}


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfc_0.png\r\n\r\n  b_0.png  \r\n",
        b"/somewhere/else/c_0.png\nimages_001/images/b_0.png",
        b"images_002\\images\\c_0.png\nb_0\nb_0\n",
    ],
)
def test_lists_are_read_with_marks_of_the_byte_order_carriage_returns_and_paths(tmp_path, text):
    dataset = made(tmp_path)
    given = read(dataset, lists(tmp_path, train=["a_0.png", "a_1.png"], test=text))
    assert given.sides[PATH["c_0.png"]] == given.sides[PATH["b_0.png"]] == "test"
    plain = read(
        dataset, lists(tmp_path, train=["a_1.png", "a_0.png"], test=["b_0.png", "c_0.png"])
    )
    assert given.recipe() == plain.recipe(), "the same split, however its lists are written"


def test_another_side_and_given_validation_are_another_split(tmp_path):
    dataset = made(tmp_path)
    names = [row[0] for row in ROWS]
    recipes = {
        read(dataset, lists(tmp_path, **parts)).recipe()
        for parts in (
            {"train": names[:3], "test": names[3:]},
            {"train": names[:3], "test": names[3:4]},
            {"train": names[:2], "val": names[2:3], "test": names[3:]},
            {"train": names[:2], "test": names[3:]},
        )
    }
    assert len(recipes) == 4


def test_without_a_list_to_train_on_all_others_are_it(tmp_path):
    given = read(made(tmp_path), lists(tmp_path, val=["b_0.png"], test=["c_0.png"]))
    assert given.validated
    assert sorted(given.sides.values()) == ["test", "train", "train", "train", "val"]


def test_names_that_the_archive_has_not_are_named_by_line_and_then_counted(tmp_path):
    dataset = made(tmp_path)
    gone = [f"gone_{n}.png" for n in range(1003)]
    given = read(dataset, lists(tmp_path, train=["a_0.png", "a_1.png"], test=["c_0.png", *gone]))
    assert given.problems[0] == ("test_list.txt", "line 2: no such file below the root")
    assert given.problems[-1] == (
        "test_list.txt", "3 more: no such file below the root"
    )  # fmt: skip
    assert len(given.problems) == 1001
    assert "gone" not in str(given.problems), "names of files may name patients"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"test": b"\n \n"}, r"split.lists.test: .*test_list.txt names no file; give one file nam"),
        ({"test": b"x.png\ny.png"}, r"test: none of the 2 names .* \(line 1: no such file below"),
        ({"test": b"c_0.png\na_0.png"}, r"split.lists: 1 images are on two sides, such as those "
         r"of train_val_list.txt, line 1 and test_list.txt, line 2; leave each on one"),
        ({"test": "c_0.png".encode("utf-16")}, r"test_list.txt is no text in UTF-8; save it as su"),
        ({"test": b"\x89PNG\r\n\x1a\n1234"}, r"is a picture \(PNG\); give a text with one file"),
    ],
)  # fmt: skip
def test_lists_that_cannot_be_used_are_refused(tmp_path, files, message):
    dataset = made(tmp_path)
    with pytest.raises(InputError, match=message):
        read(dataset, lists(tmp_path, train=["a_0.png", "a_1.png"], **files))


def test_a_list_that_is_not_there_is_named_with_its_key(tmp_path):
    split = lists(tmp_path, test=["c_0.png"])
    split["lists"]["val"] = "val.txt"
    with pytest.raises(InputError, match=r"split.lists.val: .*val.txt cannot be read \(No such"):
        read(made(tmp_path), split)


def test_patients_on_both_sides_are_refused_by_pseudonym_or_told(tmp_path):
    dataset = made(tmp_path)
    files = {"train": ["a_0.png", "b_0.png"], "test": ["a_1.png", "c_0.png"]}
    with pytest.raises(InputError) as failed:
        read(dataset, lists(tmp_path, **files))
    assert str(failed.value).startswith(
        "split.lists: 1 patients have images on several sides of this split, such as "
        f"{pseudonym('a', 'k')} (ids as in images.csv)"
    )
    given = read(dataset, lists(tmp_path, straddling="tell", **files))
    assert given.sides[PATH["a_0.png"]] == "train"
    assert given.sides[PATH["a_1.png"]] == "test"


def test_a_column_gives_the_side_by_its_values(tmp_path):
    dataset = made(tmp_path)
    given = read(dataset, column(train=["train"], val=["valid"], test=["test"]))
    assert given.validated
    assert given.sides == {
        PATH["a_0.png"]: "train", PATH["a_1.png"]: "train", PATH["b_0.png"]: "val",
        PATH["c_0.png"]: "test",
    }  # fmt: skip
    others = read(dataset, column(test=["test", "valid"]))
    assert PATH["d_0.png"] not in others.sides, "an empty cell names no side"
    assert others.sides[PATH["b_0.png"]] == "test"
    with_empty = read(dataset, column(train=["train", ""], test=["test", "valid"]))
    assert with_empty.sides[PATH["d_0.png"]] == "train"


def test_numbers_and_parts_of_a_column_are_values_too(tmp_path):
    rows = [(name, who, f"fold {n}.0") for n, (name, who, _) in enumerate(ROWS, start=-1)]
    split = column(train=[1, 2], test=["3"], straddling="tell")
    split["column"]["pattern"] = r"fold (\S+)"
    given = read(made(tmp_path, rows), split)
    assert given.sides == {
        PATH["b_0.png"]: "train", PATH["c_0.png"]: "train", PATH["d_0.png"]: "test"
    }  # fmt: skip


def test_values_that_no_row_has_and_missing_columns_are_named(tmp_path):
    dataset = made(tmp_path)
    message = r"split.column.test: no image has 'Test' in 'part' \(there are 3 different texts\)"
    with pytest.raises(InputError, match=message):
        read(dataset, column(test=["Test"]))
    split = column(test=["test"])
    split["column"]["name"] = "prat"
    with pytest.raises(
        InputError,
        match=r"^split.column.name: .*column 'prat' is missing; the nearest .* is 'part'",
    ):
        read(dataset, split)
    split = column(test=["test"])
    split["column"]["pattern"] = "("
    with pytest.raises(InputError, match=r"split.column.pattern: '\(' is no regular expression"):
        read(dataset, split)


def test_rows_of_one_file_that_differ_in_the_side_are_refused(tmp_path):
    rows = [*ROWS, ("a_0.png", "a", "test")]
    message = "split.column.name: table.csv, line 2 and table.csv, line 7 are of one image"
    with pytest.raises(InputError, match=message):
        read(made(tmp_path, rows), column(train=["train"], test=["test"], straddling="tell"))


def test_rows_that_are_not_kept_are_on_no_side(tmp_path):
    dataset = made(tmp_path, keep={"column": "who", "values": ["a", "c"]})
    given = read(dataset, column(train=["train"], test=["test"]))
    assert set(given.sides) == {PATH["a_0.png"], PATH["a_1.png"], PATH["c_0.png"]}


def test_the_file_of_a_row_that_is_not_kept_is_no_other_rows(tmp_path):
    """As where the table is read: a row whose own file is missing would find it by its name."""
    rows = [*ROWS[:2], (PATH["b_0.png"], "b", "valid"), *ROWS[3:], ("old/b_0.png", "a", "train")]
    dataset = made(tmp_path, rows, keep={"column": "who", "values": ["a", "c"]})
    given = read(dataset, column(train=["train"], test=["test"]))
    assert set(given.sides) == {PATH["a_0.png"], PATH["a_1.png"], PATH["c_0.png"]}
    assert set(given.sides) == set(read_index(dataset).images["path"])


@pytest.mark.parametrize("train", [True, False])
def test_lists_leave_what_the_table_does_not_keep_on_no_side_as_a_column_does(tmp_path, train):
    dataset = made(tmp_path, keep={"column": "who", "values": ["a", "c"]})
    side = {"train": ["a_0.png", "a_1.png", "b_0.png"]} if train else {}
    listed = read(dataset, lists(tmp_path, **side, test=["c_0.png", "d_0.png"]))
    by_column = read(dataset, column(train=["train"], test=["test"]))
    assert listed.sides == by_column.sides
    assert listed.recipe() == by_column.recipe()
    told = "of 5 image files 2 to train on, 1 to test on, 2 on no side"
    assert told in listed.counted
    assert told in by_column.counted
    message = (
        r"lists.test: no image .* is on this side \(only 3 of 5 files are described\); correct"
    )
    with pytest.raises(InputError, match=message):
        read(dataset, lists(tmp_path, train=["a_0.png"], test=["d_0.png"]))


def test_a_file_without_a_row_trains_by_no_list_and_without_one(tmp_path):
    dataset = made(tmp_path, ROWS[:4])
    for train in ({}, {"train": ["a_0.png", "a_1.png", "d_0.png"]}):
        given = read(dataset, lists(tmp_path, **train, test=["c_0.png"]))
        assert PATH["d_0.png"] not in given.sides


def test_tables_are_read_once_for_sides_and_patients(tmp_path, monkeypatch):
    dataset, opened = made(tmp_path), []
    paths = list_files(dataset).images

    def counted(table, names):
        opened.append(table)
        return read_rows(table, names)

    monkeypatch.setattr("sscdl.archives.given_read.read_rows", counted)
    read_given_split(dataset, column(train=["train"], test=["test"]), paths)
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("validated", "gone", "found"),
    [
        (False, set(), None),
        (False, {("a", "val"), ("b", "val")}, None),
        (True, {("b", "val")}, ("b", "val")),
        (False, {("b", "test"), ("b", "train")}, ("b", "train")),
    ],
)
def test_a_label_that_a_side_lacks_is_found(validated, gone, found):
    present = {(label, side) for label in "ab" for side in NOTHING} - gone
    assert lacking(present, ["a", "b"], validated=validated) == found


VALID = [
    ("CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg", "Male", "73", "Frontal",
     "AP", "1.0", ""),
    ("CheXpert-v1.0-small/valid/patient64541/study1/view2_lateral.jpg", "Male", "73", "Lateral",
     "", "1.0", ""),
]  # fmt: skip
TRAIN = [
    ("CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg", "Female", "68", "Frontal",
     "AP", "1.0", ""),
    ("CheXpert-v1.0-small/train/patient00002/study2/view1_frontal.jpg", "Male", "50", "Frontal",
     "PA", "", "1.0"),
]  # fmt: skip


def chexpert(root, start=""):
    """Make an archive like CheXpert's small version, with its two tables."""
    files = [start + row[0].removeprefix("CheXpert-v1.0-small/") for row in TRAIN + VALID]
    dataset = archive(root, CHEXPERT, TRAIN, files, **CHEXPERT_SETTINGS)
    for name, rows in (("train.csv", TRAIN), ("valid.csv", VALID)):
        with (root / name).open("w", newline="") as file:
            csv.writer(file).writerows([CHEXPERT, *rows])
    return dataset | {"table": "train.csv", "further": ["valid.csv"]}


@pytest.mark.parametrize("start", ["", "CheXpert-v1.0-small/"])
def test_tables_are_lists_as_those_of_chexpert(tmp_path, start):
    dataset = chexpert(tmp_path, start)
    block = NOTHING | {"train": "train.csv", "test": "valid.csv"}
    given = read(dataset, {"source": "lists", "lists": block, "straddling": "refuse"})
    assert {re.sub(".*(train|valid)/", "", path): side for path, side in given.sides.items()} == {
        "patient00001/study1/view1_frontal.jpg": "train",
        "patient00002/study2/view1_frontal.jpg": "train",
        "patient64541/study1/view1_frontal.jpg": "test",
    }, "the lateral view is not kept"


def test_a_table_as_a_list_needs_a_table_that_names_its_column(tmp_path):
    dataset = made(tmp_path)
    folders = {
        "layout": "folders", "root": str(tmp_path), "id_key": "k", "patterns": ["(?P<label>[a-d])_"]
    }  # fmt: skip
    block = NOTHING | {"test": "table.csv"}
    split = {"source": "lists", "lists": block, "straddling": "refuse"}
    with pytest.raises(InputError, match="is a table, whose column of the file only layout table"):
        read(folders, split)
    with pytest.raises(InputError, match="split.lists: leaves no image to train on"):
        read(dataset, split)
