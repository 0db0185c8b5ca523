"""The list of a study's images: what was ingested, its lung mask, its split, its known mark."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd

from sscdl.files import atomic_path, read_json
from sscdl.ingest import collect, collect_problems
from sscdl.split import assign_split

LOGGER = logging.getLogger("sscdl.images")
COLUMNS = [
    "image_id", "study_id", "patient_id", "label", "split", "png", "mask", "cohort", "view", "sex",
    "age", "rows", "columns", "transfer_syntax", "boxes", "mark", "mask_area",
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
    split: dict[str, Any],
    split_seed: int,
) -> None:
    """Write ``images.csv`` (usable images) and ``rejected.csv`` (problems and their reasons).

    ``truths`` are the truth tables of synthetic archives, with the place of the planted mark. An
    image without lungs in its mask keeps its line, with an empty ``mask``, and is reported.
    """
    images, rejected = collect(image_manifests)
    folder = Path(image_manifests[0]).parent / "png"
    images["png"] = [str(folder / name) for name in images["png"]]
    masks = pd.DataFrame([row for path in mask_manifests for row in read_json(path)["masks"]])
    mask_folder = Path(mask_manifests[0]).parent / "png"
    masks["mask"] = ["" if e else str(mask_folder / n) for e, n in zip(
        masks["empty"], masks["png"], strict=True
    )]  # fmt: skip
    masks = masks.rename(columns={"area": "mask_area"})
    images = images.merge(masks[["image_id", "mask", "mask_area"]], on="image_id", how="left")
    images["mask"] = images["mask"].fillna("")
    images["split"] = assign_split(
        images,
        by=split["by"],
        stratified=split["stratified"],
        val=split["val"],
        test=split["test"],
        seed=split_seed,
    )
    images["mark"] = images["image_id"].map(_marks(truths)).fillna("")
    images["boxes"] = images["boxes"].map(json.dumps)
    without = images.loc[images["mask"] == "", "image_id"]
    lost = pd.DataFrame(
        {"file": without, "reason": "no lungs found: used in variant full only, not in the tables"}
    )
    rejected = pd.concat([rejected, collect_problems(image_manifests), lost], ignore_index=True)
    write_csv(images.sort_values("image_id")[COLUMNS], images_csv)
    write_csv(rejected[["file", "reason"]], rejected_csv)
    counts = images.groupby(["split", "label"], dropna=False).size()
    for (name, label), number in counts.items():
        LOGGER.info("%-14s %-14s %d images", name, label or "(no label)", number)
    LOGGER.info("%d images, %d lines in %s", len(images), len(rejected), rejected_csv.name)


def _marks(truths: list[Path]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in truths:
        truth = pd.read_csv(path, dtype=str).fillna("")
        found |= dict(zip(truth["image_id"], truth["mark"], strict=True))
    return found
