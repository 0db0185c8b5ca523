"""Every model's accuracy and attention at a glance, and what the planted mark does to them.

Style and rules are those of :mod:`sscdl.figures.charts`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sscdl.errors import InputError
from sscdl.figures import charts

_SPLIT_STYLES = {
    "mark_trained": (charts.BLUE, "o", "mark as in training"),
    "mark_removed": (charts.GREEN, "s", "mark removed"),
    "mark_reversed": (charts.VERMILION, "D", "mark reversed"),
}


def _variants_of(table: pd.DataFrame) -> list[str]:
    """Return the variants of an overview table that have any value."""
    names = [str(name).removesuffix("_low") for name in table if str(name).endswith("_low")]
    return [name for name in names if table[name].notna().any()]


def _overview(table: pd.DataFrame, extra_handles: int) -> tuple[Figure, Axes, list[Line2D]]:
    """Return a figure with one row per curriculum and the variants' estimates and intervals."""
    variants = _variants_of(table)
    if not variants:
        raise InputError("figure: the overview table has no values to draw")
    lines_of_legend = math.ceil((len(variants) + extra_handles) / 3)
    height = 0.75 + 0.2 * lines_of_legend + len(table) * (0.13 + 0.055 * len(variants))
    figure = Figure(figsize=(charts.PAGE_WIDTH, max(2.2, height)), layout="constrained")
    axes = figure.subplots()
    handles = []
    for (name, (color, marker)), shift in zip(
        charts.styles(variants).items(), charts.offsets(len(variants)), strict=True
    ):
        rows = np.arange(len(table)) + shift
        low, high = table[f"{name}_low"], table[f"{name}_high"]
        charts.intervals(axes, rows, table[name], low, high, color, marker)
        handles.append(charts.point(color, marker, f"{name} (95 % interval)"))
    charts.name_rows(axes, table["curriculum"].tolist())
    return figure, axes, handles


def accuracy_overview_figure(
    table: pd.DataFrame, *, baselines: Mapping[str, float] | None = None
) -> Figure:
    """Draw every curriculum's balanced accuracy with its interval, by variant.

    Args:
        table: what :func:`sscdl.tables.overview.accuracy_overview` returns (percent).
        baselines: balanced accuracies in percent of models that see no image, by name; each is a
            dotted line.
    """
    baselines = baselines or {}
    with charts.figure_style():
        figure, axes, handles = _overview(table, 1 + len(baselines))
        axes.axvline(table["chance"].iloc[0], color=charts.GRAY, linestyle="--", linewidth=1)
        handles.append(Line2D([], [], color=charts.GRAY, linestyle="--", label="chance"))
        patterns = [":", "-.", (0, (1, 3)), (0, (4, 1, 1, 1, 1, 1))]
        for index, (name, value) in enumerate(baselines.items()):
            pattern = patterns[index % len(patterns)]
            axes.axvline(value, color=charts.BLACK, linestyle=pattern, linewidth=1)
            handles.append(Line2D([], [], color=charts.BLACK, linestyle=pattern, label=name))
        axes.set_xlabel("balanced accuracy (%)")
        charts.legend(figure, handles)
    return figure


def ail_by_model(table: pd.DataFrame) -> Figure:
    """Draw every model's attention inside the lungs beside its floor, by variant.

    Args:
        table: what :func:`sscdl.tables.overview.ail_overview` returns (percent), ``mean`` row
            included.
    """
    with charts.figure_style():
        variants = _variants_of(table)
        figure, axes, handles = _overview(table, len(variants))
        # Each variant's floor spans its own part of the row: equal floors would hide each other.
        half = 0.5 / len(variants)
        pattern = (0, (2, 1))
        for index, (name, (color, _)) in enumerate(charts.styles(variants).items()):
            rows = np.arange(len(table)) - 0.5 + half * (2 * index + 1)
            floor = table[f"{name}_floor"]
            axes.vlines(floor, rows - half, rows + half, color=color, linestyle=pattern)
            label = f"{name}: floor (lung area)"
            handles.append(Line2D([], [], color=color, linestyle=pattern, label=label))
        if table["curriculum"].iloc[-1] == "mean" and len(table) > 1:
            axes.axhline(len(table) - 1.5, color=charts.BLACK, linewidth=0.8)
        axes.set_xlabel("attention inside the lungs (AIL), % of the map's sum")
        charts.legend(figure, handles, columns=2)
    return figure


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
