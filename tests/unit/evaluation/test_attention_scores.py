"""Attention in lungs, mark and boxes by every measure, on whole images and on cropped ones."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from sscdl.evaluation.attention_scores import boxes_region, score_maps
from sscdl.images.variants import WHOLE

SIZE = 40
# The left half of the image's middle: what a picture of it shows is twice as wide and high.
CROP = (0.25, 0.25, 0.75, 0.75)
CLASSES = ["negative", "typical", "atypical"]


def scores(maps, crop, *, mark="", boxes="[]", lungs=None, class_maps=None):
    """Return the scores of one map (SIZE, SIZE), of the class chosen, in a picture of ``crop``.

    ``class_maps`` are those of all classes, ``maps`` the last; one of zeros without them.
    """
    lungs = torch.zeros(1, SIZE, SIZE, dtype=torch.bool) if lungs is None else lungs[None]
    lines = pd.DataFrame({"mark": [mark], "boxes": [boxes]})
    of_all = torch.stack([torch.zeros_like(maps), maps]) if class_maps is None else class_maps
    chosen, names = torch.tensor([len(of_all) - 1]), CLASSES[: len(of_all)]
    return score_maps(of_all[None], chosen, lungs, lines, [crop], names).iloc[0]


def shares(crop, *, hot=(0, 0), **given):
    """Return the scores of a map with one hot pixel (row, column) in a picture of ``crop``."""
    maps = torch.zeros(SIZE, SIZE)
    maps[hot] = 1.0
    return scores(maps, crop, **given)


def test_boxes_of_whole_images_are_where_they_were():
    rng = np.random.default_rng(0)
    for _ in range(200):
        (x0, x1), (y0, y1) = np.sort(rng.random((2, 2)), axis=1)
        expected = torch.zeros(SIZE, SIZE, dtype=torch.bool)
        left, top = int(x0 * SIZE), int(y0 * SIZE)
        expected[top : max(round(y1 * SIZE), top + 1), left : max(round(x1 * SIZE), left + 1)] = (
            True
        )
        found = boxes_region(json.dumps([[x0, y0, x1, y1]]), SIZE, False, WHOLE)
        assert torch.equal(found, expected)
    assert not boxes_region("", SIZE, True, WHOLE).any()
    assert boxes_region("[0.5, 0.5, 0.5, 0.5]", SIZE, True, WHOLE).sum() == 1


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
    assert torch.equal(boxes_region(json.dumps([box]), SIZE, False, CROP), region)


@pytest.mark.parametrize(
    "box", [[0.0, 0.3, 0.25, 0.5], [0.8, 0.3, 0.9, 0.5], [0.3, 0, 0.5, 0.2], [0.3, 0.75, 0.5, 1]]
)
def test_a_box_that_is_not_shown_has_no_share(box):
    assert not boxes_region(json.dumps([box]), SIZE, False, CROP).any()
    found = shares(CROP, mark=json.dumps(box), boxes=json.dumps([box]))
    names = ["mark_attention", "mark_share", "box_attention", "box_share", "box_hit"]
    assert found[names].isna().all()


def test_attention_on_the_mark_and_on_findings_follows_the_crop():
    box = [0.5, 0.5, 0.6, 0.7]
    for text in ({"mark": json.dumps(box)}, {"boxes": json.dumps([box])}):
        name = "mark" if "mark" in text else "box"
        # The same place of the radiograph, in the whole image and in the picture of its middle.
        whole = shares(WHOLE, hot=(25, 21), **text)
        cropped = shares(CROP, hot=(30, 23), **text)
        assert whole[f"{name}_attention"] == cropped[f"{name}_attention"] == 1
        assert cropped[f"{name}_share"] == pytest.approx(4 * whole[f"{name}_share"])
        beside = shares(CROP, hot=(25, 19), **text)
        assert beside[f"{name}_attention"] == 0
        if name == "box":
            assert (whole["box_hit"], cropped["box_hit"], beside["box_hit"]) == (1, 1, 0)


def test_each_measure_of_the_lungs_against_its_formula():
    generator = torch.Generator().manual_seed(4)
    cam, other, first = torch.rand(3, SIZE, SIZE, generator=generator) - 0.3
    lungs = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    lungs[10:30, 5:18] = lungs[10:30, 22:35] = True
    found = scores(cam, WHOLE, lungs=lungs, class_maps=torch.stack([other, first, cam]))

    def share(values):
        return float(values[lungs].sum() / values.sum())

    assert found["lung_share"] == pytest.approx(520 / 1600)
    assert found["ail"] == pytest.approx(share(cam.clamp(min=0)))
    assert found["ail_signed"] == pytest.approx(share(cam), abs=1e-5)
    assert found["ail_contrast"] == pytest.approx(share((cam - (first + other) / 2).clamp(min=0)))
    assert found["ail_of_negative"] == pytest.approx(share(other.clamp(min=0)))
    assert found["ail_of_atypical"] == found["ail"]
    across = (torch.arange(SIZE) + 0.5) / SIZE - 0.5
    prior = torch.exp(-(across[:, None] ** 2 + across**2) / (2 * 0.25**2))
    assert found["ail_centre"] == pytest.approx(share(prior))
    # Without negative values the lowest level is what stretching takes away.
    raised = scores(cam + 1, WHOLE, lungs=lungs)
    assert raised["ail_stretched"] == pytest.approx(share(cam - cam.min()), abs=1e-5)
    assert raised["ail_stretched"] != pytest.approx(raised["ail"], abs=0.005)


def test_of_a_single_finding_there_is_no_contrast():
    """It would be a column without a number: there is no other class to take away."""
    maps, lungs = torch.ones(2, 1, 4, 4), torch.ones(2, SIZE, SIZE, dtype=torch.bool)
    chosen = torch.zeros(2, dtype=torch.long)
    lines = pd.DataFrame({"mark": ["", ""], "boxes": ["[]", "[]"]})
    found = score_maps(maps, chosen, lungs, lines, [WHOLE] * 2, ["Effusion"])
    assert "ail_contrast" not in found
    assert list(found)[:2] == ["ail", "lung_share"]
    two = score_maps(
        maps.repeat(1, 2, 1, 1), chosen, lungs, lines, [WHOLE] * 2, ["Effusion", "Mass"]
    )
    assert list(two)[:3] == ["ail", "ail_contrast", "lung_share"]
