"""Sheets of radiographs: the variants of one, and lung masks.

Pictures are placed in inches, side by side, so that none of the page is left blank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sscdl.errors import InputError
from sscdl.figures.charts import PAGE_WIDTH, SKY, figure_style
from sscdl.figures.sheet import EDGE, GAP, LINE, SMALL, TITLE, Sheet


def draw_radiograph(axes: Axes, image: NDArray[np.uint8]) -> None:
    """Draw a radiograph uint8 (H, W) from black to white."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def draw_outline(axes: Axes, mask: NDArray[np.bool_] | None, color: str = SKY) -> None:
    """Draw the outline of a mask bool (H, W), if there is one."""
    # A mask that is empty or covers everything has no outline, and matplotlib would warn.
    if mask is not None and mask.any() and not mask.all():
        axes.contour(mask.astype(float), levels=[0.5], colors=[color], linewidths=0.7)


def _titled(titles: Sequence[str], columns: int, size: float) -> tuple[Figure, list[Axes]]:
    """Return a figure no wider than a page with square axes in rows, each under its title."""
    if not titles:
        raise InputError("figure: there are no images to draw")
    columns = min(columns, len(titles))
    rows = math.ceil(len(titles) / columns)
    side = min(2.6, (PAGE_WIDTH - 2 * EDGE - GAP * (columns - 1)) / columns)
    over = LINE * size + 0.02 if any(titles) else 0.0
    step = side + over + GAP
    sheet = Sheet(2 * EDGE + columns * (side + GAP) - GAP, 2 * EDGE + rows * step - GAP)
    found = []
    for number, title in enumerate(titles):
        left = EDGE + number % columns * (side + GAP)
        top = EDGE + number // columns * step + over
        sheet.write(left + side / 2, top - 0.01, title, size, room=side)
        found.append(sheet.axes(left, top, side, side))
    return sheet.figure, found


def variants_panel(
    images: Mapping[str, NDArray[np.uint8]], masks: Mapping[str, NDArray[np.bool_]]
) -> Figure:
    """Draw one radiograph in each of its variants, uint8 (H, W) by name, lungs outlined.

    ``masks`` are bool (H, W), by variant too: a variant may show a part of the radiograph.
    """
    with figure_style():
        figure, grid = _titled(list(images), max(1, len(images)), TITLE)
        for axes, (name, image) in zip(grid, images.items(), strict=True):
            draw_radiograph(axes, image)
            draw_outline(axes, masks[name])
    return figure


def contact_sheet(
    images: Sequence[NDArray[np.uint8]],
    masks: Sequence[NDArray[np.bool_]],
    *,
    titles: Sequence[str] | None = None,
    columns: int = 6,
) -> Figure:
    """Draw radiographs uint8 (H, W) with their lung masks bool (H, W) tinted and outlined.

    Raises:
        InputError: there are no images, or not as many masks or titles as images.
    """
    titles = [""] * len(images) if titles is None else titles
    if not len(images) == len(masks) == len(titles):
        raise InputError(
            f"figure: {len(images)} images, {len(masks)} masks and {len(titles)} titles; "
            "each image needs one of each"
        )
    with figure_style():
        figure, grid = _titled(titles, columns, SMALL)
        for axes, image, mask in zip(grid, images, masks, strict=True):
            draw_radiograph(axes, image)
            tint = np.ones((*mask.shape, 4)) * (0.34, 0.71, 0.91, 0.0)
            tint[..., 3] = 0.25 * mask
            axes.imshow(tint, interpolation="nearest")
            draw_outline(axes, mask)
    return figure
