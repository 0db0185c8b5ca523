"""Pairs of synthetic radiograph and lung mask, of patients that occur in no archive."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from sscdl.phantom.findings import LABELS
from sscdl.phantom.radiograph import render
from sscdl.segment.training.pairs import Pair, pairs_from_phantom

SIZE = 256
FIRST = 7_000_000_000  # far from the seeds that archives draw, so that no patient is met twice


def phantom_pairs(folder: Path, number: int, seed: int, *, behind_heart: bool) -> list[Pair]:
    """Render ``number`` pairs into ``folder`` and return them, each of its own patient.

    ``behind_heart`` says whether the masks include the lung behind the heart. A segmenter trained
    on these has seen no image that a study validates or tests on.
    """
    images: list[Path] = []
    masks: list[Path] = []
    for index in range(number):
        label, mark = LABELS[index % len(LABELS)], index % 2 == 1
        phantom = render(FIRST + seed * 100_000 + index, label, SIZE, mark=mark)
        for kind, pixels, found in (
            ("image", np.clip(phantom.pixels, 0, 1) * 255, images),
            ("mask", (phantom.whole_lungs if behind_heart else phantom.lungs) * 255, masks),
        ):
            path = folder / f"{index:05d}.{kind}.png"
            cv2.imwrite(str(path), np.round(pixels).astype(np.uint8))
            found.append(path)
    return pairs_from_phantom(images, masks)
