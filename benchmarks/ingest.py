"""How fast are radiographs converted, against what decoding them costs at the least?

Converts an archive in the layout of SIIM-FISABIO-RSNA to PNG files in three ways, each in a process
of its own, in changing order over several rounds so that other load on the machine hits all alike:

- floor: pydicom decodes, the result is written with the same PNG encoder, nothing is rendered;
- sscdl: ``ingest_shard`` as the workflow calls it, with index, worker process, checks, manifest;
- plain loop: pydicom and OpenCV as one would write it down, ending in min-max and cv2.imwrite.

CPU time is that of the process and its children. The ratio to the floor is the median of those of
the rounds.

With ``--encoders`` the ways of making a PNG file are compared, on the folder's first 50 images.

With ``--planning`` the folder is made and filled with that many tiny files, and what is measured is
all that does not depend on the size of the pictures: the index, and each of 16 shards in turn with
the processes that it starts.

    python benchmarks/ingest.py /data/nih-siim --rounds 5
    python benchmarks/ingest.py /data/nih-siim --encoders
    python benchmarks/ingest.py /tmp/many --planning 6334
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

import cv2
import numpy as np
import pydicom
from PIL import Image
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from sscdl.archives.layouts import list_files
from sscdl.archives.reading import read_index
from sscdl.archives.siim import LABEL_COLUMNS
from sscdl.dicom.radiograph import Rendering
from sscdl.images.ingest import ingest_shard
from sscdl.images.picture import read_image
from sscdl.images.render_worker import encode_png
from tests.unit.dicom_files import write_dicom
from tests.unit.render_helpers import ACCEPT_ALL


def floor(root: Path, out: Path) -> None:
    """Decode and write, without any rendering."""
    for path in sorted(root.glob("train/*/*/*.dcm")):
        pixels = pydicom.dcmread(path).pixel_array
        if pixels.dtype != np.uint8:  # the cheapest way to the same number of bytes
            pixels = (pixels >> 4).astype(np.uint8)
        (out / f"{path.stem}.png").write_bytes(encode_png(pixels))


def sscdl(root: Path, out: Path) -> None:
    """Convert as the workflow does."""
    ingest_shard(
        {"main": {"layout": "siim", "root": str(root), "id_key": "benchmark"}},
        0, 1, out / "png", out / "manifest.json", rendering=Rendering(), accept=ACCEPT_ALL,
        find_text=False, time_limit=60,
    )  # fmt: skip


def plain_loop(root: Path, out: Path) -> None:
    """Convert with what the libraries offer, in the order of their documentation."""
    for path in sorted(root.glob("train/*/*/*.dcm")):
        dataset = pydicom.dcmread(path)
        values = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
        values = values.astype(np.float64)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            values = values.max() - values
        values = (values - values.min()) / (values.max() - values.min())
        cv2.imwrite(str(out / f"{path.stem}.png"), (255 * values).astype(np.uint8))


SHARDS = 16
WAYS = {"floor": floor, "sscdl": sscdl, "plain loop": plain_loop}


def encoders(root: Path) -> None:
    """Print CPU time and size of each way of making a PNG file."""

    def pillow(level: int) -> Callable[[np.ndarray], bytes]:
        def encode(pixels: np.ndarray) -> bytes:
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, format="PNG", compress_level=level)
            return buffer.getvalue()

        return encode

    def opencv(level: int, strategy: str, filters: str) -> Callable[[np.ndarray], bytes]:
        options = [
            cv2.IMWRITE_PNG_COMPRESSION, level,
            cv2.IMWRITE_PNG_STRATEGY, getattr(cv2, f"IMWRITE_PNG_STRATEGY_{strategy}"),
            cv2.IMWRITE_PNG_FILTER, getattr(cv2, f"IMWRITE_PNG_{filters}"),
        ]  # fmt: skip
        return lambda pixels: cv2.imencode(".png", pixels, options)[1].tobytes()

    ways = {f"Pillow, level {level}": pillow(level) for level in (1, 4, 6, 9)}
    for level, strategy in (
        (1, "DEFAULT"), (6, "DEFAULT"), (6, "FILTERED"), (1, "HUFFMAN_ONLY"), (1, "RLE"),
    ):  # fmt: skip
        for filters in ("FILTER_SUB", "FILTER_PAETH", "ALL_FILTERS"):
            name = f"OpenCV, level {level}, {strategy}, {filters}"
            ways[name] = opencv(level, strategy, filters)
    ways["sscdl"] = encode_png
    eight, sixteen = (
        [
            read_image(path, Rendering(bits=bits)).pixels
            for path in sorted(root.glob("train/*/*/*.dcm"))[:50]
        ]
        for bits in (8, 16)
    )
    print("| encoder | ms, 8 bits | of raw | ms, 16 bits | of raw |\n|---|---|---|---|---|")
    for name, encode in ways.items():
        cells = []
        for pictures in (eight, sixteen):
            times = []
            for _ in range(3):
                start = time.process_time()
                files = [encode(pixels) for pixels in pictures]
                times.append(1000 * (time.process_time() - start) / len(pictures))
            share = sum(map(len, files)) / sum(pixels.nbytes for pixels in pictures)
            cells += [f"{min(times):.2f}", f"{100 * share:.1f} %"]
        print(f"| {name} | {' | '.join(cells)} |")


def planning(root: Path, files: int) -> None:
    """Print the time for the index of that many files and for their shards."""
    header = ["id", *LABEL_COLUMNS]
    root.mkdir(parents=True)
    with (
        (root / "train_study_level.csv").open("w", newline="") as studies,
        (root / "train_image_level.csv").open("w", newline="") as images,
    ):
        csv.writer(studies).writerow(header)
        csv.writer(images).writerow(["id", "boxes", "label", "StudyInstanceUID"])
        for number in range(files):
            study, image = f"{number:012x}", f"{number + 2**44:012x}"
            folder = root / "train" / study / "series"
            folder.mkdir(parents=True)
            pixels = (np.arange(16 * 16, dtype=np.uint8) + number % 200).reshape(16, 16)
            write_dicom(folder / f"{image}.dcm", pixels, PatientID=study)
            csv.writer(studies).writerow([f"{study}_study", 1, 0, 0, 0])
            csv.writer(images).writerow([f"{image}_image", "", "none 1 0 0 1 1", study])
    description = {"layout": "siim", "root": str(root), "id_key": "benchmark"}
    for name, function in (("listing", list_files), ("index", read_index)):
        start = time.perf_counter()
        function(description)
        print(f"{name} of {files} files: {time.perf_counter() - start:.2f} s")
    commands: list[object] = []
    sys.addaudithook(
        lambda event, values: commands.append(values) if event == "subprocess.Popen" else None
    )
    with tempfile.TemporaryDirectory() as folder:
        before, start = os.times(), time.perf_counter()
        for shard in range(SHARDS):
            out = Path(folder)
            ingest_shard(
                {"main": description}, shard, SHARDS, out / "png", out / f"{shard}.json",
                rendering=Rendering(), accept=ACCEPT_ALL, find_text=False, time_limit=60,
            )  # fmt: skip
        wall, after = time.perf_counter() - start, os.times()
    cpu = sum(after[:4]) - sum(before[:4])
    print(
        f"{SHARDS} shards: {wall:.1f} s, {cpu:.1f} s of CPU ({1000 * cpu / files:.1f} ms a file), "
        f"{len(commands)} processes besides the {SHARDS} jobs"
    )


def measure(way: str, root: Path) -> None:
    """Print number of images, CPU and wall seconds, and bytes written, as JSON."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ids that are no valid UIDs
        before, start = os.times(), time.perf_counter()
        WAYS[way](root, Path(folder))
        wall, after = time.perf_counter() - start, os.times()
        sizes = [path.stat().st_size for path in Path(folder).rglob("*.png")]
    print(json.dumps([len(sizes), sum(after[:4]) - sum(before[:4]), wall, sum(sizes)]))


def main() -> None:
    """Print a Markdown table of the three ways."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with train/<study>/<series>/<image>.dcm")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--encoders", action="store_true")
    parser.add_argument("--planning", type=int, metavar="FILES")
    arguments = parser.parse_args()
    if arguments.encoders:
        encoders(arguments.folder)
        return
    if arguments.planning:
        planning(arguments.folder, arguments.planning)
        return
    if arguments.way:
        measure(arguments.way, arguments.folder)
        return
    found: dict[str, list[list[float]]] = {way: [] for way in WAYS}
    for number in range(arguments.rounds):
        shift = number % len(WAYS)
        for way in [*list(WAYS)[shift:], *list(WAYS)[:shift]]:
            command = [sys.executable, __file__, str(arguments.folder), "--way", way]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[way].append(json.loads(done.stdout))
    print(f"{int(found['floor'][0][0])} images, {arguments.rounds} rounds\n")
    print("| way | images/s of CPU | of the floor | images/s of wall | of the floor | kB/image |")
    print("|---|---|---|---|---|---|")
    for way, rows in found.items():
        cells = []
        for column in (1, 2):
            rates = [row[0] / row[column] for row in rows]
            floors = [row[0] / row[column] for row in found["floor"]]
            ratio = statistics.median(r / f for r, f in zip(rates, floors, strict=True))
            cells += [f"{statistics.median(rates):.1f}", f"{ratio:.2f}"]
        print(f"| {way} | {' | '.join(cells)} | {rows[0][3] / rows[0][0] / 1000:.1f} |")


if __name__ == "__main__":
    main()
