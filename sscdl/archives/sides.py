"""The sides of a split, and what becomes of images that a given one does not name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sscdl.archives.cohorts import NOT_REPORTED

SIDES = ("train", "val", "test")
# The cohort, and the split, of images that a given split does not name.
UNLISTED = "unlisted"
NOT_TESTED = (*NOT_REPORTED, UNLISTED)
# Where a split comes from: `split.source`.
DRAWN, COLUMN, LISTS = "drawn", "column", "lists"
# What becomes of patients on several sides of a given one: `split.straddling`.
REFUSE, TELL = "refuse", "tell"
EXAMPLES = 3  # ids that messages name
# In remarks.
ACROSS = "its near-duplicate is on another side of the given split"


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
