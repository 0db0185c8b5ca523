"""Is each spoilt configuration accepted, or refused by key in a few lines?

Feeds mutants of valid configurations (tests/unit/config_mutations.py) to what the workflow does
with one before it plans. Counted as failures: any error but a refusal, a refusal that is long or
names no key or file, and a minute of thought. The exit status is 1 if there are any.

    python benchmarks/configurations.py --mutants 2000 --seed 0
    python benchmarks/configurations.py --seed 0 --only 1234    shows that mutant and its message
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

import yaml

from sscdl.errors import InputError
from sscdl.model.source import read_study
from sscdl.study.config import load_schema
from tests.conftest import ROOT
from tests.unit.config_mutations import KINDS, Mutant, configurations, mutant

MOST_LINES = 12
LONGEST = 600  # characters of a line
PATIENCE = 60.0  # seconds
SCHEMA = load_schema(ROOT / "workflow/schemas/config.schema.yaml")


class Hang(BaseException):
    """A minute has passed. No handler of errors on the way takes it for one of its own."""


def main() -> None:
    """Print what became of the mutants, by what was done to them, and what failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="*", help="these alone, with their texts")
    arguments = parser.parse_args()
    numbers = range(arguments.mutants) if arguments.only is None else arguments.only
    counts: Counter[tuple[str, str]] = Counter()
    failures = []
    for number, one, outcome, message, fault in tried(numbers, arguments.seed):
        counts[one.kind, outcome] += 1
        if arguments.only is not None:
            print(f"{one.text}\n{one.kind} {one.key}: {outcome}\n{message}\n")
        if fault:
            failures.append(f"FAILED {number} ({one.kind} {one.key}): {fault}\n{message}")
    print("| what was done | accepted | refused |\n|---|---|---|")
    for kind in KINDS:
        print(f"| {kind} | {counts[kind, 'accepted']} | {counts[kind, 'refused']} |")
    print(f"\n{len(numbers)} mutants, {len(failures)} failures")
    print(*failures, sep="\n\n")
    sys.exit(1 if failures else 0)


def tried(numbers: Iterable[int], seed: int) -> Iterator[tuple[int, Mutant, str, str, str]]:
    """Yield each mutant's number, itself, outcome, message, and what is wrong with these ('')."""
    with tempfile.TemporaryDirectory() as place:
        # Two deep, where runs are, too: paths such as .. lead to nothing of others.
        folder = Path(place) / "studies"
        folder.mkdir()
        configs = configurations(folder)
        for config in configs:
            outcome, message = read(yaml.safe_dump(config), folder)
            if outcome != "accepted":
                raise RuntimeError(f"a configuration that is to be spoilt is not valid: {message}")
        for number in numbers:
            one = mutant(configs, seed, number)
            outcome, message = read(one.text, folder)
            yield number, one, outcome, message, fault_of(outcome, message)


def read(text: str, folder: Path) -> tuple[str, str]:
    """Return 'accepted', 'refused' or 'failed', and the message."""
    file = folder / "study.yaml"
    file.write_text(text, encoding="utf-8")
    try:
        with _patience(), chdir(folder):
            study = read_study([file], [], folder / "store")
            study.check()
        if not study.nodes and study.config["curricula"]:
            return "failed", "no stage"
    except InputError as error:
        return "refused", str(error)
    except (Exception, Hang):
        return "failed", traceback.format_exc()
    return "accepted", ""


@contextmanager
def _patience() -> Iterator[None]:
    """Raise Hang amid the block if it takes longer than PATIENCE (in the main thread)."""

    def late(*_: object) -> None:
        raise Hang(f"not read within {PATIENCE:.0f} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fault_of(outcome: str, message: str) -> str:
    """Return what is wrong with an outcome, '' for nothing."""
    if outcome == "failed":
        return "an error of the program"
    lines = message.splitlines()
    if len(lines) >= MOST_LINES:
        return f"{len(lines)} lines"
    if any(len(line) > LONGEST for line in lines):
        return "a line without end"
    if outcome == "refused" and not NAMES.search(message):
        return "names neither key nor file"
    return ""


def _keys(schema: object, key: str = "") -> Iterator[str]:
    """Yield the keys that a line of a message may begin with, with those of their blocks."""
    if isinstance(schema, dict):
        for name, child in schema.get("properties", {}).items():
            yield f"{key}.{name}" if key else name
            yield from _keys(child, f"{key}.{name}" if key else name)
        if isinstance(schema.get("items"), dict):
            yield from _keys(schema["items"], key)


# A line that begins with a key or names one that is none, or the file that cannot be read.
NAMES = re.compile(
    r"study\.yaml|: no such key;|^ *("
    + "|".join(map(re.escape, sorted({*_keys(SCHEMA)}, reverse=True)))
    + r")\b",
    re.M,
)


if __name__ == "__main__":
    main()
