"""Quotes in a CSV file that were never closed, told from texts of several lines.

As bytes, both are one field with line breaks in it. But a lost quote has swallowed whole rows: each
of its lines is a row by itself, once the stray quote is taken away. A text that somebody wrote has
lines of another number of fields, lines that begin as no row does, or a space after every comma.

Needs only the standard library.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# A text whose every line has the separators of so many columns would be a coincidence.
_WIDE = 6
_MANY = 200  # quotes of a line that is looked at; each costs a reading of the line


@dataclass(frozen=True)
class Suspect:
    """Lines ``first`` to ``last`` of a file that were read as one row.

    ``keys`` are what stands in each of them where rows have what they are about, and ``prose``
    tells that all of them but the first are spaced as a sentence is.
    """

    first: int
    last: int
    keys: tuple[str, ...]
    prose: bool


class Lines:
    """The lines of a file, of which those of the row that is read last are kept."""

    def __init__(self, file: Iterable[str]) -> None:
        self._file = file
        self._kept: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self._kept.append(line)
            yield line

    def taken(self) -> list[str]:
        """Return the lines since the last call."""
        kept, self._kept = self._kept, []
        return kept


def suspect(
    lines: Sequence[str], last: int, delimiter: str, width: int, place: int
) -> Suspect | None:
    """Return what makes several ``lines`` that were read as one row suspicious, None if nothing.

    They end with line ``last`` of the file. ``width`` is the number of columns, and ``place`` that
    of the column whose values tell rows from other texts, such as the file's name.
    """
    if width < 2:
        return None
    rows = []
    for line in filter(str.strip, lines):
        row = _row(line, delimiter, width)
        if row is None:
            return None
        rows.append(row)
    keys = tuple(row[place] for row in rows)
    return Suspect(last - len(lines) + 1, last, keys, all(map(_spaced, rows[1:])))


def swallowed(
    suspects: Sequence[Suspect], place: int, width: int, whole: Callable[[], Iterable[list[str]]]
) -> Suspect | None:
    """Return the first of ``suspects`` that must be several rows, None if none is.

    ``whole`` returns the fields of the rows that are of one line. Lines that are spaced as a
    sentence are rows only in a table that spaces its own rows so. In one of few columns, all keys
    must be written like some of whole rows, or like the row's own.
    """
    if not suspects:
        return None
    known, spaced = set(), False
    for fields in whole():
        known.add(_form(fields[place]))
        spaced = spaced or _spaced(fields)
    for one in suspects:
        own, *others = map(_form, one.keys)
        alike = width >= _WIDE or known | {own} >= set(others)
        if alike and (spaced or not one.prose):
            return one
    return None


def whole_rows(path: Path, delimiter: str, width: int) -> Iterator[list[str]]:
    """Yield the fields of all rows of a CSV file that are of one line and at least ``width``."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = Lines(file)
        reader = csv.reader(lines, delimiter=delimiter)
        next(reader, None)
        lines.taken()
        for fields in reader:
            if len(lines.taken()) == 1 and len(fields) >= width:
                yield fields


def _row(line: str, delimiter: str, width: int) -> list[str] | None:
    """Return the fields of a line that is a row by itself but for one quote, None if it is none."""
    line = line.rstrip("\r\n")
    quotes = [match.start() for match in re.finditer('"', line)]
    if len(quotes) > _MANY:
        return None
    without = (line[:at] + line[at + 1 :] for at in quotes)
    for text in [*without, line] if len(quotes) % 2 else [line, *without]:
        try:
            fields = next(csv.reader([text], delimiter=delimiter, strict=True))
        except csv.Error:
            continue
        # Some programs end every row with further separators.
        if len(fields) >= width and not any(fields[width:]):
            return fields
    return None


def _form(text: str) -> frozenset[str]:
    """Return which kinds of characters a text has: letters, digits, and each other one."""
    return frozenset(
        "a" if one.isalpha() else "0" if one.isdigit() else one for one in text.strip()
    )


def _spaced(fields: Sequence[str]) -> bool:
    """Return whether there is a space after every separator, as in a sentence or a list."""
    later = [field for field in fields[1:] if field]
    return bool(later) and all(field.startswith(" ") for field in later)
