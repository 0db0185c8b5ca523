"""Do lung masks move with a mark outside of the lungs? Counts it on the demo's marked test sets.

These show the same pictures with and without the mark. Masks are found in the whole picture, mark
and all, so that what models on segmented lungs are shown may still depend on it.

    snakemake images --cores 2 --resources gpu=1 --configfile config/demo.yaml
    python benchmarks/mark_in_masks.py
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

from sscdl.images.held_out import read_as_texts

ONE, OTHER = "mark_trained", "mark_reversed"  # the mark is in one of the two, always


def read(path: str) -> np.ndarray:
    """Return a gray picture or a mask, uint8 (H, W)."""
    found = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    if found is None:
        raise SystemExit(f"{path}: cannot be read; run this where the study was run")
    return found


def pairs(images: pd.DataFrame) -> list[tuple[pd.Series, pd.Series]]:
    """Return the images of the two sets that differ in the mark alone.

    Copies have identifiers of their own, but patients keep theirs: of a patient's images the one
    that differs in the fewest pixels is the same.
    """
    found = []
    other = images[images["split"] == OTHER]
    for _, row in images[images["split"] == ONE].iterrows():
        picture = read(row["png"])
        of_patient = other[other["patient_id"] == row["patient_id"]]
        differing = [
            (read(png) != picture).sum() if read(png).shape == picture.shape else picture.size
            for png in of_patient["png"]
        ]
        found.append((row, of_patient.iloc[int(np.argmin(differing))]))
    return found


def shrunk_mask(row: pd.Series, size: int) -> np.ndarray:
    """Return the mask as large as a packed picture, bool."""
    return cv2.resize(read(row["mask"]), (size, size), interpolation=cv2.INTER_AREA) > 127


def shown(row: pd.Series, size: int) -> np.ndarray:
    """Return what a model on segmented lungs sees: the rest black, then shrunk; uint8."""
    lungs = np.where(read(row["mask"]) > 0, read(row["png"]), 0)
    return cv2.resize(lungs.astype(np.uint8), (size, size), interpolation=cv2.INTER_AREA)


def told(both: list[tuple[pd.Series, pd.Series]], size: int) -> float:
    """Return how often a logistic regression tells from segmented pictures where the mark is.

    It is validated on patients that it has not seen; one half is chance.
    """
    pictures, marked, patients = [], [], []
    for one, other in both:
        change = read(one["png"]).astype(int) - read(other["png"])
        bright = bool(change.sum() > 0)  # the mark is white
        pictures += [shown(row, size).ravel() / 255 for row in (one, other)]
        marked += [bright, not bright]
        patients += [one["patient_id"]] * 2
    guessed = cross_val_predict(
        LogisticRegression(C=0.01, max_iter=500), np.array(pictures), marked, groups=patients,
        cv=GroupKFold(5),
    )  # fmt: skip
    return float((guessed == np.array(marked)).mean())


def main() -> None:
    """Print how many pixels of the masks, and of what networks see, depend on the mark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "images", type=Path, nargs="?", default=Path("results/demo/images.csv"),
        help="images.csv of a study with marked test sets, in whose folder it was made",
    )  # fmt: skip
    parser.add_argument("--packed", type=int, default=72, help="pixels of a packed picture")
    parser.add_argument("--size", type=int, default=64, help="pixels of a network's input")
    arguments = parser.parse_args()
    images = read_as_texts(arguments.images)
    both = [pair for pair in pairs(images) if pair[0]["mask"] and pair[1]["mask"]]
    if not both:
        raise SystemExit(f"{arguments.images}: no marked test sets; give the list of config/demo")
    moved, packed, seen, strongest = [], [], [], []
    for one, other in both:
        differing = (read(one["mask"]) > 0) != (read(other["mask"]) > 0)
        moved.append(int(differing.sum()))
        small = [shrunk_mask(row, arguments.packed) for row in (one, other)]
        packed.append(int((small[0] != small[1]).sum()))
        change = cv2.absdiff(shown(one, arguments.size), shown(other, arguments.size))
        seen.append(int((change > 0).sum()))
        strongest.append(int(change.max()))
    for name, values in {
        "pixels of the mask that change": moved,
        f"pixels of the mask at {arguments.packed} x {arguments.packed}": packed,
        f"pixels of the segmented picture at {arguments.size} x {arguments.size}": seen,
        "largest change of a gray value there": strongest,
    }.items():
        print(
            f"{name}: in {np.count_nonzero(values)} of {len(values)} pairs, median "
            f"{np.median(values):g}, 90th percentile {np.percentile(values, 90):g}, "
            f"largest {max(values)}"
        )
    right = 100 * told(both, arguments.size)
    print(f"a logistic regression on these pictures tells the mark in {right:.0f} % (chance 50)")


if __name__ == "__main__":
    main()
