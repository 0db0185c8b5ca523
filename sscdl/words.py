"""Words of messages: numbers with nouns, what a misspelt name was meant to be, names of draws.

The standard library alone: whoever says something imports it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


def many(number: int, one: str, more: str = "") -> str:
    """Return a whole number and what it counts: ``1 image``, ``2,000 images``.

    ``one`` is said of a single one, and may have the verb with it (``image is``); ``more`` of none
    or several, by default ``one`` with an s.
    """
    return f"{number:,} {one if number == 1 else more or one + 's'}"


def nearest(word: str, known: Iterable[str], least: float = 0.6) -> str:
    """Return the one of ``known`` that a word is likely meant to be, '' if none is near.

    Capitals do not count. ``least`` is how alike they must be (``difflib``), in [0, 1].
    """
    plain: dict[str, str] = {}
    for one in known:
        plain.setdefault(one.casefold(), one)
    found = difflib.get_close_matches(word.casefold(), plain, n=1, cutoff=least)
    return plain[found[0]] if found else ""


def draw_name(share: float, draw: int) -> str:
    """Return what a draw of few labels is called in names of files: ``l0.1d2``."""
    return f"l{share:g}d{draw}"


def draw_of(data: Mapping[str, Any]) -> str:
    """Return the name of the draw of few labels that a data recipe asks for, '' for all labels."""
    labels = data.get("labels", {})
    return draw_name(labels["share"], labels["draw"]) if "draw" in labels else ""
