"""Access to the header fields of a DICOM data set that may be missing, empty or malformed.

What is raised from here on is an ImageError whose text is safe to log: it names fields and quotes
numbers that describe pixels, never other values, because any text of a header may hold a name.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException, InvalidDicomError

from sscdl.dicom.radiograph import ImageError

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
# A number or text becomes an object of some 100 bytes for every 2 bytes of the file, an item of a
# sequence one of 1 KB for every 8 bytes: what is absurdly long is refused before it is unfolded.
_LONGEST_VALUE = 2**18
_LONGEST_SEQUENCE = 2**20
# Where images that have one frame of many possible ones keep what else stands at the top level
# (PS3.3 C.7.6.16).
FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_FRAME_MACROS = (
    "FrameVOILUTSequence",
    "PixelValueTransformationSequence",
    "PixelMeasuresSequence",
)


if TYPE_CHECKING:

    class RawField(Protocol):
        """A RawDataElement with a value, as all have that :func:`raw_of` returns."""

        @property
        def value(self) -> bytes: ...
        @property
        def VR(self) -> str: ...
        @property
        def length(self) -> int: ...
        @property
        def is_little_endian(self) -> bool: ...


def raw_of(dataset: Dataset, keyword: str) -> RawField | None:
    """Return a field that was read and not unfolded yet, None if it is missing or empty."""
    tag: Any = tag_for_keyword(keyword)  # None is of no use, but in no data set either
    element = dataset.get_item(tag, keep_deferred=True) if tag in dataset else None
    return (
        element  # type: ignore[return-value]  # its value is there
        if isinstance(element, RawDataElement) and element.value
        else None
    )


def value_of(dataset: Dataset, keyword: str) -> Any:
    """Return the value of a header field, None if it is missing or empty.

    Raises ImageError if the field is malformed or absurdly long.
    """
    raw = raw_of(dataset, keyword)
    limit = _LONGEST_SEQUENCE if keyword.endswith("Sequence") else _LONGEST_VALUE
    if raw is not None and len(raw.value) > limit:
        raise ImageError(f"header field {keyword} has {len(raw.value)} bytes")
    try:
        value = dataset.get(keyword)
    except (*PARSE_FAULTS, OSError):
        raise ImageError(f"header field {keyword} is malformed") from None
    return None if value is None or value == "" else value


def numbers_of(dataset: Dataset, keyword: str) -> list[float]:
    """Return the values of a header field as finite numbers, [] if it is missing or empty."""
    value = value_of(dataset, keyword)
    if value is None:
        return []
    try:
        values = [value] if isinstance(value, (str, int, float)) else list(value)
        numbers = [float(one) for one in values]
    except (TypeError, ValueError):
        raise ImageError(f"header field {keyword} is no number") from None
    if not all(math.isfinite(number) for number in numbers):
        raise ImageError(f"header field {keyword} is not finite")
    return numbers


def number_of(dataset: Dataset, keyword: str, default: float | None = None) -> float:
    """Return the first value of a header field as a finite number, ``default`` if there is none."""
    numbers = numbers_of(dataset, keyword)
    if numbers:
        return numbers[0]
    if default is None:
        raise ImageError(f"header field {keyword} is missing")
    return default


def integer_of(dataset: Dataset, keyword: str, default: float | None = None) -> int:
    return int(number_of(dataset, keyword, default))


def count_of(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """Return a field that is a number of up to 16 bits, and as such safe to quote.

    Raises ImageError for a larger one, as may come from a date in the wrong place.
    """
    count = integer_of(dataset, keyword, default)
    if not 0 <= count < 2**16:
        raise ImageError(f"header field {keyword} is out of range")
    return count


def text_of(dataset: Dataset, keyword: str) -> str:
    value = value_of(dataset, keyword)
    return "" if value is None else str(value).strip()


def texts_of(dataset: Dataset, keyword: str) -> list[str]:
    """Return the values of a header field as texts, [] if it is missing or empty."""
    value = value_of(dataset, keyword)
    if value is None or isinstance(value, (str, int, float)):
        return [] if value is None else [str(value).strip()]
    # Whatever it is: a wrong value representation can make an object of anything.
    return [str(one).strip() for one in value] if isinstance(value, Iterable) else []


def item_of(dataset: Dataset, keyword: str) -> Dataset | None:
    """Return the first item of a sequence, None if the sequence is missing or empty."""
    value = value_of(dataset, keyword)
    if not value:
        return None
    # A wrong value representation can make a number of a sequence.
    if not isinstance(value, Sequence) or not isinstance(value[0], Dataset):
        raise ImageError(f"header field {keyword} is malformed")
    return value[0]


def unfold_functional_groups(dataset: Dataset) -> None:
    """Copy window, rescaling and pixel spacing of a one-frame enhanced image to the top level.

    Fields that stand there already are left alone (PS3.3 C.7.6.16).
    """
    for groups in FUNCTIONAL_GROUPS:
        group = item_of(dataset, groups)
        for macro in _FRAME_MACROS if group is not None else ():
            item: Any = item_of(group, macro)  # type: ignore[arg-type]  # no macros without a group
            for tag in item.keys() if item is not None else ():
                if tag not in dataset:
                    dataset[tag] = item.get_item(tag, keep_deferred=True)
