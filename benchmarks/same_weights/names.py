"""Names that mean something else in a module than they did in the one that it comes from."""

from __future__ import annotations

import builtins
from collections import defaultdict
from collections.abc import Callable, Iterator

from benchmarks.same_weights.matching import Matching
from benchmarks.same_weights.statements import Entry, Unit

BUILTINS = frozenset(name for name in dir(builtins) if not name.startswith("_"))
Given = dict[str, tuple[set[tuple[str, ...]], Entry]]  # by name: what it means, and its statement


def renamed(
    matching: Matching, base: dict[str, str], current: dict[str, str]
) -> list[tuple[str, Entry]]:
    """Return side and statement of the names that only one of two corresponding modules gives so.

    That is a name that hides one of Python's own, or that the other module gives to something else.
    Both count from both sides: where a name is given no longer, its uses mean what it has hidden.
    ``base`` and ``current`` name the files of all modules.
    """
    before = _Names(matching.base, base, matching.contested, lambda file, name: file)
    now = _Names(matching.current, current, matching.contested, matching.place)
    origins: dict[str, list[str]] = defaultdict(list)
    for file, origin in matching.origin.items():
        if origin:
            origins[origin].append(file)
    backwards = {file: origins[file] for file in matching.base}
    forwards = {file: [one] if one else [] for file, one in matching.origin.items()}
    return [
        *(("base", entry) for entry in _only(before, now, backwards)),
        *(("", entry) for entry in _only(now, before, forwards)),
    ]


class _Names:
    """What names mean in the modules of one source."""

    def __init__(
        self, units: dict[str, list[Unit]], package: dict[str, str],
        contested: set[str], place: Callable[[str, str], str | None],
    ) -> None:  # fmt: skip
        self.units, self.package, self.contested, self.place = units, package, contested, place
        self.kinds = {
            (file, name): unit.kind
            for file, own in units.items()
            for unit in own
            if unit.kind != "import"
            for name in _names(unit)
        }
        self.given = {file: self._given(file) for file in units}
        self.within: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
        for file, own in units.items():
            for unit, entry, name in _imported_within(own):
                self.within[unit.name, name].add(self.meaning(entry, name, file))

    def _given(self, file: str) -> Given:
        """Return what the names of a module mean, wherever it is defined."""
        found: Given = {}
        for unit in self.units[file]:
            for name in _names(unit):
                entry = unit.entries[0]
                meaning, _ = found.setdefault(name, (set(), entry))
                meaning.add(self.meaning(entry, name, file))
        return found

    def meaning(self, entry: Entry, name: str, file: str) -> tuple[str, ...]:
        """Return what a statement of a module gives a name to."""
        told = name
        if entry.doubt == "import":
            if entry.module:
                return ("a module of the package",)  # judged by what it defines
            if not entry.source:
                return ("import", entry.text)
            told, file = entry.text.split()[1], self.package.get(entry.source, "")
        # Where it is defined does not count, unless there are several.
        place = (self.place(file, told) or "") if told in self.contested else ""
        return ("own", told, self.kinds.get((file, told), ""), place)


def _only(own: _Names, other: _Names, files: dict[str, list[str]]) -> Iterator[Entry]:
    """Yield the statements of one source that give names that are given otherwise in the other."""
    inner: dict[str, set[str]] = defaultdict(set)  # names that functions of a name give
    for units in other.units.values():
        for unit in units:
            if unit.kind == "function":
                inner[unit.name] |= {name for entry in unit.entries for name in entry.gives}
    for file, units in own.units.items():
        theirs = [other.given[one] for one in files[file]]
        known = {name for given in theirs for name in given}
        for name, (meaning, entry) in own.given[file].items():
            differ = any(name in given and meaning != given[name][0] for given in theirs)
            if differ or (name in BUILTINS and name not in known):
                yield entry
        for unit, entry, name in _imported_within(units):
            theirs_within = other.within[unit.name, name]
            if theirs_within and own.meaning(entry, name, file) not in theirs_within:
                yield entry
        for unit in units:
            if unit.kind != "function":
                continue
            hidden = BUILTINS | (known if unit.name in inner else frozenset())
            for entry in unit.entries:
                if hidden & set(entry.gives) - inner[unit.name]:
                    yield entry


def _imported_within(units: list[Unit]) -> Iterator[tuple[Unit, Entry, str]]:
    """Yield the imports of functions, with their names."""
    for unit in units:
        for entry in unit.entries:
            if unit.kind == "function" and entry.doubt == "import":
                yield unit, entry, entry.gives[0]


def _names(unit: Unit) -> tuple[str, ...]:
    """Return the names that a unit gives in its module."""
    if unit.kind in ("function", "class"):
        return () if "." in unit.name else (unit.name,)
    return tuple(dict.fromkeys(name for entry in unit.entries for name in entry.gives))
