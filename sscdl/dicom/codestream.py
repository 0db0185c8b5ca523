"""What a compressed frame says of itself, read before a decoder reserves memory for it."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sscdl.dicom.radiograph import ImageError

_START_OF_JPEG_LS = 0xF7
_START_OF_FRAME = {_START_OF_JPEG_LS, *range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA
_END = b"\xff\xd9"
# What an item of encapsulated pixel data begins with: its tag, in either order of bytes.
_ITEM, _ITEM_BIG_ENDIAN = b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00"
# How the codestreams of JPEG and JPEG-LS begin, those of JPEG 2000, and JP2 files.
_MAGICS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")
_HEADERS = 2**20  # bytes among which those of a codestream are
_RLE_HEADER = 64
_RLE_SEGMENTS = 15


class Codestream(NamedTuple):
    """Size, channels, bits and tiles of the picture that a codestream declares, and its kind.

    ``standard``: JPEG, JPEG-LS or JPEG 2000.
    """

    rows: int
    columns: int
    components: int
    precision: int
    standard: str
    tiles: int = 1


def codestream_of(frame: bytes) -> Codestream | None:
    """Return what a JPEG, JPEG-LS or JPEG 2000 frame declares, None if it declares nothing.

    That stands in the SIZ segment of ISO/IEC 15444-1 A.5.1, first in the codestream (which a JP2
    file, not allowed but seen, has in a box), or in the start-of-frame segment of ISO/IEC 10918-1
    B.2.2 and 14495-1 C.2.2. Raises struct.error if the frame ends too early.
    """
    if frame[4:8] == b"jP  ":
        frame = _jp2_codestream(frame)
    if frame.startswith(b"\xff\x4f\xff\x51"):
        right, bottom, left, top, wide, high, x, y = struct.unpack_from(">8I", frame, 8)
        tiles = math.ceil((right - x) / wide) * math.ceil((bottom - y) / high)
        components, precision = struct.unpack_from(">HB", frame, 40)
        bits = (precision & 0x7F) + 1
        return Codestream(bottom - top, right - left, components, bits, "JPEG 2000", tiles)
    for marker, position in _segments(frame):
        if marker in _START_OF_FRAME:
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
            standard = "JPEG-LS" if marker == _START_OF_JPEG_LS else "JPEG"
            return Codestream(rows, columns, components, precision, standard)
    return None


def is_encapsulated(data: bytes) -> bool:
    """Return whether pixel data begin with an item, as encapsulated ones do (PS3.5 A.4)."""
    return data.startswith(_ITEM)


def first_frames(data: bytes, *, rle_segments: int) -> int:
    """Return how many frames begin among the fragments of encapsulated pixel data, up to 2.

    Of damaged data, these are the frames before the damage. ``rle_segments`` is as for
    :func:`compressed_as`.
    """
    count, position = 0, 0
    while count < 2 and data.startswith(_ITEM, position) and position + 8 <= len(data):
        start = position + 8
        position = start + struct.unpack_from("<I", data, position + 4)[0]
        count += bool(compressed_as(data[start:position], rle_segments=rle_segments))
    return count


def compressed_as(data: bytes, *, rle_segments: int) -> str:
    """Return how pixel data are compressed that should be as they are, '' if they seem to be.

    They are encapsulated, or a codestream begins with them and tells its size; or they begin with
    the header of ``rle_segments`` segments of RLE, for which 0 is never looked.
    """
    if _items_fit(data):
        return "encapsulated frames"
    try:
        if data.startswith(_MAGICS) and codestream_of(data[:_HEADERS]) is not None:
            return "JPEG" if data.startswith(_MAGICS[0]) else "JPEG 2000"
        count, *offsets = struct.unpack_from(f"<{1 + _RLE_SEGMENTS}I", data)
    except (struct.error, ArithmeticError):
        return ""
    used, rest = offsets[:count], offsets[count:]
    rising = used == sorted(set(used)) and used[:1] == [_RLE_HEADER] and used[-1] < len(data)
    return "RLE" if 0 < count == rle_segments and rising and not any(rest) else ""


def _items_fit(data: bytes) -> bool:
    """Return whether pixel data begin with an item that a frame or the next item makes likely."""
    tag = data[:4]
    if tag not in (_ITEM, _ITEM_BIG_ENDIAN) or len(data) < 8:
        return False
    end = 8 + struct.unpack_from("<I" if tag == _ITEM else ">I", data, 4)[0]
    return end == len(data) or data[end : end + 2] == tag[:2] or data.startswith(_MAGICS, 8)


def is_complete(frame: bytes) -> bool:
    """Tell whether a JPEG, JPEG-LS or JPEG 2000 frame has its end marker, perhaps before padding.

    Some decoders fill in silently what has been cut off.
    """
    return _END in frame[-32:]


def decode_rle(frame: bytes, shape: Sequence[int], bytes_each: int) -> np.ndarray:
    """Decode an RLE frame (PS3.5 annex G) into an unsigned little-endian array of ``shape``.

    ``shape`` is (H, W) or (H, W, 3), a value has ``bytes_each`` bytes. No more is decoded than fits
    into the array. Raises ImageError if header and segments are not those of such a picture.
    """
    samples = shape[2] if len(shape) == 3 else 1
    size = shape[0] * shape[1]
    if len(frame) < _RLE_HEADER:
        raise ImageError("pixel data are truncated (RLE header)")
    count, *offsets = struct.unpack_from(f"<{1 + _RLE_SEGMENTS}I", frame)
    if count != samples * bytes_each:
        raise ImageError(f"RLE data have {count} segments instead of {samples * bytes_each}")
    ends = [*offsets[1:count], len(frame)]
    planes = np.empty((size, samples, bytes_each), dtype=np.uint8)
    for number, (start, end) in enumerate(zip(offsets, ends, strict=False)):
        if not _RLE_HEADER <= start <= end <= len(frame):
            raise ImageError("RLE segments do not lie one after another")
        plane = _unpack_bits(frame[start:end], size)
        if len(plane) < size:
            raise ImageError(f"pixel data are truncated: {len(plane)} of {size} bytes of a segment")
        sample, byte = divmod(number, bytes_each)
        # The most significant byte has the first segment.
        planes[:, sample, bytes_each - 1 - byte] = np.frombuffer(plane, np.uint8, size)
    return planes.view(f"<u{bytes_each}").reshape(shape)


def _unpack_bits(segment: bytes, size: int) -> bytearray:
    """Decode run lengths until ``size`` bytes are there or the segment ends (PS3.5 G.3.2)."""
    plane = bytearray()
    position, end = 0, len(segment) - 1
    while position < end and len(plane) < size:
        control = segment[position]
        if control > 128:
            plane += segment[position + 1 : position + 2] * (257 - control)
            position += 2
        elif control < 128:
            plane += segment[position + 1 : position + 2 + control]
            position += 2 + control
        else:
            position += 1
    return plane


def _segments(frame: bytes) -> Iterator[tuple[int, int]]:
    """Yield marker and position of a JPEG frame's segments up to the first scan."""
    position, marker = 2, 0
    while marker != _START_OF_SCAN and position + 4 <= len(frame) and frame[position] == 0xFF:
        marker, length = struct.unpack_from(">xBH", frame, position)
        if marker == 0xFF:
            position += 1
        else:
            yield marker, position
            position += 2 + length


def _jp2_codestream(frame: bytes) -> bytes:
    """Return the codestream in the boxes of a JP2 file (ISO/IEC 15444-1 I.4)."""
    position = 0
    while position + 16 <= len(frame):
        length, kind, extended = struct.unpack_from(">I4sQ", frame, position)
        if kind == b"jp2c":
            return frame[position + (16 if length == 1 else 8) :]
        length = extended if length == 1 else length
        if length < 8:
            break
        position += length
    return b""
