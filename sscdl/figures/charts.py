"""The one style of all charts, what they share, and how a figure is saved.

A chart takes a table that :mod:`sscdl.tables` makes, so that it shows no number that is not in a
file. Colours are those of Okabe & Ito (2008), which people with colour vision deficiencies tell
apart; series also differ by marker.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Bbox

from sscdl.files import atomic_path

BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, GRAY = "#E69F00", "#56B4E9", "#000000", "#6E6E6E"
VARIANT_STYLES = {
    "full": (BLUE, "o"),
    "segmented_black": (VERMILION, "s"),
    "segmented_gray": (GREEN, "D"),
}
_OTHER_STYLES = [(PURPLE, "^"), (ORANGE, "v"), (SKY, "P"), (BLACK, "X")]
_STYLE: dict[str, Any] = {
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "lines.markersize": 4.5,
    "lines.linewidth": 1.2,
}
# The text width of an A4 page, in inches.
PAGE_WIDTH = 6.5
_CAPTION = 7  # points, of the letters of a caption
_HANDLE = 0.6  # inches, of a line in a legend with the room around it
_EDGE = 0.06  # inches, between the text and the picture's edge


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the one style of all figures inside the block."""
    style: Any = _STYLE  # of matplotlib's keys
    with matplotlib.rc_context(style):
        yield


def write_figure(
    figure: Figure, path: Path, *, title: str = "", caption: str = "", dpi: int = 200
) -> None:
    """Save ``figure`` atomically; the suffix of ``path`` (png, pdf, svg) sets the format.

    The ``caption`` stands below the figure, inside the file, so that the file alone is understood;
    ``title`` is written into its metadata.
    """
    # Ticks are made when the figure is drawn, so the style has to hold here as well.
    with figure_style(), atomic_path(path) as temporary:
        figure.savefig(
            temporary,
            dpi=dpi,
            bbox_inches=_with_caption(figure, caption, dpi) if caption else None,
            metadata={"Title": title} if title else None,
        )


def _with_caption(figure: Figure, caption: str, dpi: int) -> Bbox:
    """Write the caption below the figure's lower edge and return the box of both, in inches."""
    width, height = figure.get_size_inches()
    lines = wrapped(caption, width - 2 * _EDGE, lambda text: text_width(text, _CAPTION))
    step = 1.3 * _CAPTION / 72
    for number, line in enumerate(lines):
        figure.text(
            _EDGE / width, -(_EDGE + number * step) / height, line, va="top", parse_math=False,
            fontsize=_CAPTION, color="#333333", in_layout=False,
        )  # fmt: skip
    # In whole pixels, so that those of the figure stay where they are.
    below = math.ceil((2 * _EDGE + len(lines) * step) * dpi) / dpi
    return Bbox([[0, -below], [width, height]])


def text_width(text: str, size: float) -> float:
    """Return how wide a line of text is, in inches, at a font size in points."""
    return float(TextPath((0, 0), text, size=size).get_extents().width) / 72 if text.strip() else 0


def wrapped(text: str, width: float, measure: Callable[[str], float]) -> list[str]:
    """Return ``text`` in lines that ``measure`` finds no wider than ``width``, nothing left out.

    Lines break at line breaks, then at spaces, and inside of words that are too wide by themselves.
    """
    lines = []
    for given in text.split("\n"):
        line = ""
        for word in given.split():
            longer = f"{line} {word}" if line else word
            if measure(longer) <= width:
                line = longer
                continue
            if line:
                lines.append(line)
            line = ""
            for letter in word:
                if line and measure(line + letter) > width:
                    lines.append(line)
                    line = ""
                line += letter
        lines.append(line)
    return lines


def styles(variants: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return colour and marker of each variant."""
    spare = iter(_OTHER_STYLES * (1 + len(variants) // len(_OTHER_STYLES)))
    return {name: VARIANT_STYLES.get(name) or next(spare) for name in variants}


def intervals(
    axes: Axes,
    rows: np.ndarray,
    values: pd.Series,
    low: pd.Series,
    high: pd.Series,
    color: str,
    marker: str,
) -> None:
    """Draw horizontal intervals with their estimates as markers."""
    axes.hlines(rows, low, high, color=color, linewidth=1.0, alpha=0.75)
    axes.plot(values, rows, marker, color=color, markeredgecolor="white", markeredgewidth=0.4)


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows 0, 1, ... of an axes, the first one on top, and draw lines between them."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color="#EEEEEE", linewidth=0.6, zorder=0)


def offsets(count: int) -> np.ndarray:
    """Return vertical shifts that keep ``count`` series of one row apart."""
    return (np.arange(count) - (count - 1) / 2) * min(0.28, 0.7 / max(count, 1))


def legend(figure: Figure, handles: Sequence[Line2D | Patch], columns: int = 3) -> None:
    """Put a legend above all that the figure has, in as many ``columns`` or as fit its width."""
    names = [str(handle.get_label()) for handle in handles]
    each = max(text_width(name, _STYLE["legend.fontsize"]) for name in names) + _HANDLE
    fit = max(1, int(figure.get_size_inches()[0] / each))
    figure.legend(handles=list(handles), loc="outside upper center", ncols=min(columns, fit))


def grid_shape(count: int, most: int = 4) -> tuple[int, int]:
    """Return rows and columns of a grid for ``count`` panels, with few places left empty.

    There are at most ``most`` columns.
    """
    square = min(most, math.ceil(math.sqrt(count)))
    near = [n for n in (square, square + 1, square - 1) if 1 <= n <= most]
    columns = min(near, key=lambda n: (-count) % n)
    return math.ceil(count / columns), columns


def point(color: str, marker: str, label: str) -> Line2D:
    """Return an entry of a legend for a series of points with intervals."""
    return Line2D([], [], color=color, marker=marker, label=label)
