"""What one revision makes of the cases: digests of its results and the lines that it ran.

    python -m benchmarks.same_weights.probe --cases CASES.json --out OUT.json --work FOLDER

Run it in the root of a checkout: the package of that checkout does the work, in a process of its
own that is measured. The result is JSON with ``groups`` (hash of each group of source code, what it
counts as in recipes, and the files of its modules), ``cases`` (digests, or an error), ``lines``
(lines that ran, by case and file), ``package`` (the modules that there are) and ``machine``.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.same_weights.measured import environment, lines_run
from sscdl import __file__ as package_file
from sscdl.equivalence import group_hash
from sscdl.source import GROUPS, group_modules, import_closure, source_hash
from sscdl.tasks.options import DEFAULTS

PACKAGE = Path(package_file).resolve().parent
ROOT = PACKAGE.parent
LIBRARIES = ("torch", "torchvision", "numpy", "opencv-python-headless", "scipy", "pandas")


def probe(cases: Path, work: Path) -> dict[str, Any]:
    """Return what the checkout makes of the file ``cases``; ``work`` must not exist yet."""
    work = work.resolve()
    work.mkdir(parents=True)
    covered = work / "coverage"
    began = time.perf_counter()
    given = environment(covered, PACKAGE)
    # By far the most are trainings, on one core each: two processes share them.
    listed = json.loads(cases.read_text(encoding="utf-8"))
    shares = [listed[number::2] for number in range(min(2, len(listed)))]
    with ThreadPoolExecutor(2) as pool:
        running = [
            pool.submit(_run, share, work / str(number), given)
            for number, share in enumerate(shares)
        ]
    done = {name: one for part in running for name, one in part.result().items()}
    results = {one["name"]: done[one["name"]] for one in listed}
    found = {
        "groups": groups(),
        "package": modules(),
        "cases": results,
        "lines": lines_run(covered, ROOT),
        "machine": machine(),
        "seconds": round(time.perf_counter() - began, 1),
    }
    shutil.rmtree(work)
    return found


def _run(share: list[dict[str, Any]], work: Path, given: dict[str, str]) -> dict[str, Any]:
    """Return what a process of its own makes of some cases."""
    work.mkdir()
    cases, results = work / "cases.json", work / "results.json"
    cases.write_text(json.dumps(share), encoding="utf-8")
    subprocess.run(
        [
            sys.executable, "-m", "benchmarks.same_weights.run_cases",
            "--cases", str(cases), "--out", str(results), "--work", str(work / "work"),
        ],
        env=given, cwd=ROOT, check=True,
    )  # fmt: skip
    return json.loads(results.read_text(encoding="utf-8"))


def groups() -> dict[str, dict[str, Any]]:
    """Return hash and modules of every group of source code, the tasks among them."""
    paths = modules()
    return {
        group: {
            "counts_as": group_hash(group),
            "hash": source_hash(*group_modules(group)),
            "modules": {name: paths[name] for name in import_closure(group_modules(group))},
        }
        for group in (*GROUPS, *DEFAULTS)
    }


def modules() -> dict[str, str]:
    """Return the file of every module of the package, below the root of the checkout."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path.relative_to(ROOT).as_posix()
    return found


def machine() -> dict[str, str]:
    """Return what else decides about bits."""
    named = {name: version(name) for name in LIBRARIES}
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        **named,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    """Read the arguments and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=Path, required=True, help="JSON, as cases.py lists them")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="a folder that is not there yet")
    parser.add_argument("--only", action="append", default=[], help="a group; may be repeated")
    given = parser.parse_args()
    chosen = given.cases
    if given.only:
        listed = json.loads(chosen.read_text(encoding="utf-8"))
        listed = [one for one in listed if set(given.only) & set(one["groups"])]
        chosen = given.out.with_suffix(".cases.json")
        chosen.write_text(json.dumps(listed), encoding="utf-8")
    found = probe(chosen, given.work)
    given.out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
