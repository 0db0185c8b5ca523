"""Reading one DICOM radiograph into the gray picture that a viewer would show.

The order of the steps follows the grayscale pipeline of DICOM PS3.4 N.2: stored value, modality
LUT (PS3.3 C.11.1), VOI LUT or window (PS3.3 C.11.2), gray value of 8 or 16 bits, polarity. Colour
images are shown by their luminance (ITU-R BT.601); VOI and polarity do not apply to them.

Rules where the standard leaves a choice:

- a VOI LUT is preferred to a window; of several LUTs the first is used, of several windows the one
  that ``Rendering`` asks for;
- without either, black and white are two percentiles of the pixels that are not padding, after the
  modality LUT (the minimum and maximum if those two percentiles agree);
- the picture is inverted once, last, if it is MONOCHROME1 or its presentation LUT shape is INVERSE;
- pixel padding (PS3.3 C.7.5.1.1.2) takes no part in the percentiles and is drawn black;
- overlays are not drawn, also not those in unused bits of the pixels;
- pixels that are not square are made square by stretching the coarser axis;
- an optional field that is malformed counts as missing (``sscdl.dicom.optional``).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.config import disable_value_validation

from sscdl.dicom.aspect import with_square_pixels
from sscdl.dicom.codes import (
    age_of,
    body_part_of,
    image_type_of,
    modality_of,
    orientation_of,
    sex_of,
    view_of,
)
from sscdl.dicom.colour import luminance, palette_levels
from sscdl.dicom.file import DicomFile, open_dicom
from sscdl.dicom.grayscale import (
    StoredPixels,
    between_percentiles,
    check_contrast,
    gray_table,
    quantised,
)
from sscdl.dicom.header import text_of
from sscdl.dicom.optional import tidy
from sscdl.dicom.pixels import MONOCHROME, PALETTE, decode, layout_of
from sscdl.dicom.radiograph import WINDOWS, Radiograph, Rendering

_AS_THE_FILE_SAYS = Rendering()


def read_radiograph(path: str | Path, rendering: Rendering = _AS_THE_FILE_SAYS) -> Radiograph:
    """Read the DICOM file ``path`` and render it as a viewer would (see the module's notes).

    Raises ImageError for a file that is no single-frame DICOM image with complete pixel data of at
    most ``rendering.max_pixels`` pixels, has header fields that contradict each other, or shows
    nothing (all pixels alike). Raises ValueError if ``rendering`` is impossible.
    """
    low, high = rendering.percentiles
    if (
        rendering.window not in WINDOWS
        or rendering.bits not in (8, 16)
        or not 0 <= low < high <= 100
    ):
        raise ValueError(f"impossible rendering: {rendering}")
    with kept_quiet(), open_dicom(Path(path)) as file:
        return _render(file, rendering)


@contextmanager
def kept_quiet() -> Iterator[None]:
    """Keep pydicom from warning and logging: its texts quote header values, names included."""
    logger = logging.getLogger("pydicom")
    before = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings(), disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


def _render(file: DicomFile, rendering: Rendering) -> Radiograph:
    header = file.header
    remarks = tidy(header)
    layout = layout_of(header, rendering.max_pixels)
    words, space = decode(*file.pixel_data(layout.most_bytes), layout, file.syntax)
    coloured = False
    if layout.photometric in MONOCHROME:
        stored = StoredPixels(words, layout.bits, signed=layout.signed)
        table = gray_table(header, stored, rendering, allocated=layout.allocated)
    else:
        if layout.photometric == PALETTE:
            stored = StoredPixels(words, layout.bits, signed=layout.signed)
            levels, coloured = palette_levels(header, stored)
        else:
            stored, levels, coloured = luminance(words, layout.bits, space)
        if rendering.window == "percentiles":
            levels = between_percentiles(levels, stored.counts, rendering.percentiles)
        table = quantised(levels, rendering.bits)
        check_contrast(table, stored.counts)
    return Radiograph(
        pixels=with_square_pixels(stored.shown(table), header, rendering.max_pixels),
        rows=layout.rows,
        columns=layout.columns,
        bits_stored=layout.bits,
        photometric=layout.photometric,
        transfer_syntax=file.syntax.name,
        patient_id=text_of(header, "PatientID"),
        sex=sex_of(header),
        age_years=age_of(header),
        view=view_of(header),
        modality=modality_of(header),
        body_part=body_part_of(header),
        image_type=image_type_of(header),
        orientation=orientation_of(header),
        coloured=coloured,
        remarks=remarks,
    )
