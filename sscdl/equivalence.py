"""Sources that differ and give the same: what was trained with the older ones is found again.

A refactoring changes hashes of sources, and with them the identity of all that users have trained.
``make same-weights`` makes the same small things with two revisions and compares them bit for bit;
what came out equal it writes to ``resources/equivalent_sources.json``. Recipes then carry the
oldest hash of those that are proven to give the same, so that they come out as they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from sscdl.errors import InputError
from sscdl.files import HOME
from sscdl.records import Kind, read_record
from sscdl.source import group_modules, source_hash

FORMAT = 1
PATH = HOME / "resources" / "equivalent_sources.json"


_KIND = Kind(
    "the list of sources that are proven to give the same",
    "take it from the project again, as it says which stored stages are still those of the present "
    "code",
    {"format": int, "entries": [{"base": str, "groups": dict}]},
)
_HASH = re.compile(r"[0-9a-f]{12}|[0-9a-f]{40}")


class Accepted(NamedTuple):
    """A group whose source hash stands for an older one, and the revision that it was made with."""

    group: str
    oldest: str
    revision: str


@cache
def _entries(path: Path) -> tuple[dict[str, Any], ...]:
    """Return what was compared; InputError if the file is missing or damaged."""
    content = read_record(path, _KIND)
    entries = content["entries"]
    pairs = [pair for entry in entries for pair in entry["groups"].values()]
    named = [entry["base"] for entry in entries]
    try:
        named += [pair[which] for pair in pairs for which in ("old", "new")]
        whole = all(_HASH.fullmatch(one) for one in named) and content["format"] == FORMAT
    except (KeyError, TypeError, IndexError):
        whole = False
    if not whole:
        raise InputError(f"{path}: {_KIND.what} is damaged, or of another version; {_KIND.again}")
    return tuple(entries)


def accepted(group: str) -> Accepted | None:
    """Return what the source of ``group`` is proven to be the same as, None where it is new.

    ``group`` is a key of ``source.GROUPS`` or a task.
    """
    present = source_hash(*group_modules(group))
    found = None
    pairs = [(e["base"], e["groups"][group]) for e in _entries(PATH) if group in e["groups"]]
    while pairs:  # each is followed once, in whatever order they were written
        step = next((one for one in reversed(pairs) if one[1]["new"] == present), None)
        if step is None:
            break
        pairs.remove(step)
        present = step[1]["old"]
        found = Accepted(group, present, step[0])
    return found


def group_hash(group: str) -> str:
    """Return the hash of the source of ``group`` that stands in recipes.

    That is the oldest of those that are proven to give, bit for bit, what the present one gives.
    """
    older = accepted(group)
    return older.oldest if older else source_hash(*group_modules(group))


def sentences(groups: Iterable[str]) -> list[str]:
    """Say of ``groups`` as which revision's source theirs counts, one sentence a revision."""
    by_revision: dict[str, list[str]] = {}
    for one in filter(None, map(accepted, groups)):
        by_revision.setdefault(one.revision, []).append(one.group)
    return [
        f"the source of {', '.join(names)} counts as that of revision {revision[:12]}, which was "
        "compared with it and gave the same bit for bit"
        for revision, names in by_revision.items()
    ]
