"""What is set aside as no frontal chest radiograph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sscdl.dicom.radiograph import Radiograph
from sscdl.images.screen import set_aside

ACCEPT = {
    "modality": ["CR", "DX", "RG", ""],
    "body_part": ["CHEST", "OTHER", ""],
    "view": ["AP", "PA", ""],
    "image_type_without": ["LOCALIZER"],
    "colour": False,
    "uniform": 0.95,
}
CHEST = Radiograph(
    pixels=np.arange(256, dtype=np.uint8).reshape(16, 16),
    rows=16,
    columns=16,
    bits_stored=8,
    photometric="MONOCHROME2",
    transfer_syntax="Explicit VR Little Endian",
    modality="DX",
    body_part="CHEST",
    view="PA",
    image_type=("ORIGINAL", "PRIMARY"),
    orientation="L\\F",
)


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"modality": "", "body_part": "", "view": "", "image_type": (), "orientation": ""},
        {"view": "", "orientation": "R\\F"},
        {"view": "", "orientation": "F\\L"},
        {"view": "", "orientation": "LA\\F"},
        {"body_part": "OTHER"},
        # A stated view is believed, whatever the orientation says.
        {"view": "AP", "orientation": "A\\F"},
    ],
)
def test_frontal_chest_is_accepted(header):
    assert set_aside(replace(CHEST, **header), ACCEPT) is None


@pytest.mark.parametrize(
    ("header", "key", "told"),
    [
        ({"modality": "CT"}, "modality", "modality CT is"),
        ({"body_part": "EXTREMITY"}, "body_part", "body part EXTREMITY is"),
        ({"view": "LL"}, "view", "view LL is"),
        ({"view": "", "orientation": "A\\F"}, "view", "patient orientation (A "),
        ({"view": "", "orientation": "PL\\F"}, "view", "patient orientation (P "),
        ({"view": "", "orientation": "H\\A"}, "view", "patient orientation (A "),
        ({"view": "", "orientation": "R\\P"}, "view", "patient orientation (P "),
        (
            {"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")},
            "image_type_without",
            "image type LOCALIZER is",
        ),
        ({"coloured": True}, "colour", "coloured"),
    ],
)
def test_reason_names_the_key_that_would_let_it_pass(header, key, told):
    radiograph = replace(CHEST, **header)
    reason = set_aside(radiograph, ACCEPT)
    assert told in reason
    assert f"(ingest.accept.{key})" in reason
    anything = True if key == "colour" else None
    assert set_aside(radiograph, {**ACCEPT, key: anything}) is None


@pytest.mark.parametrize("key", ["modality", "body_part", "view"])
def test_missing_code_can_be_refused(key):
    reason = set_aside(replace(CHEST, **{key: ""}), {**ACCEPT, key: ["CR", "CHEST", "PA"]})
    assert "is missing, which is not accepted" in reason
    assert f"ingest.accept.{key}" in reason


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_nearly_empty_picture(kind):
    pixels = np.zeros((20, 20), dtype=kind)
    if kind == np.uint16:
        # Noise below the 256 gray values of a screen is no content.
        pixels += np.arange(400, dtype=kind).reshape(20, 20) % 256
    pixels.flat[:20] = np.iinfo(kind).max
    assert set_aside(replace(CHEST, pixels=pixels), ACCEPT) is None
    pixels.flat[:2] = 0
    reason = set_aside(replace(CHEST, pixels=pixels), ACCEPT)
    assert reason == "more than 95 % of the pixels have one gray value (ingest.accept.uniform)"
    assert set_aside(replace(CHEST, pixels=pixels), {**ACCEPT, "uniform": 1}) is None
