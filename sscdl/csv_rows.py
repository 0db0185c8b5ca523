"""Reading CSV files that somebody else wrote, with messages that say what is wrong in which line.

Needs only the standard library: columns are checked before anything heavy is imported.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from sscdl.csv_quotes import Lines, Suspect, suspect, swallowed, whole_rows
from sscdl.errors import InputError
from sscdl.magic import first_bytes, known_kind

# What separates columns, the first that fits.
_DELIMITERS = (",", ";", "\t", "|")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)


class MissingColumn(InputError):
    """A column that is asked for is not there."""


def read_rows(
    path: Path, columns: Sequence[str], *, key: str = ""
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, the values in ``columns``, stripped) of each row of a CSV file in UTF-8.

    What separates its columns is what gives the header all of ``columns``: a comma, or else a
    semicolon, a tab or a bar. The first of ``columns`` names what a row is about.

    Raises InputError if the file cannot be read, or is another than a text in UTF-8, a column is
    missing or there twice, or a row has too few or too many fields, or a quote that is not closed
    must have swallowed others (which may be known only at the end of the file); the message quotes
    the row's value in column ``key``, if given.
    """
    delimiter = _delimiter(path, columns)
    start = 1  # the line in which the row begins that is being read
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = Lines(file)
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            header = [name.strip() for name in next(reader, [])]
            places = [(name, _place(path, name, header)) for name in dict.fromkeys(columns)]
            start = reader.line_num + 1
            lines.taken()
            suspects: list[Suspect] = []
            width = len(header)
            for fields in reader:
                first, start, taken = start, reader.line_num + 1, lines.taken()
                if not fields:
                    continue
                # Some programs end every row with further separators.
                if len(fields) < width or any(fields[width:]):
                    if len(taken) > 1:
                        raise InputError(_open_quote(path, first, reader.line_num))
                    named = ""
                    if key and header.index(key) < len(fields):
                        named = f", {key} {fields[header.index(key)]}"
                    raise InputError(
                        f"{path}, line {reader.line_num}{named}: the row does not have the "
                        f"{width} fields of the header; repair or delete it"
                    )
                if len(taken) > 1 and places:
                    found = suspect(taken, reader.line_num, delimiter, width, places[0][1])
                    suspects += [found] if found else []
                yield reader.line_num, {name: fields[place].strip() for name, place in places}
    except csv.Error as error:
        if "limit" in str(error) and reader.line_num <= start:
            raise InputError(f"{path}, line {start}: {error}; shorten or repair the row") from error
        raise InputError(_open_quote(path, start, reader.line_num)) from error
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(_unreadable(path, error)) from error
    if not suspects:
        return
    if lost := swallowed(suspects, places[0][1], width, lambda: whole_rows(path, delimiter, width)):
        raise InputError(_open_quote(path, lost.first, lost.last))


def header(path: Path) -> list[str]:
    """Return the names in the first row of a CSV file, separated by what makes most of them.

    That is [] where the row cannot be read: whoever reads the rows says why. Raises InputError for
    a file that is another than a text.
    """
    return max(_headers(path).values(), key=len)


def _delimiter(path: Path, columns: Sequence[str]) -> str:
    """Return what separates the columns of a table: that by which its header has ``columns``.

    If none does, that by which the header has most columns. Raises InputError for a file that is
    another than a text.
    """
    headers = _headers(path)
    whole = [one for one, names in headers.items() if set(columns) <= set(names)]
    return whole[0] if whole else max(headers, key=lambda one: len(headers[one]))


def _headers(path: Path) -> dict[str, list[str]]:
    """Return the names in the first row of a table by each thing that may separate them.

    Raises InputError for a file that is another than a text.
    """
    if path.is_file() and (kind := known_kind(first_bytes(path))) and path.stat().st_size:
        raise InputError(f"{path}: is {kind}; give a CSV file in UTF-8")
    return {delimiter: _header(path, delimiter) for delimiter in _DELIMITERS}


def _header(path: Path, delimiter: str) -> list[str]:
    """Return the names in the first row of a table, [] if it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [name.strip() for name in next(csv.reader(file, delimiter=delimiter), [])]
    except (csv.Error, UnicodeDecodeError, OSError):
        return []  # whoever reads the rows says so


def _unreadable(path: Path, error: Exception) -> str:
    """Return a message on a table that is no text in UTF-8, or cannot be read at all."""
    if isinstance(error, OSError):
        return f"{path}: cannot be read as a CSV file ({error.strerror}); check the file"
    start = first_bytes(path)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return f"{path}: is a text in UTF-16; save it as CSV in UTF-8"
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as wrong:
                byte = line[wrong.start : wrong.start + 1]
                return (
                    f"{path}, line {number}: a byte ({byte.hex()}) is no text in UTF-8; in Latin-1 "
                    f"and Windows-1252 it would be {byte.decode('cp1252', 'replace')!r}. Save the "
                    "table as CSV in UTF-8"
                )
    return f"{path}: is no text in UTF-8; save it as CSV in UTF-8"


def plain_number(text: str) -> str:
    """Return one text for all ways to write a number, 1, 1.0 and 01; any other text, stripped.

    No digit is lost, however many there are.
    """
    text = text.strip()
    if not is_number(text):
        return text
    whole, _, part = text.lstrip("+-").partition(".")
    whole, part = whole.lstrip("0") or "0", part.rstrip("0")
    sign = "-" if text[0] == "-" and (whole, part) != ("0", "") else ""
    return f"{sign}{whole}.{part}" if part else f"{sign}{whole}"


def is_number(text: str) -> bool:
    """Return whether ``text`` is a number without an exponent."""
    return bool(_NUMBER.fullmatch(text))


def _open_quote(path: Path, first: int, last: int) -> str:
    if last == first:
        return (
            f'{path}, line {first}: a quote (") in this row closes amid a text, or not at all; '
            "write the quotes inside a text twice, or delete them"
        )
    return (
        f'{path}, line {first}: a quote (") that opens in the row which begins here is not closed '
        f"in that row, so that all up to line {last} became one field; close or delete it. (If it "
        "is one text of several lines, put spaces in place of its line breaks)"
    )


def check_columns(path: Path, columns: Sequence[str]) -> None:
    """Raise InputError if the CSV file cannot be read or lacks one of ``columns``."""
    next(read_rows(path, columns), None)


def columns_of(path: Path, columns: Sequence[str]) -> list[str]:
    """Return the names of all columns of a CSV file that has ``columns`` (see ``read_rows``).

    Raises InputError if it cannot be read or lacks one of them.
    """
    check_columns(path, columns)
    return _header(path, _delimiter(path, columns))


def has_column(path: Path, column: str) -> bool:
    """Return whether the CSV file has ``column``, once; InputError if it cannot be read."""
    try:
        check_columns(path, [column])
    except MissingColumn:
        return False
    return True


def missing_column(path: Path, column: str, header: Sequence[str]) -> str:
    """Return a message that names the column most like the one that is missing."""
    near = difflib.get_close_matches(column, header, n=1, cutoff=0.0)
    hint = " (empty file)"
    if near:
        hint = f"; the nearest of {len(header)} there is {near[0]!r}, rename it if it is meant"
    return f"{path}: column {column!r} is missing{hint}"


def _place(path: Path, column: str, header: Sequence[str]) -> int:
    if header.count(column) > 1:
        raise InputError(f"{path}: column {column!r} is there twice; rename or delete one of them")
    if column not in header:
        raise MissingColumn(missing_column(path, column, header))
    return header.index(column)
