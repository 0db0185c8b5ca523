"""Pairs of radiographs and lung masks for training a segmenter, and how they are split."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

from sscdl.errors import InputError

SPLITS = ("train", "val", "test")
VALIDATION_FRACTION = 0.2
TEST_FRACTION = 0.2
Pair = tuple[Path, Path, str]


def pairs_from_folder(folder: Path, *, validation: float = VALIDATION_FRACTION) -> list[Pair]:
    """Return the pairs of a folder with ``images/``, ``masks/`` and ``index.csv``.

    ``index.csv`` has the columns ``id``, ``split`` (train, val, test) and perhaps ``group`` (such
    as the patient). Pictures are ``images/<id>.png`` and ``masks/<id>.png``. Without ``val`` rows,
    a fifth of the ``train`` rows becomes ``val``, by whole groups, the same ones every time.

    Raises InputError if a file, a column or a picture is missing.
    """
    index = Path(folder) / "index.csv"
    if not index.is_file():
        raise InputError(f"segmenter data {folder}: no index.csv; columns id, split[, group]")
    with index.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    if not rows or not {"id", "split"} <= rows[0].keys():
        raise InputError(f"segmenter data {index}: needs rows and the columns id, split[, group]")
    images = [Path(folder) / "images" / f"{row['id']}.png" for row in rows]
    masks = [Path(folder) / "masks" / f"{row['id']}.png" for row in rows]
    for path in (*images, *masks):
        if not path.is_file():
            raise InputError(f"segmenter data {index}: {path} is missing; add it or drop its row")
    splits = [row["split"] for row in rows]
    if "val" not in splits:
        groups = [row.get("group") or row["id"] for row in rows]
        training = [g for g, split in zip(groups, splits, strict=True) if split == "train"]
        chosen = _choose_groups(training, validation)
        splits = [
            "val" if split == "train" and group in chosen else split
            for split, group in zip(splits, groups, strict=True)
        ]
    return list(zip(images, masks, splits, strict=True))


def pairs_from_phantom(
    images: Sequence[Path],
    masks: Sequence[Path],
    groups: Sequence[str] | None = None,
    *,
    validation: float = VALIDATION_FRACTION,
    test: float = TEST_FRACTION,
) -> list[Pair]:
    """Return pairs of pictures that come without a split, such as phantoms.

    Args:
        images, masks: paths, in the same order.
        groups: patient of each pair; a group stays in one split. None: each image is its own.
        validation, test: fractions of the pairs, reached by whole groups.
    """
    groups = list(groups) if groups is not None else [Path(path).stem for path in images]
    tested = _choose_groups(groups, test)
    validated = _choose_groups([g for g in groups if g not in tested], validation / (1.0 - test))
    splits = ["test" if g in tested else "val" if g in validated else "train" for g in groups]
    return [
        (Path(image), Path(mask), split)
        for image, mask, split in zip(images, masks, splits, strict=True)
    ]


def check_splits(pairs: Sequence[Pair]) -> None:
    """Raise InputError unless there is train, perhaps val and test, and nothing else."""
    splits = {split for _, _, split in pairs}
    if splits - set(SPLITS) or "train" not in splits:
        raise InputError(
            f"segmenter data: splits are {sorted(splits)}; "
            "there must be train, there may be val and test, and nothing else"
        )


def _choose_groups(groups: Sequence[str], fraction: float) -> set[str]:
    """Return groups that hold about ``fraction`` of the entries, by a hash of their names.

    At least one group is chosen (and one left) where there are two or more.
    """
    ordered = sorted(set(groups), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    wanted = fraction * len(groups)
    chosen: set[str] = set()
    taken = 0
    for name in ordered[:-1]:
        if chosen and taken + groups.count(name) > wanted:
            break
        chosen.add(name)
        taken += groups.count(name)
    return chosen if fraction > 0 else set()
