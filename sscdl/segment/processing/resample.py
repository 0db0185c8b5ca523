"""Resizing gray images linearly, smoothed before where they shrink.

The numbers are those of ``skimage.transform.resize(order=1, anti_aliasing=True)``, whose two steps
(a Gaussian, then linear interpolation) are linear and separable: together they are one sparse
matrix for each axis, which costs a fraction of the time.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_TRUNCATE = 4.0  # standard deviations at which the Gaussian ends


def resize(values: NDArray[np.floating], height: int, width: int) -> NDArray[np.floating]:
    """Return ``values`` (H, W) resized to (height, width), within the range of ``values``.

    float32 stays float32, everything else becomes float64.
    """
    if values.dtype != np.float32:
        values = values.astype(np.float64)
    if values.shape == (height, width):
        return values.copy()
    kind = values.dtype.str
    rows, columns = _weights(len(values), height, kind), _weights(values.shape[1], width, kind)
    # Transposing copies: better the small array than the large one.
    if height < len(values):
        resized = np.ascontiguousarray((columns @ (rows @ values).T).T)
    else:
        resized = rows @ (columns @ values.T).T
    # The weights sum to one up to rounding; 0.5 must not become a little more than 0.5.
    return np.clip(resized, values.min(), values.max(), out=resized)


@lru_cache(maxsize=64)
def _weights(size: int, target: int, kind: str) -> sparse.csr_array:
    """Return the matrix (target, size) of data type ``kind`` that resizes an axis."""
    factor = size / target
    places = (np.arange(target) + 0.5) * factor - 0.5
    below = np.floor(places)
    share = (places - below).astype(kind)
    kernel = _gaussian(max(0.0, (factor - 1.0) / 2.0))
    reach = np.arange(len(kernel)) - len(kernel) // 2
    rows, columns, weights = [], [], []
    for corner, part in ((0, 1.0 - share), (1, share)):
        # Mirrored first for the interpolation, then for what the Gaussian gathers around.
        centre = _mirrored(below.astype(np.int64) + corner, size)
        columns.append(_mirrored(centre[:, None] + reach, size))
        weights.append(part[:, None] * kernel.astype(kind))
        rows.append(np.broadcast_to(np.arange(target)[:, None], columns[-1].shape))
    entries = np.concatenate(weights).ravel()
    places_of = (np.concatenate(rows).ravel(), np.concatenate(columns).ravel())
    return sparse.csr_array((entries, places_of), shape=(target, size))


def _gaussian(sigma: float) -> NDArray[np.float64]:
    """Return the taps of a normalised Gaussian; a single one where there is nothing to smooth."""
    radius = int(_TRUNCATE * sigma + 0.5)
    if radius == 0:
        return np.ones(1)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return kernel / kernel.sum()


def _mirrored(index: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Reflect indices into [0, size), about the centres of the outermost pixels."""
    if size == 1:
        return np.zeros_like(index)
    index = np.abs(index) % (2 * size - 2)
    return np.minimum(index, 2 * size - 2 - index)
