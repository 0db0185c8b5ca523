"""Reading the index of an archive in the layout of the SIIM-FISABIO-RSNA COVID-19 challenge.

Lakhani et al., "The 2021 SIIM-FISABIO-RSNA Machine Learning COVID-19 Challenge", J Digit Imaging
2023. Study labels are one-hot; boxes belong to images. What makes the labels doubtful stops the
run, what concerns one image is recorded and the run goes on without it.
"""

from __future__ import annotations

import ast
import csv
import difflib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sscdl.archive import IMAGE_CSV, STUDY_CSV, scan
from sscdl.errors import InputError

LABEL_COLUMNS = {
    "Negative for Pneumonia": "negative",
    "Typical Appearance": "typical",
    "Indeterminate Appearance": "indeterminate",
    "Atypical Appearance": "atypical",
}
_ID = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,64}")
_BAD_ID = "is not 1 to 64 of the characters A-Z a-z 0-9 . _ - without a leading dot"


@dataclass(frozen=True)
class Index:
    """The images of an archive and what was wrong with it.

    ``images``, sorted by image_id: image_id, study_id, path (relative to the root, forward
    slashes), label ('negative', 'typical', 'indeterminate', 'atypical' or '' if unknown), boxes
    (list of [x, y, width, height] in pixels, floats). ``problems``: file, reason.
    """

    images: pd.DataFrame
    problems: pd.DataFrame


def read_index(root: str | Path) -> Index:
    """Read the folder tree and the two CSV files below ``root``.

    Raises InputError, naming file and row, if the root, a CSV file or a column is missing, a study
    row is not one-hot, or two rows give one study different labels.
    """
    root = Path(root)
    listing = scan(root)
    problems = list(listing.problems)
    labels = _study_labels(root / STUDY_CSV, problems)
    annotations = _annotations(root / IMAGE_CSV, problems)

    rows: dict[str, dict[str, object]] = {}
    unlabelled: set[str] = set()
    for path, _ in listing.files:
        _, study, _, name = path.split("/")
        image = name[: -len(".dcm")]
        bad = [part for part in (study, image) if not _ID.fullmatch(part)]
        if bad:
            problems.append((path, f"id {bad[0]!r} {_BAD_ID}; left out"))
            continue
        if image in rows:
            problems.append((path, f"image id also at {rows[image]['path']}; left out"))
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
        }
    for image in annotations.keys() - rows.keys():
        problems.append((IMAGE_CSV, f"image {image} has no usable file"))
    for study in labels.keys() - {row["study_id"] for row in rows.values()}:
        problems.append((STUDY_CSV, f"study {study} has no usable file"))

    columns = ["image_id", "study_id", "path", "label", "boxes"]
    return Index(
        pd.DataFrame([rows[image] for image in sorted(rows)], columns=columns),
        pd.DataFrame(sorted(problems), columns=["file", "reason"]),
    )


def _study_labels(path: Path, problems: list[tuple[str, str]]) -> dict[str, str]:
    """Return the label of each study id (without ``_study``)."""
    labels: dict[str, str] = {}
    for line, row in _rows(path, ["id", *LABEL_COLUMNS]):
        study = row["id"].removesuffix("_study")
        if not _ID.fullmatch(study):
            problems.append((path.name, f"line {line}: id {study!r} {_BAD_ID}; left out"))
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
            labels[study] = label
        elif labels[study] == label:
            problems.append((path.name, f"line {line}: study {study} again; first row kept"))
        else:
            raise InputError(
                f"{path}, line {line}, id {row['id']}: labelled {label} here but {labels[study]} "
                "in an earlier row; delete the wrong one of the two rows"
            )
    return labels


def _annotations(
    path: Path, problems: list[tuple[str, str]]
) -> dict[str, tuple[list[list[float]], str]]:
    """Return the boxes and the study id of each image id (without ``_image``)."""
    found: dict[str, tuple[list[list[float]], str]] = {}
    for line, row in _rows(path, ["id", "boxes", "label", "StudyInstanceUID"]):
        image = row["id"].removesuffix("_image")
        if not _ID.fullmatch(image):
            problems.append((path.name, f"line {line}: id {image!r} {_BAD_ID}; left out"))
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
    except (ValueError, TypeError, LookupError, SyntaxError, RecursionError, MemoryError):
        return None
    sound = all(map(math.isfinite, sum(boxes, []))) and all(w > 0 < h for _, _, w, h in boxes)
    return boxes if sound else None


def _rows(path: Path, columns: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, row) of a CSV file that must have ``columns``."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            for column in columns:
                if column not in header:
                    raise InputError(_missing_column(path, column, header))
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(
                        f"{path}, line {reader.line_num}, id {row['id']}: the row does not have "
                        f"the {len(header)} fields of the header; repair or delete it"
                    )
                yield reader.line_num, {key: value.strip() for key, value in row.items()}
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: cannot be read as a CSV file in UTF-8 ({error})") from error


def _missing_column(path: Path, column: str, header: Sequence[str]) -> str:
    near = difflib.get_close_matches(column, header, n=1, cutoff=0.0)
    hint = (
        f"; the nearest there is {near[0]!r}, rename it if it is meant" if near else " (empty file)"
    )
    return f"{path}: column {column!r} is missing{hint}"
