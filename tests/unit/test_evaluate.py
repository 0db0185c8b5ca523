"""Shares of attention in lungs, mark and boxes, on whole images and on cropped ones."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from sscdl.evaluate import _attention, _boxes
from sscdl.variants import WHOLE

SIZE = 40
# The left half of the image's middle: what a picture of it shows is twice as wide and high.
CROP = (0.25, 0.25, 0.75, 0.75)


def shares(crop, *, mark="", boxes="[]", hot=(0, 0)):
    """Return the shares for a map with one hot pixel (row, column) in a picture of ``crop``."""
    maps = torch.zeros(1, SIZE, SIZE)
    maps[0][hot] = 1.0
    lungs = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    lines = pd.DataFrame({"mark": [mark], "boxes": [boxes]})
    return _attention(maps, lungs, lines, [crop]).iloc[0]


def test_boxes_of_whole_images_are_where_they_were():
    rng = np.random.default_rng(0)
    for _ in range(200):
        (x0, x1), (y0, y1) = np.sort(rng.random((2, 2)), axis=1)
        expected = torch.zeros(SIZE, SIZE, dtype=torch.bool)
        left, top = int(x0 * SIZE), int(y0 * SIZE)
        expected[top : max(round(y1 * SIZE), top + 1), left : max(round(x1 * SIZE), left + 1)] = (
            True
        )
        found = _boxes(json.dumps([[x0, y0, x1, y1]]), SIZE, False, WHOLE)
        assert torch.equal(found, expected)
    assert not _boxes("", SIZE, True, WHOLE).any()
    assert _boxes("[0.5, 0.5, 0.5, 0.5]", SIZE, True, WHOLE).sum() == 1


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0.5, 0.5, 0.6, 0.7], (slice(20, 36), slice(20, 28))),
        ([0.0, 0.0, 1.0, 1.0], (slice(0, 40), slice(0, 40))),
        ([0.2, 0.3125, 0.3125, 0.9], (slice(5, 40), slice(0, 5))),
    ],
)
def test_a_box_moves_and_grows_with_the_crop_and_is_cut_by_it(box, expected):
    region = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    region[expected] = True
    assert torch.equal(_boxes(json.dumps([box]), SIZE, False, CROP), region)


@pytest.mark.parametrize(
    "box", [[0.0, 0.3, 0.25, 0.5], [0.8, 0.3, 0.9, 0.5], [0.3, 0, 0.5, 0.2], [0.3, 0.75, 0.5, 1]]
)
def test_a_box_that_is_not_shown_has_no_share(box):
    assert not _boxes(json.dumps([box]), SIZE, False, CROP).any()
    found = shares(CROP, mark=json.dumps(box), boxes=json.dumps([box]))
    assert found[["mark_attention", "mark_share", "box_attention", "box_share"]].isna().all()


def test_attention_on_the_mark_and_on_findings_follows_the_crop():
    box = [0.5, 0.5, 0.6, 0.7]
    for text in ({"mark": json.dumps(box)}, {"boxes": json.dumps([box])}):
        name = "mark" if "mark" in text else "box"
        # The same place of the radiograph, in the whole image and in the picture of its middle.
        whole = shares(WHOLE, hot=(25, 21), **text)
        cropped = shares(CROP, hot=(30, 23), **text)
        assert whole[f"{name}_attention"] == cropped[f"{name}_attention"] == 1
        assert cropped[f"{name}_share"] == pytest.approx(4 * whole[f"{name}_share"])
        assert shares(CROP, hot=(25, 19), **text)[f"{name}_attention"] == 0
