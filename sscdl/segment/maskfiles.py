"""Reading pictures and masks, and writing masks with a record of what is in them."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sscdl.errors import InputError
from sscdl.files import atomic_path
from sscdl.segment.quality import hulls, measure

logger = logging.getLogger(__name__)

_HALF = 127
MOST_LABELS = 8  # values in a file; a mask with smooth edges has more
_LABEL_SHARE = 0.03  # of the picture: a thing of its own, and no edge


def read_gray(path: Path) -> NDArray[Any]:
    """Return the picture ``path`` as gray (H, W): uint8, or the values of a 16-bit one.

    Raises InputError if it is missing or cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                return np.asarray(image)
            return np.asarray(image.convert("L"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        # Pillow reports some broken PNG chunks as SyntaxError.
        raise InputError(
            f"image {path}: cannot be read ({error}); make or copy it again"
        ) from error


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Return the mask picture ``path`` as bool (H, W).

    Where there are only 0 and one other value, that is lung, whatever it is; of others all above
    127, as a mask that was resized has smooth edges. Raises InputError for a file that cannot be
    read, and for one whose values are labels of several things: which are lung is not known.
    """
    values = read_gray(path)
    codes, counts = np.unique(values, return_counts=True)
    if len(codes) <= 2 and codes[0] == 0 or codes[-1] <= 1:
        return values > 0
    shares = counts / counts.sum()
    low = (codes > 0) & (codes <= _HALF)
    labels = 2 < len(codes) <= MOST_LABELS and (shares[low] >= _LABEL_SHARE).any()
    if codes[-1] <= _HALF or labels:
        named = [f"{code} ({100 * share:.1f} %)" for code, share in zip(codes, shares, strict=True)]
        raise InputError(
            f"mask {path}: holds the values {', '.join(named[:MOST_LABELS])} (share of the "
            "picture), such as the labels of ITK-SNAP and 3D Slicer, where 1 and 2 may be the two "
            "lungs or a lung and the heart; write 0 for no lung and 255 for lung"
        )
    return values > _HALF


def refuse_empty(empty: int, number: int, where: str) -> None:
    """Raise InputError if most of ``number`` masks hold no lung: no radiographs are like that."""
    if empty > 1 and 2 * empty > number:
        raise InputError(
            f"{where}: {empty} of {number} masks hold no lung; masks are 0 for no lung and 255 (or "
            "1) for lung; check that these are masks, and not inverted"
        )


def write_mask(path: Path, mask: NDArray[np.bool_]) -> None:
    """Write ``mask`` (H, W) as an 8-bit gray PNG of 0 and 255, atomically."""
    with atomic_path(path) as temporary:
        Image.fromarray(mask.astype(np.uint8) * 255).save(temporary)


def record_mask(
    image_id: str,
    mask: NDArray[np.bool_],
    mask_dir: Path,
    raw_png: str,
    *,
    hull: bool,
    doubt: float | None = None,
) -> dict[str, Any]:
    """Write ``mask`` (H, W) to ``<mask_dir>/<image_id>.png`` and return its JSON record.

    The record has the measures and faults of :mod:`sscdl.segment.quality`. With ``hull`` an
    implausible mask is replaced by its convex hulls; the measures stay those of the mask as found.
    ``doubt`` is the network's, None for a mask that no network made.
    """
    quality = measure(mask, doubt)
    if hull and quality.components and quality.faults():
        mask = hulls(mask)
    path = mask_dir / f"{image_id}.png"
    write_mask(path, mask)
    return {
        "image_id": image_id,
        "png": path.name,
        "raw_png": raw_png,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        **quality.record(),
    }


def warn_of_faults(masks: list[dict[str, Any]]) -> None:
    """Log how many of the records say that a mask is empty or implausible, and the first."""
    faulty = [mask for mask in masks if mask["faults"]]
    if faulty:
        first = "; ".join(f"{mask['image_id']}: {', '.join(mask['faults'])}" for mask in faulty[:5])
        logger.warning("%d of %d lung masks are implausible: %s", len(faulty), len(masks), first)
