"""``sscdl new`` where several columns or tables may be meant, or one that is called otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from sscdl.errors import InputError
from sscdl.front import new
from tests.unit.front.image_trees import tree
from tests.unit.own_images import archive, written

pytestmark = pytest.mark.usefixtures("here")


def rows(more: str, number: int = 40) -> list[str]:
    """Return rows of a table of the images 0.png, 1.png, ..., with what ``more`` makes of each."""
    return [f"images/{n}.png,p{n // 2},{more.format(n=n, a='ab'[n % 2])}" for n in range(number)]


@pytest.mark.parametrize(
    ("columns", "cells", "said"),
    [
        ("diagnosis,smoker", "d{n},{a}", r"\('diagnosis' has 40 different texts\)"),
        ("label,smoker,label", "{a},{a},{a}", r"\('label' is there twice\)"),
        ("label,finding,label", "{a},{a},{a}", r"\('label' is there twice\)"),
        ("finding,diagnosis", "{a},d{n}", r"\('diagnosis' has 40 different texts\)"),
        ("smoker", "{a}", r"\(no column of few texts is called as a label\)"),
        ("finding,label", "{a},{a}", r"\('finding' and 'label' are called so\)"),
    ],
)
def test_a_column_is_not_the_label_because_the_others_are_none(
    tmp_path, capsys, columns, cells, said
):
    root = archive(tmp_path / "mine", f"path,patient,{columns}", rows(cells))
    with pytest.raises(InputError, match=f"Column of the label: .*{said}; give --label COLUMN"):
        new.main([str(root)])
    if "," in columns and columns.count("label") == 2:
        assert "not read, as it is there twice: label" in capsys.readouterr().out
    else:
        told = columns.split(",")[cells.split(",").index("{a}")]
        new.main([str(root), "--label", told])
        assert written("mine.yaml")["classes"] == ["a", "b"]


def test_folders_that_may_be_labels_are_not_passed_over(tmp_path, capsys):
    """The table may be one of scanners."""
    names = [f"{('NORMAL', 'ILL')[n % 2]}/patient{n // 2}_{n}.png" for n in range(60)]
    root = tree(tmp_path / "mine", [*names, *(f"masks/{name}" for name in names)])
    lines = [f"{name},{'AB'[n // 2 % 2]},{n // 2}" for n, name in enumerate(names)]
    (root / "meta.csv").write_text("\n".join(["file,scanner,patient", *lines]))
    with pytest.raises(InputError, match="give --label COLUMN, or --no-table for what the folders"):
        new.main([str(root)])
    assert "not taken (--no-table takes them): ILL (30), NORMAL (30)" in capsys.readouterr().out
    new.main([str(root), "--no-table"])
    assert sorted(written("mine.yaml")["classes"]) == ["ill", "normal"]


@pytest.mark.parametrize(
    ("columns", "sure"),
    [
        ("mask,scan", ""),
        ("scan,radiograph", ""),
        ("mask,file", "file"),
        ("mask path,path", "path"),
        ("image,path", ""),
        ("file,seg file", "file"),
        ("mask,", ""),
        ("drawn,file", "file"),
    ],
)
def test_of_several_columns_of_files_the_one_that_is_called_so_is_taken(tmp_path, columns, sure):
    """That of masks is never."""
    first, second = columns.split(",")
    cells = [("i/{n}.png", "m/{n}_mask.png")["mask" in name or name == "drawn"]
             for name in (first, second)]  # fmt: skip
    paths = [f"{where.format(n=n)}" for where in set(cells) for n in range(40)]
    root = tree(tmp_path / "mine", paths)
    lines = [
        ",".join(
            [*(cell.format(n=n) for cell, name in zip(cells, (first, second), strict=True) if name),
             f"p{n}", "ab"[n % 2]]
        )
        for n in range(40)
    ]  # fmt: skip
    header = ",".join(filter(None, [first, second, "patient", "label"]))
    (root / "t.csv").write_text("\n".join([header, *lines]))
    if sure:
        new.main([str(root)])
        assert written("mine.yaml")["dataset"]["table"]["columns"]["file"] == sure
        return
    with pytest.raises(InputError, match="name image files.*; give --file COLUMN"):
        new.main([str(root)])
    new.main([str(root), "--file", first])
    assert written("mine.yaml")["dataset"]["table"]["columns"]["file"] == first


def test_of_the_column_of_files_or_patients_there_may_be_two(tmp_path):
    root = tree(tmp_path / "mine", [f"images/{n}.png" for n in range(40)])
    for columns, said in [
        ("scan,patient,label,file,file", "'file' is there twice.; give --file COLUMN"),
        ("file,subject,label,patient,patient", ".'patient' is there twice.; give --patient COL"),
    ]:
        lines = [f"{n}.png,{n // 2},{'ab'[n % 2]},{n},{n}" for n in range(40)]
        (root / "t.csv").write_text("\n".join([columns, *lines]))
        with pytest.raises(InputError, match=said):
            new.main([str(root)])


def test_two_columns_that_are_called_as_patients_go_before_names_of_files(tmp_path):
    paths = [f"patient{n}.png" for n in range(40)]
    root = tree(tmp_path / "mine", paths)
    lines = [f"{path},{n // 2},{n // 4},{'ab'[n // 4 % 2]}" for n, path in enumerate(paths)]
    (root / "t.csv").write_text("\n".join(["file,patient,subject,label", *lines]))
    with pytest.raises(InputError, match="'patient' and 'subject' are called so.; give --patient"):
        new.main([str(root)])


def test_a_table_of_which_most_files_are_missing_is_no_smaller_one(tmp_path, answers):
    root = archive(tmp_path / "mine", "path,patient_id,finding", rows("{a}", 120), table="all.csv")
    archive(root, "file,who,kind", rows("{n}", 15), table="boxes.csv")
    with pytest.raises(InputError) as refused:
        new.main([str(root)])
    said = str(refused.value)
    assert said.index(str(root / "all.csv")) < said.index(str(root / "boxes.csv"))
    assert "'file' of boxes.csv names 15 of 40 files; 'path' of all.csv names 40 of 40" in said
    assert "give --table CSV, or --no-table" in said
    with pytest.raises(
        InputError, match="40 of 120 texts of the likeliest column, 'path', .*--fil"
    ):
        new.main([str(root), "--table", "all.csv"])
    new.main([str(root), "--table", "all.csv", "--file", "path"])
    assert written("mine.yaml")["dataset"]["table"]["table"] == "all.csv"
    (root / "boxes.csv").unlink()
    with pytest.raises(
        InputError, match="40 of 120 texts of the likeliest column, 'path', .*--fil"
    ):
        new.main([str(root), "--study", "two"])
    answers("", "", "", "", "two")
    new.main([str(root)])
    assert written("two.yaml")["dataset"]["table"]["columns"]["file"] == "path"


def test_numbers_of_something_else_make_no_table_of_the_images(tmp_path):
    """Ages are names of files, too, where these are numbers."""
    root = archive(tmp_path / "mine")
    archive(root, "who,age,weight", [f"q{n},{n},80" for n in range(95)], table="people.csv")
    new.main([str(root)])
    assert written("mine.yaml")["dataset"]["table"]["table"] == "labels.csv"


def test_further_tables_may_have_columns_without_a_name_or_there_twice(tmp_path, capsys):
    """As pandas writes the numbers of rows."""
    for name, header in (
        ("index", ",path,patient,label,x,x"),
        ("twice", "x,path,patient,label,x,"),
    ):
        root = tmp_path / name
        for part in ("train", "valid"):
            tree(root, [f"{part}/{part}{n}.png" for n in range(40)])
            lines = [f"{n},{part}/{part}{n}.png,{part}{n},{'ab'[n % 2]},1,1" for n in range(40)]
            (root / f"{part}.csv").write_text("\n".join([header, *lines]))
        (root / "other.csv").write_text("path,patient,label\n1,2,3\n")
        new.main([str(root), "--table", "train.csv"])
        assert "Tables of the same columns: valid.csv (" in capsys.readouterr().out
        assert "lists: {train: train.csv, test: valid.csv}" in Path(f"{name}.yaml").read_text()


def test_two_tables_are_proposed_as_a_split_if_a_run_takes_them(tmp_path, capsys):
    for part in ("train", "valid"):
        root = tree(tmp_path / "mine", [f"{part}/{part}{n}.png" for n in range(40)])
        lines = [f"{part}/{part}{n}.png\t{part}{n}\t{'ab'[n % 2]}" for n in range(40)]
        (root / f"{part}.tsv").write_text("\n".join(["path\tpatient\tlabel", *lines]))
    new.main([str(root), "--table", "train.tsv"])
    assert "they are no split as they are: split.lists.train: " in capsys.readouterr().out
    text = Path("mine.yaml").read_text()
    assert "# further: [valid.tsv]" in text
    assert "source: lists" not in text


def test_commands_are_printed_as_a_shell_takes_them(tmp_path, capsys):
    new.main([str(archive(tmp_path / "mine")), "--output", "a b.yaml"])
    assert "run 'a b.yaml' plan " in capsys.readouterr().out


@pytest.mark.parametrize("sign", ["$HOME", "{a}"])
def test_a_folder_that_no_study_file_can_name_is_refused_before_it_is_read(
    tmp_path, answers, capsys, sign
):
    root = tmp_path / f"a{sign}"
    root.mkdir()  # without images, which would be said
    with pytest.raises(InputError, match="rename the folder, or give a link"):
        new.main([str(root)])
    answers(str(root))
    with pytest.raises(InputError, match="Folder of the images: no answer"):
        new.main([])
    assert "rename the folder, or give a link" in capsys.readouterr().out
