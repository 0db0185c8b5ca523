"""What of lists and columns is not understood, and must not become a training image in silence."""

from __future__ import annotations

import pytest

from sscdl.archives.given_split import read_given_split
from sscdl.archives.layouts import list_files
from sscdl.archives.reading import read_index
from sscdl.errors import InputError
from tests.unit.archives.test_given_split import NOTHING, PATH, ROWS, chexpert, column, lists, read
from tests.unit.archives.test_given_split import made as archive_of
from tests.unit.table_archives import archive


@pytest.mark.parametrize(
    "name",
    ["C_0.PNG", "c_0.jpg", '"c_0.png"', "c_0.png,1", "c_0.png 1", "1;c_0.png", "elsewhere\\C_0"],
)
def test_a_name_that_is_nearly_a_files_is_refused_where_all_others_train(tmp_path, name):
    dataset = archive_of(tmp_path)
    message = (
        r"split.lists.test: 1 names in .*test_list.txt lead to no single image file \(line 2: no "
        "such file below the root.*as split.lists.train is left out, these would train. Correct"
    )
    with pytest.raises(InputError, match=message):
        read(dataset, lists(tmp_path, test=["b_0.png", name]))
    # Where the training images are named nothing can leak.
    given = read(dataset, lists(tmp_path, train=["a_0.png", "a_1.png"], test=["b_0.png", name]))
    assert PATH["c_0.png"] not in given.sides
    assert "split.lists.test: 1 of the 2 names in test_list.txt lead to no image" in given.notes[0]


def test_a_bare_name_of_two_files_is_refused_where_all_others_train(tmp_path):
    files = [*PATH.values(), "images_003/images/c_0.png"]
    rows = [*ROWS, ("images_003/images/c_0.png", "e", "")]
    columns = {"file": "name", "patient": "who"}
    dataset = archive(tmp_path, ("name", "who", "part"), rows, files, columns=columns)
    with pytest.raises(InputError, match=r"\(line 1: fits several files below the root\)"):
        read(dataset, lists(tmp_path, test=["c_0.png", "b_0.png"]))


def test_names_of_files_that_are_not_there_are_told_with_the_images_of_each_side(tmp_path):
    given = read(
        archive_of(tmp_path), lists(tmp_path, test=["c_0.png", "gone_1.png", "gone_2.png"])
    )
    assert given.notes == [
        "split.lists.test: 2 of the 3 names in test_list.txt lead to no image file (line 2: no "
        "such file below the root)",
        "The split is given (split.source: lists): of 5 image files 4 to train on, 1 to test on, 0 "
        "on no side; validation is drawn from those that train",
    ]
    whole = read(archive_of(tmp_path / "again"), lists(tmp_path / "again", test=["c_0.png"]))
    assert whole.notes == []
    assert "of 5 image files 4 to train on" in whole.counted


def test_a_name_in_another_folder_gives_way_to_the_list_that_names_the_file(tmp_path):
    dataset = archive_of(tmp_path)
    gone = "images_009/images/c_0.png"
    given = read(
        dataset, lists(tmp_path, train=["a_0.png", "a_1.png", gone], test=[PATH["c_0.png"]])
    )
    assert given.sides[PATH["c_0.png"]] == "test"
    assert given.problems == [("train_val_list.txt", "line 3: no such file below the root")]
    for other in ("c_0.png", "/above/" + PATH["c_0.png"]):
        with pytest.raises(InputError, match="split.lists: 1 images are on two sides"):
            read(dataset, lists(tmp_path, train=["a_0.png", other], test=[PATH["c_0.png"]]))


def test_texts_that_no_side_names_are_told_and_empty_ones_do_not_train(tmp_path):
    parts = ["train", "dev", "test", "test", "", "dev", "train", "train", "test", "test"]
    rows = [(f"{n}.png", f"p{n}", part) for n, part in enumerate(parts)]
    columns = {"file": "name", "patient": "who"}
    files = [row[0] for row in rows]
    dataset = archive(tmp_path, ("name", "who", "part"), rows, files, columns=columns)
    given = read(dataset, column(test=["test"]))
    assert [path for path in files if given.sides.get(path) == "train"] == [
        "0.png", "1.png", "5.png", "6.png", "7.png"
    ]  # fmt: skip
    assert "4.png" not in given.sides
    said = (
        "split.column.train: left out, so that 5 image files train whose text in 'part' no other "
        "side names: dev (2), train (3)"
    )
    assert given.notes[0] == said
    assert (".", said) in given.problems
    assert given.notes[1].startswith(
        "split.column: 1 image files have no text in 'part' and are on"
    )
    named = read(dataset, column(train=["train", "dev", ""], test=["test"]))
    assert named.sides["4.png"] == "train"
    assert named.notes == []


def test_a_text_that_differs_in_nothing_but_case_does_not_train(tmp_path):
    rows = [(name, who, {"d_0.png": "Test"}.get(name, part)) for name, who, part in ROWS]
    dataset = archive_of(tmp_path, rows)
    message = (
        r"split.column.test: 'Test' in 'part' \(1 images\) differs from its values in nothing but "
        "case; as split.column.train is left out"
    )
    with pytest.raises(InputError, match=message):
        read(dataset, column(test=["test"]))
    assert PATH["d_0.png"] not in read(dataset, column(train=["train"], test=["test"])).sides
    assert read(dataset, column(test=["test", "Test"])).sides[PATH["d_0.png"]] == "test"


def test_texts_that_may_be_ids_of_patients_are_counted_and_not_named(tmp_path):
    dataset = archive_of(tmp_path)
    block = column(test=["x"])
    block["column"]["name"] = "name"
    with pytest.raises(InputError, match=r"in 'name' \(there are 5 different texts\)"):
        read(dataset, block)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wrong,who\nx,y\n", "split.lists.test: .*list.csv: column 'name' is missing"),
        (None, "split.lists.test: .*list.csv is a folder; give a file with one file name a line"),
    ],
)
def test_lists_that_are_no_lists_are_named_with_their_key(tmp_path, text, message):
    dataset = archive_of(tmp_path)
    file = tmp_path / "list.csv"
    if text is None:
        file.mkdir()
    else:
        file.write_text(text)
    split = {"source": "lists", "lists": NOTHING | {"test": "list.csv"}, "straddling": "refuse"}
    with pytest.raises(InputError, match=message):
        read(dataset, split)


def tables(root, patients, further):
    """Return an archive whose files are described by two tables."""
    rows = [(f"{n}.png", who) for n, who in enumerate([*patients, *further])]
    dataset = archive(
        root, ("name", "who"), rows[: len(patients)], [row[0] for row in rows],
        columns={"file": "name", "patient": "who"}, ids="file",
    )  # fmt: skip
    text = "\n".join(",".join(row) for row in [("name", "who"), *rows[len(patients) :]])
    (root / "more.csv").write_text(text)
    return dataset | {"further": ["more.csv"]}


def test_patients_of_several_tables_are_one_however_their_number_is_written(tmp_path):
    dataset = tables(tmp_path, ["12", "013", "p1", "1.5"], ["12.0", "13", "P1", "01.5"])
    found = read_index(dataset).images.set_index("image_id")["patient_id"]
    assert list(found[[str(n) for n in range(8)]]) == [
        "12", "013", "p1", "1.5", "12", "013", "P1", "01.5"
    ]  # fmt: skip
    (tmp_path / "test.txt").write_text("4.png\n5.png")
    block = NOTHING | {"test": "test.txt"}
    split = {"source": "lists", "lists": block, "straddling": "refuse"}
    with pytest.raises(InputError, match="split.lists: 2 patients have images on several sides"):
        read_given_split(dataset, split, list_files(dataset).images)


def test_patients_of_a_single_table_are_as_they_are_written(tmp_path):
    dataset = tables(tmp_path, ["12", "012", "12.0"], ["9"]) | {"further": None}
    found = read_index(dataset).images["patient_id"]
    assert sorted(found) == ["012", "12", "12.0"]


def test_examples_among_several_tables_say_which_table(tmp_path):
    dataset = tables(tmp_path, ["12", "13"], ["14", ""])
    (warning,) = read_index(dataset).warnings
    assert warning.endswith("says nothing in 1 of 4 rows, for example more.csv, line 3")
    single = tables(tmp_path / "one", ["12", ""], ["14"]) | {"further": None}
    assert read_index(single).warnings[0].endswith("in 1 of 2 rows, for example line 3")


def test_the_two_tables_of_chexpert_keep_their_patients(tmp_path):
    found = read_index(chexpert(tmp_path)).images["patient_id"]
    assert set(found) == {"00001", "00002", "64541"}
