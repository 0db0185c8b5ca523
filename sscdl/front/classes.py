"""Which values of a column are the classes of a study: told, sure, or asked."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from sscdl.errors import InputError
from sscdl.front import propose
from sscdl.front.ask import Asker
from sscdl.front.look import Table

_CLASS = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_MOST_SHOWN = 30


def labels_of(
    table: Table, column: str, told: Sequence[str] | None, asker: Asker
) -> dict[str, dict[str, Any]]:
    """Return which rows have which label, by the names of classes."""
    sign = propose.separator(table, column)
    counts = propose.parts(table, column, sign)
    listed = _listed(counts)
    if told is not None:
        classes = _told(counts, told, column)
    else:
        likely = [value for value, n in counts.items() if n >= propose.FEWEST_IMAGES]
        whole = not sign and len(likely) == len(counts)
        sure = whole and 2 <= len(likely) <= propose.MOST_CLASSES
        if not asker.terminal:
            if not sure:
                asker.refuse(f"which values of {column!r} are classes", "--classes", listed)
            values = likely
        else:
            values = _chosen(counts, likely[: propose.MOST_CLASSES], column, asker)
        classes = {name: [v] for v, name in propose.class_names(values, column).items()}
    if len(classes) < 2:
        raise InputError(
            f"{column!r} ({table.path}): a study tells at least two classes apart, and these are "
            f"{len(classes)} of {', '.join(listed)}"
        )
    more = {"separator": sign} if sign else {}
    return {name: {"column": column, "values": values, **more} for name, values in classes.items()}


def _told(counts: Counter[str], told: Sequence[str], column: str) -> dict[str, list[str]]:
    """Return the values of each class that ``--classes`` gives."""
    classes: dict[str, list[str]] = defaultdict(list)
    for word in told:
        name, sign, value = word.partition("=")
        if word in counts:
            name, value = propose.class_names([word], column)[word], word
        elif not (sign and value in counts):
            raise InputError(
                f"--classes {word}: {column!r} has no such value (there are: "
                f"{', '.join(_listed(counts))}); give values, or NAME=VALUE"
            )
        if not _CLASS.fullmatch(name):
            raise InputError(
                f"--classes {word}: {name!r} is no name of a class; letters, digits, - and _, no "
                "more than 32, a letter or digit first"
            )
        if any(value in values for values in classes.values()):
            raise InputError(f"--classes {word}: {value!r} is there twice; leave one out")
        classes[name].append(value)
    return dict(classes)


def _chosen(counts: Counter[str], likely: Sequence[str], column: str, asker: Asker) -> list[str]:
    """Ask which values are classes, by their numbers, and return them."""
    known = list(counts)[:_MOST_SHOWN]
    print(f"Values of {column}:")
    for number, value in enumerate(known, start=1):
        print(f"  {number:2}  {value}  ({counts[value]:,} rows)")
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
