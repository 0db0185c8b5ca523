"""Square pixels: images whose pixels are wider than high, or higher than wide, are stretched."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from pydicom import Dataset

from sscdl.dicom.header import numbers_of
from sscdl.dicom.radiograph import ImageError

# Each is a pair, vertical before horizontal; the aspect ratio only stands where no spacing does.
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")
_TOLERANCE = 0.01


def with_square_pixels(pixels: np.ndarray, dataset: Dataset, max_pixels: int) -> np.ndarray:
    """Stretch ``pixels`` (H, W) along the coarser axis if its spacing is more than 1 % larger.

    The first of PixelSpacing, ImagerPixelSpacing, NominalScannedPixelSpacing (PS3.3 10.7, C.8.12.1)
    and PixelAspectRatio (C.7.6.3.1.7) that holds two positive numbers counts; without one, pixels
    are square. Raises ImageError if the picture would have more than ``max_pixels`` pixels.
    """
    ratio = _aspect_ratio(dataset)
    if max(ratio, 1 / ratio) <= 1 + _TOLERANCE:
        return pixels
    height, width = pixels.shape
    height, width = round(height * max(ratio, 1)), round(width * max(1 / ratio, 1))
    if height * width > max_pixels:
        raise ImageError(
            f"{height} x {width} pixels, once they are square, are more than the limit of "
            f"{max_pixels}"
        )
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)


def is_ratio(numbers: Sequence[float]) -> bool:
    """Return whether the values of a spacing say how high and how wide a pixel is."""
    return len(numbers) == 2 and min(numbers) > 0


def _aspect_ratio(dataset: Dataset) -> float:
    """Return the height of a pixel divided by its width."""
    for keyword in SPACINGS:
        numbers = numbers_of(dataset, keyword)
        if is_ratio(numbers):
            return numbers[0] / numbers[1]
    return 1.0
