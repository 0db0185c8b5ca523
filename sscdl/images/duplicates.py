"""Which pictures of a study are there more than once, and which copy is to be used.

The reasons hold image ids and names of cohorts, so that they are safe to log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from sscdl.archives.cohorts import MAIN, PRETRAINING


def find_duplicates(images: pd.DataFrame) -> pd.DataFrame:
    """Return image_id and reason of the images to set aside because their picture is there twice.

    ``images`` has the columns cohort, image_id (unique), patient_id, label ('' if unknown) and
    pixel_hash, which is equal for equal rendered pictures. The result is sorted by image_id and
    does not depend on the order of the rows:

    - within a cohort one copy is kept, a labelled one if there is any, of these the first by id;
      where labels of the copies contradict each other, none is kept, as no label can be trusted;
    - of a picture that the cohort 'main' has, the copies in the other cohorts are set aside;
    - of a picture that any other cohort has, the copies in the cohort 'pretraining' are set aside:
      an image that is reported must not be pretrained on, labelled or not.

    Further cohorts are not compared with each other, as they may show the same patients by design.
    """
    copies = images[images.duplicated("pixel_hash", keep=False)]
    reasons: dict[str, str] = {}
    for _, group in copies.sort_values("image_id").groupby("pixel_hash"):
        cohorts: dict[str, Any] = {
            str(name): rows.to_dict("records") for name, rows in group.groupby("cohort")
        }
        best = {name: min(rows, key=_rank) for name, rows in cohorts.items()}
        for cohort, rows in cohorts.items():
            before = _earlier(cohort, list(cohorts))
            if before is None:
                reasons |= _within_cohort(rows, best[cohort])
                continue
            for row in rows:
                reasons[row["image_id"]] = (
                    f"the same picture as {best[before]['image_id']} of cohort {before}"
                    f"{_differences(row, best[before])}"
                )
    return pd.DataFrame(sorted(reasons.items()), columns=["image_id", "reason"])


def _earlier(cohort: str, cohorts: list[str]) -> str | None:
    """Return the one of ``cohorts`` for whose sake copies in ``cohort`` are set aside."""
    if cohort == MAIN:
        return None
    if MAIN in cohorts:
        return MAIN
    others = sorted(set(cohorts) - {cohort})
    return others[0] if cohort == PRETRAINING and others else None


def _within_cohort(rows: list[dict[str, Any]], best: Mapping[str, Any]) -> dict[str, str]:
    """Return reason by image_id for the copies in one cohort, of which ``best`` may be kept."""
    labelled = {row["label"]: row for row in reversed(rows) if row["label"]}
    if len(labelled) < 2:
        return {
            row["image_id"]: f"the same picture as {best['image_id']}{_patient(row, best)}, "
            "which is kept"
            for row in rows
            if row is not best
        }
    number = "both" if len(rows) == 2 else f"all {len(rows)}"
    reasons = {}
    for row in rows:
        other = next(labelled[label] for label in sorted(labelled) if label != row["label"])
        how = "labelled otherwise" if row["label"] else "labelled in contradiction to a third copy"
        reasons[row["image_id"]] = (
            f"the same picture as {other['image_id']}{_patient(row, other)}, which is {how}: "
            f"{number} set aside"
        )
    return reasons


def _rank(row: Mapping[str, Any]) -> tuple[bool, str]:
    return (row["label"] == "", row["image_id"])


def _patient(row: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    return "" if row["patient_id"] == other["patient_id"] else " of another patient"


def _differences(row: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    contradicts = "" not in (row["label"], other["label"]) and row["label"] != other["label"]
    notes = [_patient(row, other), " with another label" if contradicts else ""]
    return "".join(f",{note}" for note in notes if note)
