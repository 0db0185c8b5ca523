"""Class activation maps against the formula, and the share of attention in a region."""

from __future__ import annotations

import math

import pytest
import torch

from sscdl.evaluation.attention import (
    attention_share,
    centre_prior,
    class_activation_map,
    pointing_hit,
    region_share,
    resize_map,
    stretched_map,
)


def test_map_is_the_weighted_sum_of_channels_and_explains_the_logit():
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(3, 5, 4, 6, generator=generator)
    linear = torch.nn.Linear(5, 2)
    logits = linear(features.mean(dim=(2, 3)))
    predicted = logits.argmax(dim=1)
    cam = class_activation_map(features, linear.weight[predicted])
    assert cam.shape == (3, 4, 6)
    by_hand = sum(linear.weight[predicted[1], c] * features[1, c, 2, 3] for c in range(5))
    assert cam[1, 2, 3].item() == pytest.approx(by_hand.item())
    explained = cam.mean(dim=(1, 2)) + linear.bias[predicted]
    torch.testing.assert_close(explained, logits.max(dim=1).values)


def test_each_image_uses_its_own_class():
    features = torch.ones(2, 2, 3, 3)
    cam = class_activation_map(features, torch.tensor([[1.0, 0.0], [0.0, 5.0]]))
    assert (cam[0] == 1).all()
    assert (cam[1] == 5).all()


def test_uniform_map_scores_exactly_the_region_share():
    region = torch.zeros(2, 30, 40, dtype=torch.bool)
    region[0, :10, :7] = True
    region[1, 5:, 20:] = True
    cam = torch.full((2, 30, 40), 0.3)
    assert torch.allclose(attention_share(cam, region), region_share(region), atol=1e-12)
    assert region_share(region)[0].item() == pytest.approx(70 / 1200)


def test_map_inside_the_region_scores_one_and_outside_zero():
    region = torch.zeros(2, 8, 8, dtype=torch.bool)
    region[:, 2:5, 2:5] = True
    cam = torch.zeros(2, 8, 8)
    cam[0, 3, 3] = 2.0
    cam[1, 7, 7] = 2.0
    assert attention_share(cam, region).tolist() == [1.0, 0.0]


def test_share_against_the_formula_with_negative_values():
    cam = torch.tensor([[[4.0, -2.0], [1.0, 3.0]]])
    region = torch.tensor([[[True, True], [False, False]]])
    assert attention_share(cam, region).item() == pytest.approx(4 / 8)
    assert attention_share(cam, region, negative="keep").item() == pytest.approx(2 / 6)


def test_share_is_undefined_without_positive_attention():
    cam = torch.stack([torch.zeros(4, 4), -torch.ones(4, 4), torch.ones(4, 4)])
    region = torch.ones(3, 4, 4, dtype=torch.bool)
    assert attention_share(cam, region).isnan().tolist() == [True, True, False]


def test_share_does_not_depend_on_the_map_scale():
    cam = torch.rand(1, 6, 6, generator=torch.Generator().manual_seed(1)) - 0.4
    region = torch.eye(6, dtype=torch.bool)[None]
    torch.testing.assert_close(attention_share(cam, region), attention_share(cam * 1000, region))


def test_half_precision_maps_do_not_overflow():
    cam = torch.full((1, 300, 300), 8.0, dtype=torch.float16)
    region = torch.ones(1, 300, 300, dtype=torch.bool)
    assert attention_share(cam, region).item() == 1.0


def test_resize_keeps_constants_and_is_bilinear():
    assert (resize_map(torch.full((2, 7, 7), 0.25), 56) == 0.25).all()
    ramp = torch.tensor([[[0.0, 1.0]]])
    assert resize_map(ramp, (1, 4))[0, 0].tolist() == [0.0, 0.25, 0.75, 1.0]


def test_stretching_takes_the_lowest_level_away_and_a_constant_map_with_it():
    maps = torch.tensor([[[2.0, 6.0], [2.0, 4.0]], [[-3.0, 4.0], [1.0, 0.0]], [[5.0] * 2] * 2])
    found = stretched_map(maps, 2)
    torch.testing.assert_close(found[0], torch.tensor([[0.0, 1.0], [0.0, 0.5]]))
    # Where the lowest is 0 after clipping, stretching is scaling, and the share stays as it is.
    torch.testing.assert_close(found[1], torch.tensor([[0.0, 1.0], [0.25, 0.0]]))
    assert (found[2] == 0).all()
    right = torch.tensor([[[False, True]] * 2] * 3)
    assert attention_share(maps, right)[:2].tolist() == pytest.approx([10 / 14, 4 / 5])
    assert attention_share(found, right)[:2].tolist() == pytest.approx([1, 4 / 5])
    assert attention_share(found, right)[2].isnan()


def test_stretching_clips_before_it_resizes():
    # Clipped after resizing, the slope from 1 to -1 would cross zero half-way.
    ramp = stretched_map(torch.tensor([[[1.0, -1.0]]]), (1, 4))
    assert ramp[0, 0].tolist() == [1.0, 0.75, 0.25, 0.0]


def test_centre_prior_is_a_gaussian_of_a_quarter_of_the_side():
    prior = centre_prior(200)
    across = (torch.arange(200) - 99.5) / 50
    expected = torch.exp(-(across[:, None] ** 2 + across**2) / 2).double()
    torch.testing.assert_close(prior, expected, atol=1e-6, rtol=0)
    middle = torch.zeros(1, 200, 200, dtype=torch.bool)
    middle[0, 50:150, 50:150] = True
    # Within one of the two standard deviations that the picture shows, along each side.
    share = (math.erf(1 / 2**0.5) / math.erf(2 / 2**0.5)) ** 2
    assert attention_share(prior[None], middle).item() == pytest.approx(share, abs=1e-3)
    assert region_share(middle).item() == 0.25


def test_pointing_hits_where_the_maximum_is():
    region = torch.zeros(5, 4, 4, dtype=torch.bool)
    region[:, 1:3, 1:3] = True
    cam = torch.rand(5, 4, 4, generator=torch.Generator().manual_seed(2))
    cam[0, 2, 1] = cam[1, 0, 3] = 2.0
    cam[2] = 0.5  # everywhere alike: as good as pointing at random
    cam[3] = 0.0
    cam[4] = -1.0
    found = pointing_hit(cam, region)
    assert found[:3].tolist() == [1, 0, 0.25]
    assert found[3:].isnan().all()


def test_pointing_does_not_depend_on_rounding_along_the_border():
    region = torch.zeros(1, 60, 60, dtype=torch.bool)
    region[0, :, :4] = True
    peak = torch.zeros(1, 7, 7)
    peak[0, 3, 0] = 1 / 3  # the resized map is flat from the border to this cell's middle
    assert pointing_hit(resize_map(peak, 60), region).item() == 1


def test_wrong_shapes_and_options_are_refused():
    region = torch.ones(1, 4, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match="weight_row"):
        class_activation_map(torch.ones(2, 3, 4, 4), torch.ones(3))
    with pytest.raises(ValueError, match="both be"):
        attention_share(torch.ones(1, 2, 2), region)
    with pytest.raises(ValueError, match="bool"):
        attention_share(torch.ones(1, 4, 4), region.float())
    with pytest.raises(ValueError, match="clip or keep"):
        attention_share(torch.ones(1, 4, 4), region, negative="drop")
