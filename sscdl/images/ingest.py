"""Turning archives of radiographs into anonymous PNG files and manifests that describe them.

Only pseudonyms of patients leave this module: PatientID is replaced by a keyed hash, and a PNG
holds pixels and nothing else.
"""

from __future__ import annotations

import logging
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sscdl.archives.index import Index
from sscdl.archives.reading import read_index
from sscdl.dicom.radiograph import Rendering
from sscdl.errors import InputError
from sscdl.files import write_json
from sscdl.images.numbering import Numbering, number_images
from sscdl.images.renderer import Renderer
from sscdl.progress import Timer
from sscdl.records import IMAGE_MANIFEST, read_record

_PROGRESS_EVERY = 100
_COLUMNS = [
    "cohort", "image_id", "study_id", "patient_id", "label", "boxes", "view", "sex", "age", "rows",
    "columns", "transfer_syntax", "photometric", "bits_stored", "modality", "body_part", "png",
    "sha256", "pixel_hash", "text", "tones", "remarks",
]  # fmt: skip

logger = logging.getLogger(__name__)


def ingest_shard(
    cohorts: dict[str, dict[str, Any]],
    shard: int,
    shards: int,
    png_dir: Path,
    manifest: Path,
    *,
    rendering: Rendering,
    accept: Mapping[str, Any],
    find_text: bool,
    time_limit: float,
) -> None:
    """Render every ``shards``-th image from number ``shard`` on and describe them in ``manifest``.

    ``cohorts`` maps each cohort's name to the description of its archive (layout, root, id_key and
    what else ``sscdl.archives.reading.read_index`` takes), the main cohort first; images are
    numbered in that order, by image id within a cohort (see ``sscdl.images.numbering``). Each is
    rendered as ``rendering`` says, in a process of its own that may take ``time_limit`` seconds for
    a file, set aside if ``accept`` does not take it (see ``sscdl.images.screen``), and written as
    ``png_dir``/<image_id>.png, gray. With ``find_text``, text that may be burned into it is looked
    for. The manifest, written last, is JSON with

    - ``images``: cohort, ids, patient_id (16 hex digits, a hash of the patient's id, or of the
      study's where it is missing, as ``sscdl.images.numbering`` keys it), label, boxes ([x0, y0,
      x1, y1] as fractions of width and height, within [0, 1]), view, sex, age (years or null),
      rows, columns, transfer_syntax, photometric, bits_stored, modality, body_part, png (file
      name), sha256 (of the PNG file), pixel_hash (32 hex digits, alike for alike pictures), text
      (list of the regions as ``sscdl.images.burned_in.text_regions`` gives them, null if they were
      not looked for), tones (what is odd about the gray values, if anything is), remarks
      (likewise, on the header);
      where the archive's tables give patient, sex, age or view, these go before the header's;
    - ``rejected``: file (as the index shows it, after the cohort's name unless it is the main one)
      and reason, for images that cannot be used;
    - ``failed``: likewise, for files at which the decoder crashed or did not finish in time;
    - ``problems``: file and reason, for other findings; those about an archive as a whole are in
      shard 0 alone.

    Each image is in just one of the first three. Raises InputError if an archive's index is
    unusable, an ``id_key`` is empty, or no PNG can be written.
    """
    if not 0 <= shard < shards:
        raise ValueError(f"shard {shard} is not one of {shards}")
    for description in cohorts.values():
        if not description["id_key"]:
            raise InputError(
                "id_key: is empty; patient pseudonyms need some secret text as their key"
            )
    indices = {cohort: read_index(description) for cohort, description in cohorts.items()}
    numbering = number_images(cohorts, indices)
    mine = numbering.images[shard::shards]
    main = next(iter(cohorts))
    found: dict[str, list[dict[str, Any]]] = {"image": [], "rejected": [], "failed": []}
    problems: list[dict[str, str]] = []
    if shard == 0:
        problems = _problems(indices, numbering, main)
        for warning in _warnings(indices, numbering):
            logger.warning("%s", warning)
    png_dir.mkdir(parents=True, exist_ok=True)
    timer = Timer()

    with Renderer(rendering, accept, find_text=find_text, time_limit=time_limit) as renderer:
        for number, (cohort, row) in enumerate(mine, start=1):
            shown = _shown(cohort, row["shown"], main)
            png = png_dir / f"{row['image_id']}.png"
            kind, value = renderer.render(
                Path(cohorts[cohort]["root"]) / row["path"], png, row["view"]
            )
            if kind == "image":
                entry = _entry(cohort, row, value, numbering)
                if len(entry["boxes"]) < len(row["boxes"]):
                    problems.append({"file": shown, "reason": "box outside the image; dropped"})
                found[kind].append(entry)
            else:
                found[kind].append({"file": shown, "reason": value})
                logger.warning("%s %s: %s", kind, shown, value)
            if number % _PROGRESS_EVERY == 0 or number == len(mine):
                logger.info(
                    "shard %d of %d: %d of %d images (%d rejected, %d failed), %.1f images/s, "
                    "%s left", shard, shards, number, len(mine), len(found["rejected"]),
                    len(found["failed"]), number / timer.elapsed(), timer.left(number, len(mine)),
                )  # fmt: skip
    if sum(map(len, found.values())) != len(mine):
        raise RuntimeError(f"shard {shard}: {len(mine)} images do not add up")
    _to_disk([*(png_dir / entry["png"] for entry in found["image"]), png_dir])
    images, rejected, failed = found.values()
    write_json(
        manifest,
        {"images": images, "rejected": rejected, "failed": failed, "problems": problems},
    )


def collect(manifests: Sequence[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the images of all manifests, sorted by image_id, and the rejected and failed files.

    The columns are those of the manifests' entries; ``boxes`` and ``remarks`` are lists, ``text``
    is a list or None, ``age`` is float or NaN. Raises InputError if there is no image at all.
    """
    contents = [read_record(manifest, IMAGE_MANIFEST) for manifest in manifests]
    images = pd.DataFrame([row for part in contents for row in part["images"]], columns=_COLUMNS)
    rejected = _table(contents, "rejected", "failed")
    if images.empty:
        reasons = Counter(rejected["reason"]) or Counter(_table(contents, "problems")["reason"])
        common = reasons.most_common(1)
        why = f"; commonest reason ({common[0][1]} files): {common[0][0]}" if common else ""
        raise InputError(
            f"data set: none of its images can be used, {len(rejected)} were rejected{why}; "
            "check the root of the data set and its files"
        )
    images["age"] = images["age"].astype(float)
    images["tones"] = [one if isinstance(one, str) else "" for one in images["tones"]]
    images["remarks"] = [one if isinstance(one, list) else [] for one in images["remarks"]]
    return images.sort_values("image_id", ignore_index=True), rejected


def collect_problems(manifests: Sequence[Path]) -> pd.DataFrame:
    """Return file and reason of all findings in the manifests that did not cost an image."""
    return _table([read_record(one, IMAGE_MANIFEST) for one in manifests], "problems")


def _table(contents: list[dict[str, Any]], *keys: str) -> pd.DataFrame:
    rows = [row for part in contents for key in keys for row in part[key]]
    table = pd.DataFrame(rows, columns=["file", "reason"])
    return table.sort_values(["file", "reason"], ignore_index=True)


def _shown(cohort: str, file: str, main: str) -> str:
    return file if cohort == main else f"{cohort}/{file}"


def _problems(indices: dict[str, Index], numbering: Numbering, main: str) -> list[dict[str, str]]:
    found = [
        (cohort, file, reason)
        for cohort, index in indices.items()
        for file, reason in index.problems.itertuples(index=False, name=None)
    ]
    return [
        {"file": _shown(cohort, file, main), "reason": reason}
        for cohort, file, reason in found + numbering.problems
    ]


def _warnings(indices: dict[str, Index], numbering: Numbering) -> list[str]:
    return [one for index in indices.values() for one in index.warnings] + numbering.warnings


def _fractions(boxes: list[list[float]], width: int, height: int) -> list[list[float]]:
    """Return [x0, y0, x1, y1] in fractions of the image, without boxes that lie outside of it."""
    kept = []
    for x, y, w, h in boxes:
        corners = np.array([x / width, y / height, (x + w) / width, (y + h) / height])
        x0, y0, x1, y1 = np.clip(corners, 0.0, 1.0).tolist()
        if x0 < x1 and y0 < y1:
            kept.append([x0, y0, x1, y1])
    return kept


def _entry(
    cohort: str, row: dict[str, Any], read: dict[str, Any], numbering: Numbering
) -> dict[str, Any]:
    """Return the manifest's entry for an image: ``row`` of the index, what was ``read``."""
    age = read["age"] if math.isnan(row["age"]) else row["age"]
    return {
        **read,
        "cohort": cohort,
        "image_id": row["image_id"],
        "study_id": row["study_id"],
        "patient_id": numbering.patient(
            cohort, row["patient_id"] or read["patient_id"] or row["study_id"]
        ),
        "label": row["label"],
        "boxes": _fractions(row["boxes"], read["columns"], read["rows"]),
        "view": row["view"] or read["view"],
        "sex": row["sex"] or read["sex"],
        "age": age,
        "png": f"{row['image_id']}.png",
    }


def _to_disk(paths: Sequence[Path]) -> None:
    """Return when the contents of the files and folders can no longer get lost in a power cut."""

    def one(path: Path) -> None:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    # A file system takes several such requests together: this is ten times faster than in turn.
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, paths))
