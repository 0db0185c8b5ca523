from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from sscdl.errors import InputError
from sscdl.training.augment import Augmentation, center_resize, gaussian_blur

AREA, ASPECT, X, Y, FLIP, TURN, BRIGHTNESS, CONTRAST, GAMMA, BLUR = range(Augmentation.draws)
EVERYTHING = {
    "crop": (0.2, 1.0),
    "flip": True,
    "rotation": 15.0,
    "brightness": 0.3,
    "contrast": 0.3,
    "gamma": 0.3,
    "blur": 1.0,
}


def noise(count: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 1, height, width), generator=generator).to(torch.uint8)


def neutral(count: int = 1, **chosen: float) -> torch.Tensor:
    """Draws in the middle of every range, without a flip, but for the ``chosen`` ones."""
    draws = torch.full((count, Augmentation.draws), 0.5)
    draws[:, FLIP] = 0.9
    for name, value in chosen.items():
        draws[:, globals()[name]] = value
    return draws


def draws(count: int) -> torch.Tensor:
    return torch.rand(count, Augmentation.draws, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("size", [24, 37, 64])
def test_view_does_not_depend_on_the_batch(size):
    augment = Augmentation(size, **EVERYTHING)
    images, u = noise(7, 50, 50), draws(7)
    together = augment(images, u)
    alone = torch.cat([augment(images[i : i + 1], u[i : i + 1]) for i in range(7)])
    backwards = augment(images.flip(0), u.flip(0)).flip(0)
    assert torch.equal(together, alone)
    assert torch.equal(together, backwards)


def test_output_is_unit_float_and_draws_matter():
    augment = Augmentation(24, **EVERYTHING)
    image = noise(1, 40, 40)
    base = augment(image, neutral(AREA=0.3))
    assert base.shape == (1, 1, 24, 24)
    assert base.dtype == torch.float32
    assert base.min() >= 0
    assert base.max() <= 1
    for column in range(Augmentation.draws):
        other = neutral(AREA=0.3)
        other[:, column] = 0.05 if column != BLUR else 0.95
        assert not torch.allclose(augment(image, other), base, atol=1e-3), column


def test_neutral_draws_return_the_image():
    images = noise(2, 40, 40)
    view = Augmentation(40, **{**EVERYTHING, "crop": (1.0, 1.0)})(images, neutral(2))
    torch.testing.assert_close(view, images / 255, atol=1e-4, rtol=0)


def test_flip_mirrors_left_and_right():
    images = noise(1, 20, 20)
    view = Augmentation(20, flip=True)(images, neutral(FLIP=0.4))
    torch.testing.assert_close(view, images.flip(3) / 255, atol=1e-4, rtol=0)
    kept = Augmentation(20, flip=False)(images, neutral(FLIP=0.4))
    torch.testing.assert_close(kept, images / 255, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("draw", "turns"), [(0.0, -1), (1.0, 1)])
def test_rotation_is_in_degrees_and_anticlockwise(draw, turns):
    images = noise(1, 21, 21)
    view = Augmentation(21, rotation=90.0)(images, neutral(TURN=draw))
    torch.testing.assert_close(view, torch.rot90(images, turns, (2, 3)) / 255, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("x", "y", "rows", "columns"),
    [(0.0, 0.0, slice(0, 20), slice(0, 20)), (1.0, 0.0, slice(0, 20), slice(20, 40)),
     (0.0, 1.0, slice(20, 40), slice(0, 20)), (0.5, 0.5, slice(10, 30), slice(10, 30))],
)  # fmt: skip
def test_crop_takes_the_right_part(x, y, rows, columns):
    images = noise(1, 40, 40)
    view = Augmentation(20, crop=(0.25, 0.25))(images, neutral(X=x, Y=y))
    torch.testing.assert_close(view, images[..., rows, columns] / 255, atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(60, 60), (50, 80), (90, 40)])
def test_crop_area_and_aspect_stay_in_range_and_inside(shape):
    height, width = shape
    count, size = 200, 64
    augment = Augmentation(size, crop=(0.2, 0.9))
    across = torch.arange(width, dtype=torch.uint8).expand(count, 1, height, width)
    down = torch.arange(height, dtype=torch.uint8)[:, None].expand(count, 1, height, width)
    u = draws(count)
    # Gray values are pixel numbers, so the view's slope is the extent of the crop.
    x, y = augment(across, u)[:, 0] * 255, augment(down, u)[:, 0] * 255
    middle = slice(size // 4, 3 * size // 4)
    w = (x[:, 0, middle][:, -1] - x[:, 0, middle][:, 0]) * size / (size // 2 - 1)
    h = (y[:, middle, 0][:, -1] - y[:, middle, 0][:, 0]) * size / (size // 2 - 1)
    share = w * h / (height * width)
    assert share.min() > 0.19
    assert share.max() < 0.91
    assert share.max() - share.min() > 0.5
    square = height == width
    if square:
        assert (w / h).min() > 0.74
        assert (w / h).max() < 1.35
        assert (w / h).max() / (w / h).min() > 1.5
    assert w.max() <= width * 1.01
    assert h.max() <= height * 1.01


def test_full_crop_of_a_wide_image_is_the_whole_image():
    images = torch.zeros(1, 1, 20, 60, dtype=torch.uint8)
    images[..., :5] = 255
    view = Augmentation(30)(images, neutral())
    assert view[0, 0, :, :2].min() > 0.99
    assert view[0, 0, :, 3:].max() < 0.01


def test_shrinking_averages_instead_of_skipping():
    stripes = torch.zeros(1, 1, 96, 96, dtype=torch.uint8)
    stripes[..., ::4] = 255
    view = Augmentation(24)(stripes, neutral())
    torch.testing.assert_close(view, torch.full_like(view, 0.25), atol=1e-4, rtol=0)
    images = noise(1, 64, 64)
    halved = torch.nn.functional.avg_pool2d(images / 255, 2)
    torch.testing.assert_close(Augmentation(32)(images, neutral()), halved, atol=1e-4, rtol=0)


def test_rotation_brings_in_no_black_corners():
    images = torch.full((1, 1, 30, 30), 200, dtype=torch.uint8)
    view = Augmentation(30, rotation=45.0)(images, neutral(TURN=0.0))
    torch.testing.assert_close(view, torch.full_like(view, 200 / 255), atol=1e-5, rtol=0)


def test_intensity_changes_follow_their_formulas():
    images = noise(1, 16, 16) // 2 + 40
    x = (images / 255).numpy()
    gamma = Augmentation(16, gamma=0.4)(images, neutral(GAMMA=0.0))
    contrast = Augmentation(16, contrast=0.2)(images, neutral(CONTRAST=1.0))
    brightness = Augmentation(16, brightness=0.2)(images, neutral(BRIGHTNESS=0.0))
    np.testing.assert_allclose(gamma.numpy(), x ** np.exp(-0.4), atol=1e-4)
    np.testing.assert_allclose(contrast.numpy(), x.mean() + (x - x.mean()) * 1.2, atol=1e-4)
    np.testing.assert_allclose(brightness.numpy(), x * 0.8, atol=1e-4)


def test_blur_has_the_asked_width():
    dot = torch.zeros(2, 1, 33, 33)
    dot[:, :, 16, 16] = 1
    blurred = gaussian_blur(dot, torch.tensor([0.0, 2.0]), largest=2.0)
    assert torch.equal(blurred[0], dot[0])
    distance = torch.arange(33) - 16.0
    for profile in (blurred[1, 0].sum(dim=0), blurred[1, 0].sum(dim=1)):
        assert profile.sum().item() == pytest.approx(1, abs=1e-5)
        assert (profile * distance**2).sum().sqrt().item() == pytest.approx(2, rel=0.03)


def test_center_resize_matches_pillow_and_keeps_exact_sizes():
    image = noise(1, 90, 60)
    square = image[0, 0, 15:75].numpy()
    expected = np.asarray(Image.fromarray(square).resize((25, 25), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(center_resize(image, 25)[0, 0].numpy() * 255, expected, atol=1.01)
    assert torch.equal(center_resize(image, 60), image[..., 15:75, :] / 255)


@pytest.mark.parametrize(
    "wrong",
    [{"crop": (0.0, 1.0)}, {"crop": (0.8, 0.5)}, {"crop": (0.5, 1.2)}, {"brightness": 1.0},
     {"contrast": -0.1}, {"rotation": -5.0}, {"blur": -1.0}],
)  # fmt: skip
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Augmentation(32, **wrong)
