"""What lists of files, a column of the table or parts of the paths say of the sides of a split.

Needs only the standard library. Lists are those of NIH ChestX-ray14 (a file name a line) or tables
(CSV) with the column of the file, such as CheXpert's.

Where nothing says which images train, all others do. A name or a text that was meant for a test
image and is not understood would then train it: what looks like that is refused.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sscdl.archives import folder_settings
from sscdl.archives.entries import Place, Report
from sscdl.archives.folder_words import shown_texts
from sscdl.archives.listing import stem
from sscdl.archives.lookup import NOT_THERE, find_files
from sscdl.archives.sides import SIDES
from sscdl.archives.table_settings import (
    Column,
    Rule,
    patient_spelling,
    read_column,
    read_settings,
)
from sscdl.csv_rows import MissingColumn, plain_number, read_rows
from sscdl.errors import InputError, of_key
from sscdl.magic import first_bytes, known_kind


class Said(NamedTuple):
    """What is said of a file: where, of which patient it is, and the text that says its side.

    Patient and text are '' where nothing says them.
    """

    place: Place
    patient: str
    text: str


@dataclass(frozen=True)
class Found:
    """What is said of the files of an archive, by paths below its root.

    ``named`` has, for each side that is given, where which path is put on it; ``others`` are the
    paths that train where nothing says which do. ``problems`` are (file, reason) for the list of
    findings, ``notes`` sentences for whoever starts the run.
    """

    named: dict[str, dict[str, Place]]
    others: list[str]
    problems: list[tuple[str, str]]
    notes: list[str]


def read_lists(
    dataset: Mapping[str, Any],
    lists: Mapping[str, Any],
    paths: Sequence[str],
    used: Collection[str],
) -> Found:
    """Return what a list for each side says; ``lists`` has the file of each, or None.

    Of all ``paths``, names may be those of any; only those that are ``used`` train unnamed.

    Raises InputError if a list cannot be read or names no image file, or if ``train`` has none and
    a name that leads to no file is nearly that of a file which would train.
    """
    files = {side: Path(dataset["root"]) / lists[side] for side in SIDES if lists[side] is not None}
    names: dict[str, dict[str, Place]] = {}
    meant: dict[str, dict[str, str]] = {}
    reasons: dict[str, dict[str, str]] = {}
    for side, file in files.items():
        key = f"split.lists.{side}"
        names[side] = {}
        with of_key(key):
            for line, name in _names(file, dataset):
                names[side].setdefault(name, Place(file.name, line))
        if not names[side]:
            raise InputError(f"{key}: {file} names no file; give one file name a line")
        meant[side], reasons[side] = find_files(names[side], paths)
        if not meant[side]:
            name, reason = next(iter(reasons[side].items()))
            raise InputError(
                f"{key}: none of the {len(names[side])} names in {file} is that of an image file "
                f"below {dataset['root']} (line {names[side][name].line}: {reason}); check the "
                "list and the root"
            )
    _settle_between(meant, reasons)
    others: list[str] = []
    if lists["train"] is None:
        taken = {path for found in meant.values() for path in found.values()}
        others = [path for path in paths if path in used and path not in taken]
        for side, file in files.items():
            _refuse_near(side, file, names[side], reasons[side], others)
    problems: list[tuple[str, str]] = []
    notes = []
    for side, file in files.items():
        lost = sorted((names[side][name], reason) for name, reason in reasons[side].items())
        report = Report()
        for place, reason in lost:
            report.row(place, reason)
        problems += report.problems()
        if lost:
            notes.append(
                f"split.lists.{side}: {len(lost)} of the {len(names[side])} names in {file.name} "
                f"lead to no image file (line {lost[0][0].line}: {lost[0][1]})"
            )
    named = {
        side: {path: names[side][name] for name, path in found.items()}
        for side, found in meant.items()
    }
    return Found(named, others, problems, notes)


def _names(file: Path, dataset: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield (line, file name) of a list: of a table, what its column of the file says."""
    if file.is_dir():
        raise InputError(f"{file} is a folder; give a file with one file name a line")
    if file.suffix.lower() == ".csv":
        if dataset["layout"] != "table":
            raise InputError(
                f"{file} is a table, whose column of the file only layout table names; give a text "
                "with one file name a line"
            )
        column = read_settings(dataset).columns["file"]
        for line, texts in read_rows(file, [column.name]):
            yield line, column.value(texts)
        return
    try:
        if file.stat().st_size and (kind := known_kind(first_bytes(file))):
            raise InputError(f"{file} is {kind}; give a text with one file name a line")
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(
            f"{file} cannot be read ({error.strerror}); give its path, absolute or relative to the "
            "root of the data set"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{file} is no text in UTF-8; save it as such") from None
    yield from ((number, line.strip()) for number, line in enumerate(lines, 1) if line.strip())


def _settle_between(meant: dict[str, dict[str, str]], reasons: dict[str, dict[str, str]]) -> None:
    """Leave a file that two lists name to the one whose folders agree with its path.

    A name finds a file by its end, in whatever folder, if no other file has that; where another
    list names just this file, the first one meant a file that is not there.
    """
    claims: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for side, found in meant.items():
        for name, path in found.items():
            claims[path].append((side, name))
    for path, rivals in claims.items():
        agreeing = [rival for rival in rivals if _agrees(rival[1], path)]
        for side, name in rivals if len(rivals) > 1 and agreeing else ():
            if (side, name) not in agreeing:
                del meant[side][name]
                reasons[side][name] = NOT_THERE


def _agrees(name: str, path: str) -> bool:
    """Return whether no folder of a name is another than that of the path, as far as both go."""
    ours, theirs = (
        [part for part in stem(one.replace("\\", "/")).split("/") if part not in ("", ".")]
        for one in (name, path)
    )
    return all(one == other for one, other in zip(reversed(ours), reversed(theirs), strict=False))


def _refuse_near(
    side: str,
    file: Path,
    names: Mapping[str, Place],
    reasons: Mapping[str, str],
    others: Sequence[str],
) -> None:
    """Raise InputError if a name of ``reasons`` is nearly that of one of the ``others``."""
    free = {one for path in others for one in _stems(path)}
    near = [names[name] for name in reasons if free & _near(name)]
    if near:
        place = min(near)
        reason = next(why for name, why in reasons.items() if names[name] == place)
        raise InputError(
            f"split.lists.{side}: {len(near)} names in {file} lead to no single image file (line "
            f"{place.line}: {reason}), but files are there that are called so but for case, "
            "suffix, quotes, further columns or folders; as split.lists.train is left out, these "
            "would train. Correct the names, or give the list of the training images, too"
        )


def _stems(name: str) -> set[str]:
    """Return a file's name without folders and suffix, whatever its case."""
    last = name.replace("\\", "/").rpartition("/")[2].strip().casefold()
    front, suffix = os.path.splitext(last)
    return {stem(last), front if suffix[1:].isalpha() else last} - {""}


def _near(name: str) -> set[str]:
    """Return the names of files that a line of a list may mean: whole, or one of its columns."""
    columns = re.split(r"[,;|\t\"']+", name)
    words = [one for one in name.split() if stem(one) != one]
    return {one for part in (name, *columns, *words) for one in _stems(part)}


def read_values(column: Mapping[str, Any], said: Mapping[str, Said]) -> Found:
    """Return what a column of the table, or a group of the patterns, says: the texts of ``said``.

    ``column`` has the name and, for each side, its values or None. Files without a text are on a
    side only where one has the value ''.

    Raises InputError if a side has no file, or ``train`` has no values and a text differs from the
    value of another side in nothing but case.
    """
    name = column["name"]
    values = {
        side: {plain_number(str(one)) for one in column[side]}
        for side in SIDES
        if column[side] is not None
    }
    rules = {side: Rule(name, frozenset(ones)) for side, ones in values.items()}
    named: dict[str, dict[str, Place]] = {side: {} for side in rules}
    rest: dict[str, str] = {}
    for path, one in said.items():
        sides = [side for side, rule in rules.items() if rule.fits({name: one.text})]
        for side in sides:
            named[side][path] = one.place
        if not sides:
            rest[path] = one.text
    counts = Counter(one.text for one in said.values() if one.text)
    for side, found in named.items():
        if not found:
            raise InputError(
                f"split.column.{side}: no image has {' or '.join(map(repr, column[side]))} in "
                f"{name!r} (there are {shown_texts(counts)}); correct the values"
            )
    if column["train"] is not None:
        return Found(named, [], [], [])
    for text in sorted(set(rest.values()) - {""}):
        for side, ones in values.items():
            if plain_number(text).casefold() in {one.casefold() for one in ones}:
                raise InputError(
                    f"split.column.{side}: {text!r} in {name!r} ({counts[text]} images) differs "
                    "from its values in nothing but case; as split.column.train is left out, these "
                    "images would train. Give this text, too, or correct it there"
                )
    others = [path for path, text in rest.items() if text]
    notes = []
    if others:
        shown = shown_texts(Counter(rest[path] for path in others))
        notes.append(
            f"split.column.train: left out, so that {len(others)} image files train whose text in "
            f"{name!r} no other side names: {shown}"
        )
    if empty := len(rest) - len(others):
        notes.append(
            f"split.column: {empty} image files have no text in {name!r} and are on no side; the "
            "value '' puts them on one"
        )
    return Found(named, others, [(".", note) for note in notes], notes)


def read_said(
    dataset: Mapping[str, Any], paths: Sequence[str], column: Mapping[str, Any] | None
) -> dict[str, Said]:
    """Return what tables or paths say of each file of which they say anything.

    Files without a row that is kept, or whose path no pattern fits, are left out: no study has
    them. ``column`` (name, pattern) says where the text of the side stands, None: nowhere.

    Raises InputError if the column cannot be read, or two rows of one file differ in it.
    """
    if dataset["layout"] == "siim":
        return {path: Said(Place(path, 0), "", "") for path in paths}
    counted = None
    if column is not None:
        given = {"column": column["name"], "pattern": column["pattern"]}
        counted = read_column(given, "split.column")
    if dataset["layout"] == "folders":
        if counted and counted.name not in folder_settings.GROUPS:
            raise InputError(
                f"split.column.name: {counted.name!r} is no group of folders.patterns; known are "
                f"{', '.join(folder_settings.GROUPS)}"
            )
        settings = folder_settings.read_settings(dataset)
        return {
            path: Said(Place(path, 0), texts["patient"], counted.value(texts) if counted else "")
            for path, texts in folder_settings.read_parts(settings, paths).items()
        }
    found: dict[str, Said] = {}
    for path, one in _rows(dataset, counted, paths):
        before = found.setdefault(path, one)
        if counted and before.text != one.text:
            raise InputError(
                f"split.column.name: {before.place} and {one.place} are of one image, and "
                f"{counted.name!r} differs; correct the wrong row"
            )
    return found


def _rows(
    dataset: Mapping[str, Any], counted: Column | None, paths: Sequence[str]
) -> Iterator[tuple[str, Said]]:
    """Yield the path and what is said of it of each row that is kept and has a file."""
    settings = read_settings(dataset)
    file, patient = settings.columns["file"], settings.columns.get("patient")
    spelled = patient_spelling(settings)
    needed = [file, *filter(None, (patient, counted))]
    names = [*(one.name for one in needed), *([settings.keep.column] if settings.keep else [])]
    rows: list[tuple[str, Said]] = []
    excluded: list[str] = []  # rows that are not kept may have a file, which is no other row's then
    try:
        for table in settings.tables:
            for line, texts in read_rows(table, names):
                if settings.keep and not settings.keep.fits(texts):
                    excluded.append(file.value(texts))
                else:
                    whose = spelled(patient.value(texts)) if patient else ""
                    text = counted.value(texts) if counted else ""
                    rows.append((file.value(texts), Said(Place(table.name, line), whose, text)))
    except MissingColumn as error:  # the settings name no other that is not there
        raise InputError(f"split.column.name: {error}") from None
    found, _ = find_files([*(name for name, _ in rows), *excluded], paths)
    yield from ((found[name], one) for name, one in rows if name in found)
