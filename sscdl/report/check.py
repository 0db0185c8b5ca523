"""Make a study's tables again from its predictions and compare them cell by cell.

python -m sscdl tables check results/STUDY

What predictions cannot tell (learning rates, batch sizes, how hard a task is) is left out, and so
are tables that are made of trained stages alone.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from sscdl.command_line import command_parser
from sscdl.errors import InputError
from sscdl.evaluation.prediction_files import FOLDERS, OF_MODELS, OWN, folders_of
from sscdl.files import HOME
from sscdl.own_csv import SAME_FILE, read_own
from sscdl.study.thesis import OF_RATES, THESIS_TABLES
from sscdl.tables.beside import beside
from sscdl.tables.comparisons import MARGIN
from sscdl.tables.overview import beside_thesis
from sscdl.tables.predictions import PREDICTION_TABLES
from sscdl.tables.thesis.tables import FROM_POINTERS
from sscdl.tables.thesis.write import make_table
from sscdl.tables.write import read_predictions
from sscdl.words import many

THESIS = HOME / "resources" / "thesis"
# Columns that say what a row is about, in any table.
KEYS = (
    *("variant", "curriculum", "pretraining", "against", "study", "seed", "split", "shown"),
    *("order", "label_share", "group", "label", "predicted", "bin", "positive", "rule", "finding"),
)
BESIDE = "beside"
# Tables that name every model, of studies of classes and of findings.
EVERY = ("accuracy_details", "finding_scores")
TOLERANCE = 1e-8  # relative, and absolute near zero: tables are written with ten digits


def main(arguments: list[str] | None = None) -> int:
    """Run the command: 0 if every cell is as the predictions say, 1 if not."""
    parser = command_parser(__doc__, "tables")
    commands = parser.add_subparsers(required=True, metavar="check")
    check = commands.add_parser("check", help="make the tables again and compare every cell")
    check.add_argument("results", type=Path, help="results folder of a study: results/demo")
    check.add_argument("--split", default="test", help="the reported set of images")
    options = parser.parse_args(arguments)
    faults, checked = check_tables(options.results, split=options.split)
    for fault in faults:
        print(fault)
    cells = sum(checked.values())
    differ = many(len(faults), "differs", "differ")
    print(f"{many(len(checked), 'table')}, {many(cells, 'cell')} made again; {differ}.")
    return 1 if faults else 0


def check_tables(
    results: Path, *, split: str = "test", thesis: Path = THESIS
) -> tuple[list[str], dict[str, int]]:
    """Return what differs between a study's tables and its predictions, and the cells compared.

    Args:
        results: results folder of a study.
        split: the reported set of images.
        thesis: folder of the thesis's tables.

    Returns:
        one line for each fault, and the number of cells that were made again, by table.

    Raises:
        InputError: the folder has no predictions or none of the tables, or a file is empty, cut
            off within a line, or no table.
    """
    if not list((results / "predictions").glob("*.csv")):
        raise InputError(f"{results}: no predictions/*.csv; give the results folder of a study")
    # Of the study itself there are some.
    read: dict[str, Any] = {name: _read(results / "predictions" / name) for name in FOLDERS}
    faults = []
    if any((results / "tables" / f"{name}.csv").is_file() for name in EVERY):
        known = _models_named(results / "tables")
        faults = _strays(read[OWN], known)
        for folder in OF_MODELS:
            if read[folder] is not None:
                read[folder] = read[folder][_model(read[folder]).isin(known)]
    rows = read[OWN]
    faults += _short(rows, results / "predictions")
    made = [name for name, table in THESIS_TABLES.items() if table.kind not in OF_RATES]
    checked = {}
    for name in (*PREDICTION_TABLES, *made, BESIDE):
        path = results / "tables" / f"{name}.csv"
        if not path.is_file():
            continue
        margin = _margin(path)
        if name in PREDICTION_TABLES:
            parts = {folder: read[folder] for folder in folders_of(name)}
            missing = [folder for folder, part in parts.items() if part is None]
            if missing:
                faults.append(f"{name}: no predictions/{missing[0]}/*.csv to make it from")
                continue
            again = PREDICTION_TABLES[name].make(pd.concat(parts.values()), split, thesis, margin)
        elif name == BESIDE:
            others, gone = _other_studies(path)
            faults += [f"{BESIDE}: {fault}" for fault in gone]
            if gone:
                continue
            again = beside(rows, others, split, margin=margin)
        else:
            again = make_table(name, rows, [], split=split, thesis=thesis, batches={}).drop(
                columns=list(FROM_POINTERS), errors="ignore"
            )
        written = _as_text(path)
        # The study may have left out what the thesis prints, but not some of it.
        figures = any(str(column).endswith("_thesis") for column in written)
        again, _ = beside_thesis(again, (), figures=figures)
        again = _as_text(io.StringIO(again.to_csv(index=False)))
        if name in THESIS_TABLES:
            written = written.drop(columns=list(FROM_POINTERS), errors="ignore")
        checked[name] = again.size
        faults += [f"{name}: {fault}" for fault in differences(written, again)]
    if not checked:
        raise InputError(f"{results}: none of the tables that predictions make is in tables/")
    return faults, checked


def _model(rows: pd.DataFrame) -> pd.Series:
    return rows["variant"] + " " + rows["curriculum"]


def _models_named(tables: Path) -> set[str]:
    """Return the models that any of the tables names."""
    read = [_as_text(path) for path in tables.glob("*.csv")]
    return set().union(*(_model(t) for t in read if {"variant", "curriculum"} <= set(t)))


def _short(rows: pd.DataFrame, folder: Path) -> list[str]:
    """Return a fault for each file that has fewer rows than others of its variant.

    Models of a variant predict the same images: such a file was cut off between two lines.
    """
    sizes: Any = rows.groupby(["variant", "curriculum", "seed"]).size()  # by all three
    most = sizes.groupby("variant").max()
    named = {
        folder / f"{variant}.{curriculum}.s{seed:g}.csv": (number, most[variant])
        for (variant, curriculum, seed), number in sizes.items()
    }
    return [
        f"{path}: has {many(number, 'row')}, others of its variant {wanted}; {SAME_FILE}"
        for path, (number, wanted) in named.items()
        if number < wanted and path.is_file()
    ]


def _strays(rows: pd.DataFrame, known: set[str]) -> list[str]:
    """Return a fault for each model that has predictions and is not ``known``."""
    return [
        f"{name}: has predictions, but no table names it; if the study left it out, `python -m "
        "sscdl results tidy` moves them aside"
        for name in _model(rows).unique()
        if name not in known
    ]


def _read(folder: Path) -> pd.DataFrame | None:
    """Return the predictions of a folder, None if it has none."""
    files = sorted(folder.glob("*.csv"))
    return read_predictions(files) if files else None


def _other_studies(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the predictions of the studies in the table ``path``, and what is wrong with it.

    Those of a study that has none are None, and that is wrong.
    """
    studies = _as_text(path)["study"].unique()
    found = {study: _read(path.parents[2] / study / "predictions") for study in studies}
    gone = [f"study {study} has no predictions" for study, rows in found.items() if rows is None]
    return found, gone if len(studies) else ["the table has no rows"]


def _margin(path: Path) -> float:
    """Return the smallest difference that matters, which a table of comparisons names."""
    table = _as_text(path)
    return float(table["margin"].iloc[0]) if "margin" in table and len(table) else MARGIN


def _as_text(csv: Path | io.StringIO) -> pd.DataFrame:
    """Return a table whose cells are the texts of a CSV file, so that each stands for itself."""
    settings: dict[str, Any] = {"dtype": str, "keep_default_na": False}
    return read_own(csv, **settings) if isinstance(csv, Path) else pd.read_csv(csv, **settings)


def differences(written: pd.DataFrame, again: pd.DataFrame) -> Iterator[str]:
    """Yield a line for each column, row and cell in which two tables differ.

    The cells are texts. Rows are matched by what they are about, so their order does not matter.
    """
    for column in written.columns.symmetric_difference(again.columns):
        where = "table" if column in written else "predictions"
        yield f"column {column} comes from the {where} only"
    keys = [key for key in KEYS if key in written and key in again]
    tables = [table.set_index(keys) for table in (written, again)]
    for table, where in zip(tables, ("table", "predictions"), strict=True):
        for row in table.index[table.index.duplicated()]:
            yield f"{_named(keys, row)} is there more than once in the {where}"
    if not all(table.index.is_unique for table in tables):
        return
    written, again = tables
    for row in written.index.symmetric_difference(again.index):
        where = "table" if row in written.index else "predictions"
        yield f"{_named(keys, row)} comes from the {where} only"
    common = written.index.intersection(again.index)
    for column in written.columns.intersection(again.columns):
        pairs = zip(written.loc[common, column], again.loc[common, column], strict=True)
        for row, (one, other) in zip(common, pairs, strict=True):
            if not _alike(one, other):
                yield f"{_named(keys, row)}, {column}: {one!r} in the table, {other!r} made again"


def _named(keys: list[str], row: object) -> str:
    parts = row if isinstance(row, tuple) else (row,)
    return ", ".join(f"{key} {part}" for key, part in zip(keys, parts, strict=True))


def _alike(one: str, other: str) -> bool:
    if one == other:
        return True
    try:
        return math.isclose(float(one), float(other), rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    except ValueError:
        return False
