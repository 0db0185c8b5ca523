"""What the readers of tables and of folders have in common: rows, ids, and what was odd in them.

Texts of a table or a path do not appear in what is reported: they may hold patient ids.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sscdl import identifiers
from sscdl.archives.listing import Listing, stem
from sscdl.dicom import terms
from sscdl.errors import InputError

_LISTED = 1000  # rows that are named one by one for each reason; the others are counted
DESCRIBED = ("patient", "study", "sex", "age", "view")
_NOT_UNDERSTOOD = {
    "age": f"age is not between 0 and {terms.OLDEST} years; taken as unknown",
    "sex": f"sex is not understood; counts as {terms.OTHER}",
    "view": f"view is not understood; counts as {terms.OTHER} (ingest.accept.view)",
}


class Place(NamedTuple):
    """Where something is said: a file, and the line in it, 0 where the file is the image itself."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Row:
    """What an archive says of one image file; '' and NaN where it does not."""

    place: Place
    file: str
    label: str
    patient: str
    study: str
    sex: str
    age: float
    view: str


class Report:
    """What was wrong, row by row; ``several``: the rows are those of several tables."""

    def __init__(self, *, several: bool = False) -> None:
        self._several = several
        self._places: dict[str, list[tuple[Place, str]]] = defaultdict(list)
        self._others: list[tuple[str, str]] = []
        self.empty: dict[str, list[Place]] = defaultdict(list)
        self.odd: dict[str, list[Place]] = defaultdict(list)
        self.warnings: list[str] = []

    def row(self, place: Place, reason: str, detail: str = "") -> None:
        """Note what is wrong with the row at ``place``."""
        self._places[reason].append((place, detail))

    def other(self, file: str, reason: str) -> None:
        """Note what is wrong with a file, or with the archive."""
        self._others.append((file, reason))

    def problems(self) -> list[tuple[str, str]]:
        """Return (file, reason) of all that was noted."""
        found = []
        for reason, places in self._places.items():
            places.sort()
            for place, detail in places[:_LISTED]:
                line = f"line {place.line}: " if place.line else ""
                found.append((place.file, f"{line}{reason}{detail}"))
            if len(places) > _LISTED:
                found.append((places[0][0].file, f"{len(places) - _LISTED} more: {reason}"))
        return found + sorted(self._others)

    def described(self, place: Place, file: str, label: str, texts: Mapping[str, str]) -> Row:
        """Return the row of ``file``, of which ``texts`` has ``DESCRIBED``; note what is odd."""
        age = terms.years(texts["age"])
        sex, view = terms.sex(texts["sex"]), terms.view(texts["view"])
        for name in DESCRIBED:
            if not texts[name]:
                self.empty[name].append(place)
        for name, value in (("age", age), ("sex", sex), ("view", view)):
            if value in (math.inf, terms.OTHER):
                self.odd[name].append(place)
                self.row(place, _NOT_UNDERSTOOD[name])
        return Row(
            place=place,
            file=file,
            label=label,
            patient=texts["patient"],
            study=texts["study"],
            sex=sex,
            age=math.nan if math.isinf(age) else age,
            view=view,
        )

    def check(self, named: Mapping[str, str], rows: int, *, what: str, advice: str) -> None:
        """Raise InputError for what says nothing in any row; warn of what some rows lack.

        ``named`` has, for some of what a row may say, the words for where that stands; ``what`` the
        rows are called.
        """
        for name, where in named.items():
            for fault, places in (
                ("says nothing", self.empty[name]),
                ("cannot be understood", self.odd[name]),
            ):
                if len(places) == rows:
                    raise InputError(
                        f"{where} {fault} in any of the {rows} {what}, for example "
                        f"{self._example(places[0])}; {advice}, or leave the setting out"
                    )
                if places:
                    self.warnings.append(
                        f"{where} {fault} in {len(places)} of {rows} {what}, for example "
                        f"{self._example(places[0])}"
                    )

    def _example(self, place: Place) -> str:
        # Who reads the message knows the table, if there is one.
        return f"line {place.line}" if place.line and not self._several else str(place)


def report_files(listing: Listing, ids: str, report: Report) -> None:
    """Note which files below the root are set aside; their names only with ``ids`` file."""
    if ids == "file":
        for path, reason in listing.problems:
            report.other(path, reason)
        return
    for reason, count in Counter(reason for _, reason in listing.problems).items():
        report.other(".", f"{reason}: {count} below the root (ids: file lists them)")


def with_id(
    placed: Iterable[tuple[str, Row]], ids: str, id_key: str, report: Report
) -> list[tuple[Row, str, str]]:
    """Return (row, image id, path) of (path, row); those whose id is unfit are left out."""
    paths = sorted(placed, key=lambda pair: pair[0])
    names = Counter(stem(path.rpartition("/")[2]).casefold() for path, _ in paths)
    owners: set[str] = set()
    kept = []
    for path, row in paths:
        if ids == "hash":
            image = identifiers.pseudonym(path, id_key)
        else:
            image = stem(path.rpartition("/")[2])
            if names[image.casefold()] > 1:
                image = stem(path).replace("/", "_")
        wrong = identifiers.fault(image)
        # There are systems on which the case of a file name makes no difference.
        if not wrong and image.casefold() in owners:
            wrong = "is also that of another file"
        if wrong:
            reason = f"image id {wrong}; left out (ids: hash takes every file name)"
            report.row(row.place, reason)
            continue
        owners.add(image.casefold())
        kept.append((row, image, path))
    return kept


def entry(
    row: Row, image: str, path: str, *, id_key: str, ids: str, patients: bool
) -> dict[str, Any]:
    """Return what stands in the index of an archive; ``patients``: it is to name patients."""
    # A study's number is often one within the patient.
    unknown = patients and not row.patient
    whose = "\n".join(filter(None, (row.patient, row.study)))
    return {
        "image_id": image,
        "study_id": identifiers.pseudonym(path if unknown or not whose else whose, id_key),
        "path": path,
        "label": row.label,
        "boxes": [],
        "patient_id": row.patient,
        "sex": row.sex,
        "age": row.age,
        "view": row.view,
        "shown": path if ids == "file" else str(row.place),
    }


def one_label(labels: Sequence[str], place: Place, report: Report) -> str:
    """Return the label of a row that fits ``labels``: none where there are several."""
    if len(labels) > 1:
        report.row(place, f"fits the labels {' and '.join(labels)}; used without a label")
    return labels[0] if len(labels) == 1 else ""
