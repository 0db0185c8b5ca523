"""How long it takes to tell what an archive holds: at the first start of the workflow, and later.

Makes an archive of many small files in the layout of ChestX-ray14, in a temporary folder, and
measures against a bare walk that asks for the state of each file. What is read lies in the memory
of the machine: with large files, the first start takes as long as the disk needs to read them.

    python benchmarks/archive_identity.py
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

from sscdl.archives.digests import RACY, Digests, content, earlier_content
from sscdl.archives.layouts import list_files

FILES = 112_120  # of ChestX-ray14
HEADER = ["Image Index", "Finding Labels", "Patient ID"]


def write(root: Path, files: int, size: int) -> dict:
    """Write the archive and return its description."""
    rows, generator = [], random.Random(0)
    for number in range(files):
        folder = root / f"images_{1 + 12 * number // files:03d}" / "images"
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{number // 4:08d}_{number % 4:03d}.png"
        (folder / name).write_bytes(generator.randbytes(size))
        rows.append([name, "No Finding", number // 4])
    with open(root / "entries.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *rows])
    columns = {"file": HEADER[0], "patient": HEADER[2]}
    described = {"layout": "table", "root": str(root), "table": "entries.csv", "id_key": "k"}
    return {**described, "columns": columns}


def walk(root: Path) -> int:
    """Walk a folder, ask for the state of each file, and return their size."""
    return sum(
        os.stat(os.path.join(folder, name)).st_size
        for folder, _, names in os.walk(root)
        for name in names
    )


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return how long it takes to do ``work`` once, by the clock and of the processors' time."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - cpu


def main() -> None:
    """Print a row for each way to look at the archive."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--size", type=int, default=2000, help="bytes of each file")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root, store = Path(name) / "archive", Path(name) / "store"
        dataset = write(root, arguments.files, arguments.size)
        time.sleep(RACY + 1)  # what has just been written is read again
        ways = {
            "a bare walk": lambda: walk(root),
            "listing alone": lambda: list_files(dataset),
            "names and sizes (version 0.1)": lambda: earlier_content(list_files(dataset)),
            "a later start": lambda: content(list_files(dataset), Digests(store)),
        }
        walk(root)
        taken: dict[str, list[tuple[float, float]]] = {"first start": [], **{w: [] for w in ways}}
        taken["first start"].append(seconds(ways["a later start"]))
        for _ in range(arguments.rounds):
            for way, work in ways.items():
                taken[way].append(seconds(work))
        remembered = sum(path.stat().st_size for path in store.iterdir())
    medians = {way: [median(one) for one in zip(*rows, strict=True)] for way, rows in taken.items()}
    floors = medians["a bare walk"]
    print(f"{arguments.files:,} files of {arguments.size:,} bytes; the memory has {remembered:,}")
    print(
        "| | seconds | of a bare walk | CPU seconds | of a bare walk |\n|---|---:|---:|---:|---:|"
    )
    for way, values in medians.items():
        cells = [
            f"{value:.2f} | {value / floor:.1f}"
            for value, floor in zip(values, floors, strict=True)
        ]
        print(f"| {way} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
