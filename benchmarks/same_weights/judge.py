"""Whether a group of source code makes in two revisions the same: what ran, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.same_weights.differences import differences
from benchmarks.same_weights.names import renamed
from benchmarks.same_weights.statements import Entry, Unit, units_of

DOUBTS = {
    "unreached": "did not run in what both make; does what is made depend on it?",
    "ways": "ran, but only one of its ways may have been seen",
    "branch": "ran, but the test may have been seen to go one way only",
    "caught": "ran, but of what is caught or matched here only a part may have been seen",
    "guarded": "ran in a try block, but may raise something else now, or at another point",
    "place": "stands in another order or module now; not every use of it may have been seen",
    "name": "a name that meant something else in this module, or nothing of its own",
    "value": "a value of the module or class was changed; not every use of it may have been seen",
    "import": "a name means something else now; not every use of it may have been seen",
    "default": "a default may have been changed; not every call may have been seen",
}


GIVING = ("value", "import", "default")  # a name to something


@dataclass(frozen=True)
class Trust:
    """A statement that somebody has looked at: its file, its line or its text.

    ``side`` is "base" for a statement of the revision that is compared with.
    """

    file: str
    line: int = 0
    text: str = ""
    side: str = ""

    def covers(self, side: str, entry: Entry) -> bool:
        """Return whether ``entry`` of that side is the statement."""
        if self.side != side:
            return False
        if self.text:
            return (self.file, self.text) == (entry.file, entry.text)
        return self.file == entry.file and entry.first <= self.line <= entry.last


@dataclass
class Verdict:
    """What was found of one group."""

    group: str
    old: str  # what the source of the base counts as
    new: str
    known: str  # what the new one counts as already
    cases: list[str] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    trusted: list[tuple[str, Entry]] = field(default_factory=list)  # side and statement

    @property
    def changed(self) -> bool:
        """Whether stored results would not be found without an entry."""
        return self.known != self.old

    @property
    def accepted(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.reasons


class Probed:
    """One revision: its checkout and what its probe has found."""

    def __init__(self, root: Path, found: dict[str, Any]) -> None:
        self.root, self.found = root, found
        self.modules = frozenset(found["package"])
        self._units: dict[str, list[Unit]] = {}

    def units(self, group: str) -> list[Unit]:
        """Return the units of all modules of a group."""
        paths = sorted(set(self.found["groups"][group]["modules"].values()))
        return [unit for path in paths for unit in self.units_of(path)]

    def units_of(self, path: str) -> list[Unit]:
        """Return the units of one file below the root."""
        if path not in self._units:
            source = (self.root / path).read_text(encoding="utf-8")
            self._units[path] = units_of(source, path, self.modules)
        return self._units[path]

    def meant(self, group: str) -> dict[str, set[frozenset[str]]]:
        """Return what the modules define that are imported under a name, by that name."""
        found: dict[str, set[frozenset[str]]] = {}
        for unit in self.units(group):
            for entry in unit.entries:
                if entry.module:
                    own = self.units_of(self.found["package"][entry.module])
                    names = frozenset(one.name for one in own if one.name)
                    found.setdefault(_named(entry), set()).add(names)
        return found

    def ran(self, cases: Iterable[str]) -> Lines:
        """Return the lines that ran in these cases."""
        return Lines(self.found["lines"], cases)


class Lines:
    """The lines that ran in some cases, and when modules were imported."""

    def __init__(self, lines: dict[str, dict[str, list[int]]], cases: Iterable[str]) -> None:
        self._own = _merged(lines.get(name, {}) for name in (*cases, "import"))
        self._all = _merged(lines.values())

    def has(self, entry: Entry) -> bool:
        """Return whether any line of ``entry`` ran."""
        lines = (self._all if entry.at_import else self._own).get(entry.file, set())
        return any(line in lines for line in range(entry.first, entry.last + 1))


def judge(group: str, base: Probed, current: Probed, trust: Sequence[Trust] = ()) -> Verdict:
    """Return whether ``group`` is accepted, and if not why.

    Both must have made the same in every case of the group; and whatever differs in their sources
    must have run in one of these cases, in its own revision, and be of a kind that a line that ran
    says all about, or be covered by ``trust``. That is also for statements that no such case
    reaches: what only recipes with a new setting ask for, or what reads in another way.
    """
    before, now = base.found["groups"][group], current.found["groups"][group]
    verdict = Verdict(group, _counts_as(before), now["hash"], _counts_as(now))
    _compare_cases(verdict, base.found["cases"], current.found["cases"])
    found = differences(base.units(group), current.units(group))
    for old, new in found.changed_values():
        verdict.reasons.append(
            f"{new.place}: a value was changed: that is no refactoring: {_short(old.text)} -> "
            f"{_short(new.text)}"
        )
    sides = (("base", base, found.base, found.current), ("", current, found.current, found.base))
    for name, revision, own, other in sides:
        _look_at(verdict, name, revision.ran(verdict.cases), own, other, trust)
    for name, entry in renamed(found.matching, base.found["package"], current.found["package"]):
        _note(verdict, name, entry, "name", trust)
    ambiguous = _redirected(base, current, group)
    verdict.reasons += [
        f"import of {name}: another definition or module of this name may be meant now"
        for name in ambiguous
    ]
    return verdict


def _counts_as(group: dict[str, Any]) -> str:
    """Return the hash that recipes carry for a group; early revisions had but one."""
    return group.get("counts_as", group["hash"])


def _compare_cases(verdict: Verdict, base: dict[str, Any], current: dict[str, Any]) -> None:
    for name, now in current.items():
        if verdict.group not in now["groups"]:
            continue
        before = base.get(name)
        if "error" in now:
            verdict.reasons.append(f"case {name}: fails now: {now['error']}")
        elif before is None or "error" in before:
            why = before["error"] if before else "is not there"
            verdict.not_compared.append(f"{name}: {why}")
        elif before["digests"] != now["digests"] or not now["digests"]:
            either = before["digests"].keys() | now["digests"].keys()
            differ = [
                what
                for what in sorted(either)
                if before["digests"].get(what) != now["digests"].get(what)
            ]
            verdict.reasons.append(f"case {name}: other {', '.join(differ) or 'nothing made'}")
        else:
            verdict.cases.append(name)
    missing = [
        name for name, one in base.items() if verdict.group in one["groups"] and name not in current
    ]
    verdict.reasons += [f"case {name}: was not done now" for name in missing]
    if not verdict.cases:
        verdict.reasons.append("no case was compared")


def _look_at(
    verdict: Verdict, name: str, ran: Lines, own: list[Entry], other: list[Entry],
    trust: Sequence[Trust],
) -> None:  # fmt: skip
    """Note what speaks against the entries that only one revision has."""
    for entry in own:
        if not ran.has(entry):
            _note(verdict, name, entry, "unreached", trust)
        elif doubt := _in_doubt(entry, other):
            _note(verdict, name, entry, doubt, trust)


def _note(verdict: Verdict, side: str, entry: Entry, doubt: str, trust: Sequence[Trust]) -> None:
    """Note a doubt about an entry, or that it is trusted."""
    if any(one.covers(side, entry) for one in trust):
        if not any(
            (side, entry.text, entry.place) == (of, one.text, one.place)
            for of, one in verdict.trusted
        ):
            verdict.trusted.append((side, entry))
        return
    where = f"{side}:{entry.place}" if side else entry.place
    verdict.reasons.append(f"{where}: {DOUBTS[doubt]} (--trust {where}): {_short(entry.text)}")


def _in_doubt(entry: Entry, other: list[Entry]) -> str:
    """Return what lines do not tell about ``entry``, given the other side's entries."""
    guarded = "guarded" if entry.guards else ""
    if entry.doubt in GIVING:
        # What is wholly new is used by statements that are new themselves.
        again = any(
            one.doubt in GIVING
            and _named(one) == _named(entry)
            # An import that is all the same may stand elsewhere, as long as no module gives the
            # name to something else, which is looked at by itself.
            and not (one.doubt == entry.doubt == "import" and one.text == entry.text)
            for one in other
        )
        return entry.doubt if again else guarded
    return entry.doubt or guarded


def _named(entry: Entry) -> str:
    """Return the name that an assignment, an import or a function's header gives."""
    if entry.doubt == "value":
        return entry.text.partition("=")[0].partition(":")[0].strip()
    if entry.doubt == "import":
        return entry.text.split()[-1]
    return entry.text.partition("(")[0].split()[-1]


def _redirected(base: Probed, current: Probed, group: str) -> list[str]:
    """Return imported names that may mean something else now than they did.

    That is a name with several definitions that is imported more or less often, and the name of a
    module of which no earlier one has half of the functions.
    """
    counts = []
    names: dict[str, set[tuple]] = {}
    for revision in (base, current):
        units = revision.units(group)
        counts.append(Counter(unit.entries[0].text for unit in units if unit.kind == "import"))
        for unit in units:
            if unit.kind == "function" and "." not in unit.name:
                names.setdefault(unit.name, set()).add(unit.texts)
    found = [
        name
        for name, texts in names.items()
        if len(texts) > 1 and counts[0][f"import {name}"] != counts[1][f"import {name}"]
    ]
    before = base.meant(group)
    for name, defined in current.meant(group).items():
        for own in defined:
            known = before.get(name, {own})
            if not any(2 * len(own & one) >= len(own | one) for one in known):
                found.append(name)
    return sorted(set(found))


def _merged(parts: Iterable[dict[str, list[int]]]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for part in parts:
        for path, lines in part.items():
            found.setdefault(path, set()).update(lines)
    return found


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 100 else f"{line[:97]}..."
