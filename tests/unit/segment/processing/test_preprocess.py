"""From images to fields and from fields to masks, without a network."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from skimage.color import rgb2gray
from skimage.exposure import equalize_hist
from skimage.morphology import closing, disk
from skimage.transform import resize as skimage_resize

from sscdl.segment.processing.postprocess import (
    close_gaps,
    closing_radius,
    count_components,
    largest_components,
    masks_of,
)
from sscdl.segment.processing.preprocess import (
    equalised,
    is_blank,
    normalise,
    place_mask,
    placement,
    preprocess,
    restore,
)
from sscdl.segment.processing.resample import resize

SMALL = {"height": 128, "width": 128, "border": 6}


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((512, 512), (6, 6, 116, 116)),
        ((300, 200), (6, 25, 116, 77)),
        ((100, 1000), (58, 6, 11, 116)),
        ((3, 2000), (63, 6, 1, 116)),
        ((2000, 3), (6, 63, 116, 1)),
        ((1, 1), (6, 6, 116, 116)),
    ],
)
def test_placement_keeps_the_aspect_inside_the_border(
    shape: tuple[int, int], expected: tuple[int, ...]
) -> None:
    assert placement(*shape, **SMALL)[:4] == expected
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        field, where = preprocess(image, **SMALL)
    outside = field.copy()
    where.crop(outside)[:] = 0
    assert field.shape == (128, 128)
    assert not outside.any()
    assert restore(field, where).shape == shape


def test_a_portrait_that_rounds_to_447_wide_fits() -> None:
    where = placement(1288, 1000, height=640, width=512, border=32)
    assert (where.height, where.width) == (576, 447)
    field, _ = preprocess(np.arange(1288 * 1000, dtype=np.uint32).reshape(1288, 1000))
    assert field.max() > 0.9


@pytest.mark.parametrize("value", [0, 7])
def test_an_image_of_one_value_gives_a_zero_field(value: int) -> None:
    field, _ = preprocess(np.full((40, 30), value, dtype=np.uint8), **SMALL)
    assert not field.any()
    assert np.isfinite(field).all()


def test_equalisation_does_not_depend_on_the_scale_of_values() -> None:
    image = np.random.default_rng(1).integers(0, 200, (90, 80)).astype(np.uint16)
    np.testing.assert_allclose(
        preprocess(image, **SMALL)[0], preprocess(image * 100, **SMALL)[0], atol=1e-6
    )


def test_colours_are_equalised_together_and_then_made_gray() -> None:
    image = np.random.default_rng(2).integers(0, 200, (116, 116, 3), dtype=np.uint8)
    image[..., 1] //= 2
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This might be a color image")
        expected = rgb2gray(equalize_hist(image / image.max()))
    field, where = preprocess(image, **SMALL)
    np.testing.assert_allclose(where.crop(field), expected, atol=1e-6)
    gray = image[..., 0]
    np.testing.assert_allclose(
        preprocess(np.stack([gray] * 3, axis=2), **SMALL)[0],
        preprocess(gray, **SMALL)[0],
        atol=1e-6,
    )


def test_one_colour_everywhere_is_blank() -> None:
    image = np.zeros((9, 8, 3), np.uint8)
    image[:] = (200, 10, 10)
    assert is_blank(image)
    image[0, 0, 1] = 11
    assert not is_blank(image)


def test_numbers_between_0_and_1_are_scaled_already() -> None:
    shares = np.array([[0.2, 0.4]])
    np.testing.assert_array_equal(normalise(shares), shares)
    np.testing.assert_array_equal(normalise(shares * 5), [[0.5, 1.0]])
    np.testing.assert_array_equal(normalise(np.array([[50, 100]])), [[0.5, 1.0]])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float64])
def test_equalisation_equals_that_of_skimage(kind: type) -> None:
    image = np.random.default_rng(3).normal(120, 30, (70, 90)).clip(0, 255).astype(kind)
    expected = equalize_hist(image / image.max(), nbins=256)
    np.testing.assert_allclose(equalised(image), expected, atol=1e-7)


@pytest.mark.parametrize(
    ("shape", "target"),
    [
        ((1024, 900), (448, 393)),
        ((448, 393), (1024, 900)),
        ((97, 131), (331, 448)),
        ((50, 60), (110, 20)),
        ((3, 2000), (1, 116)),
        ((2000, 3), (116, 1)),
        ((2, 2), (1, 1)),
        ((1, 1), (116, 116)),
        ((1, 7), (3, 3)),
        ((40, 40), (40, 40)),
    ],
)
def test_resizing_equals_that_of_skimage(shape: tuple[int, int], target: tuple[int, int]) -> None:
    values = np.random.default_rng(4).random(shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = skimage_resize(values, target, order=1, anti_aliasing=None)
    np.testing.assert_allclose(resize(values, *target), expected, atol=1e-12)


@pytest.mark.parametrize("value", [0.5, 1.0, 0.1])
def test_resizing_keeps_a_constant_to_the_bit(value: float) -> None:
    assert (resize(np.full((37, 41), value), 101, 77) == value).all()
    assert (resize(np.full((101, 77), value), 37, 41) == value).all()


def test_mask_goes_into_the_field_and_back() -> None:
    mask = np.zeros((200, 150), dtype=bool)
    mask[50:150, 20:60] = mask[50:150, 90:130] = True
    where = placement(*mask.shape, **SMALL)
    back = restore(place_mask(mask, **SMALL), where) > 0.5
    assert (back != mask).mean() < 0.02


@pytest.mark.parametrize("radius", [1, 2, 11])
def test_closing_equals_that_by_a_structuring_element(radius: int) -> None:
    mask = np.random.default_rng(radius).random((90, 70)) > 0.97
    expected = closing(np.pad(mask, 30), disk(radius))
    inner = np.zeros((150, 130), dtype=bool)
    inner[30:-30, 30:-30] = mask
    np.testing.assert_array_equal(close_gaps(inner, radius), expected)


def test_two_largest_eight_connected_components_remain() -> None:
    mask = np.zeros((20, 20), dtype=bool)
    mask[1, 1] = mask[2, 2] = mask[3, 3] = True
    mask[10, 1:3] = True
    mask[15:18, 10:13] = True
    kept = largest_components(mask)
    assert count_components(mask) == 3
    assert count_components(kept) == 2
    assert kept[2, 2]
    assert not kept[10, 1]


def test_radius_follows_the_field() -> None:
    assert [closing_radius(h) for h in (640, 128, 64, 192)] == [11, 2, 1, 3]


def test_an_empty_prediction_stays_empty() -> None:
    where = placement(50, 60, **SMALL)
    raw, post = masks_of(np.full((128, 128), 0.5), where)
    assert raw.shape == post.shape == (50, 60)
    assert not raw.any()
    assert not post.any()
