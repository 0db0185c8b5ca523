"""What is set aside as no frontal chest radiograph, and pictures that are there twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sscdl.radiograph import Radiograph
from sscdl.screen import find_duplicates, set_aside

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


def duplicates(*rows):
    """Return {image_id: reason}, the same for several orders of the rows."""
    columns = ["cohort", "image_id", "patient_id", "label", "pixel_hash"]
    images = pd.DataFrame(rows, columns=columns)
    found = find_duplicates(images)
    assert list(found.columns) == ["image_id", "reason"]
    for seed in range(5):
        other = find_duplicates(images.sample(frac=1, random_state=seed))
        pd.testing.assert_frame_equal(found, other)
    return dict(found.itertuples(index=False))


def test_different_pictures_stay():
    assert duplicates(("main", "a", "p", "x", "1"), ("main", "b", "p", "x", "2")) == {}


def test_first_copy_is_kept():
    found = duplicates(
        ("main", "c", "p", "x", "1"), ("main", "b", "p", "x", "1"), ("main", "d", "q", "", "1")
    )
    assert found == {
        "c": "the same picture as b, which is kept",
        "d": "the same picture as b of another patient, which is kept",
    }


def test_labelled_copy_is_preferred():
    found = duplicates(("main", "a", "p", "", "1"), ("main", "b", "p", "x", "1"))
    assert found == {"a": "the same picture as b, which is kept"}


def test_contradicting_labels_cost_all_copies():
    found = duplicates(("main", "a", "p", "x", "1"), ("main", "b", "q", "y", "1"))
    told = "the same picture as {} of another patient, which is labelled otherwise: both set aside"
    assert found == {"a": told.format("b"), "b": told.format("a")}
    found = duplicates(
        ("main", "a", "p", "x", "1"), ("main", "b", "p", "y", "1"), ("main", "c", "p", "", "1")
    )
    assert set(found) == {"a", "b", "c"}
    assert all(reason.endswith("all 3 set aside") for reason in found.values())


def test_reported_pictures_are_not_pretrained_on():
    found = duplicates(
        ("main", "m", "p", "x", "1"),
        ("pretraining", "a", "q", "", "1"),
        ("pretraining", "b", "p", "", "2"),
        ("external", "e", "p", "x", "2"),
        ("pretraining", "c", "p", "", "3"),
        ("pretraining", "d", "p", "", "3"),
    )
    assert found == {
        "a": "the same picture as m of cohort main, of another patient",
        "b": "the same picture as e of cohort external",
        "d": "the same picture as c, which is kept",
    }


def test_other_cohorts_are_compared_with_main_and_themselves_alone():
    found = duplicates(
        ("main", "m", "p", "x", "1"),
        ("mark_trained", "a", "p", "y", "1"),
        ("mark_trained", "b", "p", "x", "2"),
        ("mark_removed", "c", "p", "x", "2"),
        ("mark_removed", "d", "p", "x", "2"),
    )
    assert found == {
        "a": "the same picture as m of cohort main, with another label",
        "d": "the same picture as c, which is kept",
    }
