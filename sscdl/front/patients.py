"""Which column of somebody's table tells the patient, or which part of the files' names does.

A study in which every file counts as another patient may show the network in training whom it is
tested on, so that nothing here falls back to that.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

from sscdl.csv_rows import is_number
from sscdl.errors import InputError
from sscdl.front import propose
from sscdl.front.ask import Asker
from sscdl.front.look import Folder, Table

PERSONS = ("patient", "subject", "participant", "person")
_WHO = "|".join(PERSONS)
_MARK = (
    "id|no|nr|num|number|code|key|uid|hash|hashed|name|pseudonym|anon|anonymi[sz]ed|deid|"
    "deidentified|dicom"
)
_PATIENT = re.compile(rf"(({_MARK})*({_WHO})s?({_MARK})*)|pid|mrn|ptid")
# A case may as well be one image or a label (case, control): sure only by what is in the column.
_CASE = re.compile(rf"({_MARK})*cases?({_MARK})*")
_WITHIN = re.compile(f"{_WHO}|case")
# What is said of a patient, and not who it is.
_SAID = re.compile(
    rf".*({_WHO}|case)s?({'|'.join(propose.SAID_OF_PATIENTS.values())}|weight|height|size|"
    "position|orient).*"
)
# How names of files tell the patient, the likeliest first.
_WRITTEN = (
    *(
        rf"{written}{sign}(\d+)"
        for word in PERSONS
        for written in (word, word.capitalize(), word.upper())
        for sign in ("", "_", "-")
    ),
    r"sub-([0-9A-Za-z]+)",
)
_FOLDER = re.compile("|".join(_WRITTEN))
_FEWEST = 5  # different texts of a column that may be patients by its contents alone
_IN_NAMES = 0.2  # of the rows must have different texts in a short table


def patient_setting(
    table: Table, folder: Folder, options: argparse.Namespace, asker: Asker, file: str
) -> str | dict[str, Any]:
    """Return what tells the patient: a column, a part of the files' column, or '' if nothing does.

    Raises InputError where that is not sure and nobody can be asked.
    """
    if options.no_patient:
        return ""
    pattern = pattern_in(table.counts[file])
    by_name = {"column": file, "pattern": pattern}
    if options.patient is not None and options.patient != file:
        return options.patient
    if options.patient is not None:
        if pattern:
            return by_name
        raise InputError(
            f"--patient {file}: is the column of the image files, so that each would be another "
            "patient; give the column of the patient, or --no-patient if there is none"
        )
    found = patient_column(table, [file])
    left = [name for name in table.columns if name != file]
    part = _apart(f"{file}: {pattern}", left) if pattern else ""
    likely = [*found.columns[:1], *([part] if part else [])]
    if not found.sure and part:
        likely.reverse()
    told = bool(part) or (folder.all_dicom and not found.columns)
    sure = found.sure or (told and not found.why)
    if not (sure or asker.terminal):
        flags = "--patient COLUMN, or --no-patient (DICOM headers tell it, others are of one each)"
        asker.refuse("Column of the patient", flags, left, found.why)
    none = _apart("none", left)
    # Enter is no decision that every picture is another patient's.
    unknown = none if folder.all_dicom else ""
    answer = asker.choose(
        "Column of the patient",
        [*left, *([part] if part else []), none],
        likely[0] if likely else unknown,
        "--patient",
        sure=sure,
        why=found.why,
    )
    if answer == none:
        return ""
    return by_name if answer == part else answer


def patient_column(table: Table, taken: Iterable[str]) -> propose.Proposal:
    """Return which columns may tell patients; sure is one that is called so.

    A column of cases is sure where some come again; none is where another one is there twice.
    """
    left = [name for name in table.columns if name not in taken and table.counts[name]]
    named = [name for name in left if _PATIENT.fullmatch(propose.plain(name))]
    cases = [n for n in left if _CASE.fullmatch(propose.plain(n)) and _many_repeated(table, n)]
    further = [name for name in left if name not in named and _may_be(table, name)]
    doubts = [
        f"{name!r} is there twice"
        for name in table.doubled
        if _PATIENT.fullmatch(propose.plain(name))
    ]
    if len(named) > 1:
        doubts.append(f"{' and '.join(map(repr, named))} are called so")
    sure = not doubts and (len(named) == 1 or (not named and len(cases) == 1))
    return propose.Proposal(
        tuple(dict.fromkeys([*named, *cases, *further])), sure, "; ".join(doubts)
    )


def pattern_in(texts: Iterable[str]) -> str:
    r"""Return a regular expression of the patient's number in names of files, '' if there is none.

    It is found in every text, behind a word for a person, and not the same in all:
    ``patient(\d+)``; or behind ``sub-``, as the Brain Imaging Data Structure has it.
    """
    texts = list(texts)
    for pattern in _WRITTEN:
        # Most patterns fail at the first name; tables have a hundred thousand.
        found = list(takewhile(bool, map(re.compile(pattern).search, texts)))
        if len(found) == len(texts) and len({match[1] for match in found if match}) > 1:
            return pattern
    return ""


def is_patient(name: str) -> bool:
    """Return whether a folder is called after a patient: ``patient12``, ``sub-01``."""
    return bool(_FOLDER.fullmatch(name))


def _may_be(table: Table, name: str) -> bool:
    """Return whether a column may be the patient by a part of its name, or by its contents."""
    short = propose.plain(name)
    if _SAID.fullmatch(short) or not _many(table, name):
        return False
    return bool(_WITHIN.search(short)) or _many_repeated(table, name)


def _many(table: Table, name: str) -> bool:
    """Return whether a column has so many texts as there may be patients."""
    number = len(table.counts[name])
    most = propose.MOST_LABELS
    return number > most or (number >= _FEWEST and number >= _IN_NAMES * table.rows)


def _many_repeated(table: Table, name: str) -> bool:
    """Return whether a column is of many texts, of which some come again, and is no measurement."""
    counts = table.counts[name]
    point = any("." in text and is_number(text) for text in counts)
    other = propose.about_others(name) or point
    return not other and _many(table, name) and counts.total() > len(counts) > table.rows / 50


def _apart(word: str, names: Sequence[str]) -> str:
    """Return ``word`` with so many ! behind it that it is none of ``names``."""
    while word in names:
        word += "!"
    return word
