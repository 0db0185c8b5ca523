"""Pairs of image and lung mask from a synthetic archive, whose masks are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sscdl.files import read_json
from sscdl.segment.training import Pair, pairs_from_phantom


def phantom_pairs(manifests: Sequence[Path], masks: Path, number: int) -> list[Pair]:
    """Return up to ``number`` pairs of the main cohort; a patient stays in one split.

    ``manifests`` describe the ingested images, ``masks`` holds ``<image_id>.png``.
    """
    rows = []
    for manifest in manifests:
        folder = Path(manifest).parent / "png"
        rows += [
            (row["image_id"], folder / row["png"], row["patient_id"])
            for row in read_json(manifest)["images"]
            if row["cohort"] == "main"
        ]
    rows = sorted(rows)[:number]
    images = [path for _, path, _ in rows]
    known = [masks / f"{image_id}.png" for image_id, _, _ in rows]
    return pairs_from_phantom(images, known, [patient for _, _, patient in rows])
