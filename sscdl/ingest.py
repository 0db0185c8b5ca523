"""Turning DICOM archives into anonymous 8-bit PNG files and manifests that describe them.

Only pseudonyms of patients leave this module: PatientID is replaced by a keyed hash, and a PNG
holds pixels and nothing else.
"""

from __future__ import annotations

import hashlib
import io
import logging
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from sscdl.dicom import read_radiograph
from sscdl.errors import InputError
from sscdl.files import atomic_path, read_json, write_json
from sscdl.radiograph import ImageError
from sscdl.siim import Index, read_index

_PROGRESS_EVERY = 100
_COLUMNS = [
    "cohort",
    "image_id",
    "study_id",
    "patient_id",
    "label",
    "boxes",
    "view",
    "sex",
    "age",
    "rows",
    "columns",
    "transfer_syntax",
    "photometric",
    "bits_stored",
    "png",
    "sha256",
]

logger = logging.getLogger(__name__)


def ingest_shard(
    roots: dict[str, Path],
    shard: int,
    shards: int,
    png_dir: Path,
    manifest: Path,
    *,
    id_key: str,
) -> None:
    """Render every ``shards``-th image from number ``shard`` on and describe them in ``manifest``.

    ``roots`` maps each cohort's name to its archive, the main cohort first; images are numbered in
    that order, by image id within a cohort. Each is written as ``png_dir``/<image_id>.png, 8-bit
    gray. The manifest, written last, is JSON with

    - ``images``: cohort, ids, patient_id (16 hex digits, a hash of PatientID, or of the study id
      where it is missing, keyed with ``id_key``), label, boxes ([x0, y0, x1, y1] as fractions of
      width and height, within [0, 1]), view, sex, age (years or null), rows, columns,
      transfer_syntax, photometric, bits_stored, png (file name), sha256 (of the PNG file);
    - ``rejected``: file (relative to the root, after the cohort's name unless it is the main one)
      and reason, for images that cannot be used;
    - ``problems``: file and reason, for other findings; those about an archive as a whole are in
      shard 0 alone.

    Raises InputError if an archive's index is unusable (see ``sscdl.siim.read_index``), two cohorts
    share an image id, or ``id_key`` is empty.
    """
    if not 0 <= shard < shards:
        raise ValueError(f"shard {shard} is not one of {shards}")
    if not id_key:
        raise InputError("id_key: is empty; patient pseudonyms need some secret text as their key")
    indices = {cohort: read_index(root) for cohort, root in roots.items()}
    mine = _numbered(indices)[shard::shards]
    main = next(iter(roots))
    images: list[dict[str, Any]] = []
    rejected: list[dict[str, str]] = []
    problems = _problems(indices, main) if shard == 0 else []
    png_dir.mkdir(parents=True, exist_ok=True)

    for number, (cohort, row) in enumerate(mine, start=1):
        shown = _shown(cohort, row["path"], main)
        try:
            radiograph = read_radiograph(roots[cohort] / row["path"])
        except ImageError as error:
            rejected.append({"file": shown, "reason": str(error)})
            logger.warning("rejected %s: %s", shown, error)
        else:
            boxes = _fractions(row["boxes"], radiograph.columns, radiograph.rows)
            if len(boxes) < len(row["boxes"]):
                problems.append({"file": shown, "reason": "box outside the image; dropped"})
            png = f"{row['image_id']}.png"
            images.append(
                {
                    "cohort": cohort,
                    "image_id": row["image_id"],
                    "study_id": row["study_id"],
                    "patient_id": pseudonym(radiograph.patient_id or row["study_id"], id_key),
                    "label": row["label"],
                    "boxes": boxes,
                    "view": radiograph.view,
                    "sex": radiograph.sex,
                    "age": None if math.isnan(radiograph.age_years) else radiograph.age_years,
                    "rows": radiograph.rows,
                    "columns": radiograph.columns,
                    "transfer_syntax": radiograph.transfer_syntax,
                    "photometric": radiograph.photometric,
                    "bits_stored": radiograph.bits_stored,
                    "png": png,
                    "sha256": _write_png(png_dir / png, radiograph.pixels),
                }
            )
        if number % _PROGRESS_EVERY == 0 or number == len(mine):
            logger.info("shard %d of %d: %d of %d images", shard, shards, number, len(mine))
    write_json(manifest, {"images": images, "rejected": rejected, "problems": problems})


def pseudonym(identifier: str, id_key: str) -> str:
    """Return 16 hex digits of the BLAKE2b hash (RFC 7693) of ``identifier``, keyed with ``id_key``.

    A key of more than 64 bytes, the most that BLAKE2b takes, is replaced by its own hash.
    """
    key = id_key.encode()
    if len(key) > hashlib.blake2b.MAX_KEY_SIZE:
        key = hashlib.blake2b(key).digest()
    return hashlib.blake2b(identifier.encode("utf-8", "replace"), key=key).hexdigest()[:16]


def collect(manifests: Sequence[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the images of all manifests, sorted by image_id, and the rejected files.

    The columns are those of the manifests' entries; ``boxes`` are lists, ``age`` is float or NaN.
    Raises InputError if there is no image at all.
    """
    contents = [read_json(manifest) for manifest in manifests]
    images = pd.DataFrame([row for part in contents for row in part["images"]], columns=_COLUMNS)
    rejected = _table(contents, "rejected")
    if images.empty:
        reasons = Counter(rejected["reason"]) or Counter(_table(contents, "problems")["reason"])
        common = reasons.most_common(1)
        why = f"; commonest reason ({common[0][1]} files): {common[0][0]}" if common else ""
        raise InputError(
            f"data set: none of its images can be used, {len(rejected)} were rejected{why}; "
            "check the root of the data set and its files"
        )
    images["age"] = images["age"].astype(float)
    return images.sort_values("image_id", ignore_index=True), rejected


def collect_problems(manifests: Sequence[Path]) -> pd.DataFrame:
    """Return file and reason of all findings in the manifests that did not cost an image."""
    return _table([read_json(manifest) for manifest in manifests], "problems")


def _table(contents: list[dict[str, Any]], key: str) -> pd.DataFrame:
    rows = [row for part in contents for row in part[key]]
    table = pd.DataFrame(rows, columns=["file", "reason"])
    return table.sort_values(["file", "reason"], ignore_index=True)


def _numbered(indices: dict[str, Index]) -> list[tuple[str, dict[str, Any]]]:
    """Return (cohort, row of its index) for all images, in the order that numbers them."""
    numbered = [
        (cohort, row)
        for cohort, index in indices.items()
        for row in index.images.to_dict("records")
    ]
    owners: dict[str, str] = {}
    for cohort, row in numbered:
        if owners.setdefault(row["image_id"], cohort) != cohort:
            raise InputError(
                f"image id {row['image_id']}: is both in the cohort {owners[row['image_id']]} and "
                f"in {cohort}; ids become file names, rename one of the two files"
            )
    return numbered


def _shown(cohort: str, file: str, main: str) -> str:
    return file if cohort == main else f"{cohort}/{file}"


def _problems(indices: dict[str, Index], main: str) -> list[dict[str, str]]:
    return [
        {"file": _shown(cohort, row["file"], main), "reason": row["reason"]}
        for cohort, index in indices.items()
        for row in index.problems.to_dict("records")
    ]


def _fractions(boxes: list[list[float]], width: int, height: int) -> list[list[float]]:
    """Return [x0, y0, x1, y1] in fractions of the image, without boxes that lie outside of it."""
    kept = []
    for x, y, w, h in boxes:
        corners = np.array([x / width, y / height, (x + w) / width, (y + h) / height])
        x0, y0, x1, y1 = np.clip(corners, 0.0, 1.0).tolist()
        if x0 < x1 and y0 < y1:
            kept.append([x0, y0, x1, y1])
    return kept


def _write_png(path: Path, pixels: np.ndarray) -> str:
    """Write ``pixels`` unless the file already holds just that; return the file's SHA-256."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    content = buffer.getvalue()
    if not path.is_file() or path.read_bytes() != content:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    return hashlib.sha256(content).hexdigest()
