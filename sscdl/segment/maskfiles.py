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


def read_gray(path: Path) -> NDArray:
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
    """Return the mask picture ``path`` as bool (H, W): above 127, or above 0 if it is coded 0/1."""
    values = read_gray(path)
    return values > (0 if values.max() <= 1 else 127)


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
