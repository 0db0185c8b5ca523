"""From the network's probabilities to lung masks.

Keeps the two largest components and closes small gaps, as lungVAE (arXiv 2005.10052) does. An empty
prediction stays empty here, so that it can be reported.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sscdl.segment.processing.preprocess import Placement, restore

THRESHOLD = 0.5
DOUBTFUL = (0.1, 0.9)
LUNGS = 2
EIGHT_CONNECTED = np.ones((3, 3), dtype=bool)


def closing_radius(field_height: int) -> int:
    """Radius in pixels of the closing disk: 11 in a field of 640 rows, and in proportion."""
    return max(1, round(11 * field_height / 640))


def count_components(mask: NDArray[np.bool_]) -> int:
    """Return the number of 8-connected components of ``mask`` (H, W)."""
    return int(ndimage.label(mask, structure=EIGHT_CONNECTED)[1])


def largest_components(mask: NDArray[np.bool_], count: int = LUNGS) -> NDArray[np.bool_]:
    """Keep the ``count`` largest 8-connected components; of equal ones, the first met by rows."""
    labels, found = ndimage.label(mask, structure=EIGHT_CONNECTED)
    if found <= count:
        return mask.copy()
    sizes = np.bincount(labels.ravel(), minlength=found + 1)[1:]
    kept = np.argsort(-sizes, kind="stable")[:count] + 1
    chosen = np.zeros(found + 1, dtype=bool)
    chosen[kept] = True
    return chosen[labels]


def disk(radius: int) -> NDArray[np.bool_]:
    """Return a square of side 2 * radius + 1, True where it is within ``radius`` of the middle."""
    steps = np.arange(-radius, radius + 1)
    return steps[:, None] ** 2 + steps**2 <= radius**2


def close_gaps(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Close ``mask`` (H, W) by a disk of ``radius`` pixels; what lies outside does not count."""
    kernel = disk(radius).astype(np.uint8)
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel).astype(bool)


def lung_field(probability: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the post-processed mask of a field: above 0.5, two largest components, closed.

    Args:
        probability: (height, width) of the field, in [0, 1]. Exactly 0.5 is background.

    The result is all False where nothing is above 0.5.
    """
    mask = largest_components(np.asarray(probability) > THRESHOLD)
    return close_gaps(mask, closing_radius(mask.shape[0]))


def doubt_of(probability: NDArray[Any]) -> float:
    """Return the area of probabilities from 0.1 to 0.9 as a share of the area above 0.5.

    A sharp outline leaves little; 0 where nothing is above 0.5. ``probability``: any shape.
    """
    lung = int((probability > THRESHOLD).sum())
    undecided = int(((probability > DOUBTFUL[0]) & (probability < DOUBTFUL[1])).sum())
    return undecided / lung if lung else 0.0


def inside_of(probability: NDArray[Any], where: Placement) -> NDArray[Any]:
    """Return the field with 0.5 outside of the image.

    There is no lung there: zero logits, as the original has them.
    """
    inside = np.full(probability.shape, 0.5, dtype=probability.dtype)
    where.crop(inside)[:] = where.crop(probability)
    return inside


def masks_of(
    probability: NDArray[Any], where: Placement
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the raw and the post-processed mask (H, W) at the size of the image.

    Args:
        probability: (height, width) of the field, in [0, 1].
        where: placement of the image in the field.
    """
    raw = restore(probability, where) > THRESHOLD
    post = restore(lung_field(probability), where) > THRESHOLD
    return raw, post
