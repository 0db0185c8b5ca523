"""Writing image files of every kind, those that Pillow cannot write too."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from PIL import Image


def noise(*shape, dtype=np.uint8):
    """Return the same random array for the same shape and dtype."""
    return np.random.default_rng(7).integers(0, np.iinfo(dtype).max + 1, shape, dtype=dtype)


def save(path, array, mode=None, **options):
    """Write an array or a picture, converted to ``mode``, with Pillow; return the path."""
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


def chunk(kind, data):
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_png(path, array, colour, *, size=None, further=b""):
    """Write 16-bit PNG files, most kinds of which Pillow cannot."""
    rows, columns = size or array.shape[:2]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in array)
    header = struct.pack(">IIBBBBB", columns, rows, 16, colour, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + further
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )
    return path


def write_tiff(path, array, photometric, orientation=1):
    """Write an uncompressed little-endian TIFF of unsigned or signed 16-bit samples."""
    rows, columns = array.shape[:2]
    samples = array.shape[2] if array.ndim == 3 else 1
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    tags = [
        (256, 3, 1, columns), (257, 3, 1, rows), (258, 3, samples, 16), (259, 3, 1, 1),
        (262, 3, 1, photometric), (273, 4, 1, 0), (274, 3, 1, orientation),
        (277, 3, 1, samples), (278, 3, 1, rows), (279, 4, 1, len(data)),
        (339, 3, 1, 2 if array.dtype.kind == "i" else 1),
    ]  # fmt: skip
    if samples > 1:
        tags.pop()
    end = 8 + 2 + 12 * len(tags) + 4
    places = {273: end + 2 * samples, 258: end if samples > 1 else 16}
    entries = [
        struct.pack("<HHII", tag, kind, count, places.get(tag, value))
        for tag, kind, count, value in tags
    ]
    path.write_bytes(
        b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(entries) + bytes(4)
        + struct.pack("<H", 16) * samples + data
    )  # fmt: skip
    return path
