"""Which modules of two sources correspond, and which of their units are equal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from pathlib import PurePosixPath

from benchmarks.same_weights.statements import Unit

Key = tuple[str, str, tuple[tuple[int, str], ...]]


class Matching:
    """The modules of two sources, by file, and the pairs of them that correspond.

    A module corresponds to the one of the base in the same place, and otherwise, as modules are
    moved and renamed, to the one that it has the most units in common with. Several may correspond
    to one that was split.
    """

    def __init__(self, base: list[Unit], current: list[Unit]) -> None:
        self.base, self.current = _by_file(base), _by_file(current)
        self.origin = {file: self._origin(file) for file in self.current}
        self.contested = _contested(base) | _contested(current)
        self._moved = dict(self._moves())

    def _origin(self, file: str) -> str | None:
        if file in self.base:
            return file
        # Imports are much alike in all modules.
        own = Counter(key(unit) for unit in self.current[file] if unit.kind != "import")
        best, found = (0, False), None
        for other, units in self.base.items():
            shared = own & Counter(key(unit) for unit in units)
            rank = (shared.total(), PurePosixPath(file).name == PurePosixPath(other).name)
            if shared and rank > best:
                best, found = rank, other
        return found

    def corresponds(self, old: Unit, new: Unit) -> bool:
        """Return whether both stand in modules that correspond, or are one that moved."""
        return self.place(file_of(new), new.name) == file_of(old)

    def place(self, file: str, name: str) -> str | None:
        """Return the module of the base that a current one's definition of a name is from."""
        return self._moved.get((file, name), self.origin.get(file))

    def _moves(self) -> Iterator[tuple[tuple[str, str], str]]:
        """Yield new and old file of definitions that moved, of names that have several.

        One is gone from where it was, and one has come to where none was: an exchange would leave
        two of each, and which is which could not be told.
        """
        before, now = _defined(self.base), _defined(self.current)
        for name in self.contested:
            stayed = {self.origin[file] for file in now[name]}
            gone = [file for file in before[name] if file not in stayed]
            come = [file for file in now[name] if self.origin[file] not in before[name]]
            if len(gone) == len(come) == 1:
                yield (come[0], name), gone[0]

    def left_over(self) -> tuple[list[Unit], list[Unit]]:
        """Return the units of both that have no equal, each of which counts once.

        Equals are looked for in corresponding modules first, and then anywhere, as functions move.
        There, names that mean several things within one source are left out: an exchange of two
        functions of one name is a change, though both are still there.
        """
        spare = {file: list(units) for file, units in self.base.items()}
        old_left: list[Unit]
        new_left: list[Unit] = []
        for file, units in self.current.items():
            new_left += _within(spare.get(self.origin[file] or "", []), units)
        old_left = [unit for units in spare.values() for unit in units]
        equals: dict[Key, list[Unit]] = defaultdict(list)
        for unit in old_left:
            equals[key(unit)].append(unit)
        kept = []
        for unit in new_left:
            found = [one for one in equals[key(unit)] if self._may_move(one, unit)]
            if found:
                equals[key(unit)].remove(found[0])
                old_left = [one for one in old_left if one is not found[0]]
            else:
                kept.append(unit)
        return old_left, kept

    def _may_move(self, old: Unit, new: Unit) -> bool:
        if new.kind == "statement":
            # Left in a corresponding module, it is one that comes in another order now.
            return not self.corresponds(old, new)
        if (file_of(new), new.name) in self._moved:
            return self.corresponds(old, new)
        return new.name not in self.contested


def key(unit: Unit) -> Key:
    """Return what makes two units equal."""
    return unit.kind, unit.name, unit.texts


def file_of(unit: Unit) -> str:
    """Return the file of a unit."""
    return unit.entries[0].file


def _by_file(units: Iterable[Unit]) -> dict[str, list[Unit]]:
    found: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        found[file_of(unit)].append(unit)
    return dict(found)


def _defined(files: dict[str, list[Unit]]) -> dict[str, set[str]]:
    """Return the files that define each name."""
    found: dict[str, set[str]] = defaultdict(set)
    for file, units in files.items():
        for unit in units:
            found[unit.name].add(file)
    return found


def _contested(units: list[Unit]) -> set[str]:
    """Return the names that have several definitions that differ."""
    known: dict[str, set[Key]] = defaultdict(set)
    for unit in units:
        if unit.name:
            known[unit.name].add(key(unit))
    return {name for name, keys in known.items() if len(keys) > 1}


def _within(old: list[Unit], new: list[Unit]) -> list[Unit]:
    """Take the equals of ``new`` out of ``old``, in one module; return the units without any.

    Definitions of names that are given once, and imports, may stand in any order. For all else
    order counts: the last of several definitions is the one that is used, and statements that give
    no name do something to what is there.
    """
    twice = {
        name
        for units in (old, new)
        for name, count in Counter(unit.name for unit in units if unit.kind != "import").items()
        if count > 1 or not name
    }

    def in_order(units: list[Unit]) -> list[Unit]:
        return [unit for unit in units if unit.kind != "import" and unit.name in twice]

    before, now = in_order(old), in_order(new)
    matcher = SequenceMatcher(None, list(map(key, before)), list(map(key, now)), autojunk=False)
    taken, settled = set(), set()
    for a, b, size in matcher.get_matching_blocks():
        taken |= {id(unit) for unit in before[a : a + size]}
        settled |= {id(unit) for unit in now[b : b + size]}
    fixed = {id(unit) for unit in (*before, *now)}
    equals: dict[Key, list[Unit]] = defaultdict(list)
    for unit in old:
        if id(unit) not in fixed:
            equals[key(unit)].append(unit)
    kept = []
    for unit in new:
        if id(unit) not in fixed and equals[key(unit)]:
            taken.add(id(equals[key(unit)].pop()))
        elif id(unit) not in settled:
            kept.append(unit)
    old[:] = [unit for unit in old if id(unit) not in taken]
    return kept
