"""Opening a DICOM file in two steps, header and pixel data, neither larger than it may be.

A few bytes of a file can claim or unfold into gigabytes: declared lengths, deflated data sets
(PS3.5 A.5), long sequences. So the header is read first, without what the workflow does not need
(names among it), and the pixel data only after the header has said how large they can be.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.filereader import read_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from sscdl.dicom import kinds
from sscdl.dicom.header import PARSE_FAULTS, raw_of, value_of
from sscdl.dicom.radiograph import ImageError

_MIB = 2**20
# What is read of the header, not what is skipped: tags, lengths and the values of _FIELDS.
_HEADER_LIMIT = 8 * _MIB
# An item of a sequence has 8 bytes and becomes an object of a kilobyte: so no reading is for free.
_LEAST_COST = 64
# A deflated header has to be inflated to be skipped.
_INFLATED_HEADER_LIMIT = 64 * _MIB
_PIXEL_DATA = 0x7FE00010
_ALL_PIXEL_DATA = (0x7FE00008, 0x7FE00009, _PIXEL_DATA)
_UNDEFINED_LENGTH = 0xFFFFFFFF
_NO_PIXEL_DATA = "no pixel data, or a file cut off before their end"
_FIELDS = [
    tag_for_keyword(keyword)
    for keyword in (
        "ImageType",
        "Modality",
        "PatientID",
        "PatientSex",
        "PatientAge",
        "BodyPartExamined",
        "AnatomicRegionSequence",
        "ViewPosition",
        "ViewCodeSequence",
        "PatientOrientation",
        "ImagerPixelSpacing",
        "NominalScannedPixelSpacing",
        "SamplesPerPixel",
        "PhotometricInterpretation",
        "PlanarConfiguration",
        "NumberOfFrames",
        "Rows",
        "Columns",
        "PixelSpacing",
        "PixelAspectRatio",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "PixelPaddingValue",
        "PixelPaddingRangeLimit",
        "WindowCenter",
        "WindowWidth",
        "VOILUTFunction",
        "RescaleIntercept",
        "RescaleSlope",
        "ModalityLUTSequence",
        "VOILUTSequence",
        "PresentationLUTShape",
        *(f"{colour}PaletteColorLookupTableDescriptor" for colour in ("Red", "Green", "Blue")),
        *(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
        *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
    )
]


class DicomFile:
    """An open DICOM file: its transfer syntax ``syntax`` and its ``header``, pixel data aside."""

    def __init__(self, file: BinaryIO) -> None:
        self._source: _Counted | _Inflated = _Counted(file, os.fstat(file.fileno()).st_size)
        meta = _meta_of(self._source)
        uid = value_of(meta, "TransferSyntaxUID")
        syntax = _guessed_syntax(self._source) if uid is None else UID(str(uid))
        if syntax.type != "Transfer Syntax" or syntax.is_private:
            raise ImageError("transfer syntax is not one of the standard")
        self.syntax = syntax
        if syntax == DeflatedExplicitVRLittleEndian:
            self._source = _Inflated(self._source)
        ends: list[int] = []

        def at_pixels(tag: int, vr: str | None, length: int) -> bool:
            if tag in _ALL_PIXEL_DATA:
                ends.append(tag)
            return bool(ends)

        self.header = read_dataset(
            # It can do as much of a BinaryIO as is asked of it.
            self._source,  # type: ignore[arg-type]
            is_implicit_VR=syntax.is_implicit_VR,
            is_little_endian=syntax.is_little_endian,
            stop_when=at_pixels,
            specific_tags=_FIELDS,  # type: ignore[arg-type]  # known keywords all have one
        )
        if not ends:
            raise ImageError(_NO_PIXEL_DATA)
        if ends[0] != _PIXEL_DATA:
            raise ImageError("pixel data are floating point numbers")

    def pixel_data(self, limit: int) -> tuple[bytes, str]:
        """Return the value of PixelData, still encoded, and its value representation.

        Raises ImageError if there are more than ``limit`` bytes, or not as many as declared.
        """
        encoding: Any = self.header.original_encoding  # known of what was read
        implicit, little = encoding
        self._source.allow(limit)
        with _damage_as_reason():
            after = read_dataset(
                self._source,  # type: ignore[arg-type]  # as above
                is_implicit_VR=implicit,
                is_little_endian=little,
                stop_when=lambda tag, vr, length: tag > _PIXEL_DATA,
            )
        element = raw_of(after, "PixelData")
        if element is None:
            raise ImageError(_NO_PIXEL_DATA)
        there, declared = len(element.value), element.length
        if there < declared != _UNDEFINED_LENGTH:
            raise ImageError(f"pixel data are truncated: {there} of {declared} bytes")
        return element.value, "OW" if implicit else element.VR


@contextmanager
def open_dicom(path: Path) -> Iterator[DicomFile]:
    """Open ``path`` and read its header.

    Raises ImageError for what cannot be read, is no DICOM file or has a header that cannot be
    parsed, is absurdly large or comes without pixel data.
    """
    with ExitStack() as stack:
        with _damage_as_reason():
            file = DicomFile(stack.enter_context(path.open("rb")))
        yield file


@contextmanager
def _damage_as_reason() -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or type(error).__name__}") from None
    except zlib.error:
        raise ImageError("deflated data set is truncated or damaged") from None
    except PARSE_FAULTS as error:
        raise ImageError(f"DICOM file cannot be parsed ({type(error).__name__})") from None


class _Counted:
    """A file that gives no more than is there (Python reserves what is asked for) or is allowed."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._left = _HEADER_LIMIT
        self.tell = file.tell
        self.seek = file.seek

    def allow(self, count: int) -> None:
        """Let ``count`` bytes more be read."""
        self._left += count

    def read(self, count: int = -1) -> bytes:
        there = max(self._size - self.tell(), 0)
        count = there if count < 0 else min(count, there)
        self._left -= max(count, _LEAST_COST)
        if self._left < 0:
            raise ImageError("header or pixel data are larger than such an image can need")
        return self._file.read(count)


class _Inflated:
    """A deflated data set (PS3.5 A.5), inflated only as far as is read and allowed."""

    _STEP = 64 * 1024

    def __init__(self, source: _Counted) -> None:
        self._source = source
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._pending = b""
        self._inflated = bytearray()
        self._position = 0
        self._left = _HEADER_LIMIT
        self._limit = _INFLATED_HEADER_LIMIT
        source.allow(_INFLATED_HEADER_LIMIT)

    def allow(self, count: int) -> None:
        """Let ``count`` bytes more be inflated and read."""
        self._left += count
        self._limit = self._position + count
        self._source.allow(count)

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            raise ValueError("the end of a deflated data set is unknown")
        self._position = offset + (self._position if whence == os.SEEK_CUR else 0)
        return self._position

    def read(self, count: int) -> bytes:
        start, end = self._position, self._position + count
        while len(self._inflated) < end and not self._inflater.eof:
            self._inflate()
        with memoryview(self._inflated) as inflated:
            piece = bytes(inflated[start:end])
        self._position += len(piece)
        self._left -= max(len(piece), _LEAST_COST)
        if self._left < 0:
            raise ImageError("header or pixel data are larger than such an image can need")
        return piece

    def _inflate(self) -> None:
        pending = self._pending or self._source.read(self._STEP)
        piece = self._inflater.decompress(pending, _MIB)
        self._pending = self._inflater.unconsumed_tail
        if not (pending or piece or self._inflater.eof):
            raise zlib.error("incomplete")
        self._inflated += piece
        if len(self._inflated) > self._limit + _MIB:
            raise ImageError("deflated data set inflates to more than such an image can need")


def _meta_of(source: _Counted) -> Dataset:
    """Read the file meta information, if there is any; leave ``source`` where the data set starts.

    Files of before PS3.10 lack the preamble: those whose first element is of group 2 or 8 are read.
    """
    start = source.read(kinds.LENGTH)
    if not kinds.has_preamble(start):
        if not kinds.has_first_element(start):
            raise ImageError("not a DICOM file")
        source.seek(0)
    return read_dataset(
        source,  # type: ignore[arg-type]  # can do as much of a BinaryIO as is asked of it
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, vr, length: tag.group != 2,
    )


def _guessed_syntax(source: _Counted) -> UID:
    """Tell the native transfer syntax from the first element, as files without meta lack it."""
    start = source.read(6)
    source.seek(-len(start), os.SEEK_CUR)
    group, vr = struct.unpack("<H2x2s", start) if len(start) == 6 else (0, b"")
    if not vr.isalpha():
        return ImplicitVRLittleEndian
    # The groups of a header are below 0x0100, so that a high byte which is set comes first.
    return ExplicitVRBigEndian if group >= 0x100 else ExplicitVRLittleEndian
