"""``sscdl new`` on splits that are nearly of the usual form, or lose some of the images."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sscdl.front import new
from tests.unit.front.image_trees import sides, tree
from tests.unit.own_images import archive, written

pytestmark = pytest.mark.usefixtures("here")


def parted(folder: Path, column: str, *texts: str) -> Path:
    """Make a table of 40 images with a column that has these texts in turn."""
    rows = [f"images/{n}.png,p{n},{n % 2},{texts[n // 2 % len(texts)]}" for n in range(40)]
    return archive(folder, f"path,patient,label,{column}", rows)


@pytest.mark.parametrize(
    ("column", "texts", "said"),
    [
        ("split", ["train", "test", "holdout"], "column 'split' with .*; 'holdout' is no usual na"),
        (
            "split",
            ["train", "val"],
            "column 'split' with train .20., val .20.; there is none for t",
        ),
        ("fold", ["1", "2"], "column 'fold' with 1 .20., 2 .20.; '1' is no usual name of a side"),
        ("use", ["dev", "test"], "column 'use' with dev .20., test .20.; there is none for train"),
        ("use", ["train", "test", "x"], "column 'use' with .*; 'x' is no usual name"),
        ("use", ["x", "test"], ""),
    ],
)
def test_a_column_that_is_nearly_a_split_is_told(tmp_path, capsys, column, texts, said):
    new.main([str(parted(tmp_path / "mine", column, *texts)), "--label", "label"])
    out = capsys.readouterr().out
    assert "A split is given" not in out
    if said:
        assert re.search(f"May be a split, and is not taken: {said}", out)
    else:
        assert "May be a split" not in out


def test_a_column_of_sides_is_one_whatever_it_is_called(tmp_path, capsys):
    root = parted(tmp_path / "mine", "use", "train", "test")
    (root / "train_list.txt").write_text("".join(f"{n}.png\n" for n in range(30)))
    (root / "test_list.txt").write_text("".join(f"{n}.png\n" for n in range(30, 40)))
    new.main([str(root), "--label", "label"])
    out = capsys.readouterr().out
    assert "A split is given: column 'use'" in out
    assert "Another split is given, and not looked at: train_list.txt, test_list.txt" in out


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["train.txt"], "lists train.txt; there is none for test"),
        (["test.txt", "val_list.txt"], "lists val_list.txt, test.txt; there is none for train"),
        (["train.txt", "train_list.txt", "test.txt"], "; there are several for train"),
    ],
)
def test_lists_that_are_no_whole_split_are_told(tmp_path, capsys, names, said):
    root = archive(tmp_path / "mine")
    for name in names:
        (root / name).write_text("1.png\n")
    new.main([str(root)])
    assert re.search(f"May be a split, and is not taken: .*{said}\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (("train", "val"), "May be a split, and is not taken: folders train (40), val (40); there"),
        (("other", "train"), "are no split, as not all images are so: train (40)"),
        (("train/images", "test/images"), "A split is given: folders"),
    ],
)
def test_folders_that_are_nearly_a_split_are_told(tmp_path, capsys, parts, said):
    paths = [
        f"{part}/{label}/patient{n}.png"
        for number, part in enumerate(parts)
        for m, label in enumerate("ab")
        for n in range(100 * number + 50 * m, 100 * number + 50 * m + 20)
    ]
    root = tree(tmp_path / "mine", paths)
    new.main([str(root), "--classes", "a", "b"])
    assert said in capsys.readouterr().out


def test_folders_of_sides_beside_a_table_are_told_unless_it_says_the_split(tmp_path, capsys):
    side = ["train", "test"]
    paths = [f"{side[n % 2]}/{n}.png" for n in range(40)]
    root = tree(tmp_path / "mine", paths)
    for columns in ("path,patient,label", "path,patient,label,split"):
        rows = [f"{path},p{n},{n // 2 % 2},{side[n % 2]}" for n, path in enumerate(paths)]
        cut = [",".join(row.split(",")[: columns.count(",") + 1]) for row in rows]
        (root / "t.csv").write_text("\n".join([columns, *cut]))
        new.main([str(root), "--study", f"study{columns.count(',')}"])
        told = "not taken: folders test (20), train (20); with a table" in capsys.readouterr().out
        assert told == ("split" not in columns)


def test_what_a_split_loses_is_told_before_it_is_asked_about(tmp_path, answers, capsys):
    root = archive(tmp_path / "mine")
    gone = "".join(f"gone{n}.png\n" for n in range(7))
    (root / "train_list.txt").write_text("".join(f"{n}.png\n" for n in range(20)) + gone)
    (root / "test_list.txt").write_text("".join(f"{n}.png\n" for n in range(20, 32)))
    asked = answers("", "", "", "", "", "")
    new.main([str(root)])
    out = capsys.readouterr().out
    assert "  split.lists.train: 7 of the 27 names in train_list.txt lead to no image file" in out
    assert "of 40 image files 20 to train on, 12 to test on, 8 on no side; validation is dr" in out
    assert "Take this split" in asked[-2]


def test_lists_of_other_images_are_no_split_and_told(tmp_path, capsys):
    root = archive(tmp_path / "mine")
    for name in ("train.txt", "test.txt"):
        (root / name).write_text("gone.png\n")
    new.main([str(root)])
    assert "  it is not taken: split.lists.train: none of the 1 names" in capsys.readouterr().out


def test_a_folder_of_validation_that_trains_is_told(tmp_path, capsys):
    paths = [
        f"{part}/{label}/patient{label == 'b' and 1 or 2}{first + n}.png"
        for part, number, first in (("train", 12, 100), ("val", 2, 200), ("test", 12, 300))
        for label in "ab"
        for n in range(number)
    ]
    new.main([str(tree(tmp_path / "mine", paths))])
    out = capsys.readouterr().out
    assert "  val: 4 images, too few to choose by, that train, too\n" in out
    assert "of 52 image files 28 to train on, 24 to test on, 0 on no side" in out
    text = Path("mine.yaml").read_text()
    taken = re.sub("^split:.*\n", "", text, flags=re.M).replace("\n# split:", "\nsplit:")
    Path("taken.yaml").write_text(taken)
    assert list(sides(written("taken.yaml")).values()).count("train") == 28
