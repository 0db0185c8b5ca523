"""The stored values of a DICOM image: how they are laid out (PS3.3 C.7.6.3), and decoding them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom import Dataset, uid
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder  # type: ignore[attr-defined]  # documented there

from sscdl.dicom.codestream import (
    codestream_of,
    compressed_as,
    decode_rle,
    first_frames,
    is_complete,
    is_encapsulated,
)
from sscdl.dicom.header import PARSE_FAULTS, count_of, integer_of, text_of
from sscdl.dicom.jpeg import SYNTAXES as JPEG_SYNTAXES
from sscdl.dicom.jpeg import jpeg_decoder
from sscdl.dicom.radiograph import ImageError

MONOCHROME = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT")
_SUPPORTED = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.RLELossless,
    *JPEG_SYNTAXES,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
)
# Room for what may stand around the pixels: offset tables, item headers, padding.
_SLACK = 2**20
# A decoder's bookkeeping of a tile takes kilobytes, whatever the tile's size.
_MOST_TILES = 4096


@dataclass(frozen=True)
class Layout:
    """How the pixels of an image are stored: the fields of PS3.3 C.7.6.3 of the same names.

    ``bits`` of the ``allocated`` ones are used, ``shift`` unused ones lie below them.
    """

    rows: int
    columns: int
    samples: int
    photometric: str
    planar: int
    allocated: int
    bits: int
    shift: int
    signed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        size = (self.rows, self.columns)
        return size if self.samples == 1 else (*size, self.samples)

    @property
    def native_bytes(self) -> int:
        """How many bytes the pixels take uncompressed."""
        samples = 2 if self.photometric == "YBR_FULL_422" else self.samples
        return math.ceil(self.rows * self.columns * samples * self.allocated / 8)

    @property
    def most_bytes(self) -> int:
        """How many bytes the pixels may take in any transfer syntax."""
        return 2 * self.rows * self.columns * self.samples * math.ceil(self.allocated / 8) + _SLACK


def layout_of(dataset: Dataset, max_pixels: int) -> Layout:
    """Return how pixels are stored, after checking that they make one image of a known kind.

    Raises ImageError if not, or if the image has more than ``max_pixels`` pixels.
    """
    photometric = text_of(dataset, "PhotometricInterpretation").upper()
    if photometric not in (*MONOCHROME, PALETTE, *_COLOUR):
        raise ImageError("photometric interpretation is missing or not supported")
    samples = count_of(dataset, "SamplesPerPixel", 1)
    if samples != (3 if photometric in _COLOUR else 1):
        raise ImageError(f"{samples} samples per pixel do not go with {photometric}")
    if integer_of(dataset, "NumberOfFrames", 1) != 1:
        raise ImageError("not a single-frame image")
    rows, columns = count_of(dataset, "Rows"), count_of(dataset, "Columns")
    if rows < 1 or columns < 1:
        raise ImageError(f"image of {rows} x {columns} pixels")
    if rows * columns > max_pixels:
        raise ImageError(f"{rows} x {columns} pixels are more than the limit of {max_pixels}")
    allocated = count_of(dataset, "BitsAllocated")
    bits = count_of(dataset, "BitsStored")
    if allocated not in (1, 8, 16, 32) or not 1 <= bits <= allocated:
        raise ImageError(f"{bits} bits stored in {allocated} are not supported")
    high = count_of(dataset, "HighBit", bits - 1)
    if not bits - 1 <= high < allocated:
        raise ImageError(f"high bit {high} does not go with {bits} bits stored in {allocated}")
    signed = count_of(dataset, "PixelRepresentation", 0) == 1
    return Layout(
        rows=rows,
        columns=columns,
        samples=samples,
        photometric=photometric,
        planar=count_of(dataset, "PlanarConfiguration", 0) if samples > 1 else 0,
        allocated=allocated,
        bits=bits,
        shift=high + 1 - bits,
        signed=signed and samples == 1,
    )


def decode(data: bytes, vr: str, layout: Layout, syntax: uid.UID) -> tuple[np.ndarray, str]:
    """Decode PixelData into words of (H, W) or (H, W, 3), and tell their colour space.

    The words are unsigned, in the machine's byte order, of 8, 16 or 32 bits; the stored value is in
    their lowest ``layout.bits`` bits (two's complement if signed), and anything may be above
    them. ``vr`` is PixelData's value representation. The colour space is a photometric
    interpretation, which a codestream can correct.

    Raises ImageError if the transfer syntax is not supported or the data are truncated, damaged, or
    of another size than ``layout``.
    """
    if syntax not in _SUPPORTED:
        raise ImageError(f"transfer syntax is not supported: {syntax.name}")
    _check_form(data, layout, syntax)
    try:
        if syntax == uid.RLELossless:
            frame = next(generate_frames(data, number_of_frames=1))
            words = decode_rle(frame, layout.shape, max(layout.allocated // 8, 1))
            space, shift = layout.photometric, layout.shift
        else:
            shift = layout.shift
            if syntax.is_encapsulated:
                shift = _checked_shift(data, layout, syntax)
            elif len(data) < layout.native_bytes:
                raise ImageError(
                    f"pixel data are truncated: {len(data)} of {layout.native_bytes} bytes"
                )
            words, space = _decoded(data, vr, layout, syntax)
    except ImageError:
        raise
    except (*PARSE_FAULTS, StopIteration) as error:
        raise ImageError(
            f"pixel data cannot be decoded: damaged or unsupported ({syntax.name}, "
            f"{type(error).__name__})"
        ) from None
    if words.shape != layout.shape:
        raise ImageError("pixel data are not of the size that the header states")
    return (words >> shift if shift else words), space


def _check_form(data: bytes, layout: Layout, syntax: uid.UID) -> None:
    """Raise ImageError if pixel data have not the form that their syntax says, or several frames.

    Read as pixels, the bytes of a compressed picture are noise. And a header that says nothing of
    frames, or nothing that can be understood, does not make one picture of many.
    """
    segments = layout.samples * math.ceil(layout.allocated / 8)
    if syntax.is_encapsulated:
        if not is_encapsulated(data):
            raise ImageError(
                f"pixel data are not encapsulated, although the transfer syntax ({syntax.name}) "
                "says so"
            )
        if first_frames(data, rle_segments=segments) > 1:
            raise ImageError("not a single-frame image: pixel data hold several")
        return
    native = len(data) - layout.native_bytes in (0, 1)
    if kind := compressed_as(data, rle_segments=0 if native else segments):
        raise ImageError(
            f"pixel data are compressed ({kind}), although the transfer syntax ({syntax.name}) "
            "says that they are not"
        )
    if len(data) >= 2 * layout.native_bytes:
        raise ImageError(
            f"not a single-frame image: pixel data have {len(data)} bytes, and one frame "
            f"{layout.native_bytes}"
        )


def _checked_shift(data: bytes, layout: Layout, syntax: uid.UID) -> int:
    """Refuse frames that are cut off or of another size; return by how much values are shifted.

    A decoder believes a damaged size and fills gigabytes for minutes.
    """
    frame = next(generate_frames(data, number_of_frames=1))
    if not is_complete(frame):
        raise ImageError(f"pixel data are truncated ({syntax.name})")
    coded = codestream_of(frame)
    if coded is None or (coded.rows, coded.columns) != (layout.rows, layout.columns):
        raise ImageError("pixel data are not of the size that the header states")
    if coded.components != layout.samples:
        raise ImageError(f"pixel data have {coded.components} channels, not {layout.samples}")
    if coded.tiles > _MOST_TILES:
        raise ImageError(f"pixel data are cut into {coded.tiles} tiles")
    # Some encoders take the stored bits out of a word, others the word as it is.
    return layout.shift if coded.precision > layout.bits else 0


def _decoded(data: bytes, vr: str, layout: Layout, syntax: uid.UID) -> tuple[np.ndarray, str]:
    decoder: Any = jpeg_decoder(syntax) if syntax in JPEG_SYNTAXES else get_decoder(syntax)
    words, facts = decoder.as_array(
        data,
        index=0,
        raw=True,
        # Others that happen to be installed may be slower.
        decoding_plugin="pyjpegls" if syntax in uid.JPEGLSTransferSyntaxes else "",
        # Only the words are wanted here, whatever lies in unused bits.
        **({} if syntax.is_encapsulated else {"view_only": True, "pixel_keyword": "PixelData"}),
        correct_unused_bits=False,
        allow_excess_frames=False,
        pixel_vr=vr,
        rows=layout.rows,
        columns=layout.columns,
        number_of_frames=1,
        samples_per_pixel=layout.samples,
        photometric_interpretation=layout.photometric,
        planar_configuration=layout.planar,
        pixel_representation=int(layout.signed),
        bits_allocated=layout.allocated,
        bits_stored=layout.bits,
    )
    words = words.view(words.dtype.str.replace("i", "u"))
    return words.astype(words.dtype.newbyteorder("="), copy=False), facts[
        "photometric_interpretation"
    ]
