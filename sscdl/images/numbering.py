"""The images of all archives of a study in one order, and which patients of two archives are one.

What is to be kept out of pretraining is decided by patients, so these are compared as the archives
name them, before any of them becomes a pseudonym.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sscdl.archives.cohorts import PRETRAINING
from sscdl.archives.index import Index
from sscdl.csv_rows import is_number, plain_number
from sscdl.identifiers import pseudonym


@dataclass
class Numbering:
    """The images of a study: ``images`` are (cohort, row of its index) in the order that counts.

    ``problems`` are (cohort, file, reason); ``warnings`` are sentences for whoever starts the run.
    """

    images: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    problems: list[tuple[str, str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _keys: dict[str, str] = field(default_factory=dict)
    _spellings: dict[str, dict[str, str]] = field(default_factory=dict)

    def patient(self, cohort: str, identifier: str) -> str:
        """Return the pseudonym of a patient whom the files of ``cohort`` call ``identifier``."""
        known = self._spellings.get(cohort, {})
        return pseudonym(known.get(identifier, identifier), self._keys[cohort])


def number_images(
    cohorts: Mapping[str, Mapping[str, Any]], indices: Mapping[str, Index]
) -> Numbering:
    """Return the images of ``indices``, by cohort and then by id, the main cohort's first.

    A file that the main archive has, too, is left out of the archive for pretraining. An image id
    that an earlier cohort has is replaced by a hash of cohort and path. Patients of another archive
    than the main one are the same if their ids are (whole numbers as numbers) and the two have one
    ``id_key``, lie one in the other's folder, or share a file.
    """
    main, *others = cohorts
    found = Numbering(_keys={name: one["id_key"] for name, one in cohorts.items()})
    rows: dict[str, Any] = {
        name: index.images.to_dict("records") for name, index in indices.items()
    }
    if PRETRAINING in others:
        _compare(found, main, cohorts, rows)
    owners: set[str] = set()
    for cohort in cohorts:
        renamed = 0
        for row in rows[cohort]:
            # There are systems on which the case of a file name makes no difference.
            if row["image_id"].casefold() in owners:
                renamed += 1
                row["image_id"] = pseudonym(f"{cohort}\n{row['path']}", found._keys[cohort])
            found.images.append((cohort, row))
        owners |= {row["image_id"].casefold() for row in rows[cohort]}
        if renamed:
            reason = f"image ids of other files in {main}, replaced by hashes: {renamed}"
            found.problems.append((cohort, ".", reason))
    return found


def _compare(
    found: Numbering,
    main: str,
    cohorts: Mapping[str, Mapping[str, Any]],
    rows: dict[str, list[dict[str, Any]]],
) -> None:
    """Leave files out of ``rows`` that both archives have; note which patients are the same."""
    taken = {_file(cohorts[main], row) for row in rows[main]}
    kept = [row for row in rows[PRETRAINING] if _file(cohorts[PRETRAINING], row) not in taken]
    twice = len(rows[PRETRAINING]) - len(kept)
    if twice:
        reason = f"files of the archive {main}, left out of {PRETRAINING}: {twice}"
        found.problems.append((PRETRAINING, ".", reason))
    folders = [os.path.realpath(cohorts[name]["root"]) for name in (main, PRETRAINING)]
    together = bool(twice) or os.path.commonpath(folders) in folders
    mine, theirs = (
        {row["patient_id"] for row in rows[name]} - {""} for name in (main, PRETRAINING)
    )
    spellings = {number: one for one in sorted(mine, reverse=True) if (number := _whole(one))}
    same = {one: spellings[number] for one in theirs - mine if (number := _whole(one)) in spellings}
    shared = len(same) + len(mine & theirs)
    keys = found._keys
    if together and not twice and shared and keys[main] != keys[PRETRAINING]:
        found.warnings.append(
            f"pretraining_dataset: {shared} of its {len(theirs)} patient ids are also in the main "
            "archive, and count as the same patients, although the two have different id_keys, as "
            "one lies in the folder of the other; if they are other people, put the archives apart"
        )
    if together or keys[main] == keys[PRETRAINING]:
        keys[PRETRAINING] = keys[main]
        found._spellings[PRETRAINING] = same
    elif shared:
        found.warnings.append(
            f"pretraining_dataset: {shared} of its {len(theirs)} patient ids are also in the main "
            "archive, but count as other patients, as the two have different id_keys: if they are "
            "the same people, those whom the study is tested on are pretrained on; give both "
            "archives one id_key"
        )
    columns = [(cohorts[name].get("columns") or {}).get("patient") for name in (main, PRETRAINING)]
    if together and columns[0] == columns[1] and mine and theirs and not shared:
        found.warnings.append(
            "pretraining_dataset: has no patient in common with the main archive, although both "
            "lie in one folder and name patients by the same column; check columns.patient of both"
        )
    rows[PRETRAINING] = kept


def _whole(text: str) -> str:
    """Return a whole number as it is written shortest, '' for any other text."""
    number = plain_number(text) if is_number(text) else ""
    return "" if "." in number else number


def _file(cohort: Mapping[str, Any], row: Mapping[str, Any]) -> Any:
    """Return what a file is, whatever path leads to it."""
    path = Path(cohort["root"]) / row["path"]
    try:
        status = path.stat()
    except OSError:
        return path  # unreadable, and named as such where it is rendered
    return status.st_dev, status.st_ino
