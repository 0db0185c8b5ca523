"""What is set aside as no frontal chest radiograph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sscdl.dicom.radiograph import Radiograph
from sscdl.images.limits import LATER_ACCEPT
from sscdl.images.screen import few_tones, set_aside

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


def picture(low, high, number, kind=np.uint8):
    """Return a picture of as many grays from ``low`` to ``high`` (of 255), alike in frequency."""
    scale = np.iinfo(kind).max // 255
    return np.resize(np.linspace(low, high, number).round().astype(kind) * scale, (64, 64))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("low", "high", "number", "told"),
    [
        (0, 255, 256, ""),
        (0, 255, 16, ""),
        (100, 140, 41, ""),
        (0, 16, 17, "picture uses 6 % of the gray range"),
        (230, 250, 21, "picture uses 8 % of the gray range"),
        (0, 255, 15, "picture has 15 of 256 grays"),
        (0, 255, 2, "picture has 2 of 256 grays"),
    ],
)
def test_dark_pale_and_posterised_pictures_are_named(low, high, number, told, kind):
    pixels = picture(low, high, number, kind)
    assert few_tones(pixels) == told
    radiograph = replace(CHEST, pixels=pixels)
    reason = set_aside(radiograph, ACCEPT | LATER_ACCEPT)
    key = "range" if "range" in told else "grays"
    assert reason == (f"{told} (ingest.accept.{key})" if told else None)
    # As a model that was exported before does, and as one who wants them all says.
    assert set_aside(radiograph, ACCEPT) is None
    assert set_aside(radiograph, ACCEPT | {"range": 0, "grays": 0}) is None


def test_a_white_mark_does_not_make_a_dark_picture_bright():
    pixels = picture(0, 16, 17)
    pixels[:4, :4] = 255
    assert few_tones(pixels) == "picture uses 6 % of the gray range"


def test_a_code_that_is_not_understood_is_told_as_such():
    for field in ("view", "modality"):
        reason = set_aside(replace(CHEST, **{field: "OTHER"}), ACCEPT)
        assert reason.startswith(f"{field} is none that is known (OTHER), which is not accepted")
    assert set_aside(replace(CHEST, view="OTHER"), ACCEPT | {"view": ["PA", "OTHER"]}) is None
