"""The label of an image that may show several findings at once, as a text of one cell.

Positive findings joined by ``|``, those of which nobody knows with a question mark after them:
``Edema|Effusion?`` shows edema, may show an effusion, and nothing else that was looked for. ``-``
shows none of them. A label that is empty says nothing of any finding. Needs only the standard
library: labels are read where neither pandas nor torch is imported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

JOINED = "|"
UNSURE = "?"
NOTHING = "-"
NONE_OF_THEM = "none of these"  # what `NOTHING` is called in tables: others may be there
POSITIVE, NEGATIVE, UNKNOWN = 1, 0, -1


def write_label(positive: Iterable[str], unknown: Iterable[str] = ()) -> str:
    """Return the label of an image that shows the findings ``positive``, in order of names."""
    told = {name: name for name in positive} | {name: name + UNSURE for name in unknown}
    return JOINED.join(told[name] for name in sorted(told)) or NOTHING


def read_label(label: str, findings: Sequence[str]) -> list[int]:
    """Return for each of ``findings`` whether an image with this label shows it.

    ``POSITIVE`` (1), ``NEGATIVE`` (0) or ``UNKNOWN`` (-1); all unknown for a label that is empty.
    """
    if not label:
        return [UNKNOWN] * len(findings)
    parts = set(label.split(JOINED))
    return [
        POSITIVE if name in parts else UNKNOWN if name + UNSURE in parts else NEGATIVE
        for name in findings
    ]


def positives(label: str) -> list[str]:
    """Return the findings that an image with this label shows, [] for a label that is empty."""
    return [
        part for part in label.split(JOINED) if part not in ("", NOTHING) and part[-1] != UNSURE
    ]


def rarest_finding(members: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the finding that stands for each unit where every unit has to count once.

    It is the one that is rarest in all, of those that any image of the unit shows: ``NOTHING`` for
    units that show none, and '' for those without a label. ``members`` has the (unit, label) of
    each image; units are patients, or the images themselves.
    """
    totals: Counter[str] = Counter()
    contents: dict[str, set[str]] = {}
    for unit, label in members:
        shown = positives(label) or [NOTHING if label else ""]
        totals.update(shown)
        contents.setdefault(unit, set()).update(shown)
    return {
        unit: min(own, key=lambda name: (name == "", name == NOTHING, totals[name], name))
        for unit, own in contents.items()
    }


def holds_findings(labels: Iterable[str]) -> bool:
    """Return whether labels are of several findings: the name of no class has a sign of theirs.

    False where each image shows just one finding and nothing is unknown: then there is no
    difference.
    """
    return any(label == NOTHING or JOINED in label or UNSURE in label for label in set(labels))


def counted(label: str) -> list[str]:
    """Return what an image counts as in tables: each finding by itself, or what else it is.

    An unknown finding is one of its own there. The name of a class stays what it is, and so does a
    label that is empty.
    """
    if label == NOTHING:
        return [NONE_OF_THEM]
    return [
        f"{part.removesuffix(UNSURE)} (unknown)" if part.endswith(UNSURE) else part
        for part in label.split(JOINED)
    ]


def known(label: str, findings: Collection[str]) -> bool:
    """Return whether a label says of at least one of ``findings`` whether it is shown."""
    return any(state != UNKNOWN for state in read_label(label, list(findings)))
