"""The list of a study's images: what was ingested, its lung mask, its split, its known mark."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sscdl.archives.cohorts import DUPLICATE
from sscdl.equivalence import group_hash
from sscdl.files import atomic_path
from sscdl.images.classes import check_classes
from sscdl.images.duplicates import find_duplicates
from sscdl.images.ingest import collect, collect_problems
from sscdl.images.split import assign_split
from sscdl.images.vouched import check_masks, describe_list
from sscdl.records import MASK_MANIFEST, read_record

LOGGER = logging.getLogger("sscdl.images")
COLUMNS = [
    "image_id", "study_id", "patient_id", "label", "split", "png", "mask", "cohort", "view", "sex",
    "age", "rows", "columns", "transfer_syntax", "boxes", "mark", "mask_area", "mask_faults",
    "modality", "body_part", "photometric", "bits_stored", "remark",
]  # fmt: skip


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, atomically."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False)


def list_images(
    image_manifests: list[Path],
    mask_manifests: list[Path],
    truths: list[Path],
    images_csv: Path,
    rejected_csv: Path,
    *,
    implausible: str,
    split: dict[str, Any],
    split_seed: int,
    classes: Sequence[str] = (),
    masked: bool = False,
) -> None:
    """Write ``images.csv`` (all pictures) and ``rejected.csv`` (what did not become one, and why).

    Beside the list lies its description (``images.json``), by which whoever reads it knows that it
    is what was written.

    ``truths`` are the truth tables of synthetic archives, with the place of the planted mark. An
    image without lungs has an empty ``mask``, and so has one with an ``implausible`` mask unless
    that is "keep" or "hull" (it has then been replaced). A picture that is there already has the
    split "duplicate", in which nothing is trained or tested. The column ``remark`` says all this.

    Raises InputError if one of ``classes`` has no image, or none where one is needed (see
    ``sscdl.images.classes``; ``masked`` as there).
    """
    images, rejected = collect(image_manifests)
    folder = Path(image_manifests[0]).parent / "png"
    images["png"] = [str(folder / name) for name in images["png"]]
    masks = _masks(mask_manifests, implausible)
    check_masks(images["image_id"], masks["image_id"], mask_manifests)
    images = images.merge(masks, on="image_id", how="left")
    doubles = find_duplicates(images)
    twice = dict(zip(doubles["image_id"], doubles["reason"], strict=True))
    single = ~images["image_id"].isin(twice)
    images["split"] = DUPLICATE
    images.loc[single, "split"] = assign_split(
        images[single],
        by=split["by"],
        stratified=split["stratified"],
        val=split["val"],
        test=split["test"],
        seed=split_seed,
    )
    check_classes(images, rejected, classes, masked=masked)
    remarks = zip(
        [twice.get(image_id, "") for image_id in images["image_id"]],
        images["mask_faults"].map(lambda faults: f"lung mask: {faults}" if faults else ""),
        images["text"].map(lambda boxes: "perhaps text near the border" if boxes else ""),
        images["tones"],
        strict=True,
    )
    images["remark"] = ["; ".join(filter(None, found)) for found in remarks]
    marks = _marks(truths)
    images["mark"] = [marks.get(image_id, "") for image_id in images["image_id"]]
    images["boxes"] = images["boxes"].map(json.dumps)
    rejected = pd.concat([rejected, collect_problems(image_manifests)], ignore_index=True)
    write_csv(images.sort_values("image_id")[COLUMNS], images_csv)
    recipe = {**split, "seed": split_seed}
    describe_list(images_csv, split=recipe, source=group_hash("split"))
    write_csv(rejected[["file", "reason"]], rejected_csv)
    counts = images.groupby(["split", "label"], dropna=False).size()
    for (name, label), number in counts.items():
        LOGGER.info("%-14s %-14s %d images", name, label or "(no label)", number)
    LOGGER.info("%d images, %d lines in %s", len(images), len(rejected), rejected_csv.name)


def _masks(manifests: list[Path], implausible: str) -> pd.DataFrame:
    """Return image_id, mask (path, or empty for a mask not to be used), its area and faults."""
    folder = Path(manifests[0]).parent / "png"
    contents = [read_record(path, MASK_MANIFEST) for path in manifests]
    masks = pd.DataFrame([row for part in contents for row in part["masks"]])
    masks["mask_faults"] = masks["faults"].map(", ".join)
    useless = masks["empty"] | ((masks["mask_faults"] != "") & (implausible == "drop"))
    masks["mask"] = [
        "" if none else str(folder / name) for name, none in zip(masks["png"], useless, strict=True)
    ]
    return masks.rename(columns={"area": "mask_area"})[
        ["image_id", "mask", "mask_area", "mask_faults"]
    ]


def _marks(truths: list[Path]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in truths:
        truth = pd.read_csv(path, dtype=str).fillna("")
        found |= dict(zip(truth["image_id"], truth["mark"], strict=True))
    return found
