"""Image variants from a radiograph and its lung mask, packed into one array per variant.

Add a variant: write a function (image, lungs, gray, edge) -> image, name it in ``VARIANTS`` and in
the schema, and in :mod:`sscdl.images.variant_kinds` if it has an edge or shows only a part of the
image.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sscdl.archives.cohorts import MAIN
from sscdl.errors import InputError
from sscdl.files import atomic_path, write_json
from sscdl.images.variant_kinds import is_cropped
from sscdl.images.vouched import listed
from sscdl.records import IMAGE_MANIFEST, MASK_MANIFEST, PACK, Kind, read_record

LOGGER = logging.getLogger("sscdl.variants")


# Margin around the lungs on each side, as a share of the height and width of their bounding box.
BOX_MARGIN = 0.05
WHOLE = (0.0, 0.0, 1.0, 1.0)
Box = tuple[float, float, float, float]  # left, top, right, bottom as fractions of the image


def full(image: np.ndarray, lungs: np.ndarray, gray: float, edge: float) -> np.ndarray:
    """Return the image as it is (also ``lung_box``: :func:`pack` crops it)."""
    return image


def segmented_black(image: np.ndarray, lungs: np.ndarray, gray: float, edge: float) -> np.ndarray:
    """Return the image with everything outside the lungs set to 0."""
    return _keep(image, lungs, 0, edge)


def segmented_gray(image: np.ndarray, lungs: np.ndarray, gray: float, edge: float) -> np.ndarray:
    """Return the image with everything outside the lungs set to the mean of the full images."""
    return _keep(image, lungs, round(gray * 255), edge)


def inverted(image: np.ndarray, lungs: np.ndarray, gray: float, edge: float) -> np.ndarray:
    """Return the image with the lungs set to 0; all 0 where none were found."""
    outside = ~lungs if lungs.any() else np.zeros_like(lungs)
    return _keep(image, outside, 0, edge)


def lungs(image: np.ndarray, lungs: np.ndarray, gray: float, edge: float) -> np.ndarray:
    """Return the mask itself, 255 inside the lungs: what attention is measured against."""
    return np.where(lungs, 255, 0).astype(np.uint8)


VARIANTS: dict[str, Callable[[np.ndarray, np.ndarray, float, float], np.ndarray]] = {
    "full": full,
    "segmented_black": segmented_black,
    "segmented_gray": segmented_gray,
    "inverted": inverted,
    "lung_box": full,
    "lungs": lungs,
    "lung_box_lungs": lungs,
}


def _keep(image: np.ndarray, kept: np.ndarray, fill: int, edge: float) -> np.ndarray:
    """Return the image (uint8, H, W) where ``kept`` (bool, H, W), and ``fill`` elsewhere.

    With an ``edge`` above 0 the image fades into ``fill`` over that share of its shorter side. The
    fading lies on the kept side of the outline, so that nothing of what is removed shows through.
    """
    if edge == 0 or not kept.any() or kept.all():
        return np.where(kept, image, fill).astype(np.uint8)
    # From the outline, half a pixel before the centre of the first pixel that is kept.
    distance = cv2.distanceTransform(kept.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    share = np.clip((distance - 0.5) / (edge * min(image.shape)), 0, 1)
    share = share * share * (3 - 2 * share)  # without a kink where it begins and ends
    return np.rint(fill + share * (image.astype(np.float32) - fill)).astype(np.uint8)


def lung_box(mask: np.ndarray) -> Box | None:
    """Return the bounding box of a mask, bool (H, W), with its margin; None without lungs."""
    if not mask.any():
        return None
    sides = []
    for axis, length in ((0, mask.shape[1]), (1, mask.shape[0])):
        places = np.flatnonzero(mask.any(axis=axis))
        first, last = int(places[0]), int(places[-1]) + 1
        margin = round(BOX_MARGIN * (last - first))
        sides.append((max(first - margin, 0) / length, min(last + margin, length) / length))
    (left, right), (top, bottom) = sides
    return left, top, right, bottom


def crop(image: np.ndarray, box: Box) -> np.ndarray:
    """Return the part of an image (H, W) inside a box that :func:`lung_box` returned."""
    height, width = image.shape
    left, top, right, bottom = box
    return image[
        round(top * height) : round(bottom * height), round(left * width) : round(right * width)
    ]


def pack(
    variant: str,
    image_manifests: list[Path],
    mask_manifests: list[Path],
    full_pack: Path | None,
    out: Path,
    *,
    size: int,
    edge: float,
) -> None:
    """Write the variant of all images as one uint8 array (N, size, size) and describe it.

    ``out`` (JSON) lists the image ids in the order of the rows (sorted), the sums of pixel values
    in [0, 1] and of their squares per image, the part of each image that is shown (``crops``, null
    for variants that show all of it) and the SHA-256 of the array, which lies beside it as
    ``.npy``.

    Images are cropped and masked at full resolution and then squeezed to a square. So is the box
    around the lungs: bars that pad it would tell its proportions by an edge, and cost pixels.

    Args:
        variant: a name in ``VARIANTS``.
        image_manifests, mask_manifests: what was ingested and segmented, one of each per shard.
        full_pack: the description of the packed full images: ``segmented_gray`` takes the mean of
            those of the main archive, under either protocol, so that variants can be shared.
        out: the description; the array lies beside it.
        size: height and width of the packed pictures in pixels.
        edge: width of a soft edge as a share of an image's shorter side, 0 for a hard one.

    Raises InputError for a PNG that is not the one which its manifest lists.
    """
    images = _by_id(image_manifests, "images", IMAGE_MANIFEST)
    masks = _by_id(mask_manifests, "masks", MASK_MANIFEST)
    gray = 0.0
    if full_pack is not None:
        gray, _ = mean_std(read_record(full_pack, PACK), _main_cohort(image_manifests))
    ids = sorted(images)
    array = np.zeros((len(ids), size, size), np.uint8)
    crops: list[Box] | None = [] if is_cropped(variant) else None
    sums, squares = [], []
    for row, image_id in enumerate(ids):
        image = _read_gray(*images[image_id])
        inside = np.zeros(image.shape, bool)
        if image_id in masks:
            inside = _read_gray(*masks[image_id]) > 127
        changed = VARIANTS[variant](image, inside, gray, edge)
        if crops is not None:
            found = lung_box(inside)
            crops.append(found or WHOLE)
            # An image without lungs is in no list of usable ones; nor is there anything to see.
            changed = crop(changed, found) if found else np.zeros_like(changed)
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
        "crops": crops,
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
    contents = [read_record(manifest, IMAGE_MANIFEST) for manifest in manifests]
    rows = [row for part in contents for row in part["images"]]
    return {row["image_id"] for row in rows if row["cohort"] == MAIN}


def _by_id(manifests: list[Path], key: str, kind: Kind) -> dict[str, tuple[Path, str, Path]]:
    """Return each image's PNG in the manifests' list ``key``: path, digest and manifest.

    The PNGs lie in the folder ``png`` beside the manifest.
    """
    return {
        row["image_id"]: (Path(manifest).parent / "png" / row["png"], row["sha256"], manifest)
        for manifest in manifests
        for row in read_record(manifest, kind)[key]
        if row["png"]  # a mask that was not given has none
    }


def _read_gray(path: Path, sha256: str, manifest: Path) -> np.ndarray:
    image = cv2.imread(str(listed(path, sha256, manifest)), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise InputError(f"{path}: missing or damaged; delete it and its manifest, then run again")
    return image


def read_pack(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the packed array (uint8, N, S, S) and its description; InputError if it is damaged."""
    described = read_record(path, PACK)
    try:
        # Mapped and not read: an archive may be larger than memory. Copy on write, as torch wants
        # arrays that it could write to.
        array = np.load(Path(path).with_suffix(".npy"), mmap_mode="c")
    except (OSError, ValueError):
        raise InputError(
            f"{Path(path).with_suffix('.npy')}: missing or damaged; delete {path} and run again"
        ) from None
    digest = hashlib.sha256()
    for image in array:
        digest.update(np.ascontiguousarray(image).data)
    if digest.hexdigest() != described["sha256"]:
        raise InputError(
            f"{Path(path).with_suffix('.npy')}: not the array that {path} describes; delete both "
            "and run again"
        )
    return array, described


def read_with_masks(pack: Path, lung_pack: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Return packed pictures, the lung masks that belong to them and the pictures' description.

    Both arrays are uint8 (N, S, S) with the same images and the same part of each; masks are 255
    inside the lungs. Raises InputError for masks of other images or other parts.
    """
    array, described = read_pack(pack)
    lungs, lungs_described = read_pack(lung_pack)
    if described["ids"] != lungs_described["ids"]:
        raise InputError(f"{lung_pack}: lists other images than {pack}; delete both, run again")
    if described["crops"] != lungs_described["crops"]:
        raise InputError(
            f"{lung_pack}: shows other parts of the images than {pack}; delete both, run again"
        )
    return array, lungs, described


def mean_std(described: dict[str, Any], ids: set[str]) -> tuple[float, float]:
    """Return mean and standard deviation of the pixel values in [0, 1] over the images ``ids``.

    InputError if there is no such image, or if all of their pixels are alike.
    """
    rows = [row for row, image_id in enumerate(described["ids"]) if image_id in ids]
    pixels = len(rows) * described["size"] ** 2
    if not pixels:
        raise InputError("no image to measure the normalisation on; see images.csv")
    mean = sum(described["sums"][row] for row in rows) / pixels
    square = sum(described["squares"][row] for row in rows) / pixels
    std = max(square - mean**2, 0.0) ** 0.5
    if std == 0:
        raise InputError(
            f"variant {described['variant']}: all pixels of all images are alike, so there is "
            "nothing to train on; are the lung masks empty, or do they cover the whole images? See "
            "tables/implausible_masks.csv"
        )
    return mean, std
