"""Ids of patients that are written in several ways, and those that say that nobody is known.

One patient who counts as two may be on two sides of a split, and all who are not known count as
one: neither is taken without a word.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sscdl.csv_rows import plain_number
from sscdl.errors import InputError
from sscdl.front import propose
from sscdl.front.ask import Asker
from sscdl.front.look import Table
from sscdl.front.patients import PERSONS
from sscdl.words import many

ONE, SEVERAL, EACH = "one", "several", "each"
_FEW = 3  # examples in a question


def settled(
    table: Table, patient: str | dict[str, Any], options: argparse.Namespace, asker: Asker
) -> str | dict[str, Any]:
    """Return what tells the patient, with a pattern where ids mean what they do not say.

    ``patient`` is a column, or a part of one (``patient_setting``). Raises InputError where it is
    not sure what they mean and nobody can be asked.
    """
    if not patient:
        refuse_about_ids(options, "no column tells the patient")
        return patient
    column, pattern = patient, "(.+)"
    if not isinstance(patient, str):
        column, pattern = patient["column"], patient["pattern"]
    counts: Counter[str] = Counter()
    cells: dict[str, str] = {}
    for cell, number in table.counts[str(column)].items():
        if match := re.search(pattern, cell):
            counts[match[1]] += number
            cells[match[1]] = cell
    # A part of a file's name that is found is a number.
    unknown = _unknown(counts if column == patient else {}, options, asker)
    known = [text for text in counts if text not in unknown]
    one = are_one(known, options, asker)
    if not (unknown or one):
        return patient
    if column == patient:
        out = f"^(?!(?:{'|'.join(map(re.escape, unknown))})$)" if unknown else ""
        pattern = f"{out}(.+)" if not one else rf"{out}\D*0*(\d+)" if out else r"0*(\d+)"
    else:
        pattern = number_alone(pattern)
    if one:
        found = {text: re.search(pattern, cells[text]) for text in known}
        check_one({text: match[1] if match else "" for text, match in found.items()})
    return {"column": column, "pattern": pattern}


def refuse_about_ids(options: argparse.Namespace, why: str) -> None:
    """Raise InputError if options say what ids of patients mean, of which ``why`` there are none.

    Headers of DICOM files, which may tell patients, are read as they are.
    """
    for flag in ("unknown", "alike"):
        if getattr(options, flag) is not None:
            raise InputError(
                f"--{flag}: says what ids of patients in a table or in paths mean, and {why}; "
                "leave it out"
            )


def number_alone(pattern: str) -> str:
    """Return a pattern whose group begins behind the zeros before a number."""
    return pattern.replace("(", "0*(", 1)


def are_one(texts: Iterable[str], options: argparse.Namespace, asker: Asker) -> bool:
    """Return whether ids that are alike but for how they are written are of one patient.

    That is told or asked where there are such; InputError where nobody can be asked.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for text in dict.fromkeys(texts):
        alike[_plain(text)].append(text)
    several = [some for some in alike.values() if len(some) > 1]
    if not several:
        if options.alike:
            print(f"--alike {options.alike}: no patient is written in several ways")
        return False
    shown = ", ".join(" and ".join(map(repr, some)) for some in several[:_FEW])
    question = (
        f"{many(len(several), 'patient')} may be written in several ways, such as {shown}: is each "
        f"one patient ({ONE}), or are they several ({SEVERAL})"
    )
    answer = options.alike or asker.choose(question, [ONE, SEVERAL], "", "--alike", sure=False)
    return bool(answer == ONE)


def check_one(ids: Mapping[str, str]) -> None:
    """Raise InputError unless ``ids``, by the texts they are read from, part them as numbers do."""
    meant: dict[str, set[str]] = defaultdict(set)
    spelled: dict[str, set[str]] = defaultdict(set)
    for text, one in ids.items():
        meant[one].add(_plain(text))
        spelled[_plain(text)].add(one)
    for text, one in ids.items():
        plain = _plain(text)
        if not one or len(meant[one]) > 1 or len(spelled[plain]) > 1:
            other = (some for some in ids if ids[some] == one or _plain(some) == plain)
            raise InputError(
                f"--alike {ONE}: {' and '.join(map(repr, list(other)[:_FEW]))} have no single "
                "number each that tells patients apart; write each patient in one way"
            )


def _unknown(counts: Mapping[str, int], options: argparse.Namespace, asker: Asker) -> list[str]:
    """Return the texts that are no patient's id, but say that nobody is known."""
    texts = [text for text in counts if propose.no_answer(text)]
    if not texts:
        if options.unknown:
            print(f"--unknown {options.unknown}: no image's patient is called unknown or the like")
        return []
    shown = ", ".join(f"{text!r} ({many(counts[text], 'image')})" for text in texts)
    question = (
        f"in the column of the patient, {shown} may mean that nobody is known: is each of these "
        f"images of another patient ({EACH}), or are they of one ({ONE})"
    )
    answer = options.unknown or asker.choose(question, [EACH, ONE], "", "--unknown", sure=False)
    return texts if answer == EACH else []


def _plain(text: str) -> str:
    """Return one text for all ways to write an id: capitals, signs, zeros, a word for a person."""
    text = re.sub("|".join(PERSONS), "", plain_number(text).casefold())
    text = re.sub(r"^(?:sub|subj|pt|p)(?=[\W_]*\d+$)", "", text)
    text = re.sub(r"(?<=\d)[\W_]+(?=\d)", "-", text)
    text = re.sub(r"(?!-)[\W_]|(?<!\d)-|-(?!\d)", "", text)
    return re.sub(r"0*(\d+)", r"\1", text)
