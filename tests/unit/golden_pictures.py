"""The groups of recordings of the original lungVAE that need no network (see golden_comparison)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from sscdl.segment.processing.postprocess import lung_field
from sscdl.segment.processing.preprocess import preprocess
from sscdl.segment.processing.reading import read_values
from sscdl.segment.training.published_augmentation import Draws, apply

IMAGES = ("a_square", "b_portrait", "c_landscape", "d_noise", "e_rgb", "g_gray16", "h_large")


class Deviation(NamedTuple):
    """How far one quantity of one group of recordings is from ours."""

    group: str
    quantity: str
    largest: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether the deviation is a number within the tolerance."""
        return self.largest <= self.tolerance


def preprocessing(golden: Path) -> Iterator[Deviation]:
    """Compare fields and placements of the pictures, with and without equalisation."""
    for name in IMAGES:
        yield from _fields(golden, "preprocess", name, golden / f"images/{name}.png")
    # Of an image with an alpha channel we take the colours alone; without equalisation the original
    # only divides them by the maximum of alpha.
    values = read_values(golden / "images/f_rgba.png")
    expected = np.load(golden / "preprocess/f_rgba.npz")["raw_s3"]
    field, _ = preprocess(values, equalise=False)
    scaled = field[::3, ::3] * (values.max() / 255.0)
    yield Deviation(
        "preprocess", "f_rgba: not equalised, alpha undone", apart(scaled, expected), 1e-5
    )


def dicom(golden: Path) -> Iterator[Deviation]:
    """Compare fields and placements of DICOM files of both polarities."""
    for name in ("m1", "m2"):
        yield from _fields(golden, "dicom", f"dicom_{name}", golden / f"dicom/{name}.DCM")


def _fields(golden: Path, group: str, name: str, path: Path) -> Iterator[Deviation]:
    expected = np.load(golden / f"preprocess/{name}.npz")
    where = json.loads((golden / "preprocess/geometry.json").read_text())[name]
    values = read_values(path)
    for kind, equalise in (("eq", True), ("raw", False)):
        field, found = preprocess(values, equalise=equalise)
        distances = [apart(field[::3, ::3], expected[f"{kind}_s3"])]
        if f"{kind}_full" in expected:
            distances.append(apart(field, expected[f"{kind}_full"]))
        label = "equalised" if equalise else "not equalised"
        yield Deviation(group, f"{name}: {label}", max(distances), 1e-5)
        double = field.astype(np.float64)
        sums = np.array([double.sum(), (double**2).sum()])
        relative = apart(sums / expected[f"{kind}_sum"], np.ones(2))
        yield Deviation(group, f"{name}: {label}, sums (relative)", relative, 1e-6)
    keys = ("h", "w", "hLoc", "wLoc", "imH", "imW")
    moved = max(abs(a - where[key]) for a, key in zip(found, keys, strict=True))
    yield Deviation(group, f"{name}: placement", moved, 0)


def post_processing(golden: Path) -> Iterator[Deviation]:
    """Count pixels of post-processed fields that differ.

    The original makes an empty prediction all white; here it stays empty, to be reported.
    """
    cases = np.load(golden / "post/cases.npz")
    for name in sorted(key.removeprefix("in_") for key in cases.files if key.startswith("in_")):
        ours = lung_field(cases[f"in_{name}"])
        theirs = cases[f"out_{name}"].astype(bool)
        expected = np.zeros_like(theirs) if name == "empty" else theirs
        remark = ", ours empty" if name == "empty" else ""
        yield Deviation("post", f"{name}: pixels{remark}", int((ours != expected).sum()), 0)


def augmentation(golden: Path) -> Iterator[Deviation]:
    """Compare augmented images and masks, for the recorded draws."""
    folder = golden / "aug"

    def pictures(name: str, number: int) -> np.ndarray:
        values = [np.asarray(Image.open(folder / f"{name}{i}.png")) for i in range(number)]
        return np.stack(values).astype(np.float32) / np.float32(255)

    images, masks, opacities = pictures("image", 2), pictures("label", 2), pictures("blurry", 3)
    kinds = {"standard": "none", "aug_block": "block", "aug_blur": "blur", "aug_both": "both"}
    for name, kind in kinds.items():
        recorded = np.load(folder / f"{name}.npz")
        largest = np.zeros(2)
        for number, (row, index) in enumerate(
            zip(recorded["draws"], recorded["index"], strict=True)
        ):
            draws = Draws(*row[:4], None if np.isnan(row[4]) else int(row[4]))
            image, mask = apply(images[index], masks[index], draws, kind, opacities)
            found = (
                apart(image[::16, ::16], recorded["image_s16"][number]),
                apart(mask[::16, ::16], recorded["label_s16"][number]),
            )
            largest = np.maximum(largest, found)
        yield Deviation("aug", f"{name}: {number + 1} images", float(largest[0]), 1e-6)
        yield Deviation("aug", f"{name}: {number + 1} masks", float(largest[1]), 0)


def table(deviations: list[Deviation]) -> str:
    """Return the deviations as a table in Markdown."""
    lines = ["| group | quantity | largest deviation | tolerance | ok |", "|---|---|---:|---:|---|"]
    for d in deviations:
        ok = "yes" if d.ok else "**no**"
        lines.append(f"| {d.group} | {d.quantity} | {d.largest:.1e} | {d.tolerance:.0e} | {ok} |")
    return "\n".join(lines)


def apart(ours: torch.Tensor | np.ndarray, theirs: torch.Tensor | np.ndarray) -> float:
    """Return the largest absolute difference; infinity where shapes differ."""
    a, b = (np.asarray(torch.as_tensor(v).detach(), dtype=np.float64) for v in (ours, theirs))
    return float(np.abs(a - b).max()) if a.shape == b.shape else float("inf")
