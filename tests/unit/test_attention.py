"""Class activation maps against the formula, and the share of attention in a region."""

from __future__ import annotations

import pytest
import torch

from sscdl.attention import attention_share, class_activation_map, region_share, resize_map


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
