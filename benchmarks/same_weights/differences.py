"""Which statements two revisions of a group's source do not have in common."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher

from benchmarks.same_weights.matching import Key, Matching, key
from benchmarks.same_weights.statements import Entry, Unit


@dataclass
class Differences:
    """Entries that only one of two sources has, and what is refused at sight."""

    matching: Matching
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
    found = Differences(Matching(base, current))
    old, new = found.matching.left_over()
    # Equals that are left come in another order or module: all of them counts, and is in doubt.
    exchanged = {key(unit) for unit in old} & {key(unit) for unit in new}
    exchanged = {one for one in exchanged if one[0] != "import"}
    found.base += _displaced(old, exchanged)
    found.current += _displaced(new, exchanged)
    names: dict[tuple[str, str], list[Unit]] = defaultdict(list)
    for unit in new:
        if key(unit) not in exchanged:
            names[unit.kind, unit.name].append(unit)
    for unit in old:
        if key(unit) in exchanged:
            continue
        same = names[unit.kind, unit.name] if unit.name else []
        twin = _twin(unit, same, found.matching)
        if twin is None:
            found.base += unit.entries
            continue
        same.remove(twin)
        olds, news = [], []
        for kind, a, b, c, d in _matcher(unit, twin).get_opcodes():
            if kind != "equal":
                olds += unit.entries[a:b]
                news += twin.entries[c:d]
        found.base += _settled(olds, news)
        found.current += _settled(news, olds)
    for units in names.values():
        for unit in units:
            found.current += unit.entries
    return found


def _matcher(one: Unit, two: Unit) -> SequenceMatcher:
    return SequenceMatcher(None, one.texts, two.texts, autojunk=False)


def _twin(unit: Unit, same: list[Unit], matching: Matching) -> Unit | None:
    """Return the unit that ``unit`` has become, of those of its name."""
    near = [one for one in same if matching.corresponds(unit, one)]
    if near or unit.name in matching.contested:
        same = near
    return max(same, key=lambda other: _matcher(unit, other).ratio(), default=None)


def _displaced(units: list[Unit], exchanged: set[Key]) -> list[Entry]:
    """Return the entries of units that are ``exchanged``, of each the first in doubt."""
    found = []
    for unit in units:
        if key(unit) in exchanged:
            first, *rest = unit.entries
            found += [replace(first, doubt="place"), *rest]
    return found


def _settled(own: list[Entry], other: list[Entry]) -> list[Entry]:
    """Return entries without the doubts about those that only moved within their function.

    What is caught, and in which order, does count.
    """
    spare = Counter((entry.text, entry.guards) for entry in other)
    found = []
    for entry in own:
        mark = (entry.text, entry.guards)
        if spare[mark] and entry.doubt != "caught":
            spare[mark] -= 1
            found.append(replace(entry, doubt="", guards=()))
        else:
            found.append(entry)
    return found
