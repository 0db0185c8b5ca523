"""The index of an archive: which images there are and what is known of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

COLUMNS = [
    "image_id", "study_id", "path", "label", "boxes", "patient_id", "sex", "age", "view", "shown",
]  # fmt: skip
_UNKNOWN = {"patient_id": "", "sex": "", "age": math.nan, "view": ""}


@dataclass(frozen=True)
class Index:
    """The images of an archive and what was wrong with it.

    ``images``, sorted by image_id: image_id, study_id, path (relative to the root, forward
    slashes), label ('' if unknown), boxes (list of [x, y, width, height] in pixels, floats);
    patient_id (as in the archive's table, not to be written anywhere), sex, age (years) and view
    (see ``sscdl.dicom.terms``), which are '' or NaN where the file's own header is to say it; shown
    (what to call the image's file in messages: no patient's id is in it). ``problems``: file,
    reason. ``warnings``: sentences for whoever starts the run, of settings that mean little.
    """

    images: pd.DataFrame
    problems: pd.DataFrame
    warnings: tuple[str, ...] = ()


def make_index(
    rows: Iterable[Mapping[str, Any]],
    problems: Iterable[tuple[str, str]],
    warnings: Iterable[str] = (),
) -> Index:
    """Return the index of ``rows``, which may lack what the files' headers are to say."""
    ordered = sorted(rows, key=lambda row: row["image_id"])
    images = pd.DataFrame([{**_UNKNOWN, **row} for row in ordered], columns=COLUMNS)
    images["age"] = images["age"].astype(float)
    return Index(images, pd.DataFrame(problems, columns=["file", "reason"]), tuple(warnings))
