"""Every model's accuracy and attention at a glance, and what the planted mark does to them.

Style and rules are those of :mod:`sscdl.figures.charts`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sscdl.errors import InputError
from sscdl.figures import charts

_SPLIT_STYLES = {
    "mark_trained": (charts.BLUE, "o", "mark as in training"),
    "mark_removed": (charts.GREEN, "s", "mark removed"),
    "mark_reversed": (charts.VERMILION, "D", "mark reversed"),
}


_UNTRAINED = "#E2E2E2"
_TRAININGS = Line2D(
    [], [], color=charts.GRAY, marker="o", markersize=2.6, markerfacecolor="none",
    markeredgewidth=0.7, linestyle="", label="each training alone",
)  # fmt: skip


def _variants_of(table: pd.DataFrame) -> list[str]:
    """Return the variants of an overview table that have any value."""
    names = [str(name).removesuffix("_low") for name in table if str(name).endswith("_low")]
    return [name for name in names if table[name].notna().any()]


def _trainings(
    axes: Axes, seeds: pd.DataFrame, value: str, rows: Mapping[str, float], color: str
) -> bool:
    """Draw ``value`` of each training in the row of its curriculum; return if there are several."""
    shown = seeds[seeds["curriculum"].isin(list(rows))]
    if shown["seed"].nunique() < 2:
        return False
    axes.plot(
        shown[value], shown["curriculum"].map(rows), linestyle="", color=color, zorder=1.5,
        marker="o", markersize=2.6, markerfacecolor="none", markeredgewidth=0.7, alpha=0.8,
    )  # fmt: skip
    return True


def accuracy_overview_figure(
    table: pd.DataFrame, seeds: pd.DataFrame, *, baselines: Mapping[str, float] | None = None
) -> Figure:
    """Draw every curriculum's balanced accuracy with its interval and trainings, by variant.

    Args:
        table: what :func:`sscdl.tables.overview.accuracy_overview` returns (percent).
        seeds: what :func:`sscdl.tables.details.seeds` returns: each training is a dot, if there are
            several.
        baselines: balanced accuracies in percent of models that see no image, by name; each is a
            dotted line.

    Raises:
        InputError: the table has no values.
    """
    variants = _variants_of(table)
    if not variants:
        raise InputError("figure: the overview table has no values to draw")
    baselines = baselines or {}
    lines_of_legend = math.ceil((len(variants) + 2 + len(baselines)) / 3)
    height = 0.75 + 0.2 * lines_of_legend + len(table) * (0.13 + 0.055 * len(variants))
    with charts.figure_style():
        figure = Figure(figsize=(charts.PAGE_WIDTH, max(2.2, height)), layout="constrained")
        axes = figure.subplots()
        handles, several = [], False
        for (name, (color, marker)), shift in zip(
            charts.styles(variants).items(), charts.offsets(len(variants)), strict=True
        ):
            rows = np.arange(len(table)) + shift
            low, high = table[f"{name}_low"], table[f"{name}_high"]
            charts.intervals(axes, rows, table[name], low, high, color, marker)
            handles.append(charts.point(color, marker, f"{name} (95 % interval)"))
            places = dict(zip(table["curriculum"], rows, strict=True))
            own = seeds[seeds["variant"] == name]
            several |= _trainings(axes, own, "balanced_accuracy", places, color)
        if several:
            handles.append(_TRAININGS)
        charts.name_rows(axes, table["curriculum"].tolist())
        axes.axvline(table["chance"].iloc[0], color=charts.GRAY, linestyle="--", linewidth=1)
        handles.append(Line2D([], [], color=charts.GRAY, linestyle="--", label="chance"))
        patterns: list[Any] = [":", "-.", (0, (1, 3)), (0, (4, 1, 1, 1, 1, 1))]
        for index, (name, value) in enumerate(baselines.items()):
            pattern = patterns[index % len(patterns)]
            axes.axvline(value, color=charts.BLACK, linestyle=pattern, linewidth=1)
            handles.append(Line2D([], [], color=charts.BLACK, linestyle=pattern, label=name))
        axes.set_xlabel("balanced accuracy (%)")
        charts.legend(figure, handles)
    return figure


def ail_by_model(table: pd.DataFrame, seeds: pd.DataFrame) -> Figure:
    """Draw every model's attention inside the lungs beside all that scores without training.

    That is a map that is the same everywhere, a Gaussian in the middle of the picture, and
    networks with random weights. Each variant has a panel.

    Args:
        table: what :func:`sscdl.tables.attention.attention` returns (percent).
        seeds: what :func:`sscdl.tables.details.seeds` returns: each training is a dot, if there are
            several.

    Raises:
        InputError: the table has no rows.
    """
    if table.empty:
        raise InputError("figure: the table of attention has no rows to draw")
    variants = list(dict.fromkeys(table["variant"]))
    names = list(dict.fromkeys(table["curriculum"]))
    rows, columns = charts.grid_shape(len(variants), most=3)
    height = 1.15 + rows * (0.4 + max(4, len(names)) * 0.19)
    several = False
    with charts.figure_style():
        figure = Figure(figsize=(charts.PAGE_WIDTH, height), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes in grid.flat[len(variants) :]:
            axes.remove()
        for axes, (variant, (color, marker)) in zip(
            grid.flat, charts.styles(variants).items(), strict=False
        ):
            part = table[table["variant"] == variant].set_index("curriculum").reindex(names)
            places = dict(zip(names, range(len(names)), strict=True))
            _baselines(axes, part)
            low, high = part["ail_low"], part["ail_high"]
            charts.intervals(axes, np.arange(len(names)), part["ail"], low, high, color, marker)
            own = seeds[seeds["variant"] == variant]
            several |= _trainings(axes, own, "ail", places, color)
            charts.name_rows(axes, names)
            axes.set_title(variant, loc="left")
        for axes in grid.flat[max(0, len(variants) - columns) : len(variants)]:
            axes.tick_params(labelbottom=True)
        figure.supxlabel("attention inside the lungs (AIL), % of the map's sum", fontsize=8.5)
        handles: list[Line2D | Patch] = [
            charts.point(charts.GRAY, "o", "model (95 % interval)"),
            *([_TRAININGS] if several else []),
            Line2D(
                [], [], color=charts.BLACK, linestyle="--", label="map that is the same everywhere"
            ),
            Line2D([], [], color=charts.BLACK, linestyle=":", label="Gaussian in the middle"),
            Patch(color=_UNTRAINED, label="networks with random weights (mean, ± sd)"),
        ]
        charts.legend(figure, handles, columns=3)
    return figure


def _baselines(axes: Axes, part: pd.DataFrame) -> None:
    """Draw what needs no trained network, in the rows of the models that it is measured beside."""
    rows = np.arange(len(part))
    random, spread = part["ail_random"], part["ail_random_std"].fillna(0)
    axes.barh(rows, 2 * spread, 1.0, random - spread, color=_UNTRAINED, zorder=0)
    for column, color, pattern in (
        ("ail_random", charts.GRAY, "-"),
        ("floor", charts.BLACK, "--"),
        ("ail_centre", charts.BLACK, ":"),
    ):
        axes.vlines(
            part[column], rows - 0.5, rows + 0.5, color=color, linestyle=pattern, linewidth=1,
            zorder=1,
        )  # fmt: skip


def shortcut_figure(table: pd.DataFrame) -> Figure:
    """Draw accuracy with the mark as trained, removed and reversed, and attention on the mark.

    Args:
        table: what :func:`sscdl.tables.confounders.shortcut` returns (percent); one row of panels
            per variant.

    Raises:
        InputError: the table has no rows.
    """
    if table.empty:
        raise InputError("figure: the shortcut table has no rows; predict the mark splits first")
    variants = list(dict.fromkeys(table["variant"]))
    names = {
        variant: list(dict.fromkeys(table.loc[table["variant"] == variant, "curriculum"]))
        for variant in variants
    }
    sizes = [len(names[variant]) for variant in variants]
    height = 1.1 + sum(0.45 + (0.28 if size <= 8 else 0.2) * size for size in sizes)
    with charts.figure_style():
        figure = Figure(figsize=(charts.PAGE_WIDTH, max(2.6, height)), layout="constrained")
        grid = figure.subplots(
            len(variants),
            2,
            squeeze=False,
            sharex="col",
            sharey="row",
            width_ratios=[3, 2],
            height_ratios=[size + 0.5 for size in sizes],
        )
        for (accuracy, attention), variant in zip(grid, variants, strict=True):
            part = table[table["variant"] == variant]
            for shift, (split, (color, marker, _)) in zip(
                charts.offsets(len(_SPLIT_STYLES)), _SPLIT_STYLES.items(), strict=True
            ):
                line = part[part["split"] == split].set_index("curriculum").reindex(names[variant])
                rows = np.arange(len(line)) + shift
                values = line["balanced_accuracy"]
                low, high = line["balanced_accuracy_low"], line["balanced_accuracy_high"]
                charts.intervals(accuracy, rows, values, low, high, color, marker)
                attention.plot(
                    *(line["mark_attention"], rows, marker),
                    **{"color": color, "markeredgecolor": "white", "markeredgewidth": 0.4},
                )
                attention.plot(line["mark_share"], rows, "|", color=charts.BLACK, markersize=6)
            accuracy.axvline(part["chance"].iloc[0], color=charts.GRAY, linestyle="--", linewidth=1)
            accuracy.set_title(variant, loc="left")
            for axes in (accuracy, attention):
                charts.name_rows(axes, names[variant])
        grid[-1, 0].set_xlabel("balanced accuracy (%), 95 % interval")
        grid[-1, 1].set_xlabel("attention on the mark\n(% of the map's sum)")
        grid[-1, 1].set_xlim(left=0)
        handles = [charts.point(*style) for style in _SPLIT_STYLES.values()]
        handles.append(Line2D([], [], color=charts.GRAY, linestyle="--", label="chance"))
        share = "mark's share of the image"
        handles.append(
            Line2D([], [], color=charts.BLACK, marker="|", linestyle="", markersize=7, label=share)
        )
        charts.legend(figure, handles)
    return figure
