"""Figures made of radiographs: attention overlays, image variants and mask contact sheets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sscdl.errors import InputError
from sscdl.figures.charts import BLACK, PAGE_WIDTH, SKY, VERMILION, figure_style

_COLORMAP = "inferno"


class AttentionItem(NamedTuple):
    """One image of an attention panel.

    ``image`` is uint8 (H, W), ``cam`` float (H, W) (values below 0 are drawn as 0), ``mask`` bool
    (H, W) or None, ``ail`` in [0, 1] (NaN: undefined), ``label`` may be empty, ``heading`` has
    optional first lines, such as the model's curriculum.
    """

    image: NDArray[np.uint8]
    cam: NDArray[np.floating]
    mask: NDArray[np.bool_] | None
    ail: float
    predicted: str
    label: str
    heading: str = ""


class ClassMapsItem(NamedTuple):
    """One image as one model sees it, with the maps of all classes.

    ``image`` is uint8 (H, W), ``cams`` float (K, H, W) (values below 0 are drawn as 0), ``mask``
    bool (H, W) or None, ``ails`` and ``chances`` the K classes' AIL (NaN: undefined) and
    probabilities in [0, 1]; ``predicted`` and ``label`` name classes, ``heading`` the model.
    """

    image: NDArray[np.uint8]
    cams: NDArray[np.floating]
    mask: NDArray[np.bool_] | None
    ails: Sequence[float]
    chances: Sequence[float]
    predicted: str
    label: str
    heading: str


def _grid(
    count: int, columns: int, title_lines: int, side: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """Return a figure no wider than a page and its first ``count`` square axes, row by row.

    ``title_lines`` is the most lines a title has, ``side`` what the right margin needs, in inches.
    """
    if count == 0:
        raise InputError("figure: there are no images to draw")
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    cell = min(2.6, (PAGE_WIDTH - side) / columns)
    size = (cell * columns + side, rows * (cell + 0.08 + 0.135 * title_lines) + 0.15)
    figure = Figure(figsize=size, layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for cell_axes in axes:
        cell_axes.set_axis_off()
    return figure, axes[:count]


def _radiograph(axes: Axes, image: NDArray[np.uint8]) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")


def _outline(axes: Axes, mask: NDArray[np.bool_] | None, color: str = SKY) -> None:
    # A mask that is empty or covers everything has no outline, and matplotlib would warn.
    if mask is not None and mask.any() and not mask.all():
        axes.contour(mask.astype(float), levels=[0.5], colors=[color], linewidths=0.9)


def attention_panel(items: Sequence[AttentionItem], *, columns: int = 4) -> Figure:
    """Draw images with their class activation map laid over and the lungs outlined.

    Each map is scaled to its own maximum; low values are transparent. The title gives AIL,
    predicted and true class; it is red where they differ.
    """
    with figure_style():
        lines = 3 + max(len(item.heading.splitlines()) for item in items)
        figure, grid = _grid(len(items), columns, title_lines=lines, side=0.8)
        for axes, item in zip(grid, items, strict=True):
            _attention(axes, item.image, _positive(item.cam), item.mask)
            lines = [
                f"AIL {_percent(item.ail)}",
                f"predicted {item.predicted}",
                f"true {item.label or 'unknown'}",
            ]
            if item.heading:
                lines.insert(0, item.heading)
            wrong = bool(item.label) and item.label != item.predicted
            axes.set_title("\n".join(lines), fontsize=7.5, color=VERMILION if wrong else BLACK)
        _scale(figure, "attention (% of the map's maximum)", rows=len(items) > columns)
    return figure


def class_maps_panel(
    items: Sequence[ClassMapsItem], classes: Sequence[str], *, columns: int = 4
) -> Figure:
    """Draw of each image the map of every class side by side, ``columns`` panels in a row.

    The maps of an image by one model share a scale, up to the highest value of them all, so that
    they show which class has more in its favour and where. Each title gives the class, its
    probability and the AIL of its map, the first also the model and the true class. An arrow marks
    the class that is predicted; its title is red where that is not the true one.
    """
    count = len(items) * len(classes)
    with figure_style():
        lines = 3 + max((len(item.heading.splitlines()) for item in items), default=0)
        figure, grid = _grid(count, columns, title_lines=lines, side=0.8)
        for number, axes in enumerate(grid):
            item, place = items[number // len(classes)], number % len(classes)
            heats = _positive(item.cams)
            _attention(axes, item.image, heats[place], item.mask)
            name = classes[place]
            chosen = name == item.predicted
            lines = [
                # The model and the truth stand over the first of its maps.
                *((item.heading, f"true {item.label or 'unknown'}") if place == 0 else ()),
                f"\N{RIGHTWARDS ARROW} {name}" if chosen else name,
                f"p {item.chances[place]:.2f}, AIL {_percent(item.ails[place])}",
            ]
            wrong = chosen and bool(item.label) and item.label != name
            axes.set_title("\n".join(lines), fontsize=7.5, color=VERMILION if wrong else BLACK)
        _scale(figure, "attention (% of the classes' maximum)", rows=count > columns)
    return figure


def _positive(cam: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return maps clipped at 0 and scaled to their common maximum; all 0 where there is none."""
    heat = np.clip(np.nan_to_num(np.asarray(cam, dtype=float)), 0, None)
    return heat / heat.max() if heat.max() > 0 else heat


def _attention(
    axes: Axes, image: NDArray[np.uint8], heat: NDArray[np.float64], mask: NDArray[np.bool_] | None
) -> None:
    """Draw an image with a map in [0, 1] laid over and the lungs outlined."""
    _radiograph(axes, image)
    axes.imshow(heat, cmap=_COLORMAP, vmin=0, vmax=1, alpha=0.75 * np.sqrt(heat))
    _outline(axes, mask)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if np.isfinite(share) else "undefined"


def _scale(figure: Figure, label: str, *, rows: bool) -> None:
    """Draw the colour scale of attention, 0 to 100; ``rows`` if there are several."""
    figure.colorbar(
        ScalarMappable(Normalize(0, 100), _COLORMAP),
        ax=figure.axes,
        location="right",
        shrink=0.6 if rows else 0.8,
        aspect=30,
        label=label,
    )


def variants_panel(
    images: Mapping[str, NDArray[np.uint8]], masks: Mapping[str, NDArray[np.bool_]]
) -> Figure:
    """Draw one radiograph in each of its variants, uint8 (H, W) by name, lungs outlined.

    ``masks`` are bool (H, W), by variant too: a variant may show a part of the radiograph.
    """
    with figure_style():
        figure, grid = _grid(len(images), max(1, len(images)), title_lines=1)
        for axes, (name, image) in zip(grid, images.items(), strict=True):
            _radiograph(axes, image)
            _outline(axes, masks[name])
            axes.set_title(name)
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
        figure, grid = _grid(len(images), columns, title_lines=int(any(titles)))
        for axes, image, mask, title in zip(grid, images, masks, titles, strict=True):
            _radiograph(axes, image)
            tint = np.ones((*mask.shape, 4)) * (0.34, 0.71, 0.91, 0.0)
            tint[..., 3] = 0.25 * mask
            axes.imshow(tint, interpolation="nearest")
            _outline(axes, mask)
            axes.set_title(title, fontsize=6.5)
    return figure
