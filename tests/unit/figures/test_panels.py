"""Sheets of radiographs: each image once, its mask over it."""

from __future__ import annotations

import numpy as np
import pytest

from sscdl.errors import InputError
from sscdl.figures import panels
from tests.unit.figures.looks import inside, picture, texts


def test_variants_panel_and_contact_sheet_show_each_image():
    image, mask = picture()
    variants = {"full": image, "segmented_black": image * mask}
    figure = panels.variants_panel(variants, dict.fromkeys(variants, mask))
    assert texts(figure) == ["full", "segmented_black"]
    assert inside(figure)
    sheet = panels.contact_sheet([image] * 7, [mask] * 7, titles=[f"image{i}" for i in range(7)])
    shown = [axes for axes in sheet.axes if axes.images]
    assert len(shown) == 7
    tint = np.asarray(shown[0].images[1].get_array())[..., 3]
    assert ((tint > 0) == mask).all()
    assert inside(sheet)


def test_contact_sheet_accepts_empty_masks_and_refuses_missing_ones():
    image, mask = picture()
    sheet = panels.contact_sheet([image], [mask & False])
    assert not sheet.axes[0].collections
    with pytest.raises(InputError, match="2 images, 1 masks"):
        panels.contact_sheet([image] * 2, [mask])
    with pytest.raises(InputError, match="no images"):
        panels.contact_sheet([], [])
