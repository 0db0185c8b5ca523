"""What is said of the texts that patterns find in paths: warnings, and parts of messages.

Makes nothing, so that its hash stands in no name of images.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

NO_PATTERNS = (
    "folders.patterns: missing; regular expressions that say what the paths mean, such as "
    "'(?P<label>[^/]+)/(?P<patient>p\\d+)_'"
)
_FEW = 9  # texts that a message names


def amid_words(
    matches: Iterable[tuple[str, str, int, re.Match[str]]], groups: Sequence[str]
) -> list[str]:
    """Return a warning for each pattern of which one of ``groups`` stops amid a word of a path.

    ``matches`` has the path of each file, what messages call it, and the pattern that is found
    there, by its number, with its match.

    So does ``(?P<label>normal)`` in ``abnormal/``. Amid a word is beside a letter, but not between
    a small letter and a capital one. Letters that the pattern spells out are meant: those in what
    it finds that are the same in every path.
    """
    # By pattern, group and end of it: the character beside it, if the pattern finds that, too;
    # whether both are of one word; and where.
    beside: dict[tuple[int, str, bool], list[tuple[str, bool, str]]] = defaultdict(list)
    for path, shown, number, match in matches:
        for name in groups:
            if match.groupdict().get(name):
                start, end = match.span(name)
                before, after = path[:start][-1:], path[end : end + 1]
                found_before = before if start > match.start() else ""
                cut = _in_word(before, path[start])
                beside[number, name, False].append((found_before, cut, shown))
                found_after = after if end < match.end() else ""
                cut = _in_word(path[end - 1], after)
                beside[number, name, True].append((found_after, cut, shown))
    warnings = []
    for (number, name, last), edges in beside.items():
        spelled_out = len({inside for inside, *_ in edges}) == 1 and bool(edges[0][0])
        odd = [shown for _, cut, shown in edges if cut]
        if odd and not spelled_out:
            does, side, edge = ("ends", "behind", "/") if last else ("begins", "before", "(?:^|/)")
            warnings.append(
                f"folders.patterns.{number}: the group {name!r} {does} amid a word in {len(odd)} "
                f"of {len(edges)} paths, for example {odd[0]}; if that is another word than you "
                f"mean, say what stands {side} it, such as {edge} where a folder's name {does}"
            )
    return warnings


def _in_word(one: str, other: str) -> bool:
    """Return whether two neighbouring characters are of one word."""
    return one.isalpha() and other.isalpha() and not (one.islower() and other.isupper())


def shown_texts(counts: Counter[str]) -> str:
    """Return in words which texts there are, by how many files have each of them.

    They are named where they are few beside the files: texts of which nearly every file has its own
    may be ids of patients, and are counted.
    """
    if not counts:
        return "no texts"
    if len(counts) > _FEW or 2 * len(counts) > counts.total():
        return f"{len(counts)} different texts"
    return ", ".join(f"{text} ({number})" for text, number in sorted(counts.items()))
