"""Pairs of radiographs and lung masks for training a segmenter, and how they are split."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from sscdl.csv_rows import has_column, read_rows
from sscdl.errors import InputError
from sscdl.recipe import file_hash

SPLITS = ("train", "val", "test")
VALIDATION_FRACTION = 0.2
TEST_FRACTION = 0.2
Pair = tuple[Path, Path, str]


def pairs_from_folder(folder: Path, *, validation: float = VALIDATION_FRACTION) -> list[Pair]:
    """Return the pairs of a folder with ``images/``, ``masks/`` and ``index.csv``.

    ``index.csv`` has the columns ``id``, ``split`` (train, val, test) and perhaps ``group`` (such
    as the patient). Pictures are ``images/<id>.png`` and ``masks/<id>.png``. Without ``val`` rows,
    a fifth of the ``train`` rows becomes ``val``, by whole groups, the same ones every time.

    Raises InputError if a file, a column or a picture is missing, an image is there twice, or a
    group or a picture in two splits.
    """
    index = Path(folder) / "index.csv"
    if not index.is_file():
        raise InputError(f"segmenter data {folder}: no index.csv; columns id, split[, group]")
    grouped = has_column(index, "group")
    rows = list(read_rows(index, ["id", "split", *(["group"] if grouped else [])], key="id"))
    if not rows:
        raise InputError(f"segmenter data {index}: needs rows and the columns id, split[, group]")
    names = [row["id"] for _, row in rows]
    splits = [row["split"] for _, row in rows]
    groups = [row.get("group") or row["id"] for _, row in rows]
    images = [Path(folder) / "images" / f"{name}.png" for name in names]
    masks = [Path(folder) / "masks" / f"{name}.png" for name in names]
    for path in (*images, *masks):
        if not path.is_file():
            raise InputError(f"segmenter data {index}: {path} is missing; add it or drop its row")
    _check_apart(index, [line for line, _ in rows], names, groups, splits)
    _check_pictures(index, images, names, splits)
    if "val" not in splits:
        training = [g for g, split in zip(groups, splits, strict=True) if split == "train"]
        chosen = _choose_groups(training, validation)
        splits = [
            "val" if split == "train" and group in chosen else split
            for split, group in zip(splits, groups, strict=True)
        ]
    return list(zip(images, masks, splits, strict=True))


def _check_apart(
    index: Path, lines: list[int], names: list[str], groups: list[str], splits: list[str]
) -> None:
    """Raise InputError if an image is there twice, or a group in two splits."""
    known: dict[str, int] = {}
    homes: dict[str, tuple[str, int]] = {}
    for line, name, group, split in zip(lines, names, groups, splits, strict=True):
        if known.setdefault(name, line) != line:
            raise InputError(
                f"{index}, lines {known[name]} and {line}: image {name} is there twice; delete one "
                "of the two rows"
            )
        home, first = homes.setdefault(group, (split, line))
        if home != split:
            raise InputError(
                f"{index}, lines {first} and {line}: the group {group} is both in {home} and in "
                f"{split}, so that the network would be judged on whom it has learnt from; move "
                "its rows to one split"
            )


def _check_pictures(index: Path, images: list[Path], names: list[str], splits: list[str]) -> None:
    """Raise InputError if one picture is in two splits under two names."""
    known: dict[str, int] = {}
    for number, path in enumerate(images):
        first = known.setdefault(file_hash(path), number)
        if splits[first] != splits[number]:
            raise InputError(
                f"{index}: {names[first]} in {splits[first]} and {names[number]} in "
                f"{splits[number]} are one picture; delete one of the two rows"
            )


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
