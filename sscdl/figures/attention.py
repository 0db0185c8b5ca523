"""Where models look: class activation maps laid over radiographs.

Pictures are placed in inches, side by side, so that none of the page is left blank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sscdl.errors import InputError
from sscdl.figures.charts import BLACK, GRAY, PAGE_WIDTH, VERMILION, figure_style, text_width
from sscdl.figures.panels import draw_outline, draw_radiograph
from sscdl.figures.sheet import EDGE, GAP, LINE, SMALL, TITLE, Sheet

_COLORMAP = "inferno"
# How much of a picture the strongest attention hides; weaker attention hides less of it.
_OPAQUE = 0.65
_LARGEST, _SMALLEST = 1.3, 0.86  # inches, of a picture, if it is one of few or of many
_BAR = (1.5, 0.08)  # inches, of the colour bar
_NARROW = 3.2  # inches, of the least room for it and its label


class AttentionItem(NamedTuple):
    """One image as one model sees it.

    ``image`` is uint8 (H, W), ``cam`` float (H, W) (values below 0 are drawn as 0), ``mask`` bool
    (H, W) or None, ``ail`` in [0, 1] (NaN: undefined), ``label`` may be empty.
    """

    image: NDArray[np.uint8]
    cam: NDArray[np.floating]
    mask: NDArray[np.bool_] | None
    ail: float
    predicted: str
    label: str


class ClassMapsItem(NamedTuple):
    """One image as one model sees it, with the maps of all classes.

    ``image`` is uint8 (H, W), ``cams`` float (K, H, W) (values below 0 are drawn as 0), ``mask``
    bool (H, W) or None, ``ails`` and ``chances`` the K classes' AIL (NaN: undefined) and
    probabilities in [0, 1]; ``predicted`` and ``label`` name classes.
    """

    image: NDArray[np.uint8]
    cams: NDArray[np.floating]
    mask: NDArray[np.bool_] | None
    ails: Sequence[float]
    chances: Sequence[float]
    predicted: str
    label: str


def _some(shown: Mapping[str, Sequence[object]]) -> None:
    if not any(shown.values()):
        raise InputError("figure: there are no images to draw")


def _label_room(labels: Sequence[str]) -> float:
    """Return how wide the names of rows are, in inches."""
    return max(text_width(line, TITLE) for text in labels for line in text.split("\n")) + 0.1


def _side(columns: int, room: float) -> float:
    """Return the side of pictures, in inches: fewer beside each other are larger."""
    fit = (room - GAP * (columns - 1)) / columns
    return min(_LARGEST, fit, max(4 * _SMALLEST / columns, _SMALLEST))


def attention_panel(models: Mapping[str, Sequence[AttentionItem]]) -> Figure:
    """Draw the class activation maps of several models, each a row, over the same images.

    Each map is scaled to its own maximum; the less attention, the more of the radiograph is seen.
    Lungs are outlined. Over a picture stand the predicted class, red where it is wrong, and the
    AIL; over each column stands its true class, if that of any is known.

    Args:
        models: for each model, by its name of one or two lines, one item an image.

    Raises:
        InputError: there are no images.
    """
    _some(models)
    names, first = list(models), next(iter(models.values()))
    columns = len(first)
    with figure_style():
        left = EDGE + _label_room(names)
        side = _side(columns, PAGE_WIDTH - left - EDGE)
        said = [
            [(item.predicted, f"AIL {_percent(item.ail)}") for item in items]
            for items in models.values()
        ]
        joint, over = _joined(said, side)
        head = 1.5 * LINE * TITLE
        step = side + over + GAP
        width = max(left + columns * (side + GAP), _NARROW)
        sheet = Sheet(width, EDGE + head + len(models) * step + _bar_room())
        for column, item in enumerate(first):
            middle = left + column * (side + GAP) + side / 2
            if any(one.label for one in first):
                text = f"true {item.label or 'unknown'}"
                sheet.write(middle, EDGE + LINE * TITLE, text, TITLE, room=side)
        for row, (name, items) in enumerate(models.items()):
            top = EDGE + head + row * step + over
            _name_row(sheet, name, left, top + side / 2)
            for column, item in enumerate(items):
                x = left + column * (side + GAP)
                _attention(
                    sheet.axes(x, top, side, side), item.image, _positive(item.cam), item.mask
                )
                wrong = bool(item.label) and item.label != item.predicted
                sheet.write(
                    x + side / 2, top - 0.01, joint.join(said[row][column]), SMALL, room=side,
                    color=VERMILION if wrong else BLACK,
                )  # fmt: skip
        _bar(sheet)
    return sheet.figure


def class_maps_panel(
    models: Mapping[str, Sequence[ClassMapsItem]], classes: Sequence[str]
) -> Figure:
    """Draw of each image, a row, the map of every class, as several models see it.

    The maps of an image by one model share a scale, up to the highest value of them all, so that
    they show which class has more in its favour and where. Over each stand the probability of the
    class and the AIL of its map; an arrow marks the class that is predicted, red where that is not
    the true one. Models stand beside each other as far as there is room, and then below.

    Args:
        models: for each model, by its name, one item an image.
        classes: names of the classes, in the order of the items' maps.

    Raises:
        InputError: there are no images.
    """
    _some(models)
    # As many as fit, and no fewer in the last row.
    fit = max(1, 4 // len(classes))
    beside = max(n for n in range(1, fit + 1) if len(models) % n == 0)
    names = list(models)
    blocks = [names[start : start + beside] for start in range(0, len(names), beside)]
    images = len(models[names[0]])
    labels = [f"true {item.label or 'unknown'}" for item in models[names[0]]]
    with figure_style():
        left = EDGE + _label_room(labels)
        between = 2 * GAP  # in addition, between models
        columns = beside * len(classes)
        side = _side(columns, PAGE_WIDTH - left - EDGE - between * (beside - 1))
        said = [_chances(item, classes) for items in models.values() for item in items]
        joint, over = _joined(said, side)
        head = 2 * LINE * TITLE + 0.08
        step = side + over + GAP
        width = max(left + columns * (side + GAP) + between * (beside - 1), _NARROW)
        block_height = head + images * step
        sheet = Sheet(width, EDGE + len(blocks) * block_height + _bar_room())
        for number, block in enumerate(blocks):
            start = EDGE + number * block_height
            for place, name in enumerate(block):
                x = left + place * (len(classes) * (side + GAP) + between)
                room = len(classes) * (side + GAP) - GAP
                one_line = name.replace("\n", ", ")
                sheet.write(x + room / 2, start + LINE * TITLE, one_line, TITLE, room=room)
                for k, one in enumerate(classes):
                    middle = x + k * (side + GAP) + side / 2
                    sheet.write(middle, start + 2 * LINE * TITLE, one, TITLE, room=side)
                for row, item in enumerate(models[name]):
                    top = start + head + row * step + over
                    if place == 0:
                        _name_row(sheet, labels[row], left, top + side / 2)
                    _class_maps(sheet, item, classes, (x, top), side, joint)
        _bar(sheet)
    return sheet.figure


def _class_maps(
    sheet: Sheet,
    item: ClassMapsItem,
    classes: Sequence[str],
    corner: tuple[float, float],
    side: float,
    joint: str,
) -> None:
    """Draw the maps of one image by one model beside each other."""
    said = _chances(item, classes)
    for k, (name, heat) in enumerate(zip(classes, _positive(item.cams), strict=True)):
        left, top = corner[0] + k * (side + GAP), corner[1]
        _attention(sheet.axes(left, top, side, side), item.image, heat, item.mask)
        chosen = name == item.predicted
        wrong = chosen and bool(item.label) and item.label != name
        sheet.write(
            left + side / 2, top - 0.01, joint.join(said[k]), SMALL, room=side,
            color=VERMILION if wrong else BLACK,
        )  # fmt: skip


def _chances(item: ClassMapsItem, classes: Sequence[str]) -> list[tuple[str, str]]:
    """Return what is said of the map of each class: its probability, with an arrow, and its AIL."""
    arrow = "\N{RIGHTWARDS ARROW} "
    return [
        (f"{arrow * (name == item.predicted)}p {chance:.2f}", f"AIL {_percent(ail)}")
        for name, chance, ail in zip(classes, item.chances, item.ails, strict=True)
    ]


def _joined(said: Sequence[Sequence[tuple[str, str]]], side: float) -> tuple[str, float]:
    """Return what joins the two things that are said of a picture, and the height they take.

    They stand below each other where not all would fit beside each other.
    """
    widest = max(text_width(", ".join(pair), SMALL) for row in said for pair in row)
    lines = 1 if widest < 1.15 * side else 2
    return ", " if lines == 1 else "\n", lines * LINE * SMALL + 0.02


def _name_row(sheet: Sheet, name: str, right: float, middle: float) -> None:
    lines = name.count("\n") + 1
    bottom = middle + lines * LINE * TITLE / 2
    sheet.write(right - 0.05, bottom, name, TITLE, align="right")


def _positive(cam: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return maps clipped at 0 and scaled to their common maximum; all 0 where there is none."""
    heat = np.clip(np.nan_to_num(np.asarray(cam, dtype=float)), 0, None)
    return heat / heat.max() if heat.max() > 0 else heat


def _attention(
    axes: Axes, image: NDArray[np.uint8], heat: NDArray[np.float64], mask: NDArray[np.bool_] | None
) -> None:
    """Draw an image with a map in [0, 1] laid over and the lungs outlined."""
    draw_radiograph(axes, image)
    axes.imshow(heat, cmap=_COLORMAP, vmin=0, vmax=1, alpha=_OPAQUE * heat)
    draw_outline(axes, mask)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if np.isfinite(share) else "undefined"


def _bar_room() -> float:
    """Return the height that the colour bar takes below the pictures, in inches."""
    return _BAR[1] + LINE * SMALL + 0.1


def _bar(sheet: Sheet) -> None:
    """Draw the colours of attention, 0 to 100, as they look over gray, with what they mean."""
    width, height = _BAR
    top = sheet.size[1] - _bar_room() + 0.04
    right = sheet.size[0] - EDGE - 0.2
    axes = sheet.axes(right - width, top, width, height)
    heat = np.linspace(0, 1, 128)[None]
    colours = matplotlib.colormaps[_COLORMAP](heat)[..., :3]
    alpha = (_OPAQUE * heat)[..., None]
    axes.imshow(alpha * colours + (1 - alpha) * 0.5, aspect="auto", extent=(0, 100, 0, 1))
    bottom = top + height + LINE * SMALL + 0.02
    for place in (0, 50, 100):
        sheet.write(right - width * (1 - place / 100), bottom, f"{place}", SMALL)
    sheet.write(
        right - width - 0.12, top + height + 0.02, "attention, % of maximum", SMALL, align="right",
        color=GRAY,
    )  # fmt: skip
