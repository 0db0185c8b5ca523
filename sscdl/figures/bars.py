"""Panels of horizontal bars with names of any length, for figures that describe tables.

A figure adds up the heights of its panels beforehand, so that bars are as thin in one as in another
whether there are two of them or twenty.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sscdl.figures import charts
from sscdl.words import many

# Colours that people with colour vision deficiencies tell apart, and one for all that is left.
COLORS = [
    charts.BLUE, charts.ORANGE, charts.GREEN, charts.VERMILION, charts.SKY, charts.PURPLE,
    "#F0E442",
]  # fmt: skip
_REST = "#BBBBBB"
SERIES = len(COLORS) + 1
# Letters that fit beside each other in a legend half a page wide, and that a bar's name may have.
_LEGEND, _NAME = 44, 20


def summed(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return at most ``most`` rows: of more, the largest, and last the sum of the others."""
    if len(table) <= most:
        return table
    large = table.index.isin(table.sum(axis=1).nlargest(most - 1).index)
    others = table[~large].sum().to_frame(many((~large).sum(), "other"))
    return pd.concat([table[large], others.T])


def lines_of(name: str) -> float:
    """Return how many bars' room a name takes that may have line breaks."""
    return 0.4 + 0.6 * len(name.splitlines())


def _columns(names: Sequence[str], wide: bool) -> int:
    """Return how many columns of ``names`` a legend has room for."""
    longest = max(map(len, names))
    return max(1, min(len(names), _LEGEND * (1 + wide) // (longest + 5)))


def height(rows: float, series: Iterable[str], *, wide: bool = False) -> float:
    """Return the height in inches of a panel with ``rows`` bars and a legend of ``series``.

    ``wide`` panels take the width of a page, others half of it.
    """
    names = list(series)
    lines = math.ceil(len(names) / _columns(names, wide)) if names else 0
    return 0.62 + 0.17 * max(rows, 2) + 0.15 * lines


def titled(
    axes: Axes, title: str, handles: Sequence[Patch | Line2D] = (), wide: bool = False
) -> None:
    """Put the title and a legend above the axes, where they hide nothing."""
    if not handles:
        axes.set_title(title, loc="left", fontweight="bold")
        return
    names = [str(handle.get_label()) for handle in handles]
    legend = axes.legend(
        handles=handles, ncols=_columns(names, wide), title=title, alignment="left",
        loc="lower left", bbox_to_anchor=(0, 1), borderpad=0, borderaxespad=0.3, handlelength=0.9,
        handletextpad=0.4, columnspacing=1.0, labelspacing=0.25, fontsize=7,
    )  # fmt: skip
    legend.get_title().set(fontsize=8.5, fontweight="bold")


def name_rows(
    axes: Axes,
    names: Iterable[str],
    longest: int = _NAME,
    rows: Sequence[float] | NDArray[np.float64] | None = None,
    room: int = 2,
) -> None:
    """Name the bars at ``rows`` (None: 0, 1, ...) and leave room for at least ``room`` bars.

    Names are cut to ``longest`` letters unless they have several lines.
    """
    texts = [shown(name, longest) for name in names]
    rows = range(len(texts)) if rows is None else rows
    axes.set_yticks(rows, texts, fontsize=7)
    axes.set_ylim(max(rows[-1] + 1, room) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(axis="x")


def shown(name: str, longest: int) -> str:
    """Return ``name`` as matplotlib is to draw it, without its middle if it is too long."""
    if len(name) > longest and "\n" not in name:
        # Names of a kind often differ in the end alone.
        name = f"{name[: (longest + 1) // 2]}…{name[len(name) - longest // 2 + 1 :]}"
    # Two dollar signs would make a formula of what is between them.
    return name.replace("$", r"\$")


def stacked(
    axes: Axes, counts: pd.DataFrame, title: str, *, percent: bool = False, longest: int = _NAME
) -> None:
    """Draw a bar for each row of ``counts``, made of its columns, with the row's sum.

    With ``percent``, bars show shares of it. Names longer than ``longest`` letters are cut; where
    they may be longer than usual, the panel is taken for one of a page's whole width.
    """
    totals = counts.sum(axis=1)
    values = counts.div(totals, axis=0) * 100 if percent else counts
    left = np.zeros(len(counts))
    handles = []
    for color, name in zip([*COLORS, _REST], counts.columns, strict=False):
        part = values[name].to_numpy(dtype=float)
        axes.barh(np.arange(len(counts)), part, 0.72, left, color=color, edgecolor="white")
        left += part
        handles.append(Patch(color=color, label=shown(name, _LEGEND // 2)))
    for row, total in enumerate(totals):
        axes.annotate(
            f"n = {total}" if percent else f"{total}", (left[row], row), (3, 0),
            textcoords="offset points", va="center", fontsize=6.5, color=charts.GRAY,
        )  # fmt: skip
    axes.set_xlim(0, left.max() * (1.2 if percent else 1.14))
    if percent:
        axes.set_xticks([0, 25, 50, 75, 100])
    name_rows(axes, counts.index, longest)
    titled(axes, title, handles, wide=longest > _NAME)


def nothing(axes: Axes, text: str) -> None:
    """Write ``text`` where there is nothing to draw."""
    axes.set_axis_off()
    axes.text(0, 0.9, text, transform=axes.transAxes, va="top", color=charts.GRAY)


def plain(
    axes: Axes, counts: pd.Series, title: str, *, longest: int = _NAME, room: int = 2
) -> None:
    """Draw a bar with its number for each of ``counts``, with room for at least ``room`` bars.

    Names may have several lines (see ``lines_of``); others are cut to ``longest`` letters.
    """
    titled(axes, title)
    if counts.empty:
        nothing(axes, "none")
        return
    lines = np.array([lines_of(name) for name in counts.index])
    rows = np.cumsum(lines) - lines / 2 - 0.5
    axes.barh(rows, counts, 0.6, color=charts.BLUE)
    for row, count in zip(rows, counts, strict=True):
        axes.annotate(
            f"{count}", (count, row), (3, 0), textcoords="offset points", va="center", fontsize=6.5
        )
    axes.set_xlim(0, counts.max() * 1.14)
    locator: Any = axes.xaxis.get_major_locator()  # one that knows whole numbers
    locator.set_params(integer=True)
    name_rows(axes, counts.index, longest, rows, max(room, 2))
