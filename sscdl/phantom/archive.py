"""Write synthetic radiographs as a DICOM archive in the layout of SIIM-FISABIO-RSNA COVID-19.

``root/train/<study>/<series>/<image>.dcm``, ``root/train_study_level.csv`` (one-hot labels),
``root/train_image_level.csv`` (boxes in pixels), and what only a phantom can know:
``root/truth/masks/<image>.png`` (0 or 255, both lungs without the part behind the heart) and
``root/truth/truth.csv`` (``image_id``, ``mark``: the mark's box as JSON fractions, or empty).
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sscdl.archives.cohorts import MARKED
from sscdl.errors import InputError
from sscdl.phantom.dicom import write_dicom
from sscdl.phantom.findings import LABELS
from sscdl.phantom.radiograph import DEFAULT_CONTRAST, MIN_SIZE, Phantom, add_mark, render

_COLUMNS = (
    "Negative for Pneumonia",
    "Typical Appearance",
    "Indeterminate Appearance",
    "Atypical Appearance",
)
_OWN_ENTRIES = {"train", "truth", "cohorts", "train_study_level.csv", "train_image_level.csv"}


@dataclass(frozen=True)
class _Shot:
    """One planned image; the key of a patient, study or image names its random numbers."""

    patient: str
    study: str
    image: str
    label: str
    female: bool
    age: int
    ap: bool


def _hash(seed: int, *names: str) -> str:
    return hashlib.sha256("/".join((str(seed), *names)).encode()).hexdigest()


def _identifier(seed: int, *names: str) -> str:
    """Return 12 hex digits, as the challenge's identifiers are."""
    return _hash(seed, *names)[:12]


def _number(seed: int, *names: str) -> int:
    return int(_hash(seed, *names)[12:24], 16)


def _shares(classes: Mapping[str, float], patients: int) -> list[str]:
    """Return one label a patient: shares rounded by largest remainder, grouped by label."""
    unknown = sorted(set(classes) - set(LABELS))
    if unknown:
        raise InputError(f"phantom: classes: unknown label {unknown[0]!r}: use {', '.join(LABELS)}")
    total = sum(classes.values())
    if not total > 0 or min(classes.values()) < 0:
        raise InputError("phantom: classes: shares must be 0 or more and not all 0")
    exact = {label: classes.get(label, 0.0) / total * patients for label in LABELS}
    counts = {label: math.floor(value) for label, value in exact.items()}
    by_remainder = sorted(LABELS, key=lambda label: counts[label] - exact[label])
    for label in by_remainder[: patients - sum(counts.values())]:
        counts[label] += 1
    return [label for label in LABELS for _ in range(counts[label])]


def _plan(seed: int, group: str, labels: list[str]) -> list[_Shot]:
    """Lay out patients, studies and images: one to three images a patient, one label each."""
    rng = np.random.default_rng(_number(seed, group, "plan"))
    shots = []
    for index, label in enumerate(rng.permutation(labels)):
        patient = f"{group}-{index}"
        female = bool(rng.random() < 0.5)
        ill = label != "negative"
        age = int(np.clip(rng.normal(49.0 if ill else 45.0, 15.0), 18, 92))
        # Fixed places in a shuffled list, so that small archives have every case as well.
        studies = 2 if index % 5 == 1 or index % 11 == 4 else 1
        for study_index in range(studies):
            study = f"{patient}-{study_index}"
            ap = bool(rng.random() < (0.50 if ill else 0.38))
            images = 2 if study_index == 0 and (index % 7 == 2 or index % 11 == 4) else 1
            shots += [
                _Shot(patient, study, f"{study}-{i}", str(label), female, age, ap)
                for i in range(images)
            ]
    return shots


def _marked(seed: int, group: str, shots: list[_Shot], shortcut: float | None) -> list[bool]:
    """Choose which images get the mark: a share ``shortcut`` of each side agrees with the label.

    The share is a fixed count of the negative and of the other images, so that a small archive
    is as confounded as it says.
    """
    if shortcut is None:
        return [False] * len(shots)
    rng = np.random.default_rng(_number(seed, group, "marks"))
    ill = np.array([shot.label != "negative" for shot in shots])
    marked = ill.copy()
    for side in (True, False):
        places = rng.permutation(np.flatnonzero(ill == side))
        turned = places[: round((1.0 - shortcut) * len(places))]
        marked[turned] = ~marked[turned]
    return marked.tolist()


class _Archive:
    """Collects the files and rows of one SIIM root."""

    def __init__(self, root: Path, seed: int, namespace: str) -> None:
        self.root, self.seed, self.namespace = root, seed, namespace
        self.studies: dict[str, str] = {}
        self.images: list[tuple[str, str, str, str]] = []
        self.truth: list[tuple[str, str]] = []
        (root / "truth" / "masks").mkdir(parents=True)

    def add(self, shot: _Shot, phantom: Phantom) -> None:
        """Write one image and its mask and remember its rows."""
        seed, space = self.seed, self.namespace
        ids = {
            "patient": _identifier(seed, "patient", shot.patient),
            "study": _identifier(seed, "study", space, shot.study),
            "series": _identifier(seed, "series", space, shot.image),
            "image": _identifier(seed, "image", space, shot.image),
        }
        path = self.root / "train" / ids["study"] / ids["series"] / f"{ids['image']}.dcm"
        path.parent.mkdir(parents=True)
        write_dicom(
            path, phantom.pixels, ids, female=shot.female, age=shot.age, ap=shot.ap,
            rng=np.random.default_rng(_number(seed, shot.image, "dicom")),
        )  # fmt: skip
        mask = self.root / "truth" / "masks" / f"{ids['image']}.png"
        if not cv2.imwrite(str(mask), phantom.lungs.astype(np.uint8) * 255):
            raise OSError(f"cannot write {mask}")
        size = phantom.pixels.shape[0]
        corners = [[round(edge * size, 2) for edge in box] for box in phantom.boxes]
        boxes = [
            {"x": x0, "y": y0, "width": round(x1 - x0, 2), "height": round(y1 - y0, 2)}
            for x0, y0, x1, y1 in corners
        ]
        label = " ".join(f"opacity 1 {x0} {y0} {x1} {y1}" for x0, y0, x1, y1 in corners)
        self.studies[ids["study"]] = shot.label
        self.images.append(
            (
                f"{ids['image']}_image",
                str(boxes) if boxes else "",
                label or "none 1 0 0 1 1",
                ids["study"],
            )
        )
        mark = "" if phantom.mark is None else json.dumps([round(edge, 5) for edge in phantom.mark])
        self.truth.append((ids["image"], mark))

    def close(self) -> None:
        """Write the three CSV files, sorted by identifier."""
        one_hot = [
            (f"{study}_study", *(int(label == name) for name in LABELS))
            for study, label in sorted(self.studies.items())
        ]
        _write_csv(self.root / "train_study_level.csv", ("id", *_COLUMNS), one_hot)
        header = ("id", "boxes", "label", "StudyInstanceUID")
        _write_csv(self.root / "train_image_level.csv", header, sorted(self.images))
        _write_csv(self.root / "truth" / "truth.csv", ("image_id", "mark"), sorted(self.truth))


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _render(seed: int, shot: _Shot, size: int, contrast: float) -> Phantom:
    return render(
        _number(seed, shot.image, "shot"),
        shot.label,
        size,
        anatomy_seed=_number(seed, shot.patient, "anatomy"),
        finding_seed=_number(seed, shot.study, "findings"),
        contrast=contrast,
        female=shot.female,
        ap=shot.ap,
    )


def _build(
    root: Path, *, patients: int, size: int, seed: int, classes: Mapping[str, float],
    contrast: float, shortcut: float | None, marked_test: int,
) -> None:  # fmt: skip
    def marked(shot: _Shot, phantom: Phantom) -> Phantom:
        return add_mark(phantom, _number(seed, shot.image, "shot"))

    archive = _Archive(root, seed, "main")
    shots = _plan(seed, "main", _shares(classes, patients))
    for shot, mark in zip(shots, _marked(seed, "main", shots, shortcut), strict=True):
        phantom = _render(seed, shot, size, contrast)
        archive.add(shot, marked(shot, phantom) if mark else phantom)
    archive.close()
    if not marked_test:
        return
    cohorts = [_Archive(root / "cohorts" / name, seed, name) for name in MARKED]
    shots = _plan(seed, "test", _shares(classes, marked_test))
    for shot, mark in zip(shots, _marked(seed, "test", shots, shortcut), strict=True):
        plain = _render(seed, shot, size, contrast)
        lettered = marked(shot, plain)
        for cohort, shown in zip(cohorts, (mark, False, not mark), strict=True):
            cohort.add(shot, lettered if shown else plain)
    for cohort in cohorts:
        cohort.close()


def write_archive(
    root: Path, *, patients: int, size: int, seed: int, classes: Mapping[str, float],
    contrast: float = DEFAULT_CONTRAST, shortcut: float | None = None, marked_test: int = 0,
) -> None:  # fmt: skip
    """Write a synthetic archive to ``root``, a function of the other arguments alone.

    ``patients`` patients have one to three images of ``size`` by ``size`` pixels (12 bits, some
    MONOCHROME1, six transfer syntaxes); ``classes`` gives each label's share of the patients
    (any scale) and ``contrast`` scales the opacities. ``shortcut`` in [0.5, 1] draws a letter
    outside the lungs whose presence equals "not negative" in that share of the images; None draws
    none.

    ``marked_test`` patients of their own are written three times, each time as a whole archive
    with its own identifiers (patients keep theirs): ``cohorts/mark_trained`` (letters as in the
    main archive), ``cohorts/mark_removed`` (none) and ``cohorts/mark_reversed`` (where
    ``mark_trained`` has none). No other pixel differs between the three.

    The files appear at once, when all are written; an earlier archive at ``root`` is replaced.
    Raises InputError for values out of range and where ``root`` holds anything but an archive.
    """
    root = Path(root).resolve()  # a link to a folder stays a link
    if patients < 1 or marked_test < 0 or seed < 0:
        raise InputError("phantom: patients must be 1 or more, marked_test and seed 0 or more")
    if size < MIN_SIZE:
        raise InputError(f"phantom: size {size} is too small to draw: use {MIN_SIZE} or more")
    if contrast < 0:
        raise InputError(f"phantom: contrast {contrast} is negative: use 0 or more")
    if shortcut is not None and not 0.5 <= shortcut <= 1.0:
        raise InputError(f"phantom: shortcut {shortcut} is not between 0.5 and 1")
    if shortcut is None and marked_test:
        raise InputError("phantom: marked_test needs a mark: set shortcut, or marked_test to 0")
    if root.exists() and not root.is_dir():
        raise InputError(f"{root}: is a file: choose another folder for the phantom archive")
    foreign = {entry.name for entry in root.iterdir()} - _OWN_ENTRIES if root.exists() else set()
    if foreign:
        raise InputError(
            f"{root}: holds {min(foreign)!r}, which no phantom archive has: choose another folder"
        )

    root.parent.mkdir(parents=True, exist_ok=True)
    # Two nested folders: mkdtemp makes a private one, the archive gets the user's usual rights.
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=f".{root.name}.") as holder:
        fresh = Path(holder) / "archive"
        fresh.mkdir()
        _build(
            fresh, patients=patients, size=size, seed=seed, classes=classes, contrast=contrast,
            shortcut=shortcut, marked_test=marked_test,
        )  # fmt: skip
        if root.exists():
            os.replace(root, Path(holder) / "old")
        os.replace(fresh, root)
