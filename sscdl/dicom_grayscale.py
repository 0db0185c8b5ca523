"""The grayscale pipeline of DICOM as a function of the stored value: PS3.4 N.2, PS3.3 C.11.

A radiograph has at most 65,536 different stored values, so each step is worked out once for each of
them, not for each pixel.
"""

from __future__ import annotations

import math

import numpy as np
from pydicom import Dataset

from sscdl.dicom_header import PARSE_FAULTS, integer_of, number_of, text_of, value_of
from sscdl.radiograph import ImageError

PERCENTILES = (0.5, 99.5)


def padding(dataset: Dataset, lowest: int, bits: int) -> np.ndarray:
    """Return bool (2**bits,): whether each stored value from ``lowest`` up means "no pixel"."""
    padded = np.zeros(2**bits, dtype=bool)
    if value_of(dataset, "PixelPaddingValue") is None:
        return padded
    first = integer_of(dataset, "PixelPaddingValue")
    last = integer_of(dataset, "PixelPaddingRangeLimit", first)
    # The value may be written signed or unsigned and wider than the pixels: compare the bits.
    ends = sorted((value - lowest) % 2**bits for value in (first, last))
    padded[ends[0] : ends[1] + 1] = True
    return padded


def modality_values(dataset: Dataset, values: np.ndarray) -> np.ndarray:
    """Apply the modality LUT sequence or the rescale slope and intercept to float64 values."""
    if value_of(dataset, "ModalityLUTSequence"):
        entries, first, _ = _lookup_table(dataset, "ModalityLUTSequence", values.min() < 0)
        return entries[_entry(values, first, len(entries))]
    slope = number_of(dataset, "RescaleSlope", 1.0)
    if slope == 0:
        raise ImageError("rescale slope is 0")
    return values * slope + number_of(dataset, "RescaleIntercept", 0.0)


def values_of_interest(dataset: Dataset, values: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Map the modality values (2**bits,) to [0, 1]; ``visible`` indexes those of real pixels."""
    if value_of(dataset, "VOILUTSequence"):
        entries, first, white = _lookup_table(dataset, "VOILUTSequence", values.min() < 0)
        return entries[_entry(values, first, len(entries))] / white
    center = number_of(dataset, "WindowCenter", math.nan)
    width = number_of(dataset, "WindowWidth", math.nan)
    if not (math.isnan(center) or math.isnan(width)):
        function = text_of(dataset, "VOILUTFunction").upper() or "LINEAR"
        return apply_window(values, center, width, function)
    low, high = np.percentile(values[visible], PERCENTILES)
    if low == high:
        low, high = values[visible].min(), values[visible].max()
    return np.clip((values - low) / (high - low or 1.0), 0.0, 1.0)


def apply_window(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """Map ``values`` to [0, 1] by a window (DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3).

    ``function`` is LINEAR, LINEAR_EXACT or SIGMOID. Raises ImageError for another one and for a
    width that the function does not allow (below 1 for LINEAR, else not above 0).
    """
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise ImageError("unknown VOI LUT function")
    if width < 1 if function == "LINEAR" else width <= 0:
        raise ImageError(f"window width is too small for the function {function}")
    if function == "SIGMOID":
        # tanh is the same curve as 1 / (1 + exp(-x)) but cannot overflow.
        return 0.5 + 0.5 * np.tanh(2 * (values - center) / width)
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    if width == 0:
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0.0, 1.0)


def _lookup_table(dataset: Dataset, keyword: str, negative: bool) -> tuple[np.ndarray, int, float]:
    """Return a LUT's entries (float64), the value that its first entry is for, and its maximum.

    ``negative`` says that the LUT's input can be negative: its first value is then a signed number.
    """
    try:
        item = value_of(dataset, keyword)[0]
        count, first, bits = (int(number) for number in item.LUTDescriptor)
        data = item.LUTData
        if isinstance(data, bytes):
            order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
            words = np.frombuffer(data + b"\0" * (len(data) % 2), dtype=f"{order}u2")
        else:
            words = np.atleast_1d(np.asarray(data, dtype=np.int64)) & 0xFFFF
    except PARSE_FAULTS as error:
        raise ImageError(f"{keyword} is malformed ({type(error).__name__})") from None
    count = count & 0xFFFF or 2**16
    if negative and first >= 2**15:
        first -= 2**16
    if len(words) < count:
        # Entries of 8 bits may be packed two to a word, the first one in the low byte.
        words = words.astype("<u2").view(np.uint8)
    if not 8 <= bits <= 16 or len(words) < count:
        raise ImageError(f"{keyword} has a descriptor that does not fit its data")
    entries = words[:count].astype(np.float64)
    return entries, first, max(2.0**bits - 1, entries.max())


def _entry(values: np.ndarray, first: int, count: int) -> np.ndarray:
    return np.clip(np.rint(values) - first, 0, count - 1).astype(np.int64)
