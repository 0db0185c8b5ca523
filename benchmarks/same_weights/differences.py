"""Which statements two revisions of a group's source do not have in common."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from benchmarks.same_weights.statements import Entry, Unit


@dataclass
class Differences:
    """Entries that only one of two sources has, and what is refused at sight."""

    base: list[Entry] = field(default_factory=list)
    current: list[Entry] = field(default_factory=list)

    def changed_values(self) -> list[tuple[Entry, Entry]]:
        """Return pairs that differ in nothing but numbers, truth values and operators."""
        by_shape: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.base:
            by_shape[entry.shape].append(entry)
        return [
            (old, new)
            for new in self.current
            for old in by_shape.get(new.shape, [])
            if old.text != new.text
        ]


def differences(base: list[Unit], current: list[Unit]) -> Differences:
    """Compare the units of two sources, wherever in them they stand.

    Equal units are left out. Of those that are left, functions and classes of one name are compared
    in order, so that an exchange of two statements is a difference, too; of all others every
    statement counts as different.
    """
    old, new = _left_over(base, current), _left_over(current, base)
    found = Differences()
    names: dict[tuple[str, str], list[Unit]] = defaultdict(list)
    for unit in new:
        names[unit.kind, unit.name].append(unit)
    for unit in old:
        same = names[unit.kind, unit.name] if unit.name else []
        if not same:
            found.base += unit.entries
            continue
        twin = max(same, key=lambda other: _matcher(unit, other).ratio())
        same.remove(twin)
        for kind, a, b, c, d in _matcher(unit, twin).get_opcodes():
            if kind != "equal":
                found.base += unit.entries[a:b]
                found.current += twin.entries[c:d]
    for units in names.values():
        for unit in units:
            found.current += unit.entries
    return found


def _matcher(one: Unit, two: Unit) -> SequenceMatcher:
    return SequenceMatcher(None, one.texts, two.texts, autojunk=False)


def _left_over(units: list[Unit], others: list[Unit]) -> list[Unit]:
    """Return the ``units`` that have no equal among ``others``, each of which counts once."""
    spare = Counter((unit.kind, unit.name, unit.texts) for unit in others)
    kept = []
    for unit in units:
        key = (unit.kind, unit.name, unit.texts)
        if spare[key]:
            spare[key] -= 1
        else:
            kept.append(unit)
    return kept
