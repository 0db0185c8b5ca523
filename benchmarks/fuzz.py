"""Does any damaged DICOM file do more harm than being refused?

Feeds mutants of valid files (tests/unit/mutations.py) to the worker process that the workflow
renders with. A mutant is to be converted or rejected with a reason. Counted as failures: a worker
that crashes, hangs or meets an error of its own; a picture that is not what was reported; files
other than the pictures; texts of the header in what is reported. Offending files are kept, and the
exit status is 1 if there are any.

    python benchmarks/fuzz.py --files 20000 --seed 0
    python benchmarks/fuzz.py --seed 0 --only 1234      makes that mutant and says what it does
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

import cv2

from sscdl.dicom.radiograph import Rendering
from sscdl.images.render_worker import pixel_hash
from sscdl.images.renderer import Renderer
from tests.unit.fuzz_seeds import PLANTED
from tests.unit.mutations import MUTATIONS, mutant
from tests.unit.render_helpers import ACCEPT_ALL

_WORDS = {word.casefold() for text in PLANTED.values() for word in text.replace("^", " ").split()}
_BATCH = 500


@dataclass
class Result:
    """What became of the mutants: counts, and number, kind of damage and fault of the failures."""

    converted: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, int] = (0.0, -1)
    failures: list[tuple[int, str, str]] = field(default_factory=list)


def fuzz(numbers: Iterable[int], seed: int, keep: Path, *, time_limit: float) -> Result:
    """Render the mutants with these ``numbers``; those that fail are written to ``keep``.

    ``time_limit`` is in seconds for each file.
    """
    result = Result()
    todo = list(numbers)
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as place:
        work, source, target = (Path(place, name) for name in ("work", "in", "out"))
        for folder in (work, source, target):
            folder.mkdir()
        os.chdir(work)  # what a decoder might leave lying about would be there
        try:
            rendering = Rendering(max_pixels=4_000_000)
            with Renderer(rendering, ACCEPT_ALL, find_text=True, time_limit=time_limit) as renderer:
                for start in range(0, len(todo), _BATCH):
                    batch = todo[start : start + _BATCH]
                    pictures = [_one(number, seed, renderer, source, target, keep, result)
                                for number in batch]  # fmt: skip
                    expected = {"in", "out", "work", *filter(None, pictures)}
                    found = {path.relative_to(place).as_posix() for path in Path(place).rglob("*")}
                    for path in sorted(found ^ expected):
                        result.failures.append((batch[0], "batch", f"unexpected or no file {path}"))
                    for path in target.iterdir():
                        path.unlink()
        finally:
            os.chdir(before)
    return result


def _one(
    number: int,
    seed: int,
    renderer: Renderer,
    source: Path,
    target: Path,
    keep: Path,
    result: Result,
) -> str | None:
    """Render one mutant; return the path of its picture in the folder, None if it has none."""
    kind, name, data = mutant(seed, number)
    file, png = source / f"{number}.dcm", target / f"{number}.png"
    file.write_bytes(data)
    lost, start = renderer.lost, time.monotonic()
    outcome, value = renderer.render(file, png)
    result.slowest = max(result.slowest, (time.monotonic() - start, number))
    file.unlink()
    faults = []
    if outcome == "image":
        result.converted[kind] += 1
        faults += _faults_of_picture(png, value)
        reported = str({key: text for key, text in value.items() if key != "patient_id"})
    else:
        reported = value
        if outcome == "rejected":
            result.rejected[kind] += 1
            result.reasons[re.sub(r"\d+", "N", value)] += 1
        else:
            faults.append(value)
    if renderer.lost > lost and outcome != "failed":
        faults.append("worker lost, another one managed")
    if any(word in reported.casefold() for word in _WORDS):
        faults.append("text of the header is reported")
    if faults:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{seed}-{number}.dcm").write_bytes(data)
        result.failures += [(number, f"{kind} of {name}", fault) for fault in faults]
    return f"out/{png.name}" if outcome == "image" else None


def _faults_of_picture(png: Path, row: dict[str, Any]) -> list[str]:
    picture = cv2.imread(str(png), cv2.IMREAD_UNCHANGED)
    if picture is None:
        return ["no picture was written"]
    if pixel_hash(picture) != row["pixel_hash"]:
        return ["the picture is not the reported one"]
    return ["nothing is shown"] if picture.min() == picture.max() else []


def main() -> None:
    """Print counts by damage and by reason, and what failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="*", help="these mutants alone")
    parser.add_argument("--time-limit", type=float, default=20, help="seconds for a file")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    arguments = parser.parse_args()
    numbers = range(arguments.files) if arguments.only is None else arguments.only
    start = time.monotonic()
    result = fuzz(
        numbers, arguments.seed, arguments.keep.resolve(), time_limit=arguments.time_limit
    )
    print("| damage | converted | rejected |\n|---|---|---|")
    for kind in MUTATIONS:
        print(f"| {kind} | {result.converted[kind]} | {result.rejected[kind]} |")
    print("\n| reason | files |\n|---|---|")
    for reason, count in result.reasons.most_common():
        print(f"| {reason} | {count} |")
    converted, rejected = result.converted.total(), result.rejected.total()
    missing = len(numbers) - converted - rejected
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"\n{len(numbers)} files = {converted} converted + {rejected} rejected + {missing} failed; "
        f"{time.monotonic() - start:.0f} s; slowest {result.slowest[0]:.2f} s "
        f"({result.slowest[1]}); peak memory of a worker {peak:.0f} MiB"
    )
    for number, kind, fault in result.failures:
        print(f"FAILED {arguments.seed}-{number} ({kind}): {fault}")
    sys.exit(1 if result.failures or missing else 0)


if __name__ == "__main__":
    main()
