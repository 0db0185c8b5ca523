"""Charts of what frozen features are worth and of how far probabilities may be trusted.

Style and rules are those of :mod:`sscdl.figures.charts`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sscdl.errors import InputError
from sscdl.figures import charts
from sscdl.study.thesis import pretext_tasks
from sscdl.study.trie import SCRATCH
from sscdl.tables.findings.scores import CHANCE
from sscdl.words import many

# By number of pretext tasks, from one.
TASKS = [
    (charts.BLUE, "o"),
    (charts.VERMILION, "s"),
    (charts.GREEN, "D"),
    (charts.PURPLE, "^"),
    (charts.SKY, "P"),
]
RANDOM = (charts.BLACK, "X")
ROOT = (charts.ORANGE, "v")
FEW = 7  # networks that may each have a colour
PANELS = 12  # reliability diagrams that fit a page
PALE = 0.3


class Series(NamedTuple):
    """A network that a panel sets off from the others: its line and its name in the legend."""

    name: str
    color: str
    marker: str
    label: str

    @property
    def line(self) -> Literal["-", "--"]:
        """Return the style of the line."""
        return "--" if self.name == SCRATCH else "-"


def set_off(scores: pd.Series) -> list[Series]:
    """Return the networks to set off: all of a few, else roots and the best of each depth.

    ``scores`` (by name) say which one is the best.
    """
    names = list(scores.index)
    depths = {name: len(pretext_tasks(name)) for name in names}
    roots = [name for name in names if not depths[name]]
    found = [Series(name, *(RANDOM if name == SCRATCH else ROOT), name) for name in roots]
    trained = [name for name in names if depths[name]]
    if len(names) <= FEW:
        styles = zip(trained, TASKS * 2, strict=False)
        return [*found, *(Series(name, *style, name) for name, style in styles)]
    for depth in sorted({depths[name] for name in trained}):
        best = str(scores[[name for name in trained if depths[name] == depth]].idxmax())
        label = f"best of {many(depth, 'task')}: {best}"
        found.append(Series(best, *_style(depth), label))
    return found


def _style(depth: int) -> tuple[str, str]:
    """Return colour and marker of a number of pretext tasks."""
    return TASKS[(depth - 1) % len(TASKS)] if depth else ROOT


def label_efficiency(table: pd.DataFrame, what: str) -> Figure:
    """Draw scores against the number of labels, by variant.

    With more than seven networks those that curricula start from and the best of each number of
    tasks (the highest mean over shares) are set off, with their intervals; the others are pale
    lines in the colour of their number of tasks.

    Args:
        table: what the functions of :mod:`sscdl.tables.probes` return: balanced accuracy is drawn,
            in percent, or the mean AUC of findings.
        what: what has these scores.

    Raises:
        InputError: the table has no rows.
    """
    if table.empty:
        raise InputError(f"figure: the table of {what} has no rows to draw")
    table = table.astype({"label_share": float})
    scored = "balanced_accuracy" if "balanced_accuracy" in table else "auc"
    parts = {f"{scored}{part}": f"score{part}" for part in ("", "_low", "_high")}
    table = table.rename(columns=parts).assign(chance=table.get("chance", CHANCE))
    measured = "balanced accuracy (%)" if scored != "auc" else "mean AUC of findings"
    variants = list(dict.fromkeys(table["variant"]))
    columns = min(2, len(variants))
    rows = math.ceil(len(variants) / columns)
    with charts.figure_style():
        figure = Figure(figsize=(charts.PAGE_WIDTH, 0.4 + 3.7 * rows), layout="constrained")
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for axes in grid.flat[len(variants) :]:
            axes.remove()
        for axes, variant in zip(grid.flat, variants, strict=False):
            _efficiency_panel(axes, table[table["variant"] == variant])
            axes.set_title(variant, loc="left")
        figure.supylabel(f"{measured} of {what}", fontsize=8.5)
    return figure


def _efficiency_panel(axes: Axes, table: pd.DataFrame) -> None:
    groups = table.groupby("curriculum")
    lines = {str(name): part.sort_values("label_share") for name, part in groups}
    scores = table.groupby("curriculum", sort=False)["score"].mean()
    series = set_off(scores)
    others = [name for name in lines if name not in {one.name for one in series}]
    for name in others:
        color, _ = _style(len(pretext_tasks(name)))
        part = lines[name]
        axes.plot(part["n_labels"], part["score"], color=color, alpha=PALE, linewidth=0.8)
    handles = []
    reach = max(2.0, table["n_labels"].max() / table["n_labels"].min())
    for one, shift in zip(series, charts.offsets(len(series)), strict=True):
        part = lines[one.name]
        # Side by side, so that intervals do not hide each other.
        places = part["n_labels"] * reach ** (0.05 * shift)
        value = part["score"]
        axes.vlines(
            places,
            part["score_low"],
            part["score_high"],
            color=one.color,
            linewidth=1.0,
            alpha=0.75,
        )
        axes.plot(
            places,
            value,
            color=one.color,
            marker=one.marker,
            linestyle=one.line,
            markeredgecolor="white",
            markeredgewidth=0.4,
        )
        handles.append(
            Line2D([], [], color=one.color, marker=one.marker, linestyle=one.line, label=one.label)
        )
    if others:
        handles.append(Line2D([], [], color=charts.GRAY, alpha=PALE, label="others, by colour"))
    axes.axhline(table["chance"].iloc[0], color=charts.GRAY, linestyle="--", linewidth=1)
    handles.append(Line2D([], [], color=charts.GRAY, linestyle="--", label="chance"))
    ticks: Any = table.groupby("label_share")["n_labels"].mean()  # by share
    axes.set_xscale("log")
    axes.set_xticks(
        list(ticks), [f"{number:.0f}\n{100 * share:g} %" for share, number in ticks.items()]
    )
    axes.minorticks_off()
    axes.margins(x=0.12)
    axes.set_xlabel("labelled training images, and share of them")
    axes.grid(axis="y")
    wide = max(len(one.label) for one in series) > 16
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=1 if wide else 2,
        fontsize=7,
    )  # fmt: skip


def reliability(bins: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """Draw accuracy against confidence: a calibrated model's points lie on the diagonal.

    Up to twelve models have a panel each, with 95 % intervals. More have one for each variant and
    number of tasks, with the lowest and the highest calibration error set off.

    Args:
        bins: what :func:`sscdl.tables.calibration.calibration_bins` returns (percent), of one
            split.
        table: what :func:`sscdl.tables.calibration.calibration` returns.

    Raises:
        InputError: there are no bins.
    """
    if bins.empty:
        raise InputError("figure: the table of calibration bins has no rows to draw")
    of_split = table[table["split"] == bins["split"].iloc[0]]
    errors = of_split.set_index(["variant", "curriculum"])["calibration_error"]
    models: dict[Any, pd.DataFrame] = dict(
        iter(bins.groupby(["variant", "curriculum"], sort=False))
    )
    alone = len(models) <= PANELS
    panels: dict[Any, list[tuple[str, str]]] = {}
    for variant, curriculum in models:
        depth = len(pretext_tasks(curriculum))
        key = (variant, curriculum) if alone else (depth, _order(bins["variant"], variant))
        panels.setdefault(key, []).append((variant, curriculum))
    keys = list(panels) if alone else sorted(panels)
    rows, columns = charts.grid_shape(len(keys))
    if not alone:
        columns = min(4, bins["variant"].nunique())
        rows = math.ceil(len(keys) / columns)
    # Both axes alike, so that the diagonal is one: from where the lowest of all points is.
    shown = bins[["confidence", "accuracy", *(["accuracy_low"] if alone else [])]]
    lowest: Any = shown.min(axis=None)
    low = 10 * math.floor(lowest / 10)
    side = min(2.4, (charts.PAGE_WIDTH - 0.7) / columns - 0.2, 9 / rows - 0.42)
    with charts.figure_style():
        size = (min(charts.PAGE_WIDTH, 0.7 + columns * (side + 0.3)), 0.45 + rows * (side + 0.42))
        figure = Figure(figsize=size, layout="compressed")
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(keys) :]:
            axes.remove()
        for place, (axes, key) in enumerate(zip(grid.flat, keys, strict=False)):
            axes.plot([0, 100], [0, 100], color=charts.GRAY, linestyle="--", linewidth=1)
            members = {name: models[name] for name in panels[key]}
            if alone:
                [model] = members.items()
                _one_model(axes, model, errors)
            else:
                _many_models(axes, members, errors)
            axes.set(xlim=(low, 102), ylim=(low, 102), aspect="equal")
            axes.locator_params(nbins=5)
            axes.grid(axis="both")
            axes.tick_params(labelbottom=place + columns >= len(keys))
        figure.supxlabel("confidence: probability of the predicted class (%)", fontsize=8.5)
        figure.supylabel("accuracy (%)", fontsize=8.5)
    return figure


def _order(values: Iterable[str], value: str) -> int:
    return list(dict.fromkeys(values)).index(value)


def _one_model(axes: Axes, model: tuple[tuple[str, str], pd.DataFrame], errors: pd.Series) -> None:
    (variant, curriculum), part = model
    color, _ = charts.styles([variant])[variant]
    axes.vlines(
        part["confidence"],
        part["accuracy_low"],
        part["accuracy_high"],
        color=color,
        linewidth=1.0,
        alpha=0.6,
    )
    axes.plot(part["confidence"], part["accuracy"], "o-", color=color, markersize=3.5)
    axes.set_title(f"{curriculum}\n{variant}", fontsize=7.5)
    text = f"error {errors[variant, curriculum]:.1f}\n{_counts(part)}"
    axes.text(0.97, 0.04, text, transform=axes.transAxes, ha="right", fontsize=6.5)


def _many_models(
    axes: Axes, members: dict[tuple[str, str], pd.DataFrame], errors: pd.Series
) -> None:
    variant = next(iter(members))[0]
    depth = len(pretext_tasks(next(iter(members))[1]))
    for part in members.values():
        axes.plot(
            part["confidence"], part["accuracy"], color=charts.GRAY, alpha=PALE, linewidth=0.8
        )
    ranked = sorted(members, key=lambda name: errors[name])
    ends = {"lowest": (ranked[0], charts.BLUE, "o")}
    if len(ranked) > 1:
        ends["highest"] = (ranked[-1], charts.VERMILION, "s")
    handles = []
    for name, color, marker in ends.values():
        part = members[name]
        axes.plot(part["confidence"], part["accuracy"], color=color, marker=marker, markersize=3)
        label = f"{name[1]}: error {errors[name]:.1f}"
        handles.append(Line2D([], [], color=color, marker=marker, markersize=3, label=label))
    what = many(depth, "task") if depth else "no task"
    axes.set_title(f"{variant}, {what} ({len(members)})", fontsize=7.5)
    axes.legend(handles=handles, loc="upper left", fontsize=6.5, borderpad=0, handlelength=1.4)
    text = _counts(next(iter(members.values())))
    axes.text(0.97, 0.04, text, transform=axes.transAxes, ha="right", fontsize=6.5)


def _counts(part: pd.DataFrame) -> str:
    """Return how many predictions a model's points are made of."""
    least, most = part["n_predictions"].min(), part["n_predictions"].max()
    each = f"{least}" if least == most else f"{least} to {most}"
    return f"n = {part['n_predictions'].sum()}, {each} a point"
