"""Words of messages: numbers with their nouns, and the name that a misspelt one was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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
