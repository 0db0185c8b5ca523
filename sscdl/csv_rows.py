"""Reading CSV files that somebody else wrote, with messages that say what is wrong in which line.

Needs only the standard library: columns are checked before anything heavy is imported.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path

from sscdl.errors import InputError


def read_rows(
    path: Path, columns: Sequence[str], *, key: str = ""
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, the values in ``columns``, stripped) of each row of a CSV file in UTF-8.

    Raises InputError if the file cannot be read, a column is missing or there twice, or a row has
    too few or too many fields; the message quotes the row's value in column ``key``, if given.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            places = [(name, _place(path, name, header)) for name in dict.fromkeys(columns)]
            for fields in reader:
                if not fields:
                    continue
                # Some programs end every row with further commas.
                if len(fields) < len(header) or any(fields[len(header) :]):
                    named = ""
                    if key and header.index(key) < len(fields):
                        named = f", {key} {fields[header.index(key)]}"
                    raise InputError(
                        f"{path}, line {reader.line_num}{named}: the row does not have the "
                        f"{len(header)} fields of the header; repair or delete it"
                    )
                yield reader.line_num, {name: fields[place].strip() for name, place in places}
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{path}: cannot be read as a CSV file in UTF-8 ({reason}); repair or convert it"
        ) from error


def check_columns(path: Path, columns: Sequence[str]) -> None:
    """Raise InputError if the CSV file cannot be read or lacks one of ``columns``."""
    next(read_rows(path, columns), None)


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
        raise InputError(missing_column(path, column, header))
    return header.index(column)
