"""Prove that a revision makes what another one made, bit for bit, and write down what is proven.

    python -m benchmarks.same_weights.compare --base REVISION [--write] [--keep FOLDER]
    python -m benchmarks.same_weights.compare --check

Run it in the root of the checkout that is to be proven. With ``--write``, groups of source code
whose hash has changed and that are accepted are added to ``resources/equivalent_sources.json``,
which makes the new hash count as the old one. ``--check`` does the newest comparison again, of one
group in turn or of those that ``--only`` names.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.same_weights.cases import Case, cases, only
from benchmarks.same_weights.judge import Probed, Trust, Verdict, judge
from benchmarks.same_weights.probe import ROOT, groups
from benchmarks.same_weights.revisions import commit, export, probed
from sscdl.equivalence import FORMAT
from sscdl.files import read_json, write_json

WRITTEN = ROOT / "resources" / "equivalent_sources.json"


def compare(
    base: str, folder: Path, chosen: list[str], trust: list[Trust]
) -> tuple[list[Verdict], Probed]:
    """Return what was found of each group, and the current revision's probe."""
    listed = only(cases(), chosen)
    checkout = folder / "base"
    export(base, ROOT, checkout)
    print(f"{len(listed)} cases, first with {base[:12]}, then as it is now", flush=True)
    before = probed(checkout, known_to(checkout, listed), folder / "before")
    now = probed(ROOT, listed, folder / "now")
    known = [group for group in now.found["groups"] if group in before.found["groups"]]
    wanted = [group for group in known if not chosen or group in chosen]
    return [judge(group, before, now, trust) for group in wanted], now


def known_to(checkout: Path, listed: list[Case]) -> list[Case]:
    """Return the cases whose settings a revision has; others it would pass over without a word.

    Settings are what the schema of its configuration names; tasks and their options what its own
    table of defaults does. A case may need files of the package instead.
    """
    schema = (checkout / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8")
    ask = "import json; from sscdl.tasks.options import DEFAULTS as d; print(json.dumps(d))"
    said = subprocess.run(
        [sys.executable, "-c", ask], cwd=checkout, check=True, capture_output=True, text=True
    )
    options = json.loads(said.stdout)

    def knows(case: Case) -> bool:
        links, needs = case["settings"].get("links", []), case["settings"].get("needs", [])
        parts = ("settings",) if needs else ("settings", "recipe")
        names = {name for link in links for part in parts for name in link[part]}
        return (
            all((checkout / file).exists() for file in needs)
            and all(re.search(rf"\b{name}:", schema) for name in names)
            and all(
                link["settings"]["options"].keys() <= options.get(link["task"], {}).keys()
                and link["task"] in options
                for link in links
            )
        )

    return [case for case in listed if knows(case)]


def show(verdicts: list[Verdict]) -> None:
    """Print a table of the groups, and why those that are refused are."""
    print(f"{'group':<16} {'old hash':<13} {'new hash':<13} {'cases':>5}  result")
    for one in verdicts:
        result = "accepted" if one.accepted else f"REFUSED ({len(one.reasons)} reasons)"
        same = "" if one.changed else ", the same source"
        print(f"{one.group:<16} {one.old:<13} {one.new:<13} {len(one.cases):>5}  {result}{same}")
    for one in verdicts:
        for reason in one.reasons:
            print(f"{one.group}: {reason}")
        for name in one.not_compared:
            print(f"{one.group}: not compared: {name}")
        for side, entry in one.trusted:
            print(f"{one.group}: trusted: {side} {entry.place}")


def entry_of(base: str, verdicts: list[Verdict], now: Probed) -> dict[str, Any]:
    """Return the entry about the groups that are accepted and have another hash."""
    proven = [one for one in verdicts if one.accepted and one.changed]
    for one in proven:
        if one.known != one.new:
            raise SystemExit(
                f"{one.group}: counts as {one.known} already, by an earlier comparison; as "
                f"{one.old} it would lose what was made since then. Nothing was written"
            )
    named = sorted({name for one in proven for name in one.cases})
    return {
        "base": base,
        "groups": {
            one.group: {
                "old": one.old,
                "new": one.new,
                "cases": one.cases,
                **({"trusted": _trusted(one)} if one.trusted else {}),
            }
            for one in proven
        },
        "digests": {name: now.found["cases"][name]["digests"] for name in named},
        "machine": now.found["machine"],
    }


def _trusted(verdict: Verdict) -> list[dict[str, Any]]:
    return [
        {"side": side, "file": one.file, "line": one.first, "text": one.text}
        for side, one in verdict.trusted
    ]


def write(path: Path, entry: dict[str, Any]) -> None:
    """Add an entry to the file, the newest last."""
    content = read_json(path) if path.exists() else {"format": FORMAT, "entries": []}
    if content["format"] != FORMAT:
        raise SystemExit(f"{path}: is of format {content['format']}, not {FORMAT}")
    content["entries"].append(entry)
    write_json(path, content)


def check(folder: Path, chosen: list[str]) -> int:
    """Do the newest comparison again, of the groups ``chosen``; return the exit status.

    If none is, of one alone, whose turn it is at the present revision: all take many minutes.
    """
    if not WRITTEN.exists() or not read_json(WRITTEN)["entries"]:
        print(f"{WRITTEN.name}: nothing was written yet")
        return 0
    newest = read_json(WRITTEN)["entries"][-1]
    present = groups()
    still = [
        group
        for group, said in newest["groups"].items()
        if group in present and present[group]["hash"] == said["new"]
    ]
    if not still:
        print("no group has the hash that the newest entry names: nothing to check")
        return 0
    base = commit(newest["base"], ROOT)
    if base is None:
        print(f"the history here does not have {newest['base']}: nothing can be checked")
        return 0
    head = commit("HEAD", ROOT)
    turn = sorted(still)[int(head, 16) % len(still)]
    wanted = [group for group in still if group in chosen] if chosen else [turn]
    print(f"of {', '.join(sorted(still))}: {', '.join(wanted) or 'none'}")
    if not wanted:
        return 1
    verdicts, _ = compare(base, folder, wanted, trust_of(newest, wanted))
    show(verdicts)
    return int(any(not one.accepted for one in verdicts))


def trust_of(entry: dict[str, Any], groups: list[str]) -> list[Trust]:
    """Return what was trusted when ``entry`` was written, of some of its groups."""
    return [
        Trust(one["file"], text=one["text"], side=one["side"])
        for group in groups
        for one in entry["groups"][group].get("trusted", [])
    ]


def trusted(text: str) -> Trust:
    """Return what an argument of ``--trust`` means."""
    file, _, line = text.removeprefix("base:").rpartition(":")
    return Trust(file, int(line), side="base" if text.startswith("base:") else "")


def main() -> int:
    """Read the arguments; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--base", help="the revision to compare with")
    wanted.add_argument("--check", action="store_true", help="do the newest comparison again")
    parser.add_argument("--write", action="store_true", help=f"add an entry to {WRITTEN.name}")
    parser.add_argument("--keep", type=Path, help="a new folder for all that is made")
    parser.add_argument("--only", action="append", default=[], help="a group; may be repeated")
    parser.add_argument(
        "--trust", action="append", default=[], type=trusted, metavar="[base:]FILE:LINE",
        help="a statement that was looked at, where it is not sure that all of it was seen",
    )  # fmt: skip
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if given.check:
            return check(folder, given.only)
        base = commit(given.base, ROOT)
        if base is None:
            raise SystemExit(f"{given.base}: no such revision here")
        verdicts, now = compare(base, folder, given.only, given.trust)
        show(verdicts)
        if given.keep:
            (folder / "cases.now.json").write_text(json.dumps(now.found), encoding="utf-8")
        entry = entry_of(base, verdicts, now)
        if given.write and entry["groups"]:
            write(WRITTEN, entry)
            print(f"written to {WRITTEN}: {', '.join(entry['groups'])}")
    return int(any(not one.accepted and one.changed for one in verdicts))


if __name__ == "__main__":
    sys.exit(main())
