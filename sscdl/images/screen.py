"""Which radiographs a study takes: frontal views of a chest.

The reasons hold codes of the DICOM standard and keys of the configuration, so that they are safe to
log. This runs in every process that renders: pandas is not imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from sscdl.dicom.radiograph import Radiograph
from sscdl.dicom.terms import OTHER
from sscdl.images.limits import LEAST_GRAYS, LEAST_RANGE


def set_aside(radiograph: Radiograph, accept: Mapping[str, Any]) -> str | None:
    """Return why ``radiograph`` is not to be used, None if it is.

    ``accept`` is the configuration's block ``ingest.accept``:

    - ``modality``, ``body_part``, ``view``: lists of accepted codes ('' for a missing one, OTHER
      for a text that is not understood), or None for any. Where the view is missing and ''
      accepted, a patient orientation with an axis from front to back (PS3.3 C.7.6.1.1.1) gives a
      lateral view away;
    - ``image_type_without``: values that ImageType must not have, or None;
    - ``colour``: whether a picture may be coloured;
    - ``uniform``: the largest share of the pixels, in [0, 1], that may have one gray value (of 256,
      whatever the picture's depth);
    - ``range``, ``grays``: the least share of the gray range, in [0, 1], and number of 256 gray
      values that a picture uses (see :func:`few_tones`); 0 if missing.

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
    counts = _histogram(radiograph.pixels)
    if counts.max() / counts.sum() > accept["uniform"]:
        return (
            f"more than {100 * accept['uniform']:g} % of the pixels have one gray value "
            "(ingest.accept.uniform)"
        )
    # What was asked for before there were these two accepts any.
    for key in ("range", "grays"):
        told = _told_tones(counts, **{key: accept.get(key, 0)})
        if told:
            return f"{told} (ingest.accept.{key})"
    return None


def few_tones(pixels: np.ndarray) -> str:
    """Return what is odd about the gray values of a picture, uint8 or uint16, '' for nothing.

    A radiograph that is shown as it should be uses a tenth of the gray range and 16 grays at least.
    """
    return _told_tones(_histogram(pixels), range=LEAST_RANGE, grays=LEAST_GRAYS)


def _told_tones(counts: np.ndarray, *, range: float = 0, grays: int = 0) -> str:
    """Return how a picture falls short of a share of the gray range or a number of grays, or ''.

    The range is that of the middle 98 % of the pixels: a white mark does not make a dark picture
    bright. ``counts`` are of 256 gray values.
    """
    ends = np.searchsorted(np.cumsum(counts), np.array([0.01, 0.99]) * counts.sum())
    used = float(ends[1] - ends[0]) / 255
    if used < range:
        return f"picture uses {100 * used:.0f} % of the gray range"
    present = int((counts > 0).sum())
    return f"picture has {present} of 256 grays" if present < grays else ""


def _allowed(value: str, accepted: list[str] | None) -> bool:
    return accepted is None or value in accepted


def _not_accepted(field: str, value: str) -> str:
    name = field.replace("_", " ")
    if not value:
        return f"{name} is missing, which is not accepted (ingest.accept.{field})"
    if value == OTHER:
        return (
            f"{name} is none that is known ({OTHER}), which is not accepted (ingest.accept.{field})"
        )
    return f"{name} {value} is not accepted (ingest.accept.{field})"


def _histogram(pixels: np.ndarray) -> np.ndarray:
    """Return how many pixels have each of 256 gray values; ``pixels`` is uint8 or uint16."""
    gray = pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
    return cv2.calcHist([gray], [0], None, [256], [0, 256]).ravel()
