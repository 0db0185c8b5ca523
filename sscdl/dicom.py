"""Reading one DICOM radiograph into the 8-bit gray picture that a viewer would show.

The order of the steps follows the grayscale pipeline of DICOM PS3.4 N.2: stored value, modality
LUT (PS3.3 C.11.1), VOI LUT or window (PS3.3 C.11.2), 8 bits, polarity. Everything up to the
8 bits is a function of the stored value alone, so it is computed once for each of the at most
65,536 values and looked up for the pixels.

Rules where the standard leaves a choice:

- of several VOI LUTs or windows the first is used, and a VOI LUT is preferred to a window;
- without either, black and white are the 0.5th and 99.5th percentile of the pixels that are not
  padding, after the modality LUT (the minimum and maximum if those two percentiles agree);
- the picture is inverted once, last, if it is MONOCHROME1 or its presentation LUT shape is INVERSE;
- pixel padding (PS3.3 C.7.5.1.1.2) takes no part in the percentiles and is drawn black.
"""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.pixels import pixel_array
from pydicom.uid import UID

from sscdl.dicom_grayscale import modality_values, padding, values_of_interest
from sscdl.dicom_header import (
    PARSE_FAULTS,
    code_of,
    integer_of,
    text_of,
    value_of,
    years,
)
from sscdl.radiograph import ImageError, Radiograph

_COLOUR = {
    "RGB",
    "PALETTE COLOR",
    "YBR_FULL",
    "YBR_FULL_422",
    "YBR_PARTIAL_420",
    "YBR_ICT",
    "YBR_RCT",
}
# Every frame of a JPEG, JPEG-LS or JPEG 2000 codec ends with the bytes FF D9; without this check
# some decoders fill in silently what has been cut off.
_ENDS_WITH_MARKER = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (5, 7, 8, 9, 20))


def read_radiograph(path: str | Path, *, max_pixels: int = 100_000_000) -> Radiograph:
    """Read the DICOM file ``path`` and render it as a viewer would (see the module's notes).

    ``max_pixels`` limits rows times columns, as the header states them, before anything is decoded.
    Raises ImageError for a file that is no single-frame monochrome DICOM image with complete pixel
    data, or that shows nothing (all pixels alike).
    """
    with _quiet():
        return _render(_parse(Path(path)), max_pixels)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pydicom from warning and logging: its texts quote header values, names included."""
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def _parse(path: Path) -> Dataset:
    try:
        dataset = dcmread(path)
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or type(error).__name__}") from None
    except InvalidDicomError:
        raise ImageError("not a DICOM file") from None
    except zlib.error:
        raise ImageError("deflated data set is truncated or damaged") from None
    except PARSE_FAULTS as error:
        raise ImageError(f"DICOM header cannot be parsed ({type(error).__name__})") from None
    if "PixelData" not in dataset:
        raise ImageError("no pixel data, or a file cut off before their end")
    return dataset


def _render(dataset: Dataset, max_pixels: int) -> Radiograph:
    photometric = text_of(dataset, "PhotometricInterpretation").upper()
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        named = photometric if photometric in _COLOUR else "missing or unknown"
        raise ImageError(f"not a monochrome image: photometric interpretation {named}")
    if integer_of(dataset, "SamplesPerPixel", 1) != 1:
        raise ImageError("colour image: more than one sample per pixel")
    if integer_of(dataset, "NumberOfFrames", 1) != 1:
        raise ImageError("not a single-frame image")
    rows, columns = integer_of(dataset, "Rows"), integer_of(dataset, "Columns")
    if rows < 1 or columns < 1:
        raise ImageError(f"image of {rows} x {columns} pixels")
    if rows * columns > max_pixels:
        raise ImageError(f"{rows} x {columns} pixels are more than the limit of {max_pixels}")
    bits = integer_of(dataset, "BitsStored")
    allocated = integer_of(dataset, "BitsAllocated")
    if allocated not in (8, 16) or not 1 <= bits <= allocated:
        raise ImageError(f"{bits} bits stored in {allocated} are not supported")
    if integer_of(dataset, "HighBit", bits - 1) != bits - 1:
        raise ImageError("high bit is not bits stored - 1")
    signed = integer_of(dataset, "PixelRepresentation", 0) == 1

    syntax = _transfer_syntax(dataset)
    stored = _decode(dataset, (rows, columns), syntax)
    lowest = -(2 ** (bits - 1)) if signed else 0
    index = stored.astype(np.int32) - lowest
    if index.min() < 0 or index.max() >= 2**bits:
        raise ImageError(f"decoded pixels do not fit into {bits} bits")
    values = modality_values(dataset, np.arange(lowest, lowest + 2**bits, dtype=np.float64))
    padded = padding(dataset, lowest, bits)
    visible = index if not padded.any() else index[~padded[index]]
    if visible.size == 0:
        raise ImageError("all pixels are padding")

    table = np.rint(255 * values_of_interest(dataset, values, visible)).astype(np.uint8)
    shape = text_of(dataset, "PresentationLUTShape").upper()
    if photometric == "MONOCHROME1" or shape == "INVERSE":
        table = 255 - table
    shades = table[visible]
    if shades.min() == shades.max():
        raise ImageError("picture without contrast: all pixels have one gray value")
    table[padded] = 0
    return Radiograph(
        pixels=table[index],
        patient_id=text_of(dataset, "PatientID"),
        sex=code_of(dataset, "PatientSex", "F|M"),
        age_years=years(text_of(dataset, "PatientAge")),
        view=code_of(dataset, "ViewPosition", "[A-Z]{2,3}|LATERAL"),
        rows=rows,
        columns=columns,
        bits_stored=bits,
        photometric=photometric,
        transfer_syntax=syntax,
        modality=code_of(dataset, "Modality", "[A-Z]{2,4}"),
    )


def _transfer_syntax(dataset: Dataset) -> str:
    uid = value_of(dataset.file_meta, "TransferSyntaxUID")
    if not isinstance(uid, UID) or uid.is_private or uid.name == str(uid):
        raise ImageError("transfer syntax is missing or not a public one")
    return uid.name


def _decode(dataset: Dataset, shape: tuple[int, int], syntax: str) -> np.ndarray:
    """Return the stored values as integers of ``shape``, unused high bits cleared."""
    uid = dataset.file_meta.TransferSyntaxUID
    try:
        if uid.startswith(_ENDS_WITH_MARKER):
            frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
            if b"\xff\xd9" not in frame[-32:]:
                raise ImageError(f"pixel data are truncated ({syntax})")
            # A damaged size makes a decoder fill gigabytes for minutes: look before it does.
            if _coded_size(frame) != shape:
                raise ImageError("pixel data are not of the size that the header states")
        elif not uid.is_encapsulated:
            expected = shape[0] * shape[1] * dataset.BitsAllocated // 8
            if len(dataset.PixelData) < expected:
                raise ImageError(
                    f"pixel data are truncated: {len(dataset.PixelData)} of {expected} bytes"
                )
        pixels = pixel_array(dataset)
    except ImageError:
        raise
    except PARSE_FAULTS as error:
        raise ImageError(
            f"pixel data cannot be decoded: damaged or unsupported ({syntax}, "
            f"{type(error).__name__})"
        ) from None
    if pixels.shape != shape:
        raise ImageError("pixel data are not of the size that the header states")
    return pixels


def _coded_size(frame: bytes) -> tuple[int, int] | None:
    """Return (rows, columns) that a JPEG, JPEG-LS or JPEG 2000 codestream declares, None if none.

    The size stands in the SIZ segment of ISO/IEC 15444-1 A.5.1, first in the codestream, or in the
    start-of-frame segment of ISO/IEC 10918-1 B.2.2 and 14495-1 C.2.2.
    """
    if frame.startswith(b"\xff\x4f\xff\x51"):
        right, bottom, left, top = struct.unpack_from(">4I", frame, 8)
        return bottom - top, right - left
    position = 2
    while position + 9 <= len(frame) and frame[position] == 0xFF:
        marker, length = struct.unpack_from(">xBH", frame, position)
        if marker == 0xFF:
            position += 1
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            return struct.unpack_from(">HH", frame, position + 5)
        else:
            position += 2 + length
    return None
