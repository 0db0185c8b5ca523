"""Reading a radiograph that was saved as PNG, JPEG or TIFF; or any file, by what is in it.

Rules where a picture leaves a choice:

- 8-bit gray is taken as it is: such files were made to be looked at. Files with more bits hold
  stored values, so black and white go to the rendering's percentiles, as for a DICOM file without a
  window;
- colour becomes luminance (ITU-R BT.601), palettes are resolved, transparency is left out;
- the EXIF orientation is ignored: radiographs are not taken with a camera held askew, and what sets
  it are viewers. The orientation tag of a TIFF belongs to the format and is followed;
- of the file's texts nothing is read, and pixels are taken to be square.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from sscdl.archives.listing import PICTURE_SUFFIXES
from sscdl.dicom import kinds
from sscdl.dicom.radiograph import ImageError, Radiograph, Rendering

_MODES = {"L", "LA", "La", "P", "PA", "RGB", "RGBA", "I", "I;16", "I;16B", "I;16L"}
_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # tags of TIFF
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    struct.error,
    zlib.error,
)


def read_image(path: str | Path, rendering: Rendering) -> Radiograph:
    """Read a DICOM, PNG, JPEG or TIFF file, whatever its name says it is.

    Raises ImageError for a file that is none of them or cannot be used (see ``read_picture`` and
    ``sscdl.dicom.render.read_radiograph``).
    """
    path = Path(path)
    # A file may be DICOM and TIFF at once: then the DICOM header knows more.
    start = _first_bytes(path)
    if not kinds.has_preamble(start):
        if kinds.picture_kind(start):
            return read_picture(path, rendering)
        if packed := kinds.packed_by(start):
            raise ImageError(packed)
        if path.suffix.lower() in PICTURE_SUFFIXES:
            raise ImageError("neither a PNG, JPEG or TIFF file nor a DICOM file")
    # Importing the DICOM reader takes longer than reading many pictures.
    from sscdl.dicom.render import read_radiograph

    return read_radiograph(path, rendering)


def read_picture(path: str | Path, rendering: Rendering) -> Radiograph:
    """Read a PNG, JPEG or TIFF file of 8 or 16 bits and render it (see the module's notes).

    Raises ImageError for a file that is damaged, truncated, of several pictures, larger than the
    rendering allows (as the header states it, before anything is decoded), of another kind, or that
    shows nothing (all pixels alike).
    """
    path = Path(path)
    kind = kinds.picture_kind(_first_bytes(path))
    if not kind:
        raise ImageError("not a PNG, JPEG or TIFF file")
    try:
        with path.open("rb") as file, _quiet():
            picture = _open(file, kind, rendering.max_pixels)
            bits, inverted = _depth(picture, file, kind)
            if kind == "PNG":
                # Decoding would not notice damage that leaves the compressed data readable.
                picture.verify()
                picture = _open(file, kind, rendering.max_pixels)
            channels, photometric = _channels(picture, file, bits)
    except ImageError:
        raise
    except _DAMAGE as error:
        raise ImageError(
            f"cannot be decoded: truncated, damaged or unsupported ({kind}, {type(error).__name__})"
        ) from None
    coloured = any(not np.array_equal(channels[0], other) for other in channels[1:])
    gray = _luminance(*channels) if coloured else np.ascontiguousarray(channels[0])
    pixels = _rendered(gray, bits, rendering)
    if inverted:
        pixels = ~pixels
        photometric = "MONOCHROME1"
    if pixels.min() == pixels.max():
        raise ImageError("picture without contrast: all pixels have one gray value")
    rows, columns = pixels.shape
    return Radiograph(
        pixels=pixels,
        rows=rows,
        columns=columns,
        bits_stored=bits,
        photometric=photometric,
        transfer_syntax=kind,
        coloured=coloured,
    )


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(kinds.LENGTH)
    except OSError as error:
        raise ImageError(f"cannot be read: {error.strerror or type(error).__name__}") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Pillow from warning, as it quotes tags, and from a limit of its own on the size."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _open(file: BinaryIO, kind: str, max_pixels: int) -> Image.Image:
    """Return the picture, of which only the header has been read."""
    file.seek(0)
    picture = Image.open(file, formats=[kind])
    columns, rows = picture.size
    if rows * columns > max_pixels:
        raise ImageError(f"{rows} x {columns} pixels are more than the limit of {max_pixels}")
    if getattr(picture, "is_animated", False):
        raise ImageError("not a single-frame image")
    if picture.mode not in _MODES:
        raise ImageError(
            f"pixel format {picture.mode} ({kind}) is not gray, colour or palette of 8 or 16 bits"
        )
    return picture


def _depth(picture: Any, file: BinaryIO, kind: str) -> tuple[int, bool]:
    """Return the bits of a sample, and whether 0 is white in what Pillow decodes."""
    if kind == "JPEG":
        return 8, False
    if kind == "PNG":
        file.seek(24)
        bits, inverted = file.read(1)[0], False
    else:
        bits = picture.tag_v2.get(_BITS_PER_SAMPLE, (1,))[0]
        # Pillow turns the gray values of 8 bits round by itself, those of 16 bits it does not.
        inverted = bits > 8 and picture.tag_v2.get(_PHOTOMETRIC) == 0
    if bits > 16:
        raise ImageError(f"{bits} bits a sample are not supported")
    return bits, inverted


def _channels(picture: Image.Image, file: BinaryIO, bits: int) -> tuple[list[np.ndarray], str]:
    """Return the gray channel, or red, green and blue, and the photometric interpretation."""
    mode = picture.mode
    picture.load()
    if bits > 8 and mode in ("LA", "RGB", "RGBA"):
        return _deep_channels(file), "RGB"
    if mode in ("P", "PA"):
        values = np.asarray(picture.convert("RGB"))
        return [values[..., k] for k in range(3)], "PALETTE COLOR"
    values = np.asarray(picture)
    if values.ndim == 3 and values.shape[2] >= 3:
        return [values[..., k] for k in range(3)], "RGB"
    gray = values if values.ndim == 2 else values[..., 0]
    if bits > 8 and gray.min() < 0:
        gray = gray + 2**15
    return [gray.astype(np.uint16 if bits > 8 else np.uint8)], "MONOCHROME2"


def _deep_channels(file: BinaryIO) -> list[np.ndarray]:
    """Return red, green and blue of 16 bits each, of which Pillow keeps only 8."""
    import cv2

    file.seek(0)
    content = np.frombuffer(file.read(), dtype=np.uint8)
    try:
        values = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        values = None
    if values is None or values.dtype != np.uint16:
        raise ImageError("colour of 16 bits that cannot be decoded")
    if values.ndim == 2:
        return [values]
    return [values[..., k] for k in (2, 1, 0)]


def _luminance(red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> np.ndarray:
    total = 299 * red.astype(np.uint32) + 587 * green.astype(np.uint32)
    return ((total + 114 * blue.astype(np.uint32) + 500) // 1000).astype(red.dtype)


def _rendered(gray: np.ndarray, bits: int, rendering: Rendering) -> np.ndarray:
    """Return the gray values in the bits that the rendering asks for."""
    if bits <= 8:
        return gray if rendering.bits == 8 else gray.astype(np.uint16) * 257
    low, high = np.percentile(gray, rendering.percentiles)
    if low == high:
        low, high = float(gray.min()), float(gray.max())
    # Each of the 65,536 values is worked out once.
    shares = np.clip((np.arange(2.0**16) - low) / (high - low or 1.0), 0.0, 1.0)
    kind = np.uint8 if rendering.bits == 8 else np.uint16
    return np.rint(shares * np.iinfo(kind).max).astype(kind)[gray]
