"""What the columns of a table of images mean: the settings of layout ``table``, checked.

Needs only the standard library: the settings are checked each time the workflow is read.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sscdl.csv_rows import check_columns, is_number, plain_number
from sscdl.errors import InputError
from sscdl.finding_labels import NEGATIVE, POSITIVE, UNKNOWN

_EXACT = 2**53  # what a float holds to the last digit
FIELDS = ("file", "patient", "study", "sex", "age", "view")


@dataclass(frozen=True)
class Column:
    """A column of the table, and the part of its text that counts."""

    name: str
    pattern: re.Pattern[str] | None = None

    def value(self, row: Mapping[str, str]) -> str:
        """Return the text of a row: the pattern's first group, or its match; '' without one."""
        text = row[self.name]
        if self.pattern is None:
            return text
        match = self.pattern.search(text)
        if match is None:
            return ""
        return (match[1] if self.pattern.groups else match[0]) or ""


@dataclass(frozen=True)
class Rule:
    """Which rows are meant: those with one of ``values`` in a column.

    With a ``separator``, one of the several texts in a cell must be one of the values. ``unsure``
    are the values of rows of which nobody knows.
    """

    column: str
    values: frozenset[str]
    separator: str = ""
    unsure: frozenset[str] = frozenset()
    _states: dict[str, int] = field(default_factory=dict, compare=False, repr=False)

    def fits(self, row: Mapping[str, str]) -> bool:
        """Return whether a row is meant."""
        return self._state(row) == POSITIVE

    def unknown(self, row: Mapping[str, str]) -> bool:
        """Return whether nobody knows if a row is meant."""
        return self._state(row) == UNKNOWN

    def _state(self, row: Mapping[str, str]) -> int:
        cell = row[self.column]
        if cell not in self._states:
            texts = cell.split(self.separator) if self.separator else [cell]
            parts = {plain_number(text) for text in texts}
            rest = NEGATIVE if parts.isdisjoint(self.unsure) else UNKNOWN
            self._states[cell] = rest if parts.isdisjoint(self.values) else POSITIVE
        return self._states[cell]


@dataclass(frozen=True)
class TableSettings:
    """The settings of layout ``table``: ``columns`` has those of ``FIELDS`` that are given.

    ``several``: a row may fit several labels, each of which is a finding.
    """

    root: Path
    table: Path
    id_key: str
    ids: str
    columns: dict[str, Column]
    keep: Rule | None
    labels: dict[str, Rule]
    further: tuple[Path, ...] = ()
    several: bool = False

    @property
    def tables(self) -> list[Path]:
        """Return all CSV files, the first one first."""
        return [self.table, *self.further]

    @property
    def shown(self) -> str:
        """Return what messages call the tables."""
        return " and ".join(map(str, self.tables))

    @property
    def used(self) -> list[str]:
        """Return the names of all columns that are needed."""
        rules = [*self.labels.values(), *([self.keep] if self.keep else [])]
        names = [column.name for column in self.columns.values()]
        return list(dict.fromkeys(names + [rule.column for rule in rules]))


def read_settings(dataset: Mapping[str, Any]) -> TableSettings:
    """Return the settings in ``dataset``, after a look at the table's header.

    ``dataset`` has root, table (a CSV file, relative to the root or absolute), id_key, ids (hash or
    file), columns (of file, patient, study, sex, age and view: a name, a mapping of column and
    pattern, or None), keep (None, or a mapping of column, values and separator) and labels (such a
    mapping, or None, for each class), further (CSV files of the same columns) and several (True
    where the labels are findings, of which a row may have any number; then their mappings may have
    ``unknown``, the values of rows of which nobody knows). All but root, table, id_key and the
    column of the file may be missing.

    Raises InputError if a setting is missing or wrong, or the root, the table or a column is not
    there.
    """
    for key in ("root", "table"):
        if not dataset.get(key):
            raise InputError(f"table.{key}: missing; layout table needs a folder and a CSV file")
    root = Path(dataset["root"])
    table = root / dataset["table"]
    if not root.is_dir():
        raise InputError(
            f"{root}: there is no such folder; set table.root to the folder that the image files "
            "lie in, at any depth"
        )
    further = tuple(root / name for name in dataset.get("further") or ())
    for key, one in (("table", table), *(("further", one) for one in further)):
        if not one.is_file():
            near = difflib.get_close_matches(one.name, [p.name for p in root.glob("*.csv")], 1, 0.0)
            hint = f"; {near[0]!r} is there" if near else ""
            raise InputError(
                f"{one}: there is no such file{hint}; set table.{key} to the CSV file, relative to "
                "the root or absolute"
            )
    names = [one.name for one in (table, *further)]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise InputError(
            f"table.further: {twice} is the name of two tables, which messages could not tell "
            "apart; name each once, or rename one"
        )
    given = dataset.get("columns") or {}
    columns = {
        name: read_column(given[name], f"table.columns.{name}")
        for name in FIELDS
        if given.get(name)
    }
    if "file" not in columns:
        raise InputError("table.columns.file: missing; the column that names the image files")
    keep = _rule(dataset["keep"], "table.keep") if dataset.get("keep") else None
    several = dataset.get("several", False)
    labels = {
        name: _rule(rule, f"table.labels.{name}", several=several)
        for name, rule in (dataset.get("labels") or {}).items()
        if rule
    }
    settings = TableSettings(
        root, table, dataset["id_key"], dataset.get("ids", "hash"), columns, keep, labels, further,
        several,
    )  # fmt: skip
    for one in settings.tables:
        check_columns(one, settings.used)
    return settings


def patient_spelling(settings: TableSettings) -> Callable[[str], str]:
    """Return what gives each patient one spelling, whichever table the id stands in.

    A program that wrote one of several tables may have made 12.0 or 012 of the 12 in another one:
    whole numbers are spelled as where they come first. In a single table texts stay as they are.
    """
    first: dict[str, str] = {}

    def spelled(text: str) -> str:
        number = plain_number(text)
        if len(settings.tables) == 1 or not is_number(text) or "." in number:
            return text
        return first.setdefault(number, text)

    return spelled


def read_column(given: Any, key: str) -> Column:
    """Return the column that ``given`` means: a name, or a mapping of column and pattern.

    Raises InputError, which names ``key``, for a missing name or what is no regular expression.
    """
    if isinstance(given, str):
        return Column(given.strip())
    name, pattern = given.get("column"), given.get("pattern")
    if not name:
        raise InputError(f"{key}.column: missing; the name of a column of the table")
    try:
        return Column(name.strip(), re.compile(pattern) if pattern else None)
    except re.error as error:
        raise InputError(
            f"{key}.pattern: {pattern!r} is no regular expression ({error}); correct it"
        ) from None


def _rule(given: Mapping[str, Any], key: str, *, several: bool = False) -> Rule:
    for part in ("column", "values"):
        if not given.get(part):
            raise InputError(f"{key}.{part}: missing; it says which rows are meant")
    values = _values(given["values"], f"{key}.values")
    unsure = _values(given.get("unknown") or (), f"{key}.unknown")
    if unsure and not several:
        raise InputError(
            f"{key}.unknown: goes with findings, each of which may be unknown by itself; leave it "
            "out here"
        )
    if both := sorted(values & unsure):
        raise InputError(
            f"{key}.unknown: {both[0]!r} is also among its values; leave it in one of the two"
        )
    return Rule(given["column"].strip(), values, given.get("separator") or "", unsure)


def _values(given: Iterable[Any], key: str) -> frozenset[str]:
    for value in given:
        if not isinstance(value, (str, int, float)) or isinstance(value, bool):
            raise InputError(f"{key}: {value!r} is no text and no number; put it in quotes")
        if isinstance(value, float) and abs(value) >= _EXACT:
            raise InputError(
                f"{key}: {value!r} is more than a number holds digit by digit; put it in quotes, "
                "as it stands in the table"
            )
    return frozenset(plain_number(str(value)) for value in given)
