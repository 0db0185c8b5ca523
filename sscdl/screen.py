"""Which radiographs a study takes: frontal views of a chest, each picture once.

Both functions name a reason for every image that they set aside; the texts hold codes of the DICOM
standard, keys of the configuration and image ids, so that they are safe to log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from sscdl.cohorts import MAIN, PRETRAINING
from sscdl.radiograph import Radiograph


def set_aside(radiograph: Radiograph, accept: Mapping[str, Any]) -> str | None:
    """Return why ``radiograph`` is not to be used, None if it is.

    ``accept`` is the configuration's block ``ingest.accept``:

    - ``modality``, ``body_part``, ``view``: lists of accepted codes ('' for a missing one), or None
      for any. Where the view is missing and '' accepted, a patient orientation with an axis from
      front to back (PS3.3 C.7.6.1.1.1) gives a lateral view away;
    - ``image_type_without``: values that ImageType must not have, or None;
    - ``colour``: whether a picture may be coloured;
    - ``uniform``: the largest share of the pixels, in [0, 1], that may have one gray value (of 256,
      whatever the picture's depth).

    The reason is the first that applies, in this order, and names the key that would let it pass.
    """
    for field, value in (("modality", radiograph.modality), ("body_part", radiograph.body_part)):
        if not _allowed(value, accept[field]):
            return _not_accepted(field, value)
    for value in accept["image_type_without"] or ():
        if value in radiograph.image_type:
            return f"image type {value} is not accepted (ingest.accept.image_type_without)"
    if not _allowed(radiograph.view, accept["view"]):
        return _not_accepted("view", radiograph.view)
    if accept["view"] is not None and not radiograph.view:
        # The plane of a frontal picture holds no line from front to back, however it is turned.
        sagittal = [
            axis[0] for axis in radiograph.orientation.split("\\") if axis[:1] in ("A", "P")
        ]
        if sagittal:
            return (
                f"view is missing and the patient orientation ({sagittal[0]} along one side) is "
                "not that of a frontal view (ingest.accept.view)"
            )
    if radiograph.coloured and not accept["colour"]:
        return "picture is coloured (ingest.accept.colour)"
    if _largest_share(radiograph.pixels) > accept["uniform"]:
        return (
            f"more than {100 * accept['uniform']:g} % of the pixels have one gray value "
            "(ingest.accept.uniform)"
        )
    return None


def _allowed(value: str, accepted: list[str] | None) -> bool:
    return accepted is None or value in accepted


def _not_accepted(field: str, value: str) -> str:
    name = field.replace("_", " ")
    if not value:
        return f"{name} is missing, which is not accepted (ingest.accept.{field})"
    return f"{name} {value} is not accepted (ingest.accept.{field})"


def _largest_share(pixels: np.ndarray) -> float:
    """Return the share of the commonest of 256 gray values; ``pixels`` is uint8 or uint16."""
    gray = pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
    return float(np.bincount(gray.ravel(), minlength=256).max() / gray.size)


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
        cohorts = {str(name): rows.to_dict("records") for name, rows in group.groupby("cohort")}
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
