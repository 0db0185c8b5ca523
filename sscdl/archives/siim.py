"""Reading the index of an archive in the layout of the SIIM-FISABIO-RSNA COVID-19 challenge.

Lakhani et al., "The 2021 SIIM-FISABIO-RSNA Machine Learning COVID-19 Challenge", J Digit Imaging
2023. Study labels are one-hot; boxes belong to images. What makes the labels doubtful stops the
run, what concerns one image is recorded and the run goes on without it.
"""

from __future__ import annotations

import ast
import math
from pathlib import Path

from sscdl import identifiers
from sscdl.archives.index import Index, make_index
from sscdl.archives.listing import IMAGE_CSV, STUDY_CSV, scan, stem
from sscdl.csv_rows import read_rows
from sscdl.errors import InputError

LABEL_COLUMNS = {
    "Negative for Pneumonia": "negative",
    "Typical Appearance": "typical",
    "Indeterminate Appearance": "indeterminate",
    "Atypical Appearance": "atypical",
}


def read_index(root: str | Path) -> Index:
    """Read the folder tree and the two CSV files below ``root``.

    A study may have several images; an image whose study has no row is kept without a label, one
    without a row of its own without boxes. Of several images with one id, which may differ in case
    alone, the first is kept.

    Raises InputError, naming file and row, if the root, a CSV file or a column is missing, a study
    row is not one-hot, or two rows give one study different labels.
    """
    root = Path(root)
    listing = scan(root)
    problems = list(listing.problems)
    labels = _study_labels(root / STUDY_CSV, problems)
    annotations = _annotations(root / IMAGE_CSV, problems)

    rows: dict[str, dict[str, object]] = {}
    owners: dict[str, str] = {}
    unlabelled: set[str] = set()
    for path, _ in listing.files:
        _, study, _, name = path.split("/")
        image = stem(name)
        bad = [part for part in (study, image) if identifiers.fault(part)]
        if bad:
            problems.append((path, f"id {bad[0]!r} {identifiers.fault(bad[0])}; left out"))
            continue
        # Ids become file names, and there are systems on which case makes no difference.
        first = owners.setdefault(image.casefold(), path)
        if first != path:
            problems.append((path, f"image id also at {first}; left out"))
            continue
        if study not in labels and study not in unlabelled:
            unlabelled.add(study)
            problems.append((f"train/{study}", f"no row in {STUDY_CSV}; images have no label"))
        boxes, claimed = annotations.get(image, ([], study))
        if image not in annotations:
            problems.append((path, f"no row in {IMAGE_CSV}; kept without boxes"))
        elif claimed and claimed != study:
            problems.append((path, f"{IMAGE_CSV} gives another study; the folder's is used"))
        rows[image] = {
            "image_id": image,
            "study_id": study,
            "path": path,
            "label": labels.get(study, ""),
            "boxes": boxes,
            "shown": path,
        }
    for image in annotations.keys() - rows.keys():
        problems.append((IMAGE_CSV, f"image {image} has no usable file"))
    for study in labels.keys() - {row["study_id"] for row in rows.values()}:
        problems.append((STUDY_CSV, f"study {study} has no usable file"))
    return make_index(rows.values(), sorted(problems))


def _study_labels(path: Path, problems: list[tuple[str, str]]) -> dict[str, str]:
    """Return the label of each study id (without ``_study``)."""
    labels: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line, row in read_rows(path, ["id", *LABEL_COLUMNS], key="id"):
        study = row["id"].removesuffix("_study")
        if wrong := identifiers.fault(study):
            problems.append((path.name, f"line {line}: id {study!r} {wrong}; left out"))
            continue
        values = [row[column].removesuffix(".0") for column in LABEL_COLUMNS]
        if sorted(values) != ["0", "0", "0", "1"]:
            raise InputError(
                f"{path}, line {line}, id {row['id']}: the labels "
                + ", ".join(f"{column} = {row[column]!r}" for column in LABEL_COLUMNS)
                + " are not one-hot; set exactly one to 1 and the others to 0, or delete the row"
            )
        label = list(LABEL_COLUMNS.values())[values.index("1")]
        if study not in labels:
            labels[study], lines[study] = label, line
        elif labels[study] == label:
            problems.append((path.name, f"line {line}: study {study} again; first row kept"))
        else:
            raise InputError(
                f"{path}, line {line}, id {row['id']}: labelled {label} here but {labels[study]} "
                f"in line {lines[study]}; delete the wrong one of the two rows"
            )
    return labels


def _annotations(
    path: Path, problems: list[tuple[str, str]]
) -> dict[str, tuple[list[list[float]], str]]:
    """Return the boxes and the study id of each image id (without ``_image``)."""
    found: dict[str, tuple[list[list[float]], str]] = {}
    for line, row in read_rows(path, ["id", "boxes", "label", "StudyInstanceUID"], key="id"):
        image = row["id"].removesuffix("_image")
        if wrong := identifiers.fault(image):
            problems.append((path.name, f"line {line}: id {image!r} {wrong}; left out"))
            continue
        if image in found:
            problems.append((path.name, f"line {line}: image {image} again; first row kept"))
            continue
        boxes = _boxes(row["boxes"])
        if boxes is None:
            problems.append((path.name, f"line {line}: image {image} has broken boxes; dropped"))
        found[image] = (boxes or [], row["StudyInstanceUID"])
    return found


def _boxes(text: str) -> list[list[float]] | None:
    """Return [x, y, width, height] of each box in a Python list of dicts, None if broken."""
    if not text:
        return []
    try:
        boxes = [
            [float(box[key]) for key in ("x", "y", "width", "height")]
            for box in ast.literal_eval(text)
        ]
    except (
        ValueError,
        TypeError,
        LookupError,
        SyntaxError,
        OverflowError,
        RecursionError,
        MemoryError,
    ):
        return None
    sound = all(map(math.isfinite, sum(boxes, []))) and all(w > 0 < h for _, _, w, h in boxes)
    return boxes if sound else None
