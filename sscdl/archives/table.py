"""Reading the index of an archive that is a folder of image files and one table (CSV).

The settings say what the table's columns mean (``sscdl.archives.table_settings``). What makes
labels or patients doubtful stops the run, what concerns one row is recorded and the run goes on
without it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sscdl.archives.entries import (
    DESCRIBED,
    Place,
    Report,
    Row,
    entry,
    one_label,
    report_files,
    with_id,
)
from sscdl.archives.index import Index, make_index
from sscdl.archives.listing import PICTURE_SUFFIXES, Listing, scan_pictures, told
from sscdl.archives.lookup import NOT_THERE, find_files
from sscdl.archives.table_settings import Column, TableSettings, patient_spelling, read_settings
from sscdl.csv_rows import plain_number, read_rows
from sscdl.errors import InputError
from sscdl.finding_labels import write_label

_NOTHING = Column("")


def read_index(dataset: Mapping[str, Any]) -> Index:
    """Read the table and the folder that ``dataset`` describes (see ``read_settings``).

    With ids ``hash`` an image's id is the keyed hash of its path below the root, and messages name
    the line of the table instead of the file. With ids ``file`` it is the file's name without its
    suffix; where several images have one name, the path with _ for /. Study ids are always hashed:
    of patient and study, or of the patient alone, or, without one, of the path. Labels of several
    findings are written as ``sscdl.finding_labels`` says.

    Raises InputError if the settings, the folder or the table are unusable, no row leads to a file,
    a label has no row, or two rows give one file different labels, patients or studies.
    """
    settings = read_settings(dataset)
    listing = scan_pictures(settings.root)
    report = Report(several=len(settings.tables) > 1)
    report_files(listing, settings.ids, report)
    rows, excluded = _read_table(settings, report)
    paths = [path for path, _ in listing.files]
    found, reasons = find_files([*(row.file for row in rows), *excluded], paths)
    missing = [name for name, reason in reasons.items() if reason == NOT_THERE]
    reasons |= _set_aside(missing, listing)
    rows = _with_file(rows, found, reasons, settings, report, listing)
    spare = len(paths) - len(set(found.values()))
    if spare:
        report.other(settings.table.name, f"image files without a row, left out: {spare}")
    if "patient" not in settings.columns and any(
        found[row.file].lower().endswith(PICTURE_SUFFIXES) for row in rows
    ):
        reason = "no column for the patient: each PNG, JPEG or TIFF file counts as another patient"
        report.other(settings.table.name, reason)
    id_key, ids, patients = settings.id_key, settings.ids, "patient" in settings.columns
    placed = ((found[row.file], row) for row in rows)
    entries = [
        entry(row, image, path, id_key=id_key, ids=ids, patients=patients)
        for row, image, path in with_id(placed, ids, id_key, report)
    ]
    return make_index(entries, report.problems(), report.warnings)


def _set_aside(names: list[str], listing: Listing) -> dict[str, str]:
    """Return why the files are not taken that some of ``names`` mean, of which none was found."""
    problems = dict(listing.problems)
    meant, _ = find_files(names, list(problems))
    found = {name: problems[path] for name, path in meant.items()}
    for name in names:
        parts = name.replace("\\", "/").removeprefix("./").split("/")
        above = ("/".join(parts[:k]) for k in range(1, len(parts)))
        if folder := next((one for one in above if one in problems), ""):
            found[name] = f"lies in what is set aside ({problems[folder]})"
    return found


def _read_table(settings: TableSettings, report: Report) -> tuple[list[Row], list[str]]:
    """Return the rows of all tables that are kept, and the file names of the others."""
    rows: list[Row] = []
    excluded: list[str] = []
    columns = {name: settings.columns.get(name, _NOTHING) for name in DESCRIBED}
    fitting: Counter[str] = Counter()
    unsure: Counter[str] = Counter()
    spelled = patient_spelling(settings)
    alike: dict[str, set[str]] = defaultdict(set)  # spellings of patients by what they come to
    for place, texts in _all_rows(settings):
        texts[""] = ""  # what a column that is not given holds
        file = settings.columns["file"].value(texts)
        if settings.keep and not settings.keep.fits(texts):
            excluded.append(file)
            continue
        labels = [name for name, rule in settings.labels.items() if rule.fits(texts)]
        fitting.update(labels)
        unknown = [name for name, rule in settings.labels.items() if rule.unknown(texts)]
        unsure.update(unknown)
        if not settings.several:
            label = one_label(labels, place, report)
        else:
            label = "" if len(unknown) == len(settings.labels) else write_label(labels, unknown)
        found = {name: column.value(texts) for name, column in columns.items()}
        found["patient"] = spelled(found["patient"])
        alike[plain_number(found["patient"]).casefold()].add(found["patient"])
        if "patient" in settings.columns and not found["patient"]:
            report.row(place, "names no patient; one of its own unless the file's header does")
        rows.append(report.described(place, file, label, found))
    if not rows:
        why = "no row has one of the values of table.keep" if excluded else "there are no rows"
        raise InputError(f"{settings.shown}: {why}; correct the setting or the table")
    for name, rule in settings.labels.items():
        if not fitting[name]:
            raise InputError(
                f"{settings.shown}: no row has one of the values of table.labels.{name} in column "
                f"{rule.column!r}; correct the values, or set the separator if cells hold several"
            )
    for name, rule in settings.labels.items():
        if rule.unsure and not unsure[name]:
            report.warnings.append(
                f"{settings.shown}: no row has one of the values of table.labels.{name}.unknown in "
                f"column {rule.column!r}: rows without one of its values all count as free of it"
            )
    named = {
        name: f"{settings.shown}: column {column.name!r}{_pattern(column)} (table.columns.{name})"
        for name, column in settings.columns.items()
        if name in DESCRIBED
    }
    report.check(named, len(rows), what="rows", advice="correct column and pattern")
    if doubtful := sum(len(spellings) > 1 for spellings in alike.values()):
        report.warnings.append(
            f"{named['patient']} has {doubtful} ids in several spellings (such as 7, 07 and 7.0, "
            "or a and A), each of which counts as another patient; spell them alike if they are one"
        )
    return rows, excluded


def _all_rows(settings: TableSettings) -> Iterable[tuple[Place, dict[str, str]]]:
    for table in settings.tables:
        for line, texts in read_rows(table, settings.used):
            yield Place(table.name, line), texts


def _pattern(column: Column) -> str:
    return f" with the pattern {column.pattern.pattern!r}" if column.pattern else ""


def _with_file(
    rows: Iterable[Row],
    found: dict[str, str],
    reasons: dict[str, str],
    settings: TableSettings,
    report: Report,
    listing: Listing,
) -> list[Row]:
    """Return the first row of each file; the others must agree with it."""
    kept: dict[str, Row] = {}
    lost: list[Place] = []
    for row in rows:
        if row.file not in found:
            report.row(row.place, f"{reasons[row.file]}; left out")
            lost.append(row.place)
            continue
        first = kept.setdefault(found[row.file], row)
        if first is row:
            continue
        for what in ("label", "patient", "study"):
            if getattr(first, what) != getattr(row, what):
                values = ""
                if what == "label":
                    values = f" ({first.label or 'none'} and {row.label or 'none'})"
                raise InputError(
                    f"{_both(settings, first.place, row.place)}: one image file, but "
                    f"the {what} differs{values}; delete the wrong one of the two rows, or say "
                    "with table.keep (column, values) which rows are meant, as where each reader "
                    "of an image has one"
                )
        alike = (first.sex, first.view) == (row.sex, row.view) and (
            first.age == row.age or math.isnan(first.age) and math.isnan(row.age)
        )
        other = "" if alike else ", but another age, sex or view"
        earlier = f" (line {first.place.line})"
        if first.place.file != row.place.file:
            earlier = f" ({first.place})"
        report.row(row.place, f"file of an earlier row{other}; left out", earlier)
    if not kept:
        where = str(lost[0]) if len(settings.tables) > 1 else f"line {lost[0].line}"
        raise InputError(
            f"{settings.shown}: no row leads to a file below {settings.root}; {where}: "
            f"{reasons[next(iter(rows)).file]}; check table.root and table.columns.file"
            f"{told(listing.problems)}"
        )
    return list(kept.values())


def _both(settings: TableSettings, first: Place, second: Place) -> str:
    """Return the words for two rows."""
    if first.file != second.file:
        return f"{first}, and {second}"
    path = next(table for table in settings.tables if table.name == first.file)
    return f"{path}, lines {first.line} and {second.line}"
