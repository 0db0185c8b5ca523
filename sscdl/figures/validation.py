"""How classifiers fared on the validation images while they were trained (figure 4.2).

Style and rules are those of :mod:`sscdl.figures.charts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sscdl.errors import InputError
from sscdl.figures import charts
from sscdl.tables.rates import IN_PERCENT

_METRIC_LABELS = {
    "balanced_accuracy": "balanced accuracy (%), validation images",
    "accuracy": "accuracy (%), validation images",
    "mean_auc": "mean AUC on validation images",
    "loss": "loss (nats), validation images",
}

AVERAGES = (0, (1, 1.5))  # dots: what averages of the weights score


def validation_curves(
    histories: Sequence[Mapping[str, Any]], *, chance: float | None = None
) -> Figure:
    """Draw validation curves over epochs, one line per learning rate, one panel per model.

    Args:
        histories: one mapping per curve: ``variant, curriculum, lr, metric``, ``epochs`` and
            ``values`` (sequences of equal length; scores in [0, 1]), ``chosen`` and
            ``searched``, the epochs after which the rates were compared. All share one metric.
            ``averaged`` (may be empty): (epoch, value) of averages of the weights, a dotted line.
        chance: value of guessing, in the units of ``values``; a dashed line where given.

    Raises:
        InputError: no histories, or histories of different metrics.
    """
    metrics = {history["metric"] for history in histories}
    if len(metrics) != 1:
        raise InputError(f"figure: curves of one metric are needed, got {sorted(metrics)}")
    metric = metrics.pop()
    scale = 100.0 if metric in IN_PERCENT else 1.0
    panels: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for history in histories:
        panels.setdefault((history["variant"], history["curriculum"]), []).append(history)
    rates = sorted({float(history["lr"]) for history in histories})
    # By rank, since grids of rates crowd on any scale; viridis's bright end is lost on white paper.
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(rates)))
    colors = dict(zip(rates, shades, strict=True))
    rows, columns = charts.grid_shape(len(panels))
    size = (charts.PAGE_WIDTH, 3.6) if len(panels) == 1 else (charts.PAGE_WIDTH, 0.9 + 1.9 * rows)
    with charts.figure_style():
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.remove()
        went_on = False
        for place, ((variant, curriculum), curves) in enumerate(panels.items()):
            axes = grid.flat[place]
            for curve in sorted(curves, key=lambda item: bool(item["chosen"])):
                axes.plot(
                    curve["epochs"],
                    scale * np.asarray(curve["values"], dtype=float),
                    marker="." if len(curve["values"]) == 1 else None,
                    color=charts.VERMILION if curve["chosen"] else colors[float(curve["lr"])],
                    linewidth=(2.2 if columns <= 2 else 1.6) if curve["chosen"] else 0.8,
                )
            for curve in curves:
                if curve["averaged"]:
                    epochs, values = zip(*curve["averaged"], strict=True)
                    axes.plot(
                        epochs,
                        scale * np.asarray(values, dtype=float),
                        color=charts.VERMILION if curve["chosen"] else colors[float(curve["lr"])],
                        linestyle=AVERAGES,
                        marker="." if len(values) == 1 else None,
                        linewidth=1,
                    )
            searched = max(curve["searched"] for curve in curves)
            if searched < max(max(curve["epochs"]) for curve in curves):
                axes.axvline(searched, color=charts.BLACK, linestyle=":", linewidth=1)
                went_on = True
            if chance is not None:
                axes.axhline(scale * chance, color=charts.GRAY, linestyle="--", linewidth=1)
            chosen = [f"{curve['lr']:g}" for curve in curves if curve["chosen"]]
            title = f"{curriculum}\n{variant}" + (f"\nchosen {chosen[0]}" if chosen else "")
            axes.set_title(title, fontsize=7 if columns == 4 else 8.5)
            axes.grid(axis="y")
            axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
            # sharex hides labels above a panel that was removed.
            axes.tick_params(labelbottom=place + columns >= len(panels))
        handles = [Line2D([], [], color=colors[rate], label=f"rate {rate:g}") for rate in rates]
        if any(history["chosen"] for history in histories):
            handles.append(Line2D([], [], color=charts.VERMILION, linewidth=2.2, label="chosen"))
        if chance is not None:
            handles.append(Line2D([], [], color=charts.GRAY, linestyle="--", label="chance"))
        if any(history["averaged"] for history in histories):
            label = "average of weights"
            handles.append(Line2D([], [], color=charts.GRAY, linestyle=AVERAGES, label=label))
        if went_on:
            label = "end of the search"
            handles.append(Line2D([], [], color=charts.BLACK, linestyle=":", label=label))
        figure.supxlabel("epoch of the classifier's training", fontsize=8.5)
        figure.supylabel(_METRIC_LABELS.get(metric, metric), fontsize=8.5)
        charts.legend(figure, handles, columns=6)
    return figure
