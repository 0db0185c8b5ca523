"""The predictions of other studies that a study is set beside. Imports nothing that takes time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sscdl.errors import InputError


def prediction_files(
    results: Path, studies: Iterable[str], models: Iterable[tuple[str, str, int]]
) -> dict[str, list[Path]]:
    """Return the files of other studies that predict models of this one, by study.

    ``results`` is the folder of this study, beside which the others lie; ``models`` are its
    (variant, curriculum, seed). Raises InputError for a study that has none of them, or is this
    one.
    """
    wanted = list(dict.fromkeys((variant, curriculum) for variant, curriculum, _ in models))
    found = {}
    for study in studies:
        folder = results.parent / study / "predictions"
        if study == results.name:
            raise InputError(f"results.beside: {study} is this study itself; name others")
        found[study] = [
            path
            for variant, curriculum in wanted
            for path in sorted(folder.glob(f"{variant}.{curriculum}.s*.csv"))
        ]
        if not found[study]:
            raise InputError(
                f"results.beside: {folder} has no predictions of this study's models; run that "
                "study first, or take it off the list"
            )
    return found
