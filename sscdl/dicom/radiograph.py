"""A rendered radiograph, whatever kind of file it came from, and how it is to be rendered.

Nothing heavy is imported here: rules about radiographs need no decoder.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sscdl.errors import InputError

WINDOWS = ("first", "widest", "narrowest", "percentiles")


class ImageError(InputError):
    """A file that cannot be used; the message is a short reason without texts from its header."""


@dataclass(frozen=True)
class Rendering:
    """How stored values become gray.

    ``window``: of several VOI windows the ``first``, ``widest`` or ``narrowest`` is taken (a VOI
    LUT goes before them); ``percentiles`` takes none of them, but black and white at the two
    ``percentiles`` (in percent, of the pixels that are not padding), as is done for files without
    a window. ``bits`` of the gray picture are 8 or 16. ``max_pixels`` limits rows times columns, as
    the header states them, before anything is decoded.
    """

    window: str = "first"
    percentiles: tuple[float, float] = (0.5, 99.5)
    bits: int = 8
    max_pixels: int = 100_000_000


@dataclass(frozen=True)
class Radiograph:
    """A rendered radiograph and the facts of its header that the workflow keeps.

    ``pixels`` is uint8 or uint16 (H, W), black at 0 and white at the type's maximum, with square
    pixels. ``patient_id`` is as in the file ('' if missing) and must not be written anywhere. All
    other texts are codes of the DICOM standard, '' if missing and 'OTHER' for a text that is none
    of them, as free text could name a patient: ``sex`` F or M, ``view`` (AP, PA, LL, ...),
    ``modality``, ``body_part``, ``image_type`` (the values known to the standard), ``orientation``
    (direction of rows and of columns, such as L\\F). ``age_years`` is NaN if unknown. ``rows`` and
    ``columns`` are those of the file. ``coloured`` says that the file's channels differ,
    ``remarks`` which of its optional fields had to be passed over.
    """

    pixels: np.ndarray
    rows: int
    columns: int
    bits_stored: int
    photometric: str
    transfer_syntax: str
    patient_id: str = ""
    sex: str = ""
    age_years: float = math.nan
    view: str = ""
    modality: str = ""
    body_part: str = ""
    image_type: tuple[str, ...] = ()
    orientation: str = ""
    coloured: bool = False
    remarks: tuple[str, ...] = ()
