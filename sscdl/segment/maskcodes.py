"""Masks of other depths, and with transparency: as the 8-bit picture that they stand for.

Programs write labels of 8 bits into pictures of 16, each multiplied by 257 or 256, and draw lungs
into the transparency of a picture of one colour. Taken by its gray values, the first would be all
lung whatever its labels mean, and the second all lung or none.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sscdl.errors import InputError
from sscdl.segment.maskfiles import MOST_LABELS, read_gray, read_mask

_WHITE = 255
_SEVERAL = 256  # values; 255 and below are codes of 8 bits, whatever the picture's depth
_WHITES = (1023, 4095, 32767, 65535)  # of 10, 12, 15 and 16 bits
_NEARLY = 0.9  # of white; nothing of a mask with smooth edges is brighter than its lungs


def read_given_mask(path: Path) -> NDArray[np.bool_]:
    """Return a mask that somebody gives as bool (H, W).

    Values above 255 are reduced to 8 bits, so that white stays white. Transparency is the mask
    where the colours show nothing; where they do, the mask is what is seen on black. What 8-bit
    values mean is as in :func:`sscdl.segment.maskfiles.read_mask`.

    Raises InputError as that does, and for colours that cannot be seen, numbers that are not
    finite, and values that are neither labels nor shades.
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
    """Return the 8-bit picture that a mask of another kind stands for, None if it is read as is."""
    values = read_gray(path)
    alpha = _alpha(path)
    if alpha is not None:
        if values.min() == values.max():
            return alpha
        if ((values > 0) & (alpha == 0)).any():
            raise _contradiction(path, values, alpha)
        # As it is seen on black.
        values = np.rint(values * (alpha / _WHITE)).astype(values.dtype)
        if values.dtype == np.uint8:
            return values
    if values.dtype == np.uint8 or not values.size:
        return None
    if not np.isfinite(values).all():
        raise InputError(f"mask {path}: holds numbers that are not finite; make it again")
    codes = np.unique(values)
    if codes[0] < 0 or len(codes) <= 2 or 1 < codes[-1] < _SEVERAL:
        return None
    white = _white(float(codes[-1]))
    if white:
        # 1 of 65,535 is no ground: what is not 0 must not become 0.
        shades = np.clip(np.rint(values / (white / _WHITE)), 1, _WHITE)
        return np.where(values > 0, shades, 0).astype(np.uint8)
    if len(codes) <= MOST_LABELS:
        return np.searchsorted(codes, values).astype(np.uint8)  # labels, whatever they were called
    raise InputError(
        f"mask {path}: holds {len(codes)} values up to {codes[-1]:g}, which are neither labels nor "
        "shades up to white; write 0 for no lung and 255 for lung"
    )


def _white(largest: float) -> float:
    """Return the value that stands for 255 in a mask of this largest one, 0 if there is none."""
    if largest <= 1:
        return 1
    white = next((one for one in _WHITES if one >= largest), largest)
    return white if largest >= _NEARLY * white else 0


def _alpha(path: Path) -> NDArray[np.uint8] | None:
    """Return how opaque each pixel is, uint8 (H, W), None if all are alike."""
    with Image.open(path) as picture:
        if not picture.has_transparency_data:
            return None
        alpha = np.asarray(picture.convert("RGBA"))[..., 3]
    return alpha if alpha.min() < alpha.max() else None


def _contradiction(path: Path, gray: NDArray[Any], alpha: NDArray[np.uint8]) -> InputError:
    """Return the message about a picture that has colours where it cannot be seen."""
    coloured, opaque = (100 * (one > 0).mean() for one in (gray, alpha))
    return InputError(
        f"mask {path}: its colours and its transparency show different things ({coloured:.1f} % of "
        f"the pixels are not black, {opaque:.1f} % are not transparent); save it without "
        "transparency, 0 for no lung and 255 for lung"
    )
