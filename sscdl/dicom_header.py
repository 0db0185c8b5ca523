"""Access to the header fields of a DICOM data set that may be missing, empty or malformed.

What is raised from here on is a ImageError whose text is safe to log: it names fields and quotes
numbers that describe pixels, never other values, because any text of a header may hold a name.
"""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Sequence
from typing import Any

from pydicom import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from sscdl.radiograph import ImageError

# What pydicom and its decoders raise for damaged files.
PARSE_FAULTS = (
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    zlib.error,
    struct.error,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
)
_AGE_UNITS = {"Y": 1.0, "M": 12.0, "W": 365.25 / 7, "D": 365.25}


def value_of(dataset: Dataset, keyword: str) -> Any:
    """Return the value of a header field, None if it is missing or empty."""
    try:
        value = dataset.get(keyword)
    except PARSE_FAULTS:
        raise ImageError(f"header field {keyword} is malformed") from None
    return None if value is None or value == "" else value


def number_of(dataset: Dataset, keyword: str, default: float | None = None) -> float:
    """Return the first value of a header field as a finite number, ``default`` if there is none."""
    value = value_of(dataset, keyword)
    if value is not None and not isinstance(value, (str, int, float)):
        # Windows come as lists; a single window given as an empty list is a missing one.
        value = value[0] if isinstance(value, Sequence) and len(value) else None
    if value is None:
        if default is None:
            raise ImageError(f"header field {keyword} is missing")
        return default
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ImageError(f"header field {keyword} is no number") from None
    if not math.isfinite(number):
        raise ImageError(f"header field {keyword} is not finite")
    return number


def integer_of(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    return int(number_of(dataset, keyword, default))


def text_of(dataset: Dataset, keyword: str) -> str:
    value = value_of(dataset, keyword)
    return "" if value is None else str(value).strip()


def code_of(dataset: Dataset, keyword: str, allowed: str) -> str:
    """Return a coded field in capitals, '' if it is none: free text could hold a name."""
    value = text_of(dataset, keyword).upper()
    return value if re.fullmatch(allowed, value) else ""


def years(text: str) -> float:
    """Return the years of an age string such as 045Y, 006M, 003W or 010D (PS3.5 6.2), or NaN."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", text.upper())
    return int(match[1]) / _AGE_UNITS[match[2]] if match else math.nan
