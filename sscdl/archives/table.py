"""Reading the index of an archive that is a folder of image files and one table (CSV).

The settings say what the table's columns mean (``sscdl.archives.table_settings``). What makes
labels or patients doubtful stops the run, what concerns one row is recorded and the run goes on
without it.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sscdl import identifiers
from sscdl.archives.index import Index, make_index
from sscdl.archives.listing import PICTURE_SUFFIXES, Listing, scan_pictures, stem, told
from sscdl.archives.lookup import NOT_THERE, find_files
from sscdl.archives.table_settings import Column, TableSettings, read_settings
from sscdl.csv_rows import read_rows
from sscdl.dicom import terms
from sscdl.errors import InputError

_LISTED = 1000  # rows that are named one by one for each reason; the others are counted
_DESCRIBED = ("patient", "study", "sex", "age", "view")
_NOTHING = Column("")
_NOT_UNDERSTOOD = {
    "age": f"age is not between 0 and {terms.OLDEST} years; taken as unknown",
    "sex": f"sex is not understood; counts as {terms.OTHER}",
    "view": f"view is not understood; counts as {terms.OTHER} (ingest.accept.view)",
}


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    file: str
    label: str
    patient: str
    study: str
    sex: str
    age: float
    view: str


class _Report:
    """What was wrong, row by row; texts of the table do not appear, they may hold patient ids."""

    def __init__(self, table: str) -> None:
        self.table = table
        self._lines: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self._others: list[tuple[str, str]] = []
        self.empty: dict[str, list[int]] = defaultdict(list)
        self.odd: dict[str, list[int]] = defaultdict(list)
        self.warnings: list[str] = []

    def seen(self, line: int, texts: Mapping[str, str], read: Mapping[str, Any]) -> None:
        """Note which fields of a row are empty, and which are not understood."""
        for name, text in texts.items():
            if not text:
                self.empty[name].append(line)
        for name, value in read.items():
            if value in (math.inf, terms.OTHER):
                self.odd[name].append(line)
                self.row(line, _NOT_UNDERSTOOD[name])

    def row(self, line: int, reason: str, detail: str = "") -> None:
        self._lines[reason].append((line, detail))

    def other(self, file: str, reason: str) -> None:
        self._others.append((file, reason))

    def problems(self) -> list[tuple[str, str]]:
        found = []
        for reason, lines in self._lines.items():
            lines.sort()
            named = lines[:_LISTED]
            found += [(self.table, f"line {line}: {reason}{detail}") for line, detail in named]
            if len(lines) > _LISTED:
                found.append((self.table, f"{len(lines) - _LISTED} more: {reason}"))
        return found + sorted(self._others)


def read_index(dataset: Mapping[str, Any]) -> Index:
    """Read the table and the folder that ``dataset`` describes (see ``read_settings``).

    With ids ``hash`` an image's id is the keyed hash of its path below the root, and messages name
    the line of the table instead of the file. With ids ``file`` it is the file's name without its
    suffix; where several images have one name, the path with _ for /. Study ids are always hashed:
    of patient and study, or of the patient alone, or, without one, of the path.

    Raises InputError if the settings, the folder or the table are unusable, no row leads to a file,
    a label has no row, or two rows give one file different labels, patients or studies.
    """
    settings = read_settings(dataset)
    listing = scan_pictures(settings.root)
    report = _Report(settings.table.name)
    _report_files(listing, settings.ids, report)
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
    entries = [
        _entry(row, image, path, settings)
        for row, image, path in _with_id(rows, found, settings, report)
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


def _report_files(listing: Listing, ids: str, report: _Report) -> None:
    if ids == "file":
        for path, reason in listing.problems:
            report.other(path, reason)
        return
    for reason, count in Counter(reason for _, reason in listing.problems).items():
        report.other(".", f"{reason}: {count} below the root (ids: file lists them)")


def _read_table(settings: TableSettings, report: _Report) -> tuple[list[_Row], list[str]]:
    """Return the rows that are kept, and the file names of the others."""
    rows: list[_Row] = []
    excluded: list[str] = []
    columns = {name: settings.columns.get(name, _NOTHING) for name in _DESCRIBED}
    fitting: Counter[str] = Counter()
    for line, texts in read_rows(settings.table, settings.used):
        texts[""] = ""  # what a column that is not given holds
        file = settings.columns["file"].value(texts)
        if settings.keep and not settings.keep.fits(texts):
            excluded.append(file)
            continue
        labels = [name for name, rule in settings.labels.items() if rule.fits(texts)]
        fitting.update(labels)
        if len(labels) > 1:
            report.row(line, f"fits the labels {' and '.join(labels)}; used without a label")
        found = {name: column.value(texts) for name, column in columns.items()}
        if "patient" in settings.columns and not found["patient"]:
            report.row(line, "names no patient; one of its own unless the file's header does")
        age, sex = terms.years(found["age"]), terms.sex(found["sex"])
        view = terms.view(found["view"])
        report.seen(line, found, {"age": age, "sex": sex, "view": view})
        rows.append(
            _Row(
                line=line,
                file=file,
                label=labels[0] if len(labels) == 1 else "",
                patient=found["patient"],
                study=found["study"],
                sex=sex,
                age=math.nan if math.isinf(age) else age,
                view=view,
            )
        )
    if not rows:
        why = "no row has one of the values of table.keep" if excluded else "there are no rows"
        raise InputError(f"{settings.table}: {why}; correct the setting or the table")
    for name, rule in settings.labels.items():
        if not fitting[name]:
            raise InputError(
                f"{settings.table}: no row has one of the values of table.labels.{name} in column "
                f"{rule.column!r}; correct the values, or set the separator if cells hold several"
            )
    _check_columns(settings, report, len(rows))
    return rows, excluded


def _check_columns(settings: TableSettings, report: _Report, rows: int) -> None:
    """Raise InputError for a column that says nothing in any row; report what some rows lack."""
    for name in _DESCRIBED:
        column = settings.columns.get(name)
        if column is None:
            continue
        pattern = f" with the pattern {column.pattern.pattern!r}" if column.pattern else ""
        where = f"{settings.table}: column {column.name!r}{pattern} (table.columns.{name})"
        for fault, lines in (
            ("says nothing", report.empty[name]),
            ("cannot be understood", report.odd[name]),
        ):
            if len(lines) == rows:
                raise InputError(
                    f"{where} {fault} in any of the {rows} rows, for example line {lines[0]}; "
                    "correct column and pattern, or leave the setting out"
                )
            if lines:
                report.warnings.append(
                    f"{where} {fault} in {len(lines)} of {rows} rows, for example line {lines[0]}"
                )


def _with_file(
    rows: Iterable[_Row],
    found: dict[str, str],
    reasons: dict[str, str],
    settings: TableSettings,
    report: _Report,
    listing: Listing,
) -> list[_Row]:
    """Return the first row of each file; the others must agree with it."""
    kept: dict[str, _Row] = {}
    lost: list[int] = []
    for row in rows:
        if row.file not in found:
            report.row(row.line, f"{reasons[row.file]}; left out")
            lost.append(row.line)
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
                    f"{settings.table}, lines {first.line} and {row.line}: one image file, but "
                    f"the {what} differs{values}; delete the wrong one of the two rows, or say "
                    "with table.keep (column, values) which rows are meant, as where each reader "
                    "of an image has one"
                )
        alike = (first.sex, first.view) == (row.sex, row.view) and (
            first.age == row.age or math.isnan(first.age) and math.isnan(row.age)
        )
        other = "" if alike else ", but another age, sex or view"
        report.row(row.line, f"file of an earlier row{other}; left out", f" (line {first.line})")
    if not kept:
        raise InputError(
            f"{settings.table}: no row leads to a file below {settings.root}; line {lost[0]}: "
            f"{reasons[next(iter(rows)).file]}; check table.root and table.columns.file"
            f"{told(listing.problems)}"
        )
    return list(kept.values())


def _with_id(
    rows: list[_Row], found: dict[str, str], settings: TableSettings, report: _Report
) -> list[tuple[_Row, str, str]]:
    """Return (row, image id, path); an image whose id is unfit or another's is left out."""
    paths = sorted(((found[row.file], row) for row in rows), key=lambda pair: pair[0])
    names = Counter(stem(path.rpartition("/")[2]).casefold() for path, _ in paths)
    owners: set[str] = set()
    kept = []
    for path, row in paths:
        if settings.ids == "hash":
            image = identifiers.pseudonym(path, settings.id_key)
        else:
            image = stem(path.rpartition("/")[2])
            if names[image.casefold()] > 1:
                image = stem(path).replace("/", "_")
        wrong = identifiers.fault(image)
        # There are systems on which the case of a file name makes no difference.
        if not wrong and image.casefold() in owners:
            wrong = "is also that of another file"
        if wrong:
            report.row(row.line, f"image id {wrong}; left out (ids: hash takes every file name)")
            continue
        owners.add(image.casefold())
        kept.append((row, image, path))
    return kept


def _entry(row: _Row, image: str, path: str, settings: TableSettings) -> dict[str, Any]:
    # A study's number is often one within the patient.
    unknown = "patient" in settings.columns and not row.patient
    whose = "\n".join(filter(None, (row.patient, row.study)))
    return {
        "image_id": image,
        "study_id": identifiers.pseudonym(path if unknown or not whose else whose, settings.id_key),
        "path": path,
        "label": row.label,
        "boxes": [],
        "patient_id": row.patient,
        "sex": row.sex,
        "age": row.age,
        "view": row.view,
        "shown": path if settings.ids == "file" else f"{settings.table.name}, line {row.line}",
    }
