"""Image variants from a radiograph and its lung mask, packed into one array per variant.

Add a variant: write a function (image, lungs, gray) -> image and name it in ``VARIANTS``.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from sscdl.cohorts import MAIN
from sscdl.errors import InputError
from sscdl.files import atomic_path, read_json, write_json

LOGGER = logging.getLogger("sscdl.variants")


def full(image: np.ndarray, lungs: np.ndarray, gray: float) -> np.ndarray:
    """Return the image as it is."""
    return image


def segmented_black(image: np.ndarray, lungs: np.ndarray, gray: float) -> np.ndarray:
    """Return the image with everything outside the lungs set to 0."""
    return np.where(lungs, image, 0).astype(np.uint8)


def segmented_gray(image: np.ndarray, lungs: np.ndarray, gray: float) -> np.ndarray:
    """Return the image with everything outside the lungs set to the mean of the full images."""
    return np.where(lungs, image, round(gray * 255)).astype(np.uint8)


def lungs(image: np.ndarray, lungs: np.ndarray, gray: float) -> np.ndarray:
    """Return the mask itself, 255 inside the lungs: what attention is measured against."""
    return np.where(lungs, 255, 0).astype(np.uint8)


VARIANTS: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    "full": full,
    "segmented_black": segmented_black,
    "segmented_gray": segmented_gray,
    "lungs": lungs,
}


def pack(
    variant: str,
    image_manifests: list[Path],
    mask_manifests: list[Path],
    full_pack: Path | None,
    out: Path,
    *,
    size: int,
) -> None:
    """Write the variant of all images as one uint8 array (N, size, size) and describe it.

    ``out`` (JSON) lists the image ids in the order of the rows (sorted), the sums of pixel values
    in [0, 1] and of their squares per image, and the SHA-256 of the array, which lies beside it as
    ``.npy``. Images are squeezed to a square, masks are applied at full resolution before that.
    ``full_pack`` is the description of the packed full images: ``segmented_gray`` takes the mean of
    those of the main archive, under either protocol, so that variants can be shared.
    """
    images = _by_id(image_manifests, "images")
    masks = _by_id(mask_manifests, "masks")
    gray = 0.0
    if full_pack is not None:
        gray, _ = mean_std(read_json(full_pack), _main_cohort(image_manifests))
    ids = sorted(images)
    array = np.zeros((len(ids), size, size), np.uint8)
    sums, squares = [], []
    for row, image_id in enumerate(ids):
        image = _read_gray(images[image_id])
        inside = np.zeros(image.shape, bool)
        if image_id in masks:
            inside = _read_gray(masks[image_id]) > 127
        changed = VARIANTS[variant](image, inside, gray)
        array[row] = _resize(changed, size)
        values = array[row].astype(np.float64) / 255
        sums.append(float(values.sum()))
        squares.append(float((values**2).sum()))
        if (row + 1) % 500 == 0:
            LOGGER.info("packed %d of %d images as %s", row + 1, len(ids), variant)
    with atomic_path(out.with_suffix(".npy")) as temporary:
        np.save(temporary, array)
    described = {
        "variant": variant,
        "size": size,
        "ids": ids,
        "sums": sums,
        "squares": squares,
        "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
    }
    write_json(out, described)
    LOGGER.info("packed %d images as %s at %d px", len(ids), variant, size)


def _resize(image: np.ndarray, size: int) -> np.ndarray:
    """Return the image squeezed to (size, size), averaging areas where it shrinks."""
    shrinks = min(image.shape) >= size
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (size, size), interpolation=method)


def _main_cohort(manifests: list[Path]) -> set[str]:
    """Return the ids of the images of the main archive, test sets of other archives left out."""
    rows = [row for manifest in manifests for row in read_json(manifest)["images"]]
    return {row["image_id"] for row in rows if row["cohort"] == MAIN}


def _by_id(manifests: list[Path], key: str) -> dict[str, Path]:
    """Return the path of each image's PNG in the manifests' list ``key``.

    The PNGs lie in the folder ``png`` beside the manifest.
    """
    return {
        row["image_id"]: Path(manifest).parent / "png" / row["png"]
        for manifest in manifests
        for row in read_json(manifest)[key]
        if row["png"]  # a mask that was not given has none
    }


def _read_gray(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise InputError(f"{path}: missing or damaged; delete it and its manifest, then run again")
    return image


def read_pack(path: Path) -> tuple[np.ndarray, dict]:
    """Return the packed array (uint8, N, S, S) and its description; InputError if it is damaged."""
    described = read_json(path)
    try:
        array = np.load(Path(path).with_suffix(".npy"))
    except (OSError, ValueError):
        raise InputError(
            f"{Path(path).with_suffix('.npy')}: missing or damaged; delete {path} and run again"
        ) from None
    if hashlib.sha256(array.tobytes()).hexdigest() != described["sha256"]:
        raise InputError(
            f"{Path(path).with_suffix('.npy')}: not the array that {path} describes; delete both "
            "and run again"
        )
    return array, described


def mean_std(described: dict, ids: set[str]) -> tuple[float, float]:
    """Return mean and standard deviation of the pixel values in [0, 1] over the images ``ids``."""
    rows = [row for row, image_id in enumerate(described["ids"]) if image_id in ids]
    pixels = len(rows) * described["size"] ** 2
    if not pixels:
        raise InputError("no image to measure the normalisation on; see images.csv")
    mean = sum(described["sums"][row] for row in rows) / pixels
    square = sum(described["squares"][row] for row in rows) / pixels
    return mean, max(square - mean**2, 0.0) ** 0.5
