"""A split that is given: by lists of files, by a column of the table, or by parts of the paths.

Needs only the standard library: it is asked each time the workflow is read, as what it says stands
in recipes. Lists are those of NIH ChestX-ray14 (a file name a line) or tables (CSV) with the column
of the file, such as CheXpert's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sscdl.archives import folder_settings
from sscdl.archives.entries import Place
from sscdl.archives.listing import scan, scan_pictures
from sscdl.archives.lookup import find_files
from sscdl.archives.sides import COLUMN, EXAMPLES, LISTS, REFUSE, SIDES, straddling_refused
from sscdl.archives.table_settings import (
    Column,
    Rule,
    TableSettings,
    read_column,
    read_settings,
)
from sscdl.csv_rows import plain_number, read_rows
from sscdl.errors import InputError
from sscdl.identifiers import pseudonym
from sscdl.magic import first_bytes, known_kind
from sscdl.recipe import fingerprint

_NAMED = 100  # names that are told one by one for each list; the others are counted


@dataclass(frozen=True)
class GivenSplit:
    """Which side of a split the files of an archive are on, by paths below its root.

    ``sides`` has those that are on one, ``validated`` says whether validation images are given,
    too: otherwise they are drawn from the side ``train``. ``patients`` are the patients of files
    as far as tables or paths name them. ``problems`` are (file, reason) for the list of findings.
    """

    sides: dict[str, str]
    validated: bool
    patients: dict[str, str] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def recipe(self) -> str:
        """Return what stands in recipes: the same images on the same sides are the same split."""
        return fingerprint([sorted(self.sides.items()), self.validated])


def image_paths(dataset: Mapping[str, Any]) -> list[str]:
    """Return the paths of an archive's image files, as ``sscdl.archives.layouts`` lists them.

    For a job that lists images, which what else that module does is no part of.
    """
    listing = (scan if dataset["layout"] == "siim" else scan_pictures)(dataset["root"])
    return [path for path, _ in listing.files]


def read_given_split(
    dataset: Mapping[str, Any], split: Mapping[str, Any], paths: Sequence[str]
) -> GivenSplit:
    """Return the split that is given for the archive that ``dataset`` describes.

    ``paths`` are those of its image files. ``split`` is that block of a configuration: its source,
    and ``column`` (name, pattern, and the values of each side, None for all others) or ``lists`` (a
    file for each side, None for all images that no other one names).

    Raises InputError if a list, a column or a side of it is missing or empty, or names nothing of
    the archive, or if two sides share an image; and, unless ``split`` says ``tell``, if they share
    a patient.
    """
    by_list = split["source"] == LISTS
    given = split[LISTS if by_list else COLUMN]
    sides: dict[str, str] = {}
    problems: list[tuple[str, str]] = []
    patients = _patients(dataset, paths)
    found = _listed(dataset, given, paths) if by_list else _told(dataset, given, paths)
    origin: dict[str, Place] = {}
    shared: list[tuple[Place, Place]] = []
    for side, (named, odd) in found.items():
        for path, place in named.items():
            if path in sides:
                shared.append((origin[path], place))
            sides[path], origin[path] = side, place
        problems += odd
    key = f"split.{split['source']}"
    if shared:
        pairs = "; ".join(f"{one} and {other}" for one, other in shared[:EXAMPLES])
        raise InputError(
            f"{key}: {len(shared)} images are on two sides, such as those of {pairs}; leave each "
            "on one"
        )
    if given["train"] is None:
        sides = dict.fromkeys(paths, "train") | sides
    for side in SIDES:
        if given[side] is not None and side not in sides.values():
            raise InputError(f"{key}.{side}: no image of the archive is on this side; correct it")
    if "train" not in sides.values():
        raise InputError(f"{key}: leaves no image to train on; correct it")
    straddling = _straddling(sides, patients)
    if straddling and split["straddling"] == REFUSE:
        shown = [pseudonym(patients[path], dataset["id_key"]) for path in straddling]
        raise InputError(straddling_refused(split["source"], len(straddling), shown))
    return GivenSplit(sides, given["val"] is not None, patients, problems)


def _straddling(sides: Mapping[str, str], patients: Mapping[str, str]) -> list[str]:
    """Return a file of each patient who has files on several sides."""
    homes: dict[str, set[str]] = defaultdict(set)
    first: dict[str, str] = {}
    for path, side in sides.items():
        if patient := patients.get(path):
            homes[patient].add(side)
            first.setdefault(patient, path)
    return [first[patient] for patient, own in homes.items() if len(own) > 1]


_Found = dict[str, tuple[dict[str, Place], list[tuple[str, str]]]]


def _listed(dataset: Mapping[str, Any], lists: Mapping[str, Any], paths: Sequence[str]) -> _Found:
    """Return, for each side that has a list, where which path is named, and what is odd in it."""
    found: _Found = {}
    for side in SIDES:
        if lists[side] is None:
            continue
        file = Path(dataset["root"]) / lists[side]
        key = f"split.lists.{side}"
        names: dict[str, Place] = {}
        for line, name in _names(file, dataset, key):
            names.setdefault(name, Place(file.name, line))
        if not names:
            raise InputError(f"{key}: {file} names no file; give one file name a line")
        meant, reasons = find_files(names, paths)
        if not meant:
            place, reason = next((names[name], why) for name, why in reasons.items())
            raise InputError(
                f"{key}: none of the {len(names)} names in {file} is that of an image file below "
                f"{dataset['root']} (line {place.line}: {reason}); check the list and the root"
            )
        odd = [
            (names[name].file, f"line {names[name].line}: {reason}")
            for name, reason in sorted(reasons.items(), key=lambda pair: names[pair[0]])
        ]
        if len(odd) > _NAMED:
            reason = "named in this list, and not among the images"
            odd = [*odd[:_NAMED], (file.name, f"{len(odd) - _NAMED} more: {reason}")]
        found[side] = {path: names[name] for name, path in meant.items()}, odd
    return found


def _names(file: Path, dataset: Mapping[str, Any], key: str) -> Iterator[tuple[int, str]]:
    """Yield (line, file name) of a list: of a table, what its column of the file says."""
    if file.suffix.lower() == ".csv":
        if dataset["layout"] != "table":
            raise InputError(
                f"{key}: {file} is a table, whose column of the file only layout table names; "
                "give a text with one file name a line"
            )
        column = read_settings(dataset).columns["file"]
        for line, texts in read_rows(file, [column.name]):
            yield line, column.value(texts)
        return
    try:
        if file.stat().st_size and (kind := known_kind(first_bytes(file))):
            raise InputError(f"{key}: {file} is {kind}; give a text with one file name a line")
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(
            f"{key}: {file} cannot be read ({error.strerror}); give its path, absolute or relative "
            "to the root of the data set"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{key}: {file} is no text in UTF-8; save it as such") from None
    yield from ((number, line.strip()) for number, line in enumerate(lines, 1) if line.strip())


def _told(dataset: Mapping[str, Any], column: Mapping[str, Any], paths: Sequence[str]) -> _Found:
    """Return the same of a column of the table, or of a part of the paths."""
    rules = {
        side: Rule(column["name"], frozenset(plain_number(str(one)) for one in column[side]))
        for side in SIDES
        if column[side] is not None
    }
    texts = _column(dataset, column, paths)
    found: _Found = {side: ({}, []) for side in rules}
    for path, (text, place) in texts.items():
        for side, rule in rules.items():
            if rule.fits({column["name"]: text}):
                found[side][0][path] = place
    for side, (named, _) in found.items():
        if not named:
            there = ", ".join(sorted({text for text, _ in texts.values() if text})[:9])
            raise InputError(
                f"split.column.{side}: no image has {' or '.join(map(str, column[side]))} in "
                f"{column['name']!r} (there are {there or 'no texts'}); correct the values"
            )
    return found


def _column(
    dataset: Mapping[str, Any], column: Mapping[str, Any], paths: Sequence[str]
) -> dict[str, tuple[str, Place]]:
    """Return the text that says the side of each path, and where it stands."""
    name, pattern = column["name"], column["pattern"]
    if dataset["layout"] == "folders":
        if name not in folder_settings.GROUPS:
            raise InputError(
                f"split.column.name: {name!r} is no group of folders.patterns; known are "
                f"{', '.join(folder_settings.GROUPS)}"
            )
        parts = _parts(dataset)
        return {path: (texts[name], Place(path, 0)) for path, texts in parts.items()}
    settings = read_settings(dataset)
    text = read_column({"column": name, "pattern": pattern}, "split.column")
    found: dict[str, tuple[str, Place]] = {}
    for path, place, read in _rows(settings, [text], paths):
        before = found.setdefault(path, (read[0], place))
        if before[0] != read[0]:
            raise InputError(
                f"split.column.name: {before[1]} and {place} are of one image, and {name!r} "
                "differs; correct the wrong row"
            )
    return found


def _patients(dataset: Mapping[str, Any], paths: Sequence[str]) -> dict[str, str]:
    """Return the patient of each path, as far as a table or the paths name one."""
    if dataset["layout"] == "folders":
        return {path: texts["patient"] for path, texts in _parts(dataset).items()}
    if dataset["layout"] != "table":
        return {}
    settings = read_settings(dataset)
    patient = settings.columns.get("patient")
    if patient is None:
        return {}
    return {path: read[0] for path, _, read in _rows(settings, [patient], paths)}


def _parts(dataset: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    settings = folder_settings.read_settings(dataset)
    return folder_settings.read_parts(settings, scan_pictures(settings.root))


def _rows(
    settings: TableSettings, columns: Sequence[Column], paths: Sequence[str]
) -> Iterator[tuple[str, Place, list[str]]]:
    """Yield path, place and the texts in ``columns`` of each row that is kept and has a file."""
    file = settings.columns["file"]
    names = [file.name, *(column.name for column in columns)]
    names += [settings.keep.column] if settings.keep else []
    rows: list[tuple[str, Place, list[str]]] = []
    for table in settings.tables:
        for line, texts in read_rows(table, names):
            if not settings.keep or settings.keep.fits(texts):
                read = [column.value(texts) for column in columns]
                rows.append((file.value(texts), Place(table.name, line), read))
    found, _ = find_files((name for name, _, _ in rows), paths)
    yield from ((found[name], place, read) for name, place, read in rows if name in found)
