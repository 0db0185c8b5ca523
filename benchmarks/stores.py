"""Is whatever is done to a store or to results repaired, or named, and nothing whole lost?

Spoils one file of a finished tiny study (deleted, emptied, cut, a bit flipped, the contents of
another, a folder in its place; tables and summary are only deleted, as those who edit theirs mean
it), and does what a user would: store verify, plan, a run, tables check. Where the run names what
is wrong, that file is deleted, as messages advise, and the run repeated. Counted as failures: a
traceback; a run that fails and names no file; tables that differ and are not named; a file that
stays spoilt without a word; another file that was whole and is not.

    python benchmarks/stores.py --mutants 500 --work stores-run     goes on where it stopped
    python benchmarks/stores.py --together 1       each in a copy of its own, ten times as long
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
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

from tests.conftest import ROOT
from tests.workflow.conftest import TINY, Runner

CONFIG = TINY | {"variants": ["full"], "curricula": ["scratch", "rotation"], "store": "store"}
# What is only there to be looked at, and what Snakemake keeps for itself.
LOOKED_AT = ("logs", "monitors", "figures", "attention", ".snakemake", "study.yaml", "locks")
# What others are made from is vouched for; of what is made last, only that it is there.
LAST = ("tables", "summary.html", "summary.rst", "summary.txt")
# Messages name the file that is to be deleted where it is another than the one that is spoilt.
_PATH = r"(?:store|results)/[^\s;,:]+"
ADVICE = re.compile(rf"{_PATH}(?=; delete that)|(?<=delete ){_PATH}")


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
    there = [one for one in others if one != path and one.is_file()]
    alike = [one for one in there if one.suffix == path.suffix]
    path.write_bytes(chance.choice(alike or there).read_bytes())


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


def tried(
    numbers: Iterable[int], seed: int, base: Path, place: Path, show: bool = False
) -> list[Outcome]:
    """Spoil a copy in ``place`` of the study in ``base`` in these ways; return the outcomes."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(base, place, symlinks=True)
    whole = files(place)
    done = {}
    for number in numbers:
        chance = random.Random(f"{seed} {number}")
        # Each kind of file is as likely as any other, however many there are of it.
        kinds: dict[str, list[str]] = {}
        for name in whole:
            kinds.setdefault(_kind(name), []).append(name)
        name = chance.choice(kinds[chance.choice(sorted(kinds))])
        last = {*Path(name).parts} & {*LAST}
        action = "deleted" if last else chance.choice(list(ACTIONS))
        if name not in done and (place / name).is_file():
            ACTIONS[action](place / name, chance, [place / one for one in whole])
            done[name] = Outcome(number, action, name, "", "")
    spoilt = {name: content for name, content in files(place).items() if name in done}
    said = judged(place, done, whole, spoilt)
    if show or any(one.fault for one in done.values()):
        print(said, *done.values(), sep="\n", flush=True)
    return list(done.values())


def judged(
    place: Path, spoilt: dict[str, Outcome], whole: dict[str, bytes], left: dict[str, bytes]
) -> str:
    """Do what a user would, write into ``spoilt`` what became of each; return all that was said.

    ``whole`` is what all files held before, ``left`` what spoilt ones did when they were spoilt.
    """
    runner = Runner(place, CONFIG)
    said = _sscdl(place, "store", "verify", "store").stdout + _snakemake(runner, "plan").stdout
    named = {name for name in spoilt if names(name, said)}
    failed, advice = "fails again and again", set()
    for _ in range(len(spoilt) + 3):
        run = _snakemake(runner)
        said += run.stdout
        if run.returncode == 0:
            failed = ""
            break
        causes = {name for name in spoilt if names(name, run.stdout)}
        named |= causes
        last, advice = advice, causes | {one[0] for one in ADVICE.finditer(run.stdout)}
        if not causes or advice == last:
            failed = "fails again and again" if causes else "a run fails and does not name the file"
            break
        for name in advice:
            shutil.rmtree(place / name) if (place / name).is_dir() else None
            (place / name).unlink(missing_ok=True)
    said += _sscdl(place, "tables", "check", "results/tiny").stdout
    named |= {name for name in spoilt if names(name, said)}
    now = files(place)
    others = [one for one in whole if one not in spoilt]
    lost = [one for one in others if one not in now]
    changed = [one for one in others if one in now and _lasting(one) and now[one] != whole[one]]
    for name, outcome in spoilt.items():
        again = now.get(name) == whole[name] or (
            name in now and not _lasting(name) and now[name] != left.get(name)
        )
        words = [*["named"] * (name in named), *["made again"] * again]
        outcome.became = " and ".join(words) or "nothing"
        if "Traceback (most recent call last)" in said:
            outcome.fault = "a traceback"
        elif failed:
            outcome.fault = failed
        elif lost or changed:
            outcome.fault = f"lost: {', '.join(lost)}; changed: {', '.join(changed)}"
        elif not words:
            outcome.fault = "it stays as it is, without a word"
    return said


def _lasting(name: str) -> bool:
    """Return whether a file comes out the same however often it is made."""
    return name.endswith((".safetensors", ".png", ".npy")) or (
        name.startswith("results") and name.endswith(".csv") and not name.endswith("plan.csv")
    )


def names(name: str, said: str) -> bool:
    """Return whether what was said names a file, or the object or archive that it belongs to.

    Its name alone is not enough: others may be called so, or end so.
    """
    path = Path(name)
    owners = [part for part in path.parts[2:] if re.fullmatch("[0-9a-f]{12,}", part.split(".")[0])]
    words = [f"{path.parent.name}/{path.name}", *(one.split(".")[0] for one in owners)]
    return any(re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-]|\.\w)", said) for word in words)


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


def main() -> None:
    """Print what became of the mutants, by what was done to them, and what failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutants", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--together", type=int, default=10, help="mutants of one copy")
    parser.add_argument("--only", type=int, nargs="*", help="these alone, with all that is said")
    parser.add_argument("--work", type=Path, default=Path("stores-run"))
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    base = finished(work / "base").folder
    record = work / f"seed-{arguments.seed}.jsonl"
    lines = record.read_text().splitlines() if record.exists() else []
    done = {one.number: one for one in (Outcome(**json.loads(line)) for line in lines)}
    numbers = range(arguments.mutants) if arguments.only is None else arguments.only
    open_ = [one for one in numbers if one not in done or arguments.only is not None]
    for first in range(0, len(open_), arguments.together):
        several = open_[first : first + arguments.together]
        shown = arguments.only is not None
        for one in tried(several, arguments.seed, base, work / "mutant", shown):
            done[one.number] = one
            with record.open("a") as out:
                out.write(json.dumps(asdict(one)) + "\n")
        print(f"{first + len(several)} of {len(open_)}", flush=True)
    counts = Counter((one.action, one.became) for one in done.values())
    outcomes = sorted({became for _, became in counts})
    print("| what was done |", " | ".join(outcomes), "|\n|---" + "|---" * len(outcomes) + "|")
    for action in ACTIONS:
        print(f"| {action} |", " | ".join(str(counts[action, one]) for one in outcomes), "|")
    failed = [one for one in done.values() if one.fault]
    print(f"\n{len(done)} mutants, {len(failed)} failures")
    for one in failed:
        print(f"FAILED {one.number} ({one.file}, {one.action}): {one.fault}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
