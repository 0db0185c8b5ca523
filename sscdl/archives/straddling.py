"""Patients on several sides of a split: how they are counted, and what is said of them.

Needs only the standard library: a plan counts as tables and summaries do.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any, NamedTuple

from sscdl.archives.sides import DRAWN, EXAMPLES, REFUSE, SIDES


class Crossing(NamedTuple):
    """Patients on several sides.

    ``both`` of the ``tested`` patients of the test set are in training or validation, too;
    ``pairs`` has, for each two sides, how many patients are on both.
    """

    both: int
    tested: int
    pairs: dict[tuple[str, str], int]


def several(parts: Mapping[str, set[str]]) -> set[str]:
    """Return the patients on more than one side; ``parts`` has those of each split by its name."""
    return {one for pair in combinations(SIDES, 2) for one in _both(parts, *pair)}


def _both(parts: Mapping[str, set[str]], one: str, other: str) -> set[str]:
    return parts.get(one, set()) & parts.get(other, set())


def crossing(parts: Mapping[str, set[str]]) -> Crossing:
    """Count patients on several sides; ``parts`` has those of each split by its name."""
    pairs = {pair: len(_both(parts, *pair)) for pair in combinations(SIDES, 2)}
    tested = parts.get("test", set())
    return Crossing(len(tested & several(parts)), len(tested), pairs)


def told_of(split: Mapping[str, Any]) -> list[str]:
    """Return what stands below each table of results: nothing unless patients may straddle."""
    if split["source"] == DRAWN or split["straddling"] == REFUSE:
        return []
    return [
        "The split is given, and patients may be on several sides of it (split.straddling: tell): "
        "the table dataset counts them."
    ]


def straddling_refused(source: str, number: int, examples: list[str]) -> str:
    """Return the message on patients on several sides of a split; ``examples`` are pseudonyms."""
    return (
        f"split.{source}: {number} patients have images on several sides of this split, such as "
        f"{', '.join(sorted(examples)[:EXAMPLES])} (ids as in images.csv); correct the split, or "
        "what says who the patient is, or set split.straddling: tell to go on, and tables and "
        "summary will say so"
    )
