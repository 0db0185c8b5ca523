"""How alike two radiographs are, whatever was done to them when they were exported.

A picture is looked at without its even borders, squeezed to a square, by the ranks of its gray
values and without what changes slowly: neither window, gamma, size nor border tells two copies
apart. An inverted copy has the opposite sign.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sscdl.errors import InputError

SMALL, LARGE = 64, 256  # sides in pixels: of what is found and aligned first, of what decides
_BLUR = {SMALL: 1.0, LARGE: 1.5}  # sigma in pixels: at 256 px JPEG blocks and noise go with it
_EVEN = 6  # gray values (of 255) that nearly all pixels of a border's row lie within
_MOST = 0.25  # share of a picture that a border may be, on each side
_OVERLAP = 0.6  # least share of the first picture that the second one must cover
_ROUNDS = {SMALL: 30, LARGE: 15}  # of the registration
_PRECISION = 1e-4  # change of the correlation at which the registration ends
_FLAT = 4.0  # gray values of contrast below which a region counts as even


def trimmed(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture (H, W) without rows and columns at its borders that have one gray value.

    Up to a quarter of it goes on each side. A few pixels that differ (dust, what JPEG leaves at the
    edge of a border) do not keep a row.
    """
    for _ in range(2):  # rows, then columns
        low, high = np.percentile(picture, [3, 97], axis=1)
        uneven = np.flatnonzero(high - low > _EVEN)
        length = len(picture)
        first, last = (uneven[0], uneven[-1] + 1) if len(uneven) else (0, length)
        most = int(_MOST * length)
        picture = picture[min(first, most) : max(last, length - most)].T
    return picture


def reduced(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return a picture (H, W) without its borders, squeezed to (side, side)."""
    # Where borders end is seen as well in a smaller picture, and ten times as fast.
    height, width = (min(length, 2 * LARGE) for length in picture.shape)
    # OpenCV keeps the type.
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    whole = np.ascontiguousarray(trimmed(picture))
    # OpenCV keeps the type.
    return cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def structure(square: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what a reduced picture shows at one scale, float32, about -1 to 1.

    The ranks of its gray values, less their surroundings, in units of the contrast there.
    """
    sigma = _BLUR[len(square)]
    ranks = cv2.equalizeHist(square).astype(np.float32)
    detail = cv2.GaussianBlur(ranks, (0, 0), sigma) - cv2.GaussianBlur(ranks, (0, 0), 4 * sigma)
    contrast = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 6 * sigma))
    return detail / (contrast + _FLAT)  # type: ignore[return-value]  # float32, as both are


def read_gray(path: str | Path) -> NDArray[np.uint8]:
    """Return the pixels of a PNG of 8 or 16 bits, (H, W) uint8; InputError if there are none."""
    pixels: Any = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 2:
        raise InputError(f"{path}: is missing or no gray picture; run `sscdl store verify`")
    return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)


@lru_cache(maxsize=256)
def large_structure(path: str) -> NDArray[np.float32]:
    """Return the structure of a PNG at 256 px. The last ones are kept: pairs share pictures."""
    return structure(reduced(read_gray(path), LARGE))


def register(
    first: NDArray[np.float32], second: NDArray[np.float32], start: NDArray[np.float32]
) -> NDArray[np.float32] | None:
    """Return the affine map (2, 3) from ``first`` to ``second``, structures of one size.

    ``start`` is where the search begins. None where it finds no way.
    """
    criteria = (
        cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ROUNDS[len(first)], _PRECISION,
    )  # fmt: skip
    try:
        _, found = cv2.findTransformECC(  # type: ignore[call-overload]  # None is no mask
            first, second, start.copy(), cv2.MOTION_AFFINE, criteria, None, 5
        )
    except cv2.error as error:
        if error.code != cv2.Error.STS_NO_CONV:
            raise
        return None
    return found


def agreement(
    first: NDArray[np.float32], second: NDArray[np.float32], way: NDArray[np.float32] | None
) -> float:
    """Return the correlation of two structures, ``second`` seen by ``way``, where both are.

    0 without a way, or where they share too little.
    """
    if way is None:
        return 0.0
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(second, way, first.shape[::-1], flags=flags)
    whole = np.ones_like(second)
    seen = cv2.warpAffine(whole, way, first.shape[::-1], flags=flags) > 0.99
    if seen.mean() < _OVERLAP:
        return 0.0
    one, other = first[seen] - first[seen].mean(), moved[seen] - moved[seen].mean()
    scale = np.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / scale if scale > 0 else 0.0


def aligned(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> tuple[NDArray[np.float32] | None, float]:
    """Return the way between two small structures and how well they agree by it."""
    way = register(first, second, np.eye(2, 3, dtype=np.float32))
    return way, agreement(first, second, way)


def registered_correlation(
    first: NDArray[np.float32], second: NDArray[np.float32], way: NDArray[np.float32]
) -> float:
    """Return the correlation of two structures at 256 px after registration.

    ``way`` is the one between their small structures, from which the search goes on.
    """
    start = way.copy()
    start[:, 2] = start[:, 2] * (LARGE / SMALL)
    return agreement(first, second, register(first, second, start))
