"""Masks of other depths, and with transparency: as the 8-bit picture that they stand for.

Programs write labels of 8 bits into pictures of 16, each multiplied by 257 or 256, and draw lungs
into the transparency of a picture of one colour. Taken by its gray values, the first would be all
lung whatever its labels mean, and the second all lung or none.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sscdl.errors import InputError
from sscdl.segment.maskfiles import read_gray, read_mask

_WHITE = 255
_SEVERAL = 256  # values; 255 and below are codes of 8 bits, whatever the picture's depth


def read_given_mask(path: Path) -> NDArray[np.bool_]:
    """Return a mask that somebody gives as bool (H, W).

    Values above 255 are reduced to 8 bits, so that white stays white; where transparency and colour
    show the same, or only one of them shows anything, that is the mask. What 8-bit values mean is
    as in :func:`sscdl.segment.maskfiles.read_mask`.

    Raises InputError as that does, and where transparency and colour contradict each other.
    """
    values = _reduced(path)
    if values is None:
        return read_mask(path)
    # Read as the picture that it stands for, so that there is one rule of what codes mean.
    with tempfile.TemporaryDirectory(prefix="sscdl-") as folder:
        plain = Path(folder) / "mask.png"
        Image.fromarray(values).save(plain)
        try:
            return read_mask(plain)
        except InputError as error:
            told = str(error).replace(str(plain), f"{path}, reduced to 8 bits", 1)
            raise InputError(told) from None


def _reduced(path: Path) -> NDArray[np.uint8] | None:
    """Return the 8-bit picture that a mask of another kind stands for, None if it is of 8 bits."""
    values = read_gray(path)
    alpha = _alpha(path)
    if alpha is not None:
        return _with_alpha(path, values, alpha)
    if values.dtype == np.uint8 or not values.size:
        return None
    largest = float(values.max())
    if np.issubdtype(values.dtype, np.floating) and 0 < largest <= 1:
        return np.rint(values * _WHITE).astype(np.uint8)
    if largest < _SEVERAL:
        return None
    scale = 257 if largest <= 2**16 - 1 else largest / _WHITE
    reduced = np.rint(values / scale)
    # 1 of 65,535 is no ground: what is not 0 must not become 0.
    return np.where(values > 0, np.maximum(reduced, 1), 0).astype(np.uint8)


def _alpha(path: Path) -> NDArray[np.uint8] | None:
    """Return how opaque each pixel is, uint8 (H, W), None if all are alike."""
    with Image.open(path) as picture:
        if not picture.has_transparency_data:
            return None
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]
    return alpha if alpha.min() < alpha.max() else None


def _with_alpha(path: Path, gray: NDArray, alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the mask that gray values and transparency show together."""
    if gray.min() == gray.max():
        return alpha
    if np.array_equal(gray > 0, alpha > 0):
        return np.rint(gray * (alpha / _WHITE)).astype(np.uint8)
    coloured, opaque = (100 * (one > 0).mean() for one in (gray, alpha))
    raise InputError(
        f"mask {path}: its colours and its transparency show different things ({coloured:.1f} % of "
        f"the pixels are not black, {opaque:.1f} % are not transparent); save it without "
        "transparency, 0 for no lung and 255 for lung"
    )
