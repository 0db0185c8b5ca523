"""Optional fields of a header that are malformed: as good as missing, with a remark.

A decimal comma in a window or a count of 0 frames says nothing about the pixels. What decides what
they mean is not among these fields: where a rescaling, a photometric interpretation or the id of a
patient is malformed, the file is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pydicom import Dataset

from sscdl.dicom.aspect import SPACINGS, is_ratio
from sscdl.dicom.grayscale import LEAST_WIDTHS, windows_of
from sscdl.dicom.header import (
    FUNCTIONAL_GROUPS,
    item_of,
    numbers_of,
    text_of,
    unfold_functional_groups,
    value_of,
)
from sscdl.dicom.radiograph import ImageError

# Whether the field of a name is well-formed. What raises ImageError is not, either.
_Check = Callable[[Dataset, str], bool]


def _numbers(dataset: Dataset, keyword: str) -> bool:
    return bool(numbers_of(dataset, keyword))


def _count(dataset: Dataset, keyword: str) -> bool:
    numbers = numbers_of(dataset, keyword)
    return bool(numbers) and numbers[0] >= 1 and numbers[0].is_integer()


def _ratio(dataset: Dataset, keyword: str) -> bool:
    return is_ratio(numbers_of(dataset, keyword))


def _function(dataset: Dataset, keyword: str) -> bool:
    return text_of(dataset, keyword).upper() in LEAST_WIDTHS


def _item(dataset: Dataset, keyword: str) -> bool:
    return item_of(dataset, keyword) is not None


def _readable(dataset: Dataset, keyword: str) -> bool:
    return True  # the text was read


_OPTIONAL: dict[str, _Check] = {
    "NumberOfFrames": _count,
    "WindowCenter": _numbers,
    "WindowWidth": _numbers,
    "VOILUTFunction": _function,
    **dict.fromkeys(SPACINGS, _ratio),
    "PixelPaddingValue": _numbers,
    "PixelPaddingRangeLimit": _numbers,
    "PatientSex": _readable,
    "PatientAge": _readable,
}
_OPTIONAL_MACROS: dict[str, _Check] = {"FrameVOILUTSequence": _item, "PixelMeasuresSequence": _item}


def tidy(header: Dataset) -> tuple[str, ...]:
    """Unfold a header's functional groups, and delete optional fields that are malformed.

    Returns a remark on each that was deleted, which quotes no value. Raises ImageError if the
    functional groups cannot be read.
    """
    deleted: list[str] = []
    for groups in FUNCTIONAL_GROUPS:
        group = item_of(header, groups)
        if group is not None:
            deleted += _delete_malformed(group, _OPTIONAL_MACROS)
    unfold_functional_groups(header)
    deleted += _delete_malformed(header, _OPTIONAL)
    if windows_of(header) == []:
        deleted += _delete(header, ["WindowCenter", "WindowWidth"])
    return tuple(f"header field {keyword} is malformed; taken as missing" for keyword in deleted)


def _delete_malformed(dataset: Dataset, checks: Mapping[str, _Check]) -> list[str]:
    def malformed(keyword: str) -> bool:
        try:
            return value_of(dataset, keyword) is not None and not checks[keyword](dataset, keyword)
        except ImageError:
            return True

    return _delete(dataset, [keyword for keyword in checks if malformed(keyword)])


def _delete(dataset: Dataset, keywords: Iterable[str]) -> list[str]:
    there = [keyword for keyword in keywords if keyword in dataset]
    for keyword in there:
        del dataset[keyword]
    return there
