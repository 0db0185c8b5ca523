"""Lookup tables in a DICOM header: modality and VOI LUTs, and the palettes of colour images."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydicom import Dataset

from sscdl.dicom.header import item_of, raw_of
from sscdl.dicom.radiograph import ImageError

if TYPE_CHECKING:
    from sscdl.dicom.header import RawField

# 65,536 entries of 2 bytes, segmented ones can take half as much again.
_LONGEST_DATA = 2**18
_DISCRETE, _LINEAR, _INDIRECT = 0, 1, 2


class LookupTable(NamedTuple):
    """``entries`` float64, the value ``first`` that the first one is for, and the one for white."""

    entries: np.ndarray
    first: int
    white: float

    def at(self, values: np.ndarray) -> np.ndarray:
        """Return the entries for ``values``, the outermost ones for values beyond the table."""
        places = np.rint(values) - self.first
        return self.entries[np.clip(places, 0, len(self.entries) - 1).astype(np.int64)]


def table_of(dataset: Dataset, keyword: str, *, negative: bool) -> LookupTable | None:
    """Return the LUT in the first item of a sequence (PS3.3 C.11.1 and C.11.2), None without one.

    ``negative`` says that the LUT's input can be negative: its first value is then a signed number.
    Raises ImageError if descriptor and data do not fit each other.
    """
    item = item_of(dataset, keyword)
    if item is None:
        return None
    count, first, bits = _descriptor(item, "LUTDescriptor", negative)
    words = _words(item, "LUTData")
    entries = _entries(words, count) if words is not None else None
    if entries is None or not 8 <= bits <= 16:
        raise ImageError(f"{keyword} has a descriptor that does not fit its data")
    return LookupTable(entries, first, _white(float(entries.max()), bits))


def _white(largest: float, bits: int) -> float:
    """Return the entry that is white: the largest possible one, unless the entries belie ``bits``.

    Some files say 16 bits where the entries have 12: most of the gray range would stay empty.
    """
    declared = 2.0**bits - 1
    return largest if largest > declared or 0 < largest < declared / 2 else declared


def palette_of(dataset: Dataset, *, signed: bool) -> list[LookupTable]:
    """Return the tables of red, green and blue of a palette colour image (PS3.3 C.7.6.3.1.5).

    They may be segmented (PS3.3 C.7.9.2). ``signed`` says that the stored values are. Raises
    ImageError if one is missing or does not fit its descriptor.
    """
    tables = []
    for colour in ("Red", "Green", "Blue"):
        name = f"{colour}PaletteColorLookupTable"
        count, first, bits = _descriptor(dataset, f"{name}Descriptor", signed)
        if bits not in (8, 16):
            raise ImageError(f"palette entries of {bits} bits")
        words = _words(dataset, f"{name}Data")
        if words is None:
            segments = _words(dataset, f"Segmented{name}Data")
            if segments is None:
                raise ImageError("palette is missing")
            words = _unfold(segments, count, bits)
        entries = _entries(words, count)
        if entries is None:
            raise ImageError("palette has a descriptor that does not fit its data")
        tables.append(LookupTable(entries, first, 2.0**bits - 1))
    if max(table.entries.max() for table in tables) <= 255:
        # 8 bits kept in words of 16, as PS3.3 C.7.6.3.1.6 warns of.
        tables = [table._replace(white=255.0) for table in tables]
    return tables


def _descriptor(dataset: Dataset, keyword: str, negative: bool) -> tuple[int, int, int]:
    """Return number of entries, first value and bits of an entry."""
    element = _raw(dataset, keyword)
    if element is None or len(element.value) < 6:
        raise ImageError(f"{keyword} is missing or malformed")
    order = "<" if element.is_little_endian else ">"
    count, first, bits = struct.unpack(f"{order}3H", element.value[:6])
    # The value representation decides, but old files and implicit ones leave it open.
    if first >= 2**15 and (negative or element.VR == "SS"):
        first -= 2**16
    return count or 2**16, first, bits


def _words(dataset: Dataset, keyword: str) -> np.ndarray | None:
    element = _raw(dataset, keyword)
    if element is None:
        return None
    data = element.value + b"\0" * (len(element.value) % 2)
    return np.frombuffer(data, dtype="<u2" if element.is_little_endian else ">u2")


def _raw(dataset: Dataset, keyword: str) -> RawField | None:
    """Return a field as its bytes: as numbers, thousands of entries would be as many objects."""
    element = raw_of(dataset, keyword)
    if element is not None and len(element.value) > _LONGEST_DATA:
        raise ImageError(f"{keyword} has {len(element.value)} bytes")
    return element


def _entries(words: np.ndarray, count: int) -> np.ndarray | None:
    """Return the first ``count`` entries, None if there are not as many."""
    if len(words) < count:
        # Entries of 8 bits may be packed two to a word, the first one in the low byte.
        words = words.astype("<u2").view(np.uint8)
    return words[:count].astype(np.float64) if len(words) >= count else None


def _unfold(segments: np.ndarray, count: int, bits: int) -> np.ndarray:
    """Return the ``count`` entries that a segmented palette stands for (PS3.3 C.7.9.2).

    A few words can stand for 65,535 entries or for other segments, so it ends when there are
    ``count``. Raises ImageError for fewer, empty segments, and indirect ones among indirect ones.
    """
    if bits == 8:
        segments = segments.astype("<u2").view(np.uint8)
    entries: list[int]
    data, entries = segments.tolist(), []
    _unfold_from(0, len(data), data, bits, count, entries, nested=False)
    if len(entries) < count:
        raise ImageError("palette has a descriptor that does not fit its data")
    return np.array(entries[:count], dtype=np.uint16)


def _unfold_from(
    position: int,
    segments: int,
    data: list[int],
    bits: int,
    count: int,
    entries: list[int],
    *,
    nested: bool,
) -> None:
    """Append to ``entries`` what up to ``segments`` segments from ``position`` stand for."""
    # A segment starts with its kind and length; the offset of an indirect one has 4 bytes.
    of_offset = 32 // bits
    while segments and len(entries) < count and position + 2 < len(data):
        kind, length = data[position : position + 2]
        position += 2
        if not length:
            # Nothing could be unfolded for ever.
            raise ImageError("palette has an empty segment")
        if kind == _DISCRETE:
            entries += data[position : position + length]
            position += length
        elif kind == _LINEAR and entries:
            steps = np.linspace(entries[-1], data[position], length + 1)[1:]
            entries += np.rint(steps).astype(int).tolist()
            position += 1
        elif kind == _INDIRECT and not nested:
            parts = data[position : position + of_offset]
            offset = sum(part << bits * place for place, part in enumerate(parts))
            _unfold_from(offset * 8 // bits, length, data, bits, count, entries, nested=True)
            position += of_offset
        else:
            raise ImageError("palette is segmented in an unknown way")
        segments -= 1
