"""From a gray radiograph to the field that the segmentation network reads, and back.

The order is that of lungVAE (arXiv 2005.10052): scale by the maximum, equalise the histogram,
resize with the aspect kept, paste into the middle of a zero field with a border.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.exposure import equalize_hist
from skimage.transform import resize

HISTOGRAM_BINS = 256


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

    def crop(self, field: NDArray) -> NDArray:
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


def normalise(image: NDArray) -> NDArray[np.float64]:
    """Divide a gray image (H, W) of any numeric type by its maximum; all black stays zero."""
    values = np.asarray(image, dtype=np.float64)
    peak = values.max()
    return values / peak if peak > 0 else np.zeros_like(values)


def is_blank(image: NDArray) -> bool:
    """Whether all pixels are the same: such an image shows nothing to segment."""
    return bool(image.min() == image.max())


def preprocess(
    image: NDArray, *, height: int = 640, width: int = 512, border: int = 32, equalise: bool = True
) -> tuple[NDArray[np.float32], Placement]:
    """Return the network's input (height, width) in [0, 1] and the placement of the image in it.

    Args:
        image: gray (H, W), bright = dense (MONOCHROME1 inverted before), not negative.
        height, width, border: field in pixels; 640, 512, 32 are those of the published model.
        equalise: equalise the histogram (256 bins).
    """
    where = placement(*image.shape, height=height, width=width, border=border)
    field = np.zeros((height, width), dtype=np.float32)
    if is_blank(image):
        return field, where
    values = normalise(image)
    if equalise:
        values = equalize_hist(values, nbins=HISTOGRAM_BINS)
    where.crop(field)[:] = _resize(values, where.height, where.width)
    return field, where


def restore(field: NDArray, where: Placement) -> NDArray[np.float64]:
    """Cut the image out of ``field`` (height, width) and bring it to the image's size (H, W)."""
    return _resize(where.crop(field).astype(np.float64), where.image_height, where.image_width)


def place_mask(
    mask: NDArray, *, height: int = 640, width: int = 512, border: int = 32
) -> NDArray[np.bool_]:
    """Put a binary mask (H, W) where :func:`preprocess` puts its image: (height, width), bool."""
    where = placement(*mask.shape, height=height, width=width, border=border)
    field = np.zeros((height, width), dtype=bool)
    where.crop(field)[:] = _resize(mask.astype(np.float64), where.height, where.width) > 0.5
    return field


def _resize(values: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """Resize linearly, smoothed before where it shrinks."""
    if values.shape == (height, width):
        return values
    with warnings.catch_warnings():
        # Enlarging along one axis while shrinking along the other is what odd aspects need.
        warnings.filterwarnings("ignore", message="Anti-aliasing standard deviation")
        return resize(values, (height, width), order=1, anti_aliasing=None)
