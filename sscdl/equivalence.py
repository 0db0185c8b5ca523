"""Sources that differ and give the same: what was trained with the older ones is found again.

A refactoring changes hashes of sources, and with them the identity of all that users have trained.
``make same-weights`` makes the same small things with two revisions and compares them bit for bit;
what came out equal it writes to ``resources/equivalent_sources.json``. Recipes then carry the
oldest hash of those that are proven to give the same, so that they come out as they were.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from sscdl.errors import InputError
from sscdl.files import HOME, read_json
from sscdl.source import group_modules, source_hash

PATH = HOME / "resources" / "equivalent_sources.json"


class Accepted(NamedTuple):
    """A group whose source hash stands for an older one, and the revision that it was made with."""

    group: str
    oldest: str
    revision: str


@cache
def _entries(path: Path) -> tuple[dict[str, Any], ...]:
    """Return what was compared, oldest first; InputError if the file is damaged."""
    if not path.exists():
        return ()
    try:
        entries = read_json(path)["entries"]
        for entry in entries:
            str(entry["base"])
            for pair in entry["groups"].values():
                pair["old"], pair["new"]
        return tuple(entries)
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        raise InputError(
            f"{path}: damaged; take it from the project again, as it says which stored stages "
            "are still those of the present code"
        ) from None


def accepted(group: str) -> Accepted | None:
    """Return what the source of ``group`` is proven to be the same as, None where it is new.

    ``group`` is a key of ``source.GROUPS`` or a task.
    """
    present = source_hash(*group_modules(group))
    found = None
    for entry in reversed(_entries(PATH)):
        pair = entry["groups"].get(group)
        if pair and pair["new"] == present:
            present = pair["old"]
            found = Accepted(group, present, entry["base"])
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
