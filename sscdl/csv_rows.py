"""Reading CSV files that somebody else wrote, with messages that say what is wrong in which line.

Needs only the standard library: columns are checked before anything heavy is imported.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from sscdl.errors import InputError

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?", re.ASCII)


class MissingColumn(InputError):
    """A column that is asked for is not there."""


def read_rows(
    path: Path, columns: Sequence[str], *, key: str = ""
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, the values in ``columns``, stripped) of each row of a CSV file in UTF-8.

    Raises InputError if the file cannot be read, a column is missing or there twice, or a row has
    too few or too many fields, or a quote that is not closed seems to have swallowed others; the
    message quotes the row's value in column ``key``, if given.
    """
    start = 1  # the line in which the row begins that is being read
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            places = [(name, _place(path, name, header)) for name in dict.fromkeys(columns)]
            start = reader.line_num + 1
            for fields in reader:
                first, start = start, reader.line_num + 1
                if not fields:
                    continue
                several = reader.line_num > first
                if several and _swallowed(fields, [at for _, at in places], len(header)):
                    raise InputError(_open_quote(path, first, reader.line_num))
                # Some programs end every row with further commas.
                if len(fields) < len(header) or any(fields[len(header) :]):
                    named = ""
                    if key and header.index(key) < len(fields):
                        named = f", {key} {fields[header.index(key)]}"
                    if several:
                        raise InputError(_open_quote(path, first, reader.line_num))
                    raise InputError(
                        f"{path}, line {reader.line_num}{named}: the row does not have the "
                        f"{len(header)} fields of the header; repair or delete it"
                    )
                yield reader.line_num, {name: fields[place].strip() for name, place in places}
    except csv.Error as error:
        if "limit" in str(error) and reader.line_num <= start:
            raise InputError(f"{path}, line {start}: {error}; shorten or repair the row") from error
        raise InputError(_open_quote(path, start, reader.line_num)) from error
    except (UnicodeDecodeError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{path}: cannot be read as a CSV file in UTF-8 ({reason}); repair or convert it"
        ) from error


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


def _swallowed(fields: Sequence[str], used: Sequence[int], width: int) -> bool:
    """Return whether a field of several lines holds what must have been rows of the table.

    What is used names files, patients and labels: none of them goes on in a line with separators.
    Other texts may, but not if all their inner lines have as many fields as the table has columns.
    """
    lines_after = (fields[at].splitlines()[1:] for at in used if at < len(fields))
    if any("," in line for lines in lines_after for line in lines):
        return True
    inner = [[line for line in field.splitlines()[1:-1] if line.strip()] for field in fields]
    return width > 1 and any(
        len(lines) > 1 and all(len(row) == width for row in csv.reader(lines)) for lines in inner
    )


def _open_quote(path: Path, first: int, last: int) -> str:
    if last == first:
        return (
            f'{path}, line {first}: a quote (") in this row closes amid a text, or not at all; '
            "write the quotes inside a text twice, or delete them"
        )
    return (
        f'{path}, line {first}: a quote (") that opens in the row which begins here is not closed '
        f"in that row, so that all up to line {last} became one field; close or delete it"
    )


def check_columns(path: Path, columns: Sequence[str]) -> None:
    """Raise InputError if the CSV file cannot be read or lacks one of ``columns``."""
    next(read_rows(path, columns), None)


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
    hint = (
        f"; the nearest there is {near[0]!r}, rename it if it is meant" if near else " (empty file)"
    )
    return f"{path}: column {column!r} is missing{hint}"


def _place(path: Path, column: str, header: Sequence[str]) -> int:
    if header.count(column) > 1:
        raise InputError(f"{path}: column {column!r} is there twice; rename or delete one of them")
    if column not in header:
        raise MissingColumn(missing_column(path, column, header))
    return header.index(column)
