"""The grayscale pipeline of DICOM as a function of the stored value: PS3.4 N.2, PS3.3 C.11.

Up to the gray value, everything depends on the stored value alone, so each step is worked out once
for each of the at most 65,536 values (or for those that occur, where there can be more) and looked
up for the pixels at the end.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from pydicom import Dataset

from sscdl.dicom.header import integer_of, number_of, numbers_of, text_of
from sscdl.dicom.lut import table_of
from sscdl.dicom.radiograph import ImageError, Rendering

# OpenCV counts in float32, which is exact up to here.
_COUNTABLE = 2**24
# VOI LUT functions, and the least width of a window of theirs (PS3.3 C.11.2.1).
LEAST_WIDTHS = {"LINEAR": 1.0, "LINEAR_EXACT": math.ulp(0.0), "SIGMOID": math.ulp(0.0)}


class StoredPixels:
    """Decoded pixels as indices into the values that they can have.

    ``values`` are these values, int64 (n,), and ``counts`` how often each occurs. ``words`` (H, W)
    are unsigned; bits above the lowest ``bits`` are ignored (old files keep overlays there).
    """

    def __init__(self, words: np.ndarray, bits: int, *, signed: bool) -> None:
        if bits <= 16 < 8 * words.itemsize:
            words = words.astype(np.uint16)
        if words.itemsize <= 2:
            self._words = np.ascontiguousarray(words)
            self._repeats = 2 ** (8 * words.itemsize - bits)
            self.values = np.arange(2**bits)
            self.counts = _histogram(self._words).reshape(self._repeats, -1).sum(axis=0)
        else:
            fields, self._words, self.counts = np.unique(
                words & np.uint32(2**bits - 1), return_inverse=True, return_counts=True
            )
            self.values = fields.astype(np.int64)
        if signed:
            self.values = self.values - (self.values >= 2 ** (bits - 1)) * 2**bits

    def shown(self, table: np.ndarray) -> np.ndarray:
        """Look up the pixels in ``table`` (n,), uint8 or uint16, which is for ``values``."""
        if self._words.itemsize <= 2:
            return cv2.LUT(self._words, np.tile(table, self._repeats))
        return table[self._words]


def gray_table(
    dataset: Dataset, stored: StoredPixels, rendering: Rendering, *, allocated: int
) -> np.ndarray:
    """Return the gray values (n,), uint8 or uint16, for the values of ``stored``.

    They come from modality LUT, VOI LUT or window, and polarity (MONOCHROME1 or presentation LUT
    shape INVERSE), in this order; padding is black. ``allocated`` is the number of bits of
    PixelPaddingValue. Raises ImageError if one of these fields is impossible, or the picture shows
    nothing: all pixels are padding or have one gray value.
    """
    padded = _padding(dataset, stored.values, allocated)
    counts = np.where(padded, 0, stored.counts)
    if not counts.any():
        raise ImageError("all pixels are padding")
    values = _modality_values(dataset, stored.values.astype(np.float64))
    table = quantised(_values_of_interest(dataset, values, counts, rendering), rendering.bits)
    shape = text_of(dataset, "PresentationLUTShape").upper()
    if text_of(dataset, "PhotometricInterpretation").upper() == "MONOCHROME1" or shape == "INVERSE":
        table = np.iinfo(table.dtype).max - table
    check_contrast(table, counts)
    table[padded] = 0
    return table


def quantised(levels: np.ndarray, bits: int) -> np.ndarray:
    """Return gray values of 8 or 16 ``bits`` for levels from 0 (black) to 1 (white)."""
    return np.rint((2**bits - 1) * levels).astype(np.uint8 if bits == 8 else np.uint16)


def check_contrast(table: np.ndarray, counts: np.ndarray) -> None:
    """Raise ImageError if all the values that occur (``counts``) have one gray value."""
    shades = table[counts > 0]
    if shades.min() == shades.max():
        raise ImageError("picture without contrast: all pixels have one gray value")


def between_percentiles(
    values: np.ndarray, counts: np.ndarray, percentiles: tuple[float, float]
) -> np.ndarray:
    """Map ``values`` (n,) to [0, 1] so that two percentiles of the pixels become black and white.

    ``counts`` (n,) tells how often each value occurs. The percentiles, in percent, are interpolated
    linearly between pixels. If they agree, the smallest and the largest value take their place.
    """
    order = np.argsort(values, kind="stable")
    order = order[counts[order] > 0]
    ends = np.cumsum(counts[order])

    def at(percentile: float) -> float:
        place = percentile / 100 * (ends[-1] - 1)
        below = math.floor(place)
        around = [below, min(below + 1, ends[-1] - 1)]
        first, second = values[order[np.searchsorted(ends, around, side="right")]]
        share = place - below
        step = second - first
        # The same rounding as numpy.percentile, of which this is the version with counts.
        return second - step * (1 - share) if share >= 0.5 else first + step * share

    low, high = at(percentiles[0]), at(percentiles[1])
    if low == high:
        low, high = values[order[0]], values[order[-1]]
    return np.clip((values - low) / (high - low or 1.0), 0.0, 1.0)


def apply_window(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """Map ``values`` to [0, 1] by a window (DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3).

    ``function`` is LINEAR, LINEAR_EXACT or SIGMOID; ``width`` is at least 1 for LINEAR, and above 0
    for the others.
    """
    if function == "SIGMOID":
        # tanh is the same curve as 1 / (1 + exp(-x)) but cannot overflow.
        return 0.5 + 0.5 * np.tanh(2 * (values - center) / width)
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0.0, 1.0)


def _histogram(words: np.ndarray) -> np.ndarray:
    """Count each of the possible words, int64 (256,) or (65536,)."""
    size = 2 ** (8 * words.itemsize)
    rows = max(_COUNTABLE // words.shape[1], 1)
    counts = np.zeros(size, dtype=np.int64)
    for start in range(0, len(words), rows):
        strip = words[start : start + rows]
        counts += cv2.calcHist([strip], [0], None, [size], [0, size]).ravel().astype(np.int64)
    return counts


def _padding(dataset: Dataset, values: np.ndarray, allocated: int) -> np.ndarray:
    """Return bool (n,): whether each of the stored values means "no pixel" (PS3.3 C.7.5.1.1.2)."""
    padding = numbers_of(dataset, "PixelPaddingValue")
    if not padding:
        return np.zeros(len(values), dtype=bool)
    ends = [int(padding[0]), integer_of(dataset, "PixelPaddingRangeLimit", padding[0])]
    # The fields may be written signed or unsigned, whatever the pixels are.
    lowest = -(2 ** (allocated - 1)) if values.min() < 0 else 0
    first, last = sorted((end - lowest) % 2**allocated + lowest for end in ends)
    return (values >= first) & (values <= last)


def _modality_values(dataset: Dataset, values: np.ndarray) -> np.ndarray:
    """Apply the modality LUT sequence or the rescale slope and intercept (PS3.3 C.11.1)."""
    table = table_of(dataset, "ModalityLUTSequence", negative=values.min() < 0)
    if table is not None:
        return table.at(values)
    slope = number_of(dataset, "RescaleSlope", 1.0)
    if slope == 0:
        raise ImageError("rescale slope is 0")
    return values * slope + number_of(dataset, "RescaleIntercept", 0.0)


def _values_of_interest(
    dataset: Dataset, values: np.ndarray, counts: np.ndarray, rendering: Rendering
) -> np.ndarray:
    """Map modality values to [0, 1] by VOI LUT, window or percentiles (PS3.3 C.11.2)."""
    if rendering.window != "percentiles":
        table = table_of(dataset, "VOILUTSequence", negative=values.min() < 0)
        if table is not None:
            return table.at(values) / table.white
        window = _window(dataset, rendering.window)
        if window is not None:
            return apply_window(values, *window)
    return between_percentiles(values, counts, rendering.percentiles)


def _window(dataset: Dataset, choice: str) -> tuple[float, float, str] | None:
    """Return center, width and function of the chosen window, None if the header has none."""
    possible = windows_of(dataset)
    if not possible:
        return None
    choose = {"widest": max, "narrowest": min}.get(choice)
    return choose(possible, key=lambda window: window[1]) if choose else possible[0]


def windows_of(dataset: Dataset) -> list[tuple[float, float, str]] | None:
    """Return center, width and function of each window that can be chosen, None without any.

    The list is empty if the function is unknown or allows none of the widths.
    """
    centers, widths = numbers_of(dataset, "WindowCenter"), numbers_of(dataset, "WindowWidth")
    if not centers or not widths:
        return None
    function = text_of(dataset, "VOILUTFunction").upper() or "LINEAR"
    least = LEAST_WIDTHS.get(function, math.inf)
    pairs = zip(centers, widths, strict=False)
    return [(center, width, function) for center, width in pairs if width >= least]
