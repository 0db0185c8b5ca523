"""Time and memory of listing and splitting an archive of the size of NIH ChestX-ray14.

Writes a made-up archive in its shape (its table, 12 folders of empty files, lists that keep
patients apart), and manifests as conversion and segmentation would have left them. Each step runs
in a process of its own, whose peak memory is told.

    python benchmarks/given_split.py --images 112120
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

from sscdl.archives.given_split import read_given_split
from sscdl.archives.layouts import list_files
from sscdl.archives.reading import read_index
from sscdl.files import write_json
from sscdl.identifiers import pseudonym
from sscdl.images.imagelist import list_images

KEY = "nih-chestxray14"
HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
)
FINDINGS = {"No Finding": 0.54, "Pneumonia": 0.013, "Infiltration|Mass": 0.447}
TESTED = 0.228  # of the patients; NIH's list has as many of its images
LISTS = {"train": "train_val_list.txt", "val": None, "test": "test_list.txt"}
SPLIT = {"source": "lists", "lists": LISTS, "straddling": "refuse"}
DRAWN = {"by": "patient", "stratified": True, "val": 0.15}
Row = tuple[str, int, str]


def made_up(number: int) -> Iterator[Row]:
    """Yield (file name, patient, findings) of ``number`` images: 3.6 a patient, as in NIH's."""
    draw = random.Random(0)
    patient = done = 0
    while done < number:
        patient += 1
        for follow_up in range(min(number - done, 1 + int(draw.expovariate(1 / 3.1)))):
            (findings,) = draw.choices(list(FINDINGS), list(FINDINGS.values()))
            yield f"{patient:08d}_{follow_up:03d}.png", patient, findings
            done += 1


def write_archive(root: Path, number: int) -> dict[str, Any]:
    """Write the archive and return its description."""
    rows = list(made_up(number))
    draw = random.Random(1)
    tested = {patient for patient in range(1, rows[-1][1] + 1) if draw.random() < TESTED}
    for place, (name, _, _) in enumerate(rows):
        folder = root / f"images_{1 + 12 * place // number:03d}" / "images"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    lines = [f"{name},{what},0,{patient},50,M,PA" for name, patient, what in rows]
    (root / "entries.csv").write_text("\n".join([HEADER, *lines]))
    for side, keep in (("train", False), ("test", True)):
        names = [name for name, patient, _ in rows if (patient in tested) == keep]
        (root / LISTS[side]).write_text("\n".join(names))
    return {
        "layout": "table",
        "root": str(root),
        "table": "entries.csv",
        "id_key": KEY,
        "columns": {
            "file": "Image Index",
            "patient": "Patient ID",
            "sex": "Patient Gender",
            "age": "Patient Age",
            "view": "View Position",
        },
        "labels": {
            "negative": {"column": "Finding Labels", "values": ["No Finding"]},
            "typical": {
                "column": "Finding Labels",
                # Small archives, too, have some for each set.
                "values": ["Pneumonia", "Infiltration"],
                "separator": "|",
            },
        },
    }


def write_manifests(folder: Path, dataset: dict[str, Any]) -> None:
    """Write what conversion and segmentation would say of the images of an archive."""
    index = read_index(dataset).images
    images, masks = [], []
    for row in index.to_dict("records"):
        name = row["image_id"]
        described = {key: row[key] for key in ("study_id", "label", "view", "sex", "age", "boxes")}
        images.append(
            described
            | {"cohort": "main", "image_id": name, "patient_id": pseudonym(row["patient_id"], KEY)}
            | {"rows": 1024, "columns": 1024, "transfer_syntax": "PNG", "bits_stored": 8}
            | {"photometric": "MONOCHROME2", "modality": "", "body_part": "", "text": None}
            | {"png": f"{name}.png", "sha256": name, "pixel_hash": name}
        )
        masks.append(
            {"image_id": name, "png": f"{name}.png", "sha256": name, "area": 0.3, "faults": []}
            | {"empty": False}
        )
    odd: dict[str, Any] = {"rejected": [], "failed": [], "problems": []}
    write_json(folder / "images/0.json", {"images": images, **odd})
    write_json(folder / "masks/0.json", {"masks": masks})


def list_all(folder: Path, dataset: dict[str, Any], recipe: str) -> None:
    """List the images with their split, as the workflow does after conversion."""
    list_images(
        [folder / "images/0.json"],
        [folder / "masks/0.json"],
        [],
        folder / "images.csv",
        folder / "rejected.csv",
        implausible="keep",
        split={**DRAWN, "given": recipe, "seed": 0},
        given={"dataset": dataset, "split": SPLIT},
        classes=["negative", "typical"],
    )


def measured(what: str, step: Callable[..., Any], *given: Any) -> None:
    """Run a step in a process of its own and print its time and its peak memory."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_run, args=(what, step, given))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{what}: ended with status {process.exitcode}")


def _run(what: str, step: Callable[..., Any], given: tuple[Any, ...]) -> None:
    wall, processor = time.perf_counter(), time.process_time()
    step(*given)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    # Not that of getrusage, in which the process that has started this one counts.
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    print(f"| {what} | {wall:.1f} | {processor:.1f} | {peak:.0f} |", flush=True)


def plan(dataset: dict[str, Any]) -> str:
    """Read the split as it is done whenever the workflow is read; return what recipes have."""
    return read_given_split(dataset, SPLIT, list_files(dataset).images).recipe()


def main() -> None:
    """Print time and memory of each step."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=112_120, help="number of image files")
    number = parser.parse_args().images
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = write_archive(folder / "archive", number)
        for kind in ("images", "masks"):
            (folder / kind).mkdir()
        write_manifests(folder, dataset)
        print("| step | s | s of CPU | MiB |\n|---|---:|---:|---:|")
        measured("list the files", list_files, dataset)
        measured("the split, as it is planned with (files and lists)", plan, dataset)
        measured("the index (files and table)", read_index, dataset)
        measured("images.csv with the split", list_all, folder, dataset, plan(dataset))


if __name__ == "__main__":
    main()
