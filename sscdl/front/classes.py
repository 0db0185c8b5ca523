"""Which values of a column are the classes of a study, or its findings: told, sure, or asked."""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sscdl.csv_rows import plain_number
from sscdl.errors import InputError
from sscdl.front import propose
from sscdl.front.allowed import wrong_class
from sscdl.front.ask import Asker
from sscdl.front.look import Table
from sscdl.words import nearest

_MOST_SHOWN = 30


def labels_of(
    table: Table, column: str, options: argparse.Namespace, asker: Asker
) -> dict[str, dict[str, Any]]:
    """Return which rows have which label, by the names of classes or, if told, of findings."""
    sign = propose.separator(table, column)
    counts = propose.parts(table, column, sign)
    if options.findings:
        classes = _told(counts, options.findings, column, "--findings")
    else:
        where = f"{column!r} ({table.path})"
        classes = classes_of(counts, column, options.classes, asker, where=where, whole=not sign)
    more = {"separator": sign} if sign else {}
    return {name: {"column": column, "values": values, **more} for name, values in classes.items()}


def classes_of(
    counts: Counter[str],
    column: str,
    told: Sequence[str] | None,
    asker: Asker,
    *,
    where: str,
    whole: bool = True,
) -> dict[str, list[str]]:
    """Return the values that mean each class.

    ``counts`` has the number of images of each value, ``column`` is what the values are of, and
    ``where`` that for messages; ``whole`` is False where an image may have several values.
    """
    listed = _listed(counts)
    if told is not None:
        classes = _told(counts, told, column)
    else:
        likely = [value for value, n in counts.items() if n >= propose.FEWEST_IMAGES]
        doubts = doubtful(counts)
        all_fit = whole and not doubts and len(likely) == len(counts)
        sure = all_fit and 2 <= len(likely) <= propose.MOST_CLASSES
        if not (sure or asker.terminal):
            why = f" ({'; '.join(dict.fromkeys(doubts.values()))})" if doubts else ""
            flag = "--classes VALUE | NAME=VALUE ..."
            if not whole:
                flag += ", or --findings VALUE | NAME=VALUE ... if an image may have several"
            asker.refuse(f"which values of {column!r} are classes{why}", flag, listed)
        values = likely
        if asker.terminal:
            if not whole:
                print(
                    "  images may have several of these: --findings VALUE ... tells each by itself"
                )
            for reason in dict.fromkeys(doubts.values()):
                print(f"  {reason}")
            clear = [value for value in likely if not propose.no_answer(value)]
            values = _chosen(counts, clear[: propose.MOST_CLASSES], column, asker)
        classes = _named(values, column, asker)
    if len(classes) < 2:
        raise InputError(
            f"{where}: a study tells at least two classes apart, and these are "
            f"{len(classes)} of {', '.join(listed)}"
        )
    return classes


def doubtful(values: Iterable[str]) -> dict[str, str]:
    """Return why it is not sure that a value is a class of its own, of those that are doubtful."""
    found: dict[str, str] = {}
    alike: dict[str, list[str]] = defaultdict(list)
    for value in values:
        alike[_short(value).replace("_", "")].append(value)
        if reason := propose.no_answer(value):
            found[value] = reason
        elif not propose.own_name(value):
            found[value] = f"{value!r} has no letter or digit (A-Z, 0-9) to name a class by"
    for some in alike.values():
        if len(some) > 1:
            reason = f"{_list(some)} are alike, and may be one class"
            found |= {value: reason for value in some if value not in found}
    return found


def _named(values: Sequence[str], column: str, asker: Asker) -> dict[str, list[str]]:
    """Return the values by names of classes; those that are alike are asked about."""
    alike: dict[str, list[str]] = defaultdict(list)
    for value in values:
        alike[value.casefold()].append(value)
    groups: list[list[str]] = []
    for some in alike.values():
        one = len(some) > 1 and _one_class(some, asker)
        groups += [some] if one else [[value] for value in some]
    proposed = propose.class_names([group[0] for group in groups], column)
    shorts = Counter(_short(group[0]) for group in groups)
    classes: dict[str, list[str]] = {}

    def wrong(answer: str) -> str | None:
        another = f"{answer} is the name of another class" if answer in taken else None
        return wrong_class(answer) or another

    for group in groups:
        name, short = proposed[group[0]], _short(group[0])
        if asker.terminal and (not short or shorts[short] > 1):
            others = {proposed[one[0]] for one in groups if one is not group}
            taken = {*classes, *others}
            name = asker.ask(
                f"Name of the class of {_list(group)}", "" if not short else name, wrong
            )
        classes[name] = group
    return classes


def _one_class(some: Sequence[str], asker: Asker) -> bool:
    question = f"{_list(some)} differ in capitals alone; are they one class"
    return asker.choose(question, ["yes", "no"], "yes", "--classes", sure=False) == "yes"


def _short(value: str) -> str:
    return propose.own_name(value).lower()[:28].strip("_")


def _list(values: Sequence[str]) -> str:
    return " and ".join(map(repr, values))


def _told(
    counts: Counter[str], told: Sequence[str], column: str, flag: str = "--classes"
) -> dict[str, list[str]]:
    """Return the values of each class, or finding, that ``flag`` gives."""
    classes: dict[str, list[str]] = defaultdict(list)
    known = {plain_number(value): value for value in counts}
    whole = {word: known[plain_number(word)] for word in told if plain_number(word) in known}
    names = propose.class_names(whole.values(), column)
    for word in told:
        name, sign, value = word.partition("=")
        if word in whole:
            value = whole[word]
            name = names[value]
            if not propose.own_name(value):
                raise InputError(
                    f"{flag} {word}: has no letter or digit (A-Z, 0-9) to name a class by; give "
                    f"NAME={word}"
                )
        elif not (sign and plain_number(value) in known):
            near = nearest(value if sign else word, counts)
            hint = f"did you mean {near!r}? Give" if near else "give"
            raise InputError(
                f"{flag} {word}: {column!r} has no such value (there are: "
                f"{', '.join(_listed(counts))}); {hint} values, or NAME=VALUE"
            )
        else:
            value = known[plain_number(value)]
        if fault := wrong_class(name):
            raise InputError(f"{flag} {word}: {name!r} is no name of a class; {fault}")
        if any(value in values for values in classes.values()):
            raise InputError(f"{flag} {word}: {value!r} is there twice; leave one out")
        classes[name].append(value)
    return dict(classes)


def _chosen(counts: Counter[str], likely: Sequence[str], column: str, asker: Asker) -> list[str]:
    """Ask which values are classes, by their numbers, and return them."""
    known = list(counts)[:_MOST_SHOWN]
    print(f"Values of {column}:")
    for number, value in enumerate(known, start=1):
        print(f"  {number:2}  {value}  ({counts[value]:,})")
    proposal = " ".join(str(known.index(value) + 1) for value in likely if value in known)

    def picked(answer: str) -> list[int]:
        return [int(word) for word in re.findall(r"\d+", answer)]

    def wrong(answer: str) -> str | None:
        numbers = set(picked(answer))
        whole = re.fullmatch(r"[\d\s,]*", answer) and numbers <= set(range(1, len(known) + 1))
        return None if whole and len(numbers) >= 2 else f"at least two numbers of 1 to {len(known)}"

    answer = asker.ask("Numbers of those that are classes", proposal, wrong)
    return [known[number - 1] for number in dict.fromkeys(picked(answer))]


def _listed(counts: Counter[str]) -> list[str]:
    """Return the most frequent values with their numbers of rows."""
    shown = [f"{value} ({number:,})" for value, number in counts.most_common(_MOST_SHOWN)]
    return shown + ([f"{len(counts) - _MOST_SHOWN} more"] if len(counts) > _MOST_SHOWN else [])
