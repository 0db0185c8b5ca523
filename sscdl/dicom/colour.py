"""The luminance of colour images, as radiographs are sometimes stored in colour."""

from __future__ import annotations

import cv2
import numpy as np
from pydicom import Dataset

from sscdl.dicom.grayscale import StoredPixels
from sscdl.dicom.lut import palette_of
from sscdl.dicom.radiograph import ImageError

# ITU-R BT.601, for red, green and blue.
_WEIGHTS = np.array([0.299, 0.587, 0.114])
# As share of white: what lossy coding and the rounding of colour transforms leave of a gray pixel.
_GRAY_ENOUGH = 0.01


def luminance(words: np.ndarray, bits: int, space: str) -> tuple[StoredPixels, np.ndarray, bool]:
    """Return the luminance of (H, W, 3) pixels, the levels of its values, and if there is colour.

    The words are of ``bits`` bits, in the colour space RGB, YBR_FULL or YBR_FULL_422 (full range,
    upsampled; PS3.3 C.7.6.3.1.2). The levels (n,) are from 0 (black) to 1 (white). Raises
    ImageError for another colour space.
    """
    words, white = _aligned(words & (2**bits - 1), bits)
    if space in ("YBR_FULL", "YBR_FULL_422"):
        # OpenCV's order is Y, Cr, Cb.
        words = cv2.cvtColor(np.ascontiguousarray(words[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB)
    elif space != "RGB":
        raise ImageError("colour space cannot be converted in this transfer syntax")
    if words.itemsize == 1:
        # The luminance of 8-bit channels has more than 256 values.
        words, white = words * np.uint16(257), white * 257
    red, green, blue = (words[..., channel] for channel in range(3))
    spread = cv2.max(cv2.max(red, green), blue) - cv2.min(cv2.min(red, green), blue)
    stored = StoredPixels(cv2.cvtColor(words, cv2.COLOR_RGB2GRAY), 16, signed=False)
    levels = np.minimum(stored.values / white, 1.0)
    return stored, levels, bool(spread.max() > _GRAY_ENOUGH * white)


def palette_levels(dataset: Dataset, stored: StoredPixels) -> tuple[np.ndarray, bool]:
    """Return the luminance, from 0 to 1, of stored palette entries, and if there is colour.

    Raises ImageError if the palette is missing or malformed.
    """
    tables = palette_of(dataset, signed=stored.values.min() < 0)
    channels = np.stack([table.at(stored.values) / table.white for table in tables])
    spread = np.ptp(channels[:, stored.counts > 0], axis=0)
    return _WEIGHTS @ channels, bool(spread.max() > _GRAY_ENOUGH)


def _aligned(words: np.ndarray, bits: int) -> tuple[np.ndarray, int]:
    """Shift words of ``bits`` bits to the upper end of 8 or 16, and return what white becomes."""
    if bits <= 8:
        return words.astype(np.uint8) << (8 - bits), (2**bits - 1) << (8 - bits)
    if bits <= 16:
        return words.astype(np.uint16) << (16 - bits), (2**bits - 1) << (16 - bits)
    return (words >> (bits - 16)).astype(np.uint16), 2**16 - 1
