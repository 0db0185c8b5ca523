"""Which CSV file ``sscdl new`` takes for the table of the images, and how often it reads it."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from sscdl.errors import InputError
from sscdl.front import columns, look, new, propose
from tests.unit.own_images import PNG, archive, written

pytestmark = pytest.mark.usefixtures("here")

BANK = "Empfänger,Betrag\nBäcker,2\n".encode("latin-1")


def labelled(root: Path) -> Path:
    """Make images whose folders are called after labels, and whose names tell the patient."""
    for n in range(40):
        path = root / f"{('normal', 'ill')[n % 2]}/patient{n // 2}_{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG)
    return root


def damaged(path: Path) -> None:
    """Write the table of an archive with a row that lacks a field."""
    path.write_text("path,patient_id,finding\nimages/0.png,p0\n")


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        ([BANK], "not taken: .*0.csv, line 1: a byte .* is no text in UTF-8"),
        ([b"what,price\n"], "not taken: .*0.csv: has no rows"),
        ([b"what,price\nbread,cheap\n"] * 21, "no table; folders that may be labels"),
        ([b"what,price\nbread,cheap\n", BANK], "not taken: .*1.csv, line 1: a byte"),
    ],
)
def test_what_lies_beside_the_folder_never_stands_in_its_way(tmp_path, capsys, beside, said):
    root = labelled(tmp_path / "mine")
    for number, content in enumerate(beside):
        (tmp_path / f"{number}.csv").write_bytes(content)
    new.main([str(root)])
    assert written("mine.yaml")["dataset"]["layout"] == "folders"
    assert re.search(said, capsys.readouterr().out)


def test_tables_of_other_things_do_not_count_however_many_there_are(tmp_path):
    root = labelled(tmp_path / "mine")
    for number in range(21):
        (root / f"{number}.csv").write_text("what,price\nbread,cheap\n")
    new.main([str(root)])
    assert written("mine.yaml")["dataset"]["layout"] == "folders"
    archive(root)
    new.main([str(root), "--study", "with"])
    assert written("with.yaml")["dataset"]["table"]["table"] == "labels.csv"


def test_one_in_the_folder_that_cannot_be_read_may_be_the_table(tmp_path, capsys):
    root = labelled(tmp_path / "mine")
    damaged(root / "labels.csv")
    (root / "zz.csv").write_bytes(BANK)
    with pytest.raises(InputError, match=r"labels\.csv, line 2: .*give --table, or --no-table if"):
        new.main([str(root)])
    assert "not taken: " in (said := capsys.readouterr().out)
    assert "zz.csv" in said
    assert list(Path().iterdir()) == []
    new.main([str(root), "--no-table"])
    assert written("mine.yaml")["dataset"]["layout"] == "folders"


def test_one_that_is_found_need_not_wait_until_others_are_repaired(tmp_path, capsys):
    root = archive(tmp_path / "mine")
    damaged(root / "broken.csv")
    new.main([str(root)])
    assert written("mine.yaml")["dataset"]["table"]["table"] == "labels.csv"
    assert "not taken: " in (said := capsys.readouterr().out)
    assert "broken.csv, line 2" in said


def test_the_table_itself_is_told_to_be_damaged_wherever_that_is(tmp_path, monkeypatch):
    """Rows behind those that tell which table it is are read, too."""
    monkeypatch.setattr(columns, "_FIRST", 10)
    root = archive(tmp_path / "mine")
    with (root / "labels.csv").open("a") as file:
        file.write("images/0.png,p0\n")
    with pytest.raises(InputError, match=r"labels\.csv, line 42: the row does not have"):
        new.main([str(root)])


def test_a_table_whose_first_rows_name_no_file_is_one_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(columns, "_FIRST", 10)
    root = labelled(tmp_path / "mine")
    paths = [path.relative_to(root) for path in root.glob("*/*.png")]
    gone = [f"gone/patient{n}_x.png" for n in range(20)]
    rows = [f"{path},{n % 2}" for n, path in enumerate([*gone, *paths])]
    (root / "labels.csv").write_text("\n".join(["path,label", *rows]))
    new.main([str(root)])
    assert written("mine.yaml")["dataset"]["layout"] == "table"


def test_without_a_table_nothing_but_the_folders_can_tell_labels(tmp_path):
    root = archive(tmp_path / "mine")
    with pytest.raises(InputError, match=r"there is no table \(--no-table\)\. A study needs label"):
        new.main([str(root), "--no-table"])
    for number in range(25):
        (root / f"{number:02}.csv").write_text("what,price\nbread,cheap\n")
    (root / "labels.csv").unlink()
    with pytest.raises(InputError, match=r"none of the 25 CSV files .*and 5 more\); give --table"):
        new.main([str(root)])


def test_none_of_several_tables_may_be_meant(tmp_path, answers, monkeypatch):
    root = labelled(tmp_path / "mine")
    rows = [f"{path.relative_to(root)},{n % 2}" for n, path in enumerate(root.glob("*/*.png"))]
    for name in ("a.csv", "b.csv"):
        (root / name).write_text("\n".join(["path,label", *rows]))
    with pytest.raises(InputError, match="Table: .*give --table CSV, or --no-table"):
        new.main([str(root)])
    monkeypatch.setattr(columns, "_FIRST", 10)
    with (root / "b.csv").open("a") as file:
        file.write("\nimages/0.png\n")
    with pytest.raises(InputError, match="'path' of a.csv names 40 of 40 files; .*b.csv, line 42"):
        new.main([str(root)])
    asked = answers("none", "", "")
    new.main([str(root)])
    assert asked[0] == f"Table [{root / 'a.csv'}]: "
    assert written("mine.yaml")["dataset"]["layout"] == "folders"


def test_each_table_is_read_once_and_judged_by_its_first_rows(tmp_path, monkeypatch):
    read: dict[str, list[int]] = defaultdict(list)
    judged: list[int] = []
    rows_of, column_of = look.read_rows, propose.file_column

    def counted(path, names):
        read[path.name].append(0)
        for row in rows_of(path, names):
            read[path.name][-1] += 1
            yield row

    def judge(table, folder):
        judged.append(table.rows)
        return column_of(table, folder)

    monkeypatch.setattr(columns, "_FIRST", 10)
    monkeypatch.setattr(look, "read_rows", counted)
    monkeypatch.setattr(propose, "file_column", judge)
    root = archive(tmp_path / "mine")
    new.main([str(root)])
    assert read == {"labels.csv": [10, 40]}
    assert judged == [10, 40]
    read.clear()
    with pytest.raises(InputError, match="no such column"):
        new.main([str(root), "--table", "labels.csv", "--label", "x", "--study", "two"])
    assert read == {"labels.csv": [40]}
