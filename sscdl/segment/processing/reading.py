"""Reading an image file into the values that the original lungVAE code segments.

That code takes values as they are stored, of whatever depth, without window or percentiles; the
equalisation that follows makes up for their scale. What it does and we do not:

- it takes an alpha channel for another colour when it scales and equalises: here alpha is left out;
- it takes pixels that a DICOM file declares to be padding for tissue: such files, and colour ones,
  are read as a viewer would show them, between their smallest and largest value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sscdl.dicom.file import open_dicom
from sscdl.dicom.grayscale import StoredPixels
from sscdl.dicom.header import numbers_of
from sscdl.dicom.optional import tidy
from sscdl.dicom.pixels import MONOCHROME, decode, layout_of
from sscdl.dicom.radiograph import Rendering
from sscdl.dicom.render import kept_quiet
from sscdl.images.picture import read_image

# All stored values, from the smallest to the largest.
_WHOLE_RANGE = Rendering(window="percentiles", percentiles=(0.0, 100.0), bits=16)


def read_values(path: Path) -> NDArray[Any]:
    """Return a DICOM, PNG, JPEG or TIFF file as an image for the segmenter, bright = dense.

    Gray (H, W) or colour (H, W, 3), not negative: integers as stored, or, where black and white are
    exchanged (MONOCHROME1), numbers in [0, 1].

    Raises ImageError, a short reason, for a file that cannot be used (see
    :func:`sscdl.images.picture.read_image`).
    """
    shown = read_image(path, _WHOLE_RANGE)
    if shown.photometric in MONOCHROME and shown.transfer_syntax not in ("PNG", "JPEG", "TIFF"):
        values = _stored_values(path)
        return shown.pixels if values is None else values
    if shown.transfer_syntax not in ("PNG", "JPEG"):
        return shown.pixels
    if shown.coloured and shown.bits_stored > 8:
        # Pillow keeps only 8 of 16 bits of a colour.
        channels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
        # Pillow has read it already.
        return np.ascontiguousarray(channels[..., 2::-1])  # type: ignore[index]
    with Image.open(path) as picture:
        if shown.coloured:
            return np.asarray(picture.convert("RGB"))
        if shown.bits_stored > 8 and picture.mode.startswith("I"):
            return np.asarray(picture).astype(np.uint16)
    # Gray in several channels, or of 8 bits, which rendering has only multiplied.
    return shown.pixels if shown.bits_stored > 8 else (shown.pixels // 257).astype(np.uint8)


def _stored_values(path: Path) -> NDArray[Any] | None:
    """Return the values of a gray DICOM file that can be read, raised to 0 where some are negative.

    None if some stand for padding, or have more than 16 bits.
    """
    with kept_quiet(), open_dicom(path) as file:
        header = file.header
        tidy(header)
        if numbers_of(header, "PixelPaddingValue"):
            return None
        layout = layout_of(header, _WHOLE_RANGE.max_pixels)
        words, _ = decode(*file.pixel_data(layout.most_bytes), layout, file.syntax)
    if layout.bits > 16:
        return None
    stored = StoredPixels(words, layout.bits, signed=layout.signed)
    lowest = int(stored.values[stored.counts > 0].min())
    image = stored.shown(np.maximum(stored.values - min(lowest, 0), 0).astype(np.uint16))
    return 1.0 - image / image.max() if layout.photometric == "MONOCHROME1" else image
