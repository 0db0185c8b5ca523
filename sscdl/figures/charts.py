"""Charts of the result tables, as matplotlib figures that :func:`write_figure` saves.

Each chart takes the table that :mod:`sscdl.tables.overview` or :mod:`sscdl.tables.confounders`
returns, so that a figure shows no number that is not in a file. Colours are those of Okabe & Ito
(2008), which people with colour vision deficiencies tell apart; series also differ by marker. Image
panels are in :mod:`sscdl.figures.panels`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sscdl.errors import InputError
from sscdl.files import atomic_path

BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, GRAY = "#E69F00", "#56B4E9", "#000000", "#6E6E6E"
VARIANT_STYLES = {
    "full": (BLUE, "o"),
    "segmented_black": (VERMILION, "s"),
    "segmented_gray": (GREEN, "D"),
}
_OTHER_STYLES = [(PURPLE, "^"), (ORANGE, "v"), (SKY, "P"), (BLACK, "X")]
_SPLIT_STYLES = {
    "mark_trained": (BLUE, "o", "mark as in training"),
    "mark_removed": (GREEN, "s", "mark removed"),
    "mark_reversed": (VERMILION, "D", "mark reversed"),
}
_METRIC_LABELS = {
    "balanced_accuracy": "balanced accuracy (%)",
    "accuracy": "accuracy (%)",
    "loss": "loss (nats)",
}
_STYLE = {
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


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the one style of all figures inside the block."""
    with matplotlib.rc_context(_STYLE):
        yield


def write_figure(figure: Figure, path: Path, *, dpi: int = 200) -> None:
    """Save ``figure`` atomically; the suffix of ``path`` (png, pdf, svg) sets the format."""
    # Ticks are made when the figure is drawn, so the style has to hold here as well.
    with figure_style(), atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi)


def _styles(variants: Sequence[str]) -> dict[str, tuple[str, str]]:
    spare = iter(_OTHER_STYLES * (1 + len(variants) // len(_OTHER_STYLES)))
    return {name: VARIANT_STYLES.get(name) or next(spare) for name in variants}


def _variants_of(table: pd.DataFrame) -> list[str]:
    """Return the variants of an overview table that have any value."""
    names = [str(name).removesuffix("_low") for name in table if str(name).endswith("_low")]
    return [name for name in names if table[name].notna().any()]


def _intervals(
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


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color="#EEEEEE", linewidth=0.6, zorder=0)


def _offsets(count: int) -> np.ndarray:
    """Return vertical shifts that keep ``count`` series of one row apart."""
    return (np.arange(count) - (count - 1) / 2) * min(0.28, 0.7 / max(count, 1))


def _legend(figure: Figure, handles: Sequence[Line2D], columns: int = 3) -> None:
    figure.legend(handles=list(handles), loc="outside upper center", ncols=columns)


def _point(color: str, marker: str, label: str) -> Line2D:
    return Line2D([], [], color=color, marker=marker, label=label)


def _overview(table: pd.DataFrame, extra_handles: int) -> tuple[Figure, Axes, list[Line2D]]:
    """Return a figure with one row per curriculum and the variants' estimates and intervals."""
    variants = _variants_of(table)
    if not variants:
        raise InputError("figure: the overview table has no values to draw")
    lines_of_legend = math.ceil((len(variants) + extra_handles) / 3)
    height = 0.75 + 0.2 * lines_of_legend + len(table) * (0.13 + 0.055 * len(variants))
    figure = Figure(figsize=(PAGE_WIDTH, max(2.2, height)), layout="constrained")
    axes = figure.subplots()
    handles = []
    for (name, (color, marker)), shift in zip(
        _styles(variants).items(), _offsets(len(variants)), strict=True
    ):
        rows = np.arange(len(table)) + shift
        low, high = table[f"{name}_low"], table[f"{name}_high"]
        _intervals(axes, rows, table[name], low, high, color, marker)
        handles.append(_point(color, marker, f"{name} (95 % interval)"))
    _name_rows(axes, table["curriculum"].tolist())
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
    with figure_style():
        figure, axes, handles = _overview(table, 1 + len(baselines))
        axes.axvline(table["chance"].iloc[0], color=GRAY, linestyle="--", linewidth=1)
        handles.append(Line2D([], [], color=GRAY, linestyle="--", label="chance"))
        patterns = [":", "-.", (0, (1, 3)), (0, (4, 1, 1, 1, 1, 1))]
        for index, (name, value) in enumerate(baselines.items()):
            pattern = patterns[index % len(patterns)]
            axes.axvline(value, color=BLACK, linestyle=pattern, linewidth=1)
            handles.append(Line2D([], [], color=BLACK, linestyle=pattern, label=name))
        axes.set_xlabel("balanced accuracy (%)")
        _legend(figure, handles)
    return figure


def ail_by_model(table: pd.DataFrame) -> Figure:
    """Draw every model's attention inside the lungs beside its floor, by variant.

    Args:
        table: what :func:`sscdl.tables.overview.ail_overview` returns (percent), ``mean`` row
            included.
    """
    with figure_style():
        variants = _variants_of(table)
        figure, axes, handles = _overview(table, len(variants))
        # Each variant's floor spans its own part of the row: equal floors would hide each other.
        half = 0.5 / len(variants)
        pattern = (0, (2, 1))
        for index, (name, (color, _)) in enumerate(_styles(variants).items()):
            rows = np.arange(len(table)) - 0.5 + half * (2 * index + 1)
            floor = table[f"{name}_floor"]
            axes.vlines(floor, rows - half, rows + half, color=color, linestyle=pattern)
            label = f"{name}: floor (lung area)"
            handles.append(Line2D([], [], color=color, linestyle=pattern, label=label))
        if table["curriculum"].iloc[-1] == "mean" and len(table) > 1:
            axes.axhline(len(table) - 1.5, color=BLACK, linewidth=0.8)
        axes.set_xlabel("attention inside the lungs (AIL), % of the map's sum")
        _legend(figure, handles, columns=2)
    return figure


def validation_curves(
    histories: Sequence[Mapping[str, Any]],
    *,
    chance: float | None = None,
) -> Figure:
    """Draw validation curves over epochs, one line per learning rate, one panel per model.

    Args:
        histories: one mapping per curve: ``variant, curriculum, lr, metric``, ``epochs`` and
            ``values`` (sequences of equal length; accuracies in [0, 1]) and ``chosen``. All share
            one metric.
        chance: value of guessing, in the units of ``values``; a dashed line where given.

    Raises:
        InputError: no histories, or histories of different metrics.
    """
    metrics = {history["metric"] for history in histories}
    if len(metrics) != 1:
        raise InputError(f"figure: curves of one metric are needed, got {sorted(metrics)}")
    metric = metrics.pop()
    scale = 1.0 if metric == "loss" else 100.0
    panels: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for history in histories:
        panels.setdefault((history["variant"], history["curriculum"]), []).append(history)
    rates = sorted({float(history["lr"]) for history in histories})
    # By rank, since grids of rates crowd on any scale; viridis's bright end is lost on white paper.
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(rates)))
    colors = dict(zip(rates, shades, strict=True))
    columns = min(4, math.ceil(math.sqrt(len(panels))))
    rows = math.ceil(len(panels) / columns)
    size = (PAGE_WIDTH, 3.6) if len(panels) == 1 else (PAGE_WIDTH, 0.9 + 1.75 * rows)
    with figure_style():
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.remove()
        for place, ((variant, curriculum), curves) in enumerate(panels.items()):
            axes = grid.flat[place]
            for curve in sorted(curves, key=lambda item: bool(item["chosen"])):
                axes.plot(
                    curve["epochs"],
                    scale * np.asarray(curve["values"], dtype=float),
                    marker="." if len(curve["values"]) == 1 else None,
                    color=VERMILION if curve["chosen"] else colors[float(curve["lr"])],
                    linewidth=(2.2 if columns <= 2 else 1.6) if curve["chosen"] else 0.8,
                )
            if chance is not None:
                axes.axhline(scale * chance, color=GRAY, linestyle="--", linewidth=1)
            chosen = [f"{curve['lr']:g}" for curve in curves if curve["chosen"]]
            title = f"{curriculum}\n{variant}" + (f"\nchosen {chosen[0]}" if chosen else "")
            axes.set_title(title, fontsize=7 if columns == 4 else 8.5)
            axes.grid(axis="y")
            axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
            # sharex hides labels above a panel that was removed.
            axes.tick_params(labelbottom=place + columns >= len(panels))
        handles = [Line2D([], [], color=colors[rate], label=f"{rate:g}") for rate in rates]
        if any(history["chosen"] for history in histories):
            handles.append(Line2D([], [], color=VERMILION, linewidth=2.2, label="chosen"))
        if chance is not None:
            handles.append(Line2D([], [], color=GRAY, linestyle="--", label="chance"))
        figure.supxlabel("epoch", fontsize=8.5)
        figure.supylabel(_METRIC_LABELS.get(metric, metric), fontsize=8.5)
        figure.legend(handles=handles, title="learning rate", loc="outside right upper")
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
    with figure_style():
        figure = Figure(figsize=(PAGE_WIDTH, max(2.6, height)), layout="constrained")
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
                _offsets(len(_SPLIT_STYLES)), _SPLIT_STYLES.items(), strict=True
            ):
                line = part[part["split"] == split].set_index("curriculum").reindex(names[variant])
                rows = np.arange(len(line)) + shift
                values = line["balanced_accuracy"]
                low, high = line["balanced_accuracy_low"], line["balanced_accuracy_high"]
                _intervals(accuracy, rows, values, low, high, color, marker)
                attention.plot(
                    *(line["mark_attention"], rows, marker),
                    **{"color": color, "markeredgecolor": "white", "markeredgewidth": 0.4},
                )
                attention.plot(line["mark_share"], rows, "|", color=BLACK, markersize=6)
            accuracy.axvline(part["chance"].iloc[0], color=GRAY, linestyle="--", linewidth=1)
            accuracy.set_title(variant, loc="left")
            for axes in (accuracy, attention):
                _name_rows(axes, names[variant])
        grid[-1, 0].set_xlabel("balanced accuracy (%), 95 % interval")
        grid[-1, 1].set_xlabel("attention on the mark\n(% of the map's sum)")
        grid[-1, 1].set_xlim(left=0)
        handles = [_point(*style) for style in _SPLIT_STYLES.values()]
        handles.append(Line2D([], [], color=GRAY, linestyle="--", label="chance"))
        share = "mark's share of the image"
        handles.append(
            Line2D([], [], color=BLACK, marker="|", linestyle="", markersize=7, label=share)
        )
        _legend(figure, handles)
    return figure
