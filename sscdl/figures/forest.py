"""The paired differences between models, one line a comparison: does a curriculum help?

Style and rules are those of :mod:`sscdl.figures.charts`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sscdl.errors import InputError
from sscdl.figures import charts
from sscdl.study.thesis import reference_kind
from sscdl.tables.files import p_value

_COLORS = {
    "better": charts.BLUE,
    "worse": charts.VERMILION,
    "equivalent": charts.GREEN,
}
_AGAINST = {
    "scratch": "against no pretraining (scratch)",
    "imagenet": "against ImageNet's weights",
    "first_task": "against its own first task alone",
}
_BAND = "#EAEAEA"
# Thin lines that reach farther than so many times the farthest thick one are cut.
_REACH = 2.5
# Where the numbers, p and the verdict begin, as shares of the right half's width.
_NUMBERS, _P, _VERDICT = 0.0, 0.43, 0.61
_ROW, _HEAD = 0.165, 0.3  # inches, of a line and of what stands over those of a group


def forest(table: pd.DataFrame) -> Figure:
    """Draw each difference with its intervals, verdict and corrected p.

    Comparisons stand in groups, by variant and by what they are against. A thick line is the
    interval of the difference, a thin one where a further training of both would lie; the band is
    the margin of equivalence.

    Args:
        table: rows of :func:`sscdl.tables.comparisons.comparisons`, or of mean AUC, of
            :func:`sscdl.tables.findings.comparisons.finding_comparisons` (percent points). The
            columns ``another_low, another_high`` and ``margin`` may be missing or empty.

    Raises:
        InputError: the table has no rows.
    """
    if table.empty:
        raise InputError("figure: the table of comparisons has no rows to draw")
    given = ["another_low", "another_high", "margin"]
    table = table.reindex(columns=list(dict.fromkeys([*table, *given]))).astype(
        dict.fromkeys(given, float)
    )
    kinds = table["against"].map(reference_kind)
    groups: dict[Any, pd.DataFrame] = dict(
        iter(table.groupby([table["variant"], kinds], sort=False))
    )
    reach = _reach(table)
    heights = [_HEAD + _ROW * len(group) for group in groups.values()]
    with charts.figure_style():
        size = (charts.PAGE_WIDTH, 1.05 + sum(heights))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(
            len(groups), 2, squeeze=False, sharex="col", height_ratios=heights,
            width_ratios=[1, 1.22],
        )  # fmt: skip
        for (axes, texts), ((variant, kind), group) in zip(grid, groups.items(), strict=True):
            _lines(axes, group, reach)
            axes.set_title(f"{variant}, {_AGAINST[kind]}", loc="left", fontweight="bold")
            _numbers(texts, group)
        for place, text in (
            (_NUMBERS, "difference [interval]"),
            (_P, "p (Holm)"),
            (_VERDICT, "verdict"),
        ):
            # Above the title of the first group, which may be as wide as the page.
            grid[0, 1].annotate(
                text, (place, 1), (0, 18), xycoords="axes fraction", textcoords="offset points",
                va="baseline", fontsize=7, color=charts.GRAY,
            )  # fmt: skip
        grid[-1, 0].set_xlim(-reach, reach)
        measure = "mean AUC of findings" if "auc" in table else "balanced accuracy"
        grid[-1, 0].set_xlabel(f"difference in {measure} (percent points)")
        charts.legend(figure, _handles(table), columns=2)
    return figure


def _reach(table: pd.DataFrame) -> float:
    """Return how far the axis goes to both sides, in percent points."""
    of_means = ["difference", "difference_low", "difference_high", "margin"]
    near = max(_largest(table[of_means]), 0.5)
    far = _largest(table[["another_low", "another_high"]])
    return 1.06 * (min(max(near, far), _REACH * near) if np.isfinite(far) else near)


def _largest(columns: pd.DataFrame) -> float:
    """Return the largest value without its sign, NaN if there is none."""
    largest: Any = columns.abs().max(axis=None)
    return float(largest)


def _color(verdict: str) -> str:
    return _COLORS.get(verdict, charts.GRAY)


def _lines(axes: Axes, group: pd.DataFrame, reach: float) -> None:
    margin = group["margin"].max()
    if np.isfinite(margin):
        axes.axvspan(-margin, margin, color=_BAND, zorder=-1)
    axes.axvline(0, color=charts.BLACK, linewidth=0.8)
    line: Any
    for row, line in enumerate(group.itertuples()):
        color = _color(line.verdict)
        if np.isfinite(line.another_low):
            ends = np.clip([line.another_low, line.another_high], -reach, reach)
            axes.hlines(row, *ends, color=color, linewidth=0.7)
            for end, given, marker in zip(
                ends, (line.another_low, line.another_high), "<>", strict=True
            ):
                if end != given:
                    axes.plot(end, row, marker, color=color, markersize=3.5, clip_on=False)
        axes.hlines(
            row, line.difference_low, line.difference_high, color=color, linewidth=2.6, alpha=0.8
        )
        axes.plot(
            line.difference, row, "o", color=color, markeredgecolor="white", markeredgewidth=0.5
        )
    charts.name_rows(axes, group["curriculum"].tolist())


def _numbers(axes: Axes, group: pd.DataFrame) -> None:
    """Write beside each line what it shows."""
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(len(group) - 0.5, -0.5)
    line: Any
    for row, line in enumerate(group.itertuples()):
        numbers = f"{_signed(line.difference)}"
        if np.isfinite(line.difference_low):
            numbers += f" [{_signed(line.difference_low)}, {_signed(line.difference_high)}]"
        p = p_value(line.p_holm) if np.isfinite(line.p_holm) else ""
        for place, text in ((_NUMBERS, numbers), (_P, p), (_VERDICT, line.verdict)):
            color = _color(line.verdict) if place == _VERDICT else charts.BLACK
            axes.text(place, row, text, va="center", fontsize=7, color=color)


def _signed(value: float) -> str:
    text = f"{value:+.1f}"
    return text[1:] if float(text) == 0 else text.replace("-", "\N{MINUS SIGN}")


def _handles(table: pd.DataFrame) -> list[Line2D | Patch]:
    over = "patients and trainings" if (table["n_seeds"] > 1).all() else "patients"
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=charts.GRAY, linewidth=2.6, marker="o", markeredgecolor="white",
               label=f"difference, 95 % interval over {over}")
    ]  # fmt: skip
    if table["another_low"].notna().any():
        label = "where one further training of both would lie"
        handles.append(Line2D([], [], color=charts.GRAY, linewidth=0.7, label=label))
    if table["margin"].notna().any():
        margin = f"{table['margin'].max():g}"
        handles.append(Patch(color=_BAND, label=f"margin of equivalence, {margin} points"))
    return handles
