"""How good lung masks are: overlap and boundary distance against masks that people drew."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import cv2
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from sscdl.segment.processing.postprocess import close_gaps, disk, largest_components
from sscdl.segment.training.compact import dice


@dataclass(frozen=True)
class Agreement:
    """Agreement of two masks.

    ``dice`` and ``iou`` (Jaccard) are in [0, 1]. ``boundary`` is the mean distance of the two
    boundaries, both ways, and ``boundary95`` the 95th percentile of it, in percent of the image's
    diagonal; NaN where a mask is empty.
    """

    dice: float
    iou: float
    boundary: float
    boundary95: float

    def record(self) -> dict[str, float]:
        """Return the scores by name."""
        return asdict(self)


def agreement(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Agreement:
    """Compare two masks, bool (H, W) of one size; two empty ones agree fully in their overlap."""
    either = int((mask | truth).sum())
    iou = int((mask & truth).sum()) / either if either else 1.0
    distances = _boundary_distances(mask, truth)
    share = 100.0 / float(np.hypot(*mask.shape))
    return Agreement(
        dice=dice(mask, truth),
        iou=iou,
        boundary=float(np.mean(distances)) * share if len(distances) else float("nan"),
        boundary95=float(np.percentile(distances, 95)) * share if len(distances) else float("nan"),
    )


def classical_lungs(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return lungs by thresholding and morphology: what a network has to beat.

    Local contrast is evened out, Otsu's threshold splits dark from bright, what is dark and
    connected to a corner of the picture is air around the patient, and the two largest dark parts
    that are left are closed and filled.
    """
    height, width = image.shape
    even = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(4, 4)).apply(image)
    smooth = cv2.GaussianBlur(even, (0, 0), 0.01 * height)
    inner = smooth[height // 10 : -height // 10, width // 20 : -width // 20]
    level, _ = cv2.threshold(inner, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    dark = smooth < level
    radius = max(1, round(0.015 * height))
    dark = ndimage.binary_opening(dark, structure=disk(radius))
    labels, _ = ndimage.label(dark)
    corners = {labels[0, 0], labels[0, -1], labels[-1, 0], labels[-1, -1]}
    lungs = largest_components(dark & ~np.isin(labels, list(corners)))
    radius = max(1, round(0.04 * height))
    return ndimage.binary_fill_holes(close_gaps(lungs, radius))


def _boundary_distances(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return, in pixels, how far each boundary pixel of one mask is from the other's boundary."""
    if not a.any() or not b.any():
        return np.empty(0, np.float32)
    found = []
    for one, other in ((a, b), (b, a)):
        edge = sitk.GetArrayFromImage(sitk.LabelContour(_picture(one))) > 0
        contour = sitk.LabelContour(_picture(other))
        away = sitk.SignedMaurerDistanceMap(
            contour, insideIsPositive=False, squaredDistance=False, useImageSpacing=False
        )
        found.append(np.maximum(sitk.GetArrayFromImage(away)[edge], 0.0))
    return np.concatenate(found)


def _picture(mask: NDArray[np.bool_]) -> sitk.Image:
    return sitk.GetImageFromArray(mask.astype(np.uint8))
