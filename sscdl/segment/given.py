"""Masks that exist already, in the form that segmenting gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sscdl.errors import InputError
from sscdl.files import write_json
from sscdl.images.vouched import listed
from sscdl.records import IMAGE_MANIFEST, read_record
from sscdl.segment.maskcodes import read_given_mask
from sscdl.segment.maskfiles import read_gray, record_mask, refuse_empty, warn_of_faults
from sscdl.segment.quality import measure


def copy_given_masks(
    manifest: Path, png_dir: Path, mask_folder: Path, mask_dir: Path, out: Path, *, hull: bool
) -> None:
    """Take over masks that exist, as :func:`sscdl.segment.predict.segment_shard` records them.

    Args:
        manifest, png_dir, mask_dir, out, hull: as there.
        mask_folder: has ``<image_id>.png``, any size, read as
            :func:`sscdl.segment.maskcodes.read_given_mask` does; resized to the image by the
            nearest pixel.

    ``raw_png`` is the same file as ``png``. Every record also has ``missing``; where it is true
    there is no file, ``png``, ``raw_png`` and ``sha256`` are null and ``empty`` is true.

    Raises InputError if no image at all has a mask, most masks hold no lung, or one cannot be read.
    """
    entries = read_record(manifest, IMAGE_MANIFEST)["images"]
    masks: list[dict[str, Any]] = []
    for entry in entries:
        image_id = entry["image_id"]
        given = Path(mask_folder) / f"{image_id}.png"
        if not given.is_file():
            masks.append(
                {
                    "image_id": image_id,
                    "png": None,
                    "raw_png": None,
                    "sha256": None,
                    **measure(np.zeros((1, 1), bool)).record(),
                    "missing": True,
                }
            )
            continue
        image = listed(Path(png_dir) / entry["png"], entry["sha256"], manifest)
        size = read_gray(image).shape[::-1]
        mask = read_given_mask(given)
        if mask.shape != size[::-1]:
            mask = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
        masks.append(
            record_mask(image_id, mask, Path(mask_dir), f"{image_id}.png", hull=hull)
            | {"missing": False}
        )
    if masks and all(mask["missing"] for mask in masks):
        raise InputError(
            f"masks {mask_folder}: none of {len(masks)} images has a file <image_id>.png there "
            f"(the first would be {masks[0]['image_id']}.png); name the masks by image id"
        )
    there = [mask for mask in masks if not mask["missing"]]
    refuse_empty(sum(mask["empty"] for mask in there), len(there), f"masks {mask_folder}")
    warn_of_faults(masks)
    write_json(out, {"masks": masks})
