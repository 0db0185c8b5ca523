"""Is whatever is done to a store or to results repaired, or named, and nothing whole lost?

Spoils one file of a finished tiny study (deleted, emptied, cut, a bit flipped, the contents of
another, a folder in its place), and does what a user would: store verify, plan, a run, tables
check. Where the run names what is wrong, that file is deleted, as messages advise, and the run
repeated. Counted as failures: a traceback; a run that fails and names no file; tables that differ
and are not named; a file that stays spoilt without a word; another file that was whole and is not.

    python benchmarks/stores.py --mutants 500 --work stores-run     goes on where it stopped
    python benchmarks/stores.py --seed 0 --only 17                  does that mutant, shows all
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

from tests.conftest import ROOT
from tests.workflow.conftest import TINY, Runner

CONFIG = TINY | {"variants": ["full"], "curricula": ["scratch", "rotation"], "store": "store"}
# What is only there to be looked at, and what Snakemake keeps for itself.
LOOKED_AT = ("logs", "monitors", "figures", "attention", ".snakemake", "study.yaml", "locks")
ATTEMPTS = 3


def _emptied(path: Path, chance: random.Random, others: list[Path]) -> None:
    path.write_bytes(b"")


def _cut(path: Path, chance: random.Random, others: list[Path]) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(max(1, len(content)))])


def _flipped(path: Path, chance: random.Random, others: list[Path]) -> None:
    content = bytearray(path.read_bytes() or b"\0")
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def _swapped(path: Path, chance: random.Random, others: list[Path]) -> None:
    alike = [one for one in others if one != path and one.suffix == path.suffix]
    path.write_bytes(chance.choice(alike or others).read_bytes())


def _deleted(path: Path, chance: random.Random, others: list[Path]) -> None:
    path.unlink()


def _folder(path: Path, chance: random.Random, others: list[Path]) -> None:
    path.unlink()
    path.mkdir()


ACTIONS: dict[str, Callable[[Path, random.Random, list[Path]], None]] = {
    "deleted": _deleted,
    "emptied": _emptied,
    "cut": _cut,
    "bit flipped": _flipped,
    "contents of another": _swapped,
    "a folder in its place": _folder,
}


@dataclass
class Outcome:
    """What became of a mutant; ``fault`` is empty if it is as it should be."""

    number: int
    action: str
    file: str
    became: str
    fault: str


def finished(folder: Path) -> Runner:
    """Return the finished study in ``folder``, run if it is not there."""
    runner = Runner(folder, CONFIG)
    if not (folder / "done").exists():
        runner()
        (folder / "done").touch()
    return runner


def files(folder: Path) -> dict[str, bytes]:
    """Return the contents of what a study has made, by path below its folder."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    named = ((path.relative_to(folder), path) for path in paths)
    return {
        str(name): path.read_bytes()
        for name, path in named
        if name.parts[0] in ("store", "results") and not {*name.parts} & {*LOOKED_AT}
    }


def tried(number: int, seed: int, base: Path, place: Path, show: bool = False) -> Outcome:
    """Spoil a copy in ``place`` of the study in ``base`` and return what becomes of it."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(base, place, symlinks=True)
    chance = random.Random(f"{seed} {number}")
    whole = files(place)
    # Each kind of file is as likely as any other, however many there are of it.
    kinds: dict[str, list[str]] = {}
    for name in whole:
        kinds.setdefault(_kind(name), []).append(name)
    name = chance.choice(kinds[chance.choice(sorted(kinds))])
    action = chance.choice(list(ACTIONS))
    ACTIONS[action](place / name, chance, [place / one for one in whole])
    if (place / name).is_file() and (place / name).read_bytes() == whole[name]:
        return Outcome(number, action, name, "the same", "")
    became, fault, said = _judged(place, name, whole)
    if show or fault:
        print(f"== {number}: {name}, {action}: {became}. {fault}\n{said}", flush=True)
    return Outcome(number, action, name, became, fault)


def _judged(place: Path, name: str, whole: dict[str, bytes]) -> tuple[str, str, str]:
    """Return what became of the study, what is wrong with that, and all that was said."""
    runner = Runner(place, CONFIG)
    looks = _said(_sscdl(place, "store", "verify", "store"), _snakemake(runner, "plan"))
    named = _names(name, looks)
    said = looks
    for _ in range(ATTEMPTS):
        run = _snakemake(runner)
        said += run.stdout
        if "Traceback (most recent call last)" in said:
            return "failed", "a traceback", said
        if run.returncode == 0:
            break
        if not _names(name, run.stdout):
            return "failed", "the run fails and does not name the file", said
        named = True
        if (place / name).is_dir():
            (place / name).rmdir()
        (place / name).unlink(missing_ok=True)
    else:
        return "failed", f"it still fails after {ATTEMPTS} attempts", said
    checked = _sscdl(place, "tables", "check", "results/tiny")
    said += checked.stdout
    now = files(place)
    lost = [one for one in whole if one != name and one not in now]
    changed = [one for one in whole if one in now and _lasting(one) and now[one] != whole[one]]
    named = named or _names(name, said)
    if lost:
        return "failed", f"lost: {', '.join(lost)}", said
    if changed and changed != [name]:
        return "failed", f"changed: {', '.join(changed)}", said
    if now.get(name) is not None and (now[name] == whole[name] or not _lasting(name)):
        return ("named and made again" if named else "made again"), "", said
    if named:
        return "named", "", said
    return "failed", "it stays as it is, without a word", said


def _lasting(name: str) -> bool:
    """Return whether a file comes out the same however often it is made."""
    return name.endswith((".safetensors", ".png", ".npy")) or (
        name.startswith("results") and name.endswith(".csv") and not name.endswith("plan.csv")
    )


def _names(name: str, said: str) -> bool:
    """Return whether what was said names a file, or the object or archive that it belongs to."""
    path = Path(name)
    folders = [part for part in path.parts[2:-1] if len(part) >= 12]
    return any(word in said for word in (path.name, *folders))


def _kind(name: str) -> str:
    """Return where and of what type a file is, without the ids that tell it from its like."""
    path = Path(name)
    if path.parts[0] == "results":
        return f"{path.parent} {path.suffix}"
    return f"{path.parts[1]} {re.sub('[0-9a-f]{8,}|[0-9]+', '#', path.name.split('+')[-1])}"


def _snakemake(runner: Runner, *words: str) -> subprocess.CompletedProcess[str]:
    return _run(runner.command(*words, "--quiet", "rules"), runner.folder, runner.environment)


def _sscdl(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = Runner(place, CONFIG).environment | {"PYTHONPATH": str(ROOT)}
    return _run([sys.executable, "-m", "sscdl", *words], place, environment)


def _run(
    command: list[str], place: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=place, env=environment, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _said(*done: subprocess.CompletedProcess[str]) -> str:
    return "".join(one.stdout for one in done)


def main() -> None:
    """Print what became of the mutants, by what was done to them, and what failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="*", help="these alone, with all that is said")
    parser.add_argument("--work", type=Path, default=Path("stores-run"))
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    base = finished(work / "base").folder
    record = work / f"seed-{arguments.seed}.jsonl"
    lines = record.read_text().splitlines() if record.exists() else []
    done = {one.number: one for one in (Outcome(**json.loads(line)) for line in lines)}
    numbers = range(arguments.mutants) if arguments.only is None else arguments.only
    for number in numbers:
        if number not in done or arguments.only is not None:
            one = tried(number, arguments.seed, base, work / "mutant", arguments.only is not None)
            done[number] = one
            with record.open("a") as out:
                out.write(json.dumps(asdict(one)) + "\n")
    counts = Counter((done[number].action, done[number].became) for number in numbers)
    outcomes = sorted({became for _, became in counts})
    print("| what was done |", " | ".join(outcomes), "|\n|---" + "|---" * len(outcomes) + "|")
    for action in ACTIONS:
        print(f"| {action} |", " | ".join(str(counts[action, one]) for one in outcomes), "|")
    failed = [done[number] for number in numbers if done[number].fault]
    print(f"\n{len(numbers)} mutants, {len(failed)} failures")
    for one in failed:
        print(f"FAILED {one.number} ({one.file}, {one.action}): {one.fault}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
