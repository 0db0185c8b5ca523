"""From a radiograph to the field that the segmentation network reads, and back.

The order is that of lungVAE (arXiv 2005.10052): scale by the maximum, equalise the histogram, make
gray, resize with the aspect kept, paste into the middle of a zero field with a border.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sscdl.segment.processing.resample import resize

HISTOGRAM_BINS = 256
LUMINANCE = np.array([0.2125, 0.7154, 0.0721])  # ITU-R BT.709, for red, green and blue
_COUNTABLE = (np.uint8, np.uint16)
_COUNTED_EXACTLY = 2**24  # OpenCV counts in float32


def default_border(height: int) -> int:
    """Border in pixels of a field of ``height`` rows: 32 of 640, and in proportion."""
    return height // 20


class Placement(NamedTuple):
    """Where an image lies in the field: pixels of the field, and the size of the image."""

    top: int
    left: int
    height: int
    width: int
    image_height: int
    image_width: int

    def scaled(self, factor: int) -> Placement:
        """Return the placement in a field with ``factor`` times as many rows and columns."""
        inner = (self.top, self.left, self.height, self.width)
        # These are six numbers.
        return Placement(*(factor * length for length in inner), *self[4:])  # type: ignore[call-arg]

    def crop(self, field: NDArray[Any]) -> NDArray[Any]:
        """Cut the region of interest out of ``field`` (..., field height, field width)."""
        return field[..., self.top : self.top + self.height, self.left : self.left + self.width]


def placement(
    image_height: int, image_width: int, *, height: int, width: int, border: int
) -> Placement:
    """Return where an image of the given size goes in a ``height`` x ``width`` field.

    The image takes the whole width inside the border unless its height would then not fit.
    """
    room_height, room_width = height - 2 * border, width - 2 * border
    if room_height < 1 or room_width < 1:
        raise ValueError(f"border {border} leaves no room in a {height} x {width} field")
    # Whole-number arithmetic: in floating point a square image may come out a pixel short.
    scaled_height, scaled_width = room_width * image_height // image_width, room_width
    if scaled_height > room_height:
        scaled_height = room_height
        scaled_width = room_height * image_width // image_height
    scaled_height, scaled_width = max(scaled_height, 1), max(scaled_width, 1)
    return Placement(
        top=(room_height - scaled_height) // 2 + border,
        left=(room_width - scaled_width) // 2 + border,
        height=scaled_height,
        width=scaled_width,
        image_height=image_height,
        image_width=image_width,
    )


def normalise(image: NDArray[Any]) -> NDArray[np.float64]:
    """Divide an image of any numeric type by its maximum; all black stays zero.

    Floating-point values within [0, 1] are taken as scaled already.
    """
    values = np.asarray(image, dtype=np.float64)
    peak = values.max()
    if image.dtype.kind == "f" and values.min() >= 0.0 and peak <= 1.0:
        return values
    return values / peak if peak > 0 else np.zeros_like(values)


def equalised(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return ``image``, normalised, with its histogram equalised: of its shape, in [0, 1].

    The numbers are those of ``skimage.exposure.equalize_hist``; the channels of a colour image are
    equalised together.
    """
    if image.dtype in _COUNTABLE:
        # Each of the values that can occur is worked out once, and looked up for the pixels.
        counts = _histogram(image)
        levels = np.flatnonzero(counts)
        table = np.zeros(len(counts), dtype=np.float32)
        table[levels] = _share_below(levels / max(levels[-1], 1), counts[levels])
        return cv2.LUT(image, table)  # type: ignore[return-value]  # as the table
    values = normalise(image)
    return _share_below(values.ravel(), None).reshape(values.shape).astype(np.float32)


def is_blank(image: NDArray[Any]) -> bool:
    """Whether all pixels of an image, (H, W) or (H, W, 3), are the same: nothing to segment."""
    return bool((image.min(axis=(0, 1)) == image.max(axis=(0, 1))).all())


def preprocess(
    image: NDArray[Any],
    *,
    height: int = 640,
    width: int = 512,
    border: int = 32,
    equalise: bool = True,
) -> tuple[NDArray[np.float32], Placement]:
    """Return the network's input (height, width) in [0, 1] and the placement of the image in it.

    Args:
        image: gray (H, W) or colour (H, W, 3) without alpha, bright = dense (MONOCHROME1 inverted
            before), not negative.
        height, width, border: field in pixels; 640, 512, 32 are those of the published model.
        equalise: equalise the histogram (256 bins).
    """
    where = placement(*image.shape[:2], height=height, width=width, border=border)
    field = np.zeros((height, width), dtype=np.float32)
    if is_blank(image):
        return field, where
    values = equalised(image) if equalise else normalise(image)
    if values.ndim == 3:
        values = values @ LUMINANCE.astype(values.dtype)
    where.crop(field)[:] = resize(values, where.height, where.width)
    return field, where


def restore(field: NDArray[Any], where: Placement) -> NDArray[np.float32]:
    """Cut the image out of ``field`` (height, width) and bring it to the image's size (H, W)."""
    return resize(where.crop(field).astype(np.float32), where.image_height, where.image_width)


def place_mask(
    mask: NDArray[Any], *, height: int = 640, width: int = 512, border: int = 32
) -> NDArray[np.bool_]:
    """Put a binary mask (H, W) where :func:`preprocess` puts its image: (height, width), bool."""
    where = placement(*mask.shape, height=height, width=width, border=border)
    field = np.zeros((height, width), dtype=bool)
    where.crop(field)[:] = resize(mask.astype(np.float64), where.height, where.width) > 0.5
    return field


def _histogram(image: NDArray[Any]) -> NDArray[np.int64]:
    """Count the values of a uint8 or uint16 image: int64 (256,) or (65536,)."""
    size = 2 ** (8 * image.itemsize)
    if image.size >= _COUNTED_EXACTLY:
        return np.bincount(image.ravel(), minlength=size)
    flat = np.ascontiguousarray(image).reshape(len(image), -1)
    return cv2.calcHist([flat], [0], None, [size], [0, size]).ravel().astype(np.int64)


def _share_below(
    values: NDArray[np.float64], counts: NDArray[np.int64] | None
) -> NDArray[np.float64]:
    """Return for each of ``values`` (n,) the share of pixels that are not above it.

    ``counts`` (n,) says how many pixels have each value, None that each stands for one. Between the
    centres of the bins the share is interpolated.
    """
    frequencies, edges = np.histogram(values, bins=HISTOGRAM_BINS, weights=counts)
    shares = frequencies.cumsum() / frequencies.sum()
    return np.interp(values, (edges[:-1] + edges[1:]) / 2.0, shares)
