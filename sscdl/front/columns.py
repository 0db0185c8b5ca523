"""Which table and which of its columns a study is made from: told, sure, or asked."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from sscdl.archives.lookup import find_files
from sscdl.csv_rows import MissingColumn, check_columns
from sscdl.errors import InputError
from sscdl.front import propose
from sscdl.front.ask import Asker
from sscdl.front.classes import labels_of
from sscdl.front.levels import levels_of
from sscdl.front.look import Folder, Table
from sscdl.front.patients import patient_setting
from sscdl.front.spellings import settled
from sscdl.words import many, nearest

_FIRST = 1000  # rows of a table that are read to see whether it is one of the images
_MOST_SHOWN = 20  # names of tables, or columns, in a message
_NO_TABLE = "none"


def image_table(folder: Folder, options: argparse.Namespace, asker: Asker) -> Table | None:
    """Return the table of the images, None if there is none: told, sure, or asked.

    One in the folder that cannot be read may be it: InputError says what is to be repaired, unless
    another one is found, or ``--no-table`` is given. One beside the folder may be of anything.
    """
    if options.no_table:
        return None
    if options.table:
        return _told(folder, options.table)
    fit: list[Path] = []
    partly: list[Path] = []
    damaged: dict[Path, InputError] = {}
    for path in folder.tables:
        try:
            if _names_images(path, folder):
                fit.append(path)
            elif propose.partial_column(folder.table(path), folder)[1] >= propose.FEWEST_IMAGES:
                partly.append(path)
        except InputError as error:
            damaged[path] = error
    meant = next((one for one in damaged if one.is_relative_to(folder.root) and not fit), None)
    for path, why in damaged.items():
        if path != meant:
            print(f"  not taken: {why}")
    if meant:
        raise InputError(
            f"{damaged[meant]}. If that is not the table of the images, give --table, or "
            "--no-table if their paths tell the labels"
        )
    likely = [*fit, *partly]
    if not likely:
        return None
    if len(likely) == 1 and (fit or not levels_of(folder.paths)):
        return folder.table(likely[0])
    named = {path: _named(path, folder) for path in likely}
    known = [*(str(path) for path in sorted(named, key=lambda one: -named[one][0])), _NO_TABLE]
    flags = "--table CSV, or --no-table"
    how_many = "; ".join(words for _, words in named.values())
    chosen = asker.choose("Table", known, known[0], flags, sure=False, why=how_many)
    return None if chosen == _NO_TABLE else folder.table(Path(chosen))


def _named(path: Path, folder: Folder) -> tuple[int, str]:
    """Return how many image files a table names, and the same in words."""
    try:
        table = folder.table(path)
    except InputError as error:  # below the rows by which it was found
        return 0, str(error)
    column = propose.file_column(table, folder).first or propose.partial_column(table, folder)[0]
    number = folder.named(table.counts[column])
    files = many(len(folder.paths), "file")
    return number, f"{column!r} of {path.name} names {number:,} of {files}"


def table_settings(
    table: Table, folder: Folder, options: argparse.Namespace, asker: Asker
) -> dict[str, Any]:
    """Return the settings of a folder with a table."""
    names = ", ".join(" ".join(name.split()) for name in list(table.columns)[:_MOST_SHOWN])
    names += (
        f" and {len(table.columns) - _MOST_SHOWN:,} more"
        if len(table.columns) > _MOST_SHOWN
        else ""
    )
    print(f"{table.path}: {many(table.rows, 'row')} of {names}")
    if table.doubled:
        print(f"  not read, as it is there twice: {', '.join(table.doubled)}")
    if by_folder := levels_of(folder.paths):
        shown = "; or ".join(one.shown for one in by_folder)
        print(f"  folders that may be labels, too, are not taken (--no-table takes them): {shown}")
    for flag in ("file", "patient", "label"):
        if (name := getattr(options, flag)) is not None and name not in table.columns:
            _refuse_column(flag, name, table)
    file = options.file or _file(table, folder, asker)
    patient = settled(table, patient_setting(table, folder, options, asker, file), options, asker)
    taken = [file, patient if isinstance(patient, str) else patient["column"]]
    label = options.label or _label(table, asker, taken, folders=bool(by_folder))
    columns: dict[str, Any] = {"file": file, **({"patient": patient} if patient else {})}
    columns |= propose.describing_columns(table, [*taken, label])
    path = table.path
    inside = path.is_relative_to(folder.root)
    return {
        "layout": "table",
        "root": folder.root,
        "table": path.relative_to(folder.root) if inside else path,
        "id_key": "sscdl",
        "columns": columns,
        "labels": labels_of(table, label, options, asker),
        **({"several": True} if options.findings else {}),
    }


def _refuse_column(flag: str, name: str, table: Table) -> NoReturn:
    """Raise InputError: what ``flag`` gives is no column that the table has once."""
    try:
        check_columns(table.path, [name])
    except MissingColumn:
        near = nearest(name, table.columns)
        hint = f"did you mean {near!r}?" if near else "give one of those"
        raise InputError(
            f"--{flag} {name}: {table.path} has no such column (it has "
            f"{', '.join(table.columns)}); {hint}"
        ) from None
    except InputError as error:
        raise InputError(f"--{flag}: {error}") from None
    raise InputError(f"--{flag} {name!r}: a column without a name is none; name it in the table")


def only_table(folder: Folder, options: argparse.Namespace) -> Table:
    """Return the only table that can be read, whose columns options may tell.

    Raises InputError if there is no such, or ``--no-table`` is given: then neither a table nor the
    paths tell the labels.
    """
    whole = [] if options.no_table else [one for one in folder.tables if _is_whole(one, folder)]
    if len(whole) == 1:
        return folder.table(whole[0])
    if whole:
        names = ", ".join(map(str, whole[:_MOST_SHOWN]))
        more = f" and {len(whole) - _MOST_SHOWN:,} more" if len(whole) > _MOST_SHOWN else ""
        raise InputError(
            f"{folder.root}: none of the {len(whole):,} CSV files has a column that names the "
            f"images ({names}{more}); give --table, or a table with the path of each image"
        )
    found = "no CSV file in it or beside it" + (" that can be read" if folder.tables else "")
    if options.no_table:
        found = "its folders are not called after labels, and there is no table (--no-table)"
    whose = (
        "the patient may be missing, as DICOM headers tell"
        if folder.all_dicom
        else "and one with the patient"
    )
    raise InputError(
        f"{folder.root}: {folder.told}, but {found}. A study needs labels: write a table with a "
        f"row for each image, with a column for the file's path and one for the label ({whose}); "
        "then give --table if it lies elsewhere. Where the paths tell the labels, patterns in a "
        "study file say how: layout: folders, as in config/kermany.yaml of the project"
    )


def _told(folder: Folder, told: Path) -> Table:
    """Return the table that ``--table`` gives."""
    found = [one for one in (folder.root / told, told) if one.is_file()]
    if not found:
        there = ", ".join(map(str, folder.tables[:_MOST_SHOWN])) or "none"
        near = nearest(told.name, (path.name for path in folder.tables))
        hint = f"; did you mean {near!r}?" if near else ""
        raise InputError(
            f"--table {told}: there is no such file, neither in {folder.root} nor here; CSV files "
            f"that were found: {there}{hint}"
        )
    return folder.table(Path(os.path.abspath(found[0])))


def _names_images(path: Path, folder: Folder) -> bool:
    """Return whether a column of a table names image files; InputError if it cannot be read.

    Its first rows tell or, as files may be there that only later ones name, all.
    """
    first = propose.file_column(Table(path, _FIRST), folder)
    return bool(first.columns or propose.file_column(folder.table(path), folder).columns)


def _is_whole(path: Path, folder: Folder) -> bool:
    try:
        return bool(folder.table(path).rows)
    except InputError:
        return False  # said where the table was looked for


def _file(table: Table, folder: Folder, asker: Asker) -> str:
    """Return the column that names the image files."""
    found = propose.file_column(table, folder)
    column, number = ("", 0) if found.columns else propose.partial_column(table, folder)
    if number:
        found = propose.Proposal(
            (column,),
            False,
            f"{number:,} of {len(table.counts[column]):,} texts of the likeliest column, "
            f"{column!r}, name image files below {folder.root}",
        )
    if not found.columns:
        texts = [text for counts in table.counts.values() for text in counts]
        if not texts:
            raise InputError(f"{table.path}: all cells are empty; give another table")
        column = next(name for name, counts in table.counts.items() if counts)
        why = find_files(texts[:1], folder.paths)[1].get(texts[0], "others do not")
        raise InputError(
            f"{table.path}: no column names image files below {folder.root} (column {column!r} has "
            f"{texts[0]!r}: {why}; such a file is {folder.paths[0]!r}); give the folder that the "
            "paths begin at, or a table with a column of file names"
        )
    return asker.choose(
        "Column of the image files",
        list(table.columns),
        found.first,
        "--file COLUMN",
        sure=found.sure,
        why=found.why,
    )


def _label(table: Table, asker: Asker, taken: Sequence[str], *, folders: bool) -> str:
    """Return the column of the labels; ``folders`` says whether folders may be labels, too."""
    found = propose.label_column(table, taken)
    left = [name for name in table.columns if name not in taken]
    if not left:
        raise InputError(f"{table.path}: has no column for a label; add one")
    return asker.choose(
        "Column of the label",
        left,
        found.first,
        "--label COLUMN" + (", or --no-table for what the folders say" if folders else ""),
        sure=found.sure,
        why="" if found.sure else found.why,
    )
