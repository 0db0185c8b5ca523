"""Which table and which of its columns a study is made from: told, sure, or asked."""

from __future__ import annotations

import argparse
import difflib
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
from sscdl.front.look import Folder, Table
from sscdl.front.patients import patient_setting

_MOST_TABLES = 20


def has_table(folder: Folder) -> bool:
    """Return whether a CSV file names images, or may once what is wrong with it is repaired."""
    for path in folder.tables[:_MOST_TABLES]:
        try:
            if propose.file_column(Table(path), folder).sure:
                return True
        except InputError:
            return True  # who reads it says what is wrong
    return len(folder.tables) > _MOST_TABLES


def table_settings(folder: Folder, options: argparse.Namespace, asker: Asker) -> dict[str, Any]:
    """Return the settings of a folder with a table."""
    table = _table(folder, options, asker)
    names = ", ".join(" ".join(name.split()) for name in table.columns)
    print(f"{table.path}: {table.rows:,} rows of {names}")
    for flag in ("file", "patient", "label"):
        if (name := getattr(options, flag)) is not None and name not in table.columns:
            _refuse_column(flag, name, table)
    file = options.file or _file(table, folder, asker)
    patient = patient_setting(table, folder, options, asker, file)
    taken = [file, *([patient] if isinstance(patient, str) else [])]
    label = options.label or _label(table, asker, taken)
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
        "labels": labels_of(table, label, options.classes, asker),
    }


def _refuse_column(flag: str, name: str, table: Table) -> NoReturn:
    """Raise InputError: what ``flag`` gives is no column that the table has once."""
    try:
        check_columns(table.path, [name])
    except MissingColumn:
        near = difflib.get_close_matches(name, list(table.columns), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "give one of those"
        raise InputError(
            f"--{flag} {name}: {table.path} has no such column (it has "
            f"{', '.join(table.columns)}); {hint}"
        ) from None
    except InputError as error:
        raise InputError(f"--{flag}: {error}") from None
    raise InputError(f"--{flag} {name!r}: a column without a name is none; name it in the table")


def _table(folder: Folder, options: argparse.Namespace, asker: Asker) -> Table:
    """Return the table of the images."""
    if options.table:
        found = [one for one in (folder.root / options.table, options.table) if one.is_file()]
        if not found:
            there = ", ".join(map(str, folder.tables)) or "none"
            raise InputError(
                f"--table {options.table}: there is no such file, neither in {folder.root} nor "
                f"here; CSV files that were found: {there}"
            )
        return Table(Path(os.path.abspath(found[0])))
    if not folder.tables:
        whose = (
            "the patient may be missing, as DICOM headers tell"
            if folder.all_dicom
            else "and one with the patient"
        )
        raise InputError(
            f"{folder.root}: {folder.told}, but no CSV file in it or beside it. A study needs "
            "labels: write a table with a row for each image, with a column for the file's path "
            f"and one for the label ({whose}); then give --table if it lies elsewhere. Where the "
            "paths tell the labels, patterns in a study file say how: layout: folders, as in "
            "config/kermany.yaml of the project"
        )
    if len(folder.tables) == 1:
        return Table(folder.tables[0])
    names = {str(path): path for path in folder.tables}
    if len(names) > _MOST_TABLES:
        raise InputError(f"{folder.root}: {len(names)} CSV files; say with --table which is meant")
    read: dict[str, Table] = {}
    for name, path in names.items():
        try:
            read[name] = Table(path)
        except InputError as error:
            print(f"  not taken: {error}")
    fit = {n: t for n, t in read.items() if propose.file_column(t, folder).sure}
    if not fit:
        raise InputError(
            f"{folder.root}: none of the {len(names)} CSV files has a column that names the images "
            f"({', '.join(names)}); give --table, or a table with the path of each image"
        )
    first = next(iter(fit))
    chosen = asker.choose("Table", list(fit), first, "--table", sure=len(fit) == 1)
    return fit[chosen]


def _file(table: Table, folder: Folder, asker: Asker) -> str:
    """Return the column that names the image files."""
    found = propose.file_column(table, folder)
    if not found.columns:
        column = next(name for name, counts in table.counts.items() if counts)
        text = next(iter(table.counts[column]))
        why = find_files([text], folder.paths)[1].get(text, "others do not")
        raise InputError(
            f"{table.path}: no column names image files below {folder.root} (column {column!r} has "
            f"{text!r}: {why}; such a file is {folder.paths[0]!r}); give the folder that the paths "
            "begin at, or a table with a column of file names"
        )
    return asker.choose(
        "Column of the image files", list(table.columns), found.first, "--file", sure=found.sure
    )


def _label(table: Table, asker: Asker, taken: Sequence[str]) -> str:
    """Return the column of the labels."""
    found = propose.label_column(table, taken)
    left = [name for name in table.columns if name not in taken]
    if not left:
        raise InputError(f"{table.path}: has no column for a label; add one")
    return asker.choose("Column of the label", left, found.first, "--label COLUMN", sure=found.sure)
