"""Curves over all thresholds, with the thresholds at which a model would be used.

Style and rules are those of :mod:`sscdl.figures.charts`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from sscdl.errors import InputError
from sscdl.evaluation.measures import Floats
from sscdl.figures import charts
from sscdl.figures.quality import PALE, Series, set_off
from sscdl.tables.operating_points import RULES

_BELOW = -0.42  # inches, from the axis to the legend under its label
_GRID = np.linspace(0, 1, 501)
_POINTS = dict(zip(RULES, ("o", "^", "s"), strict=True))


def _roc(true: Floats, scores: Floats) -> Floats:
    """Return the sensitivity at each false positive rate of the grid."""
    false_rate, true_rate, _ = roc_curve(true, scores)
    # Of several sensitivities at one rate this takes the highest, and steps stay steps.
    return np.interp(_GRID, false_rate, true_rate)


def _precision(true: Floats, scores: Floats) -> Floats:
    """Return the precision at each recall of the grid: that of the next higher recall there is."""
    precision, recall, _ = precision_recall_curve(true, scores)
    precision, recall = precision[::-1], recall[::-1]  # from recall 0
    return precision[np.minimum(np.searchsorted(recall, _GRID), len(recall) - 1)]


class Kind(NamedTuple):
    """A kind of curve: how it is made of one training, summed up, and what its axes are."""

    curve: Callable[[Any, Floats], Floats]  # of what is true, yes or no, and scores
    area: Callable[[Any, Floats], float]
    named: str
    across: str
    up: str
    point: Callable[[pd.Series], tuple[float, float]]


KINDS = {
    "roc": Kind(
        _roc, roc_auc_score, "AUC", "100 \N{MINUS SIGN} specificity (%)", "sensitivity (%)",
        lambda line: (100 - line["specificity"], line["sensitivity"]),
    ),
    "precision_recall": Kind(
        _precision, average_precision_score, "average precision", "recall (%)", "precision (%)",
        lambda line: (line["sensitivity"], line["ppv"]),
    ),
}  # fmt: skip


def curves(sides: Mapping[str, pd.DataFrame], points: pd.DataFrame, kind: str) -> Figure:
    """Draw every model's curve, one panel for each variant and what is told from all else.

    A curve is the mean of its trainings', which are thin lines. With more than seven models those
    that curricula start from and the best of each number of tasks are set off; the others are pale.

    Args:
        sides: by what is told from all else, the positive class or finding, predictions of image
            models on the reported images of which that is known.
        points: what :func:`sscdl.tables.operating_points.operating_points` returns (percent).
        kind: of ``KINDS``.

    Raises:
        InputError: no image has a label.
    """
    named = {name: list(dict.fromkeys(rows["variant"])) for name, rows in sides.items()}
    variants = list(dict.fromkeys(variant for own in named.values() for variant in own))
    if not variants:
        raise InputError("figure: no prediction of a labelled image to draw curves of")
    panels = [(v, name) for v in variants for name in sides if v in named[name]]
    alone = next(iter(sides)) if len(sides) == 1 else ""
    height, width = charts.grid_shape(len(panels), most=3)
    if len(panels) > 6:
        height, width = math.ceil(len(panels) / 3), 3
    side = min(2.9, (charts.PAGE_WIDTH - 0.55) / width - 0.1)
    with charts.figure_style():
        size = (max(3.4, min(charts.PAGE_WIDTH, 0.55 + width * (side + 0.1))), 1.0)
        figure = Figure(figsize=size, layout="compressed")
        grid = figure.subplots(height, width, squeeze=False, sharex=True, sharey=True)
        for axes in grid.flat[len(panels) :]:
            axes.remove()
        most = 0
        for axes, (variant, positive) in zip(grid.flat, panels, strict=False):
            chosen = (points["variant"] == variant) & (points["positive"] == positive)
            own = sides[positive][sides[positive]["variant"] == variant]
            most = max(most, _panel(axes, own, positive, points[chosen], KINDS[kind]))
            title = variant if alone else f"{variant}\n{positive} or not"
            axes.set_title(title, loc="left")
            axes.set(xlim=(-1, 101), ylim=(-1, 101), aspect="equal")
            axes.set_xticks(range(0, 101, 25))
            axes.set_yticks(range(0, 101, 25))
            axes.tick_params(labelbottom=True)
            axes.grid()
        # As high as the longest legend of a panel needs.
        lines = 0.52 + 0.135 * (most + 1) + (0.0 if alone else 0.14)
        figure.set_figheight(0.35 + height * (side + lines))
        what = f", positive: {alone}" if alone else ""
        figure.supylabel(KINDS[kind].up + what, fontsize=8.5)
        handles = [
            Line2D([], [], color=charts.GRAY, marker=marker, linestyle="", label=rule)
            for rule, marker in _POINTS.items()
        ]
        charts.legend(figure, handles, columns=3)
    return figure


def _panel(axes: Axes, rows: pd.DataFrame, positive: str, points: pd.DataFrame, kind: Kind) -> int:
    """Draw the curves of one variant and return how many lines its legend has."""
    found: dict[Any, list[Floats]] = {}
    areas: dict[Any, float] = {}
    for name, group in rows.groupby("curriculum", sort=False):
        found[name] = []
        summed = []
        for _, part in group.groupby("seed"):
            true = (part["label"] == positive).to_numpy()
            scores = part[f"prob_{positive}"].to_numpy(dtype=float)
            if true.any() and not true.all():
                found[name].append(100 * kind.curve(true, scores))
                summed.append(kind.area(true, scores))
        areas[name] = float(np.mean(summed)) if summed else np.nan
    areas = {name: area for name, area in areas.items() if np.isfinite(area)}
    series = set_off(pd.Series(areas, dtype=float))
    shown = {one.name for one in series}
    for name in areas:
        if name not in shown:
            mean = np.mean(found[name], axis=0)
            axes.plot(100 * _GRID, mean, color=charts.GRAY, alpha=PALE, linewidth=0.7)
    if kind is KINDS["roc"]:
        axes.plot([0, 100], [0, 100], color=charts.GRAY, linestyle="--", linewidth=0.8)
    else:
        chance = 100 * float((rows["label"] == positive).mean())
        axes.axhline(chance, color=charts.GRAY, linestyle="--", linewidth=0.8)
    handles = []
    for one in series:
        if len(found[one.name]) > 1:
            for curve in found[one.name]:
                axes.plot(100 * _GRID, curve, color=one.color, alpha=0.45, linewidth=0.5)
        axes.plot(
            100 * _GRID, np.mean(found[one.name], axis=0), color=one.color, linestyle=one.line,
            linewidth=1.4,
        )  # fmt: skip
        _points(axes, points[points["curriculum"] == one.name], one, kind)
        label = f"{one.label}, {areas[one.name]:.2f}"
        handles.append(Line2D([], [], color=one.color, linestyle=one.line, label=label))
    axes.set_xlabel(kind.across)
    below = ScaledTranslation(0, _BELOW, axes.figure.dpi_scale_trans)
    if not handles:
        axes.text(50, 50, "all images are of one side", ha="center", color=charts.GRAY, fontsize=7)
        return 0
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0, 0),
        bbox_transform=axes.transAxes + below, borderaxespad=0, borderpad=0, labelspacing=0.25,
        fontsize=6.5, title=kind.named, title_fontsize=6.5, alignment="left",
    )  # fmt: skip
    return len(handles)


def _points(axes: Axes, points: pd.DataFrame, one: Series, kind: Kind) -> None:
    for _, line in points.iterrows():
        axes.plot(
            *kind.point(line), _POINTS[line["rule"]], color=one.color, markersize=4.5,
            markeredgecolor="white", markeredgewidth=0.5, zorder=3,
        )  # fmt: skip
