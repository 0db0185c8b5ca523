"""Draw a contact sheet of synthetic radiographs: one column a class, outlines in the second row."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

from sscdl.files import atomic_path
from sscdl.phantom.findings import LABELS
from sscdl.phantom.radiograph import Phantom, render

LUNG = (80, 220, 255)
BOX = (90, 90, 255)
MARK = (120, 230, 120)
GAP = 6


def outlined(phantom: Phantom, image: np.ndarray) -> np.ndarray:
    """Return ``image`` (uint8 BGR) with the lungs', opacities' and mark's outlines."""
    height, width = phantom.lungs.shape
    image = image.copy()
    contours, _ = cv2.findContours(
        phantom.lungs.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(image, contours, -1, LUNG, 1, cv2.LINE_AA)
    marks = [] if phantom.mark is None else [phantom.mark]
    for boxes, colour in ((phantom.boxes, BOX), (marks, MARK)):
        for x0, y0, x1, y1 in boxes:
            corners = [round(x0 * width), round(y0 * height), round(x1 * width), round(y1 * height)]
            cv2.rectangle(image, corners[:2], (corners[2] - 1, corners[3] - 1), colour, 1)
    return image


def sheet(size: int, seed: int) -> np.ndarray:
    """Return the sheet as uint8 BGR: four columns of ``size`` pixels, a caption, two rows."""
    line = max(22, size // 10)
    columns = []
    for i, label in enumerate(LABELS):
        phantom = render(seed + i, label, size, mark=label != "negative", female=i % 2 == 1)
        gray = np.round(phantom.pixels * 255).astype(np.uint8)
        image = cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR)
        caption = np.full((line, size, 3), 255, np.uint8)
        scale = line / 38
        (text_width, text_height), _ = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        origin = ((size - text_width) // 2, (line + text_height) // 2)
        cv2.putText(
            caption, label, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (40, 40, 40), 1, cv2.LINE_AA
        )
        gap = np.full((GAP, size, 3), 255, np.uint8)
        columns += [
            np.vstack([caption, image, gap, outlined(phantom, image)]),
            np.full((line + 2 * size + GAP, GAP, 3), 255, np.uint8),
        ]
    return np.hstack(columns[:-1])


def main() -> None:
    """Write the sheet as a PNG."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--size", type=int, default=256, help="pixels a side of one radiograph")
    parser.add_argument("--seed", type=int, default=0, help="first patient's seed, 0 or more")
    arguments = parser.parse_args()
    with atomic_path(arguments.out) as temporary:
        if not cv2.imwrite(str(temporary), sheet(arguments.size, arguments.seed)):
            raise OSError(f"cannot write {arguments.out}")


if __name__ == "__main__":
    main()
