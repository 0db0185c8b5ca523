"""Lines of text near the borders are found; anatomy and side markers are not taken for any."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sscdl.images.burned_in import text_regions
from sscdl.phantom.radiograph import render

SIZE = 384


def radiograph(seed=0, *, size=SIZE, mark=False):
    return np.round(255 * render(seed, "negative", size, mark=mark).pixels).astype(np.uint8)


def written(image, text, at, *, gray=255, share=0.03):
    """Return a copy with ``text``, its lower left corner ``at`` (fractions), and its width."""
    height, width = image.shape
    font = cv2.FONT_HERSHEY_SIMPLEX
    scale = share * height / cv2.getTextSize("H", font, 1, 1)[0][1]
    image = image.copy()
    corner = (round(at[0] * width), round(at[1] * height))
    cv2.putText(image, text, corner, font, scale, gray, 1, cv2.LINE_AA)
    return image, cv2.getTextSize(text, font, scale, 1)[0][0] / width


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("at", [(0.03, 0.06), (0.5, 0.06), (0.03, 0.98)])
def test_a_line_is_found_where_it_is(at, kind):
    image, width = written(radiograph(), "DOE JANE 1955", at)
    pixels = image if kind == np.uint8 else image.astype(kind) * 257
    ((x0, y0, x1, y1),) = text_regions(pixels)
    assert (x0, x1) == pytest.approx((at[0], at[0] + width), abs=0.02)
    assert (y0, y1) == pytest.approx((at[1] - 0.03, at[1]), abs=0.012)


def test_dark_letters_are_found():
    # The patient's shoulder is light enough to write on in black.
    image = cv2.GaussianBlur(radiograph(), (0, 0), 3) // 2 + 120
    image, _ = written(image, "19550312", (0.7, 0.95), gray=0)
    assert len(text_regions(image)) == 1


def test_vertical_lines_are_found():
    image, width = written(radiograph().T, "ST MARY", (0.3, 0.06))
    (box,) = text_regions(np.ascontiguousarray(image.T))
    assert box[2] - box[0] < 0.06
    assert (box[1], box[3]) == pytest.approx((0.3, 0.3 + width), abs=0.02)


def test_several_lines_come_from_top_to_bottom():
    image, _ = written(radiograph(), "DOE JANE", (0.6, 0.06))
    image, _ = written(image, "PORTABLE", (0.05, 0.12))
    image, _ = written(image, "HOSPITAL", (0.05, 0.97))
    boxes = text_regions(image)
    assert [round(box[1], 1) for box in boxes] == [0.0, 0.1, 0.9]


@pytest.mark.parametrize("text", ["L", "R", "AP"])
def test_few_characters_are_no_line(text):
    assert text_regions(written(radiograph(), text, (0.05, 0.08))[0]) == []


def test_the_middle_of_the_picture_is_not_searched():
    assert text_regions(written(radiograph(), "DOE JANE", (0.4, 0.5))[0]) == []


@pytest.mark.parametrize("size", [192, 384])
def test_radiographs_without_text(size):
    assert [text_regions(radiograph(seed, size=size, mark=True)) for seed in range(8)] == [[]] * 8


@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (400, 3)])
def test_any_shape(shape):
    assert text_regions(np.zeros(shape, np.uint8)) == []
    assert text_regions(np.full(shape, 2**16 - 1, np.uint16)) == []
