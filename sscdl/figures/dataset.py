"""The figure that shows a study's images at a glance, and sheets of small pictures.

The counts are those of :mod:`sscdl.tables.dataset`. Colours are told apart by people with colour
vision deficiencies, and stand in the order of the legend.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image, ImageDraw, ImageFont

from sscdl.errors import InputError
from sscdl.figures import bars, charts
from sscdl.files import atomic_path
from sscdl.finding_labels import holds_findings
from sscdl.tables.dataset import (
    by_label,
    natural_order,
    once,
    reason_counts,
    split_names,
    tidy_images,
)

_LINES = ["-", "--", ":", "-."]
# Beyond so many rows or reasons, the last one sums up the others.
_ROWS, _REASONS = 24, 14
# Letters in a line of a reason, in the name of a transfer syntax and in that of a split.
_REASON, _SYNTAX, _SPLIT = 60, 50, 20
_BINS = 64
_NONE = 0.45  # inches, of a panel that says that there is nothing
_PAGE = 200  # tiles on a sheet
_GAP, _LINE, _FONT = 4, 15, 12  # pixels between tiles, of a caption's line and of its letters


def dataset_figure(
    images: pd.DataFrame, rejected: pd.DataFrame, histograms: Mapping[str, np.ndarray]
) -> Figure:
    """Draw what a study's images are: classes, people, views, encodings, sizes, grays, rejections.

    Panels that are not by split count an image once of which the marked test sets show copies. What
    is by class counts an image that shows several findings with each of them.

    Args:
        images: the rows of ``images.csv``, not none.
        rejected: the rows of ``rejected.csv``, possibly none.
        histograms: for each split, how many pixels have each gray value, from black to white in
            equal steps, such as 256 counts; splits without pixels are not drawn.
    """
    tidy = tidy_images(images)
    tidy["encoding"] = tidy["photometric"] + ", " + tidy["bits_stored"] + " bits"
    what, often = "class", ""
    if holds_findings(tidy["label"]):
        what, often = "finding", " (some several times)"
    by_split = _cross(by_label(tidy), "split", "label")
    kept = once(tidy)
    labelled = by_label(kept)
    by_view, by_sex = _cross(labelled, "label", "view"), _cross(labelled, "label", "sex")
    by_syntax = _cross(kept, "transfer_syntax", "encoding")
    sizes = kept["size"].value_counts()
    sizes = sizes.loc[_sorted(sizes.index)]
    reasons = _reasons(rejected)
    heights = [
        bars.height(len(by_split), by_split.columns),
        bars.height(len(by_view), [*by_view.columns, *by_sex.columns][: bars.SERIES]),
        bars.height(max(len(by_view), len(sizes)), []),
        bars.height(len(by_syntax), by_syntax.columns, wide=True),
        max(1.9, 0.4 + 0.135 * len(histograms)),
        bars.height(sum(map(bars.lines_of, reasons.index)), []) if len(reasons) else _NONE,
    ]
    with charts.figure_style():
        figure = Figure(figsize=(charts.PAGE_WIDTH, sum(heights)), layout="constrained")
        # Figures of their own leave each panel just the margin that its names need.
        strips: Any = figure.subfigures(len(heights), 1, height_ratios=heights)
        cells = [half for strip in strips[:3] for half in strip.subfigures(1, 2)]
        panels = [cell.subplots() for cell in [*cells, *strips[3:]]]
        bars.stacked(panels[0], by_split, f"Images by {what}{often}")
        _people(panels[1], tidy)
        bars.stacked(panels[2], by_view, f"View by {what} (%)", percent=True)
        bars.stacked(panels[3], by_sex, f"Sex by {what} (%)", percent=True)
        _ages(panels[4], labelled, what)
        bars.plain(panels[5], sizes, "Size: rows x columns (images)", room=len(by_view))
        bars.stacked(panels[6], by_syntax, "Transfer syntax and encoding (images)", longest=_SYNTAX)
        _grays(panels[7], histograms)
        bars.plain(panels[8], reasons, "Set aside (lines of rejected.csv)", longest=_REASON)
    return figure


def _cross(tidy: pd.DataFrame, rows: str, series: str) -> pd.DataFrame:
    """Return counts of images by two columns, as many of each as can be drawn."""
    counts = pd.crosstab(tidy[rows], tidy[series])
    order = split_names(counts.index) if rows == "split" else _sorted(counts.index)
    counts = counts.loc[order, _sorted(counts.columns)]
    return bars.summed(bars.summed(counts, _ROWS).T, bars.SERIES).T


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(names, key=natural_order)


def _reasons(rejected: pd.DataFrame) -> pd.Series:
    counts = pd.Series(reason_counts(rejected), dtype=int).to_frame("files")
    shown = bars.summed(counts, _REASONS)["files"]
    return shown.rename(lambda name: textwrap.fill(name, _REASON, max_lines=3, placeholder=" …"))


def _people(axes: Axes, tidy: pd.DataFrame) -> None:
    """Draw the numbers of patients, studies and images of each split."""
    parts = tidy.groupby("split")
    counts = pd.DataFrame(
        {
            "patients": parts["patient_id"].nunique(),
            "studies": parts["study_id"].nunique(),
            "images": parts.size(),
        }
    )
    # Beyond that there is no sum: patients may be the same in several splits.
    counts = counts.loc[split_names(counts.index)[:_ROWS]]
    markers = {"patients": ("o", charts.BLUE), "studies": ("s", charts.ORANGE),
               "images": ("D", charts.GREEN)}  # fmt: skip
    rows = np.arange(len(counts))
    axes.hlines(rows, counts.min(axis=1), counts.max(axis=1), color="#CCCCCC", linewidth=1)
    handles = []
    for name, (marker, color) in markers.items():
        style: dict[str, Any] = {
            "marker": marker,
            "color": color,
            "markersize": 4,
            "markeredgecolor": "white",
        }
        axes.plot(counts[name], rows, linestyle="", **style)
        handles.append(Line2D([], [], linestyle="", label=name, **style))
    axes.set_xlim(0, counts.to_numpy().max() * 1.08)
    bars.name_rows(axes, counts.index)
    bars.titled(axes, "Patients, studies and images", handles)


def _ages(axes: Axes, tidy: pd.DataFrame, what: str) -> None:
    """Draw the ages of each class or finding: quartiles, 5th and 95th percentile, mean."""
    bars.titled(axes, f"Age by {what} (years)")
    if tidy["age"].isna().all():
        bars.nothing(axes, "unknown")
        return
    labels = _sorted(tidy["label"].value_counts().index[:_ROWS])
    known = [tidy.loc[tidy["label"] == name, "age"].dropna() for name in labels]
    axes.boxplot(
        known, orientation="horizontal", positions=range(len(labels)), widths=0.6,
        whis=(5, 95), showfliers=False, showmeans=True, patch_artist=True, manage_ticks=False,
        medianprops={"color": charts.BLACK}, capprops={"color": charts.BLUE},
        boxprops={"facecolor": "#CFE3F1", "edgecolor": charts.BLUE},
        whiskerprops={"color": charts.BLUE},
        meanprops={"marker": "D", "markersize": 3, "markerfacecolor": charts.VERMILION,
                   "markeredgecolor": charts.VERMILION},
    )  # fmt: skip
    axes.set_xlim(left=0)
    bars.name_rows(axes, labels)


def _grays(axes: Axes, histograms: Mapping[str, np.ndarray]) -> None:
    """Draw each split's distribution of gray values, with its mean."""
    handles, highest = [], 0.0
    axes.set_title("Gray values by split", loc="left", fontweight="bold")
    drawn = {name: np.asarray(histograms[name], float) for name in split_names(histograms)}
    drawn = {name: counts for name, counts in drawn.items() if counts.sum() > 0}
    if not drawn:
        bars.nothing(axes, "none")
        return
    for place, (name, counts) in enumerate(drawn.items()):
        share = counts / counts.sum()
        gray = np.linspace(0, 1, len(counts))
        mean = float(share @ gray)
        density, edges = np.histogram(gray, bins=min(_BINS, len(counts)), range=(0, 1),
                                      weights=share, density=True)  # fmt: skip
        style: dict[str, Any] = {"color": bars.COLORS[place % len(bars.COLORS)],
                 "linestyle": _LINES[place // len(bars.COLORS) % len(_LINES)]}  # fmt: skip
        axes.plot((edges[1:] + edges[:-1]) / 2, density, **style)
        axes.plot(mean, 0, marker="^", color=style["color"], clip_on=False, zorder=5)
        # Black borders and white letters would leave no room for the rest.
        highest = max(highest, density[1:-1].max(initial=0.0))
        handles.append(
            Line2D([], [], label=f"{bars.shown(name, _SPLIT)} (mean {mean:.2f})", **style)
        )
    axes.set_ylim(0, 1.15 * highest or 1)
    axes.set_xlim(0, 1)
    axes.tick_params(labelsize=7)
    axes.grid(axis="y")
    axes.set_xlabel("gray value, 0 black to 1 white (a triangle marks the mean)", fontsize=7.5)
    axes.set_ylabel("density", fontsize=7.5)
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1), fontsize=7,
                handlelength=1.6, labelspacing=0.25, borderaxespad=0.3)  # fmt: skip


def contact_sheet(
    pngs: Sequence[Path], captions: Sequence[str], out: Path, *, columns: int, tile: int
) -> list[Path]:
    """Write the pictures small, side by side, each under its caption, and return the files.

    Args:
        pngs: gray pictures of 8 or 16 bits.
        captions: one for each, of one or more lines; what is wider than the tile is wrapped.
        out: the PNG file; with more than about 200 pictures ``<name>-1.png`` and so on.
        columns: tiles in a row, 1 or more.
        tile: width and height of a tile in pixels, 16 or more; pictures keep their proportions.

    Raises:
        InputError: there is no picture, or one cannot be read.
    """
    if not pngs:
        raise InputError("contact sheet: there are no images to draw")
    pairs = list(zip(pngs, captions, strict=True))
    page = max(1, _PAGE // columns) * columns
    pages = [pairs[start : start + page] for start in range(0, len(pairs), page)]
    names = [out.with_name(f"{out.stem}-{n}{out.suffix}") for n in range(1, len(pages) + 1)]
    paths = names if len(pages) > 1 else [out]
    for path, part in zip(paths, pages, strict=True):
        with atomic_path(path) as temporary:
            _sheet(part, columns, tile).save(temporary)
    return paths


def _sheet(pairs: Sequence[tuple[Path, str]], columns: int, tile: int) -> Image.Image:
    columns = min(columns, len(pairs))
    font = ImageFont.load_default(_FONT)
    captions = [charts.wrapped(caption, tile - 2, font.getlength) for _, caption in pairs]
    # As high as the longest needs, so that the pictures stand in rows.
    top = _LINE * max(map(len, captions))
    wide, high = tile + _GAP, tile + top + _GAP
    sheet = Image.new("L", (columns * wide + _GAP, math.ceil(len(pairs) / columns) * high + _GAP))
    draw = ImageDraw.Draw(sheet)
    for place, ((png, _), lines) in enumerate(zip(pairs, captions, strict=True)):
        x, y = _GAP + place % columns * wide, _GAP + place // columns * high
        for number, line in enumerate(lines):
            draw.text((x + 1, y + number * _LINE), line, fill=255, font=font)
        try:
            with Image.open(png) as picture:
                pixels = np.asarray(picture)
        except (OSError, SyntaxError):
            raise InputError(f"{png}: is missing or no picture; ingest the images again") from None
        small = Image.fromarray(pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype("u1"))
        small.thumbnail((tile, tile), Image.Resampling.BOX)
        corner = (x + (tile - small.width) // 2, y + top + (tile - small.height) // 2)
        sheet.paste(small, corner)
    return sheet
