"""``sscdl new`` on images that come without a table, and on those that come with a split."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sscdl.errors import InputError
from sscdl.front import new
from tests.unit.front.image_trees import read, sides, tree
from tests.unit.own_images import archive, written

pytestmark = pytest.mark.usefixtures("here")


PAIRS = [f"{('NORMAL', 'ILL')[n % 2]}/patient{n // 2 % 15}_{n}.png" for n in range(60)]
# As the pediatric set is published: numbers of persons are told in one folder alone.
PEDIATRIC = [
    f"chest_xray/{side}/{folder}/{name.format(first + n)}"
    for side, first in (("train", 0), ("test", 100))
    for folder, name in (
        ("NORMAL", "IM-{0:04}-0001.jpeg"), ("PNEUMONIA", "person{0}_bacteria_{0}.jpeg")
    )
    for n in range(12)
]  # fmt: skip


@pytest.mark.parametrize("above", ["", "x-rays/", "A.b (1)/"])
@pytest.mark.parametrize("between", ["", "images/"])
def test_a_folder_for_each_label_needs_no_table(tmp_path, above, between):
    paths = [above + path.replace("/", f"/{between}") for path in PAIRS]
    root = tree(tmp_path / "mine", paths)
    tree(root, [f"{above}NORMAL/masks/patient1_{n}.png" for n in range(3)])
    new.main([str(root)])
    config, labels, patients = read("mine.yaml")
    assert sorted(config["classes"]) == ["ill", "normal"]
    assert {path: labels[path] for path in paths} == {
        path: "normal" if "NORMAL" in path else "ill" for path in paths
    }
    assert len(labels) == len(paths), "masks are no images"
    assert len(set(patients.values())) == 15


def test_what_ends_like_a_label_is_another_folder(tmp_path):
    root = tree(tmp_path / "mine", PAIRS)
    tree(root, [f"NOT_NORMAL/patient{n}_x.png" for n in range(12)])
    (tmp_path / "bills.csv").write_text("what,price\nbread,2\n")  # beside it, and of no images
    new.main([str(root), "--classes", "NORMAL", "ILL"])
    _, labels, _ = read("mine.yaml")
    assert {labels[path] for path in labels if path.startswith("NOT_")} == {""}


def test_where_names_tell_no_patient_it_must_be_said(tmp_path, answers, capsys):
    root = tree(tmp_path / "mine", [f"{'ab'[n % 2]}/{n}.png" for n in range(40)])
    with pytest.raises(InputError, match="in a, b tell no patient .*0.png.*give --no-patient"):
        new.main([str(root)])
    new.main([str(root), "--no-patient", "--study", "one"])
    assert "# WARNING: nothing tells the patient of a picture" in Path("one.yaml").read_text()
    asked = answers("", "", "yes", "")
    new.main([str(root)])
    assert asked[1] == asked[2], "Enter is no answer to it"
    assert read("mine.yaml")[0]["classes"] == ["a", "b"]
    answers("", "no")
    with pytest.raises(InputError, match="nothing is written; a pattern must tell the patient"):
        new.main([str(root), "--study", "two"])
    with pytest.raises(InputError, match="--patient: .*has no table"):
        new.main([str(root), "--patient", "who"])
    with pytest.raises(InputError, match="two classes apart"):
        new.main([str(root), "--classes", "a", "--no-patient"])
    assert sorted(path.name for path in Path().iterdir()) == ["mine.yaml", "one.yaml"]


def test_the_split_of_folders_is_found_and_told(tmp_path, capsys, answers):
    root = tree(tmp_path / "chest", [*PEDIATRIC, "chest_xray/val/NORMAL/IM-0300-0001.jpeg"])
    new.main([str(root), "--no-patient"])
    config, labels, patients = read("chest.yaml")
    assert config["split"]["source"] == "drawn"
    said = capsys.readouterr().out
    assert "A split is given: folders" in said
    assert "  normal: 25 images\n  pneumonia: 24 images of 24 patients\n" in said
    assert set(labels.values()) == {"normal", "pneumonia"}
    told = {patients[path] for path in labels if "person" in path}
    assert (len(told), "" in told) == (24, False), "what names tell is taken in any case"
    answers("", "yes", "", "two")
    new.main([str(root)])
    config = written("two.yaml")
    taken = sides(config)
    assert taken["chest_xray/val/NORMAL/IM-0300-0001.jpeg"] == "train", "one image chooses nothing"
    assert {path.split("/")[1]: side for path, side in taken.items()} == {
        "train": "train", "test": "test", "val": "train"
    }  # fmt: skip
    answers("", "yes", "no", "three")
    new.main([str(root)])
    assert written("three.yaml")["split"]["source"] == "drawn"


def test_a_split_that_parts_patients_is_not_taken(tmp_path, answers, capsys):
    both = [re.sub(r"person1(?=\d\d_)0?", "person", path) for path in PEDIATRIC]
    root = tree(tmp_path / "chest", both)
    answers("", "yes", "")
    new.main([str(root)])
    assert "it is not taken: split.column: 12 patients have images" in capsys.readouterr().out
    text = Path("chest.yaml").read_text()
    assert written("chest.yaml")["split"]["source"] == "drawn"
    assert "12 patients have images on several sides" in " ".join(text.split("\n# "))
    taken = re.sub("^split:.*\n", "", text, flags=re.M).replace("\n# split:", "\nsplit:")
    Path("taken.yaml").write_text(taken)
    config = written("taken.yaml")
    assert config["split"]["straddling"] == "tell"
    assert set(sides(config).values()) == {"train", "test"}, "the line is one that can be taken"


@pytest.mark.parametrize(("number", "side"), [(10, "val"), (9, "train")])
def test_validation_folders_are_taken_where_they_are_large_enough(tmp_path, answers, number, side):
    paths = [
        f"{part}/{label}/{part}{n}.png"
        for part, many in (("train", 12), ("valid", number), ("test", 12))
        for label in "ab"
        for n in range(many + (part == "valid" and label == "b"))
    ]
    answers("", "yes", "yes", "")
    new.main([str(tree(tmp_path / "mine", paths))])
    config = written("mine.yaml")
    taken = sides(config)
    assert {one for path, one in taken.items() if path.startswith("valid/")} == {side}
    assert (config["split"]["column"]["val"] is None) == (side == "train")


def test_sides_of_folders_are_those_of_the_paths_and_no_parts_of_names(tmp_path, answers):
    """A folder above all that is called as a side is none."""
    paths = [
        f"valid/{part}/{label}/{part}{n}.png"
        for part, many in (("train", 12), ("val", 2), ("test", 12))
        for label in "ab"
        for n in range(many)
    ]
    answers("", "yes", "yes", "")
    new.main([str(tree(tmp_path / "mine", paths))])
    taken = sides(written("mine.yaml"))
    assert {path.split("/")[1]: side for path, side in taken.items()} == {
        "train": "train", "test": "test", "val": "train"
    }  # fmt: skip


def test_a_column_of_sides_is_a_split(tmp_path, answers, capsys):
    side = ["Train", "Train", "Valid", "Test"]
    rows = [f"images/{n}.png,p{n // 2},{n % 2},{side[n // 2 % 4]}" for n in range(40)]
    root = archive(tmp_path / "mine", "path,patient,label,Data Split", rows)
    new.main([str(root)])
    assert "A split is given: column 'Data Split'" in capsys.readouterr().out
    text = Path("mine.yaml").read_text()
    assert "# split: {source: column, column: {name: Data Split, train: [Train]" in text
    answers("", "", "", "", "", "two")
    new.main([str(root)])
    given = sides(written("two.yaml"))
    assert [given[f"images/{n}.png"] for n in range(8)] == [
        *["train"] * 4, "val", "val", "test", "test"
    ]  # fmt: skip


def test_a_split_with_a_side_without_a_class_is_not_taken(tmp_path, answers, capsys):
    side = ["Train", "Train", "Valid", "Test"]
    rows = [f"images/{n}.png,p{n},{n % 2},{side[n // 2 % 4]}" for n in range(40)]
    lost = [row.replace("0,Test", "0,Valid") for row in rows]
    root = archive(tmp_path / "mine", "path,patient,label,Data Split", lost)
    answers("", "", "", "", "")
    new.main([str(root)])
    reason = "no image labelled label_0 is on the side test"
    assert f"it is not taken: {reason}" in capsys.readouterr().out
    config = written("mine.yaml")
    assert config["split"]["source"] == "drawn"
    text = " ".join(Path("mine.yaml").read_text().split("\n# "))
    assert f"is not taken: {reason}. In place of the line above, this one takes it once" in text
    assert "straddling" not in text


def test_lists_of_files_are_a_split(tmp_path, answers, capsys):
    root = archive(tmp_path / "mine")
    for name, numbers in (("train_val_list.txt", range(30)), ("test_list.txt", range(30, 40))):
        (root / name).write_text("".join(f"{n}.png\n" for n in numbers))
    (root / "latest_news.txt").write_text("no list\n")
    answers("", "", "", "", "", "")
    new.main([str(root)])
    config = written("mine.yaml")
    assert config["split"]["lists"]["train"] == "train_val_list.txt"
    assert sorted(path for path, side in sides(config).items() if side == "test") == sorted(
        f"images/{n}.png" for n in range(30, 40)
    )


@pytest.mark.parametrize("second", ["train_val_list.txt", "valid_names.txt", "test-files.txt"])
def test_where_a_side_has_several_lists_none_is_taken(tmp_path, capsys, second):
    root = archive(tmp_path / "mine")
    for name, numbers in (("train", range(20)), ("val", range(20, 30)), ("test", range(30, 40))):
        (root / f"{name}_list.txt").write_text("".join(f"{n}.png\n" for n in numbers))
    new.main([str(root), "--study", "one"])
    assert "A split is given: train_list.txt, val_list.txt, test" in capsys.readouterr().out
    (root / second).write_text("39.png\n")
    new.main([str(root), "--study", "two"])
    assert "A split is given" not in capsys.readouterr().out


def test_tables_of_one_name_in_several_folders_are_further_ones(tmp_path, capsys):
    root = archive(tmp_path / "mine")
    rows = (root / "labels.csv").read_text().splitlines()
    (root / "labels.csv").unlink()
    for folder, some in (("train", rows[1:31]), ("test", rows[31:])):
        (root / folder).mkdir()
        (root / folder / "labels.csv").write_text("\n".join([rows[0], *some]))
    new.main([str(root), "--table", "train/labels.csv"])
    assert "Tables of the same columns: test/labels.csv (" in capsys.readouterr().out
    assert "# further: [test/labels.csv]" in Path("mine.yaml").read_text()


def test_further_tables_are_named(tmp_path, capsys):
    root = archive(tmp_path / "mine", table="train.csv")
    first, *rows = (root / "train.csv").read_text().splitlines()
    archive(root, rows=rows[:30], table="train.csv")
    archive(root, rows=rows[30:], table="valid.csv")
    archive(root, "a,b", ["1,2"], table="other.csv")
    new.main([str(root), "--table", "train.csv"])
    assert "Tables of the same columns: valid.csv" in capsys.readouterr().out
    text = Path("mine.yaml").read_text()
    assert "# further: [valid.csv]" in text
    assert "split: {source: lists, lists: {train: train.csv, test: valid.csv}}" in text


def test_folders_that_are_no_labels_are_not_taken_for_them(tmp_path):
    for number, paths in enumerate(
        [
            [f"patient{n // 2}/{n}.png" for n in range(40)],
            [f"{('train', 'test')[n % 2]}/{n}.png" for n in range(40)],
            [f"images/{n}.png" for n in range(40)],
        ]
    ):
        root = tree(tmp_path / f"{number}" / "mine", paths)
        with pytest.raises(InputError, match="no CSV file .*layout: folders"):
            new.main([str(root)])
