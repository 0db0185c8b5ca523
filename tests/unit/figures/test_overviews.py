"""The overviews of accuracy and attention: what is drawn, and that it reaches the file whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sscdl.errors import InputError
from sscdl.figures import charts, overviews
from tests.unit.figures.looks import drawn, inside


def overview(curricula: list[str], *, floor: bool = False) -> pd.DataFrame:
    rows = len(curricula)
    table = pd.DataFrame({"curriculum": curricula, "chance": 50.0})
    for place, variant in enumerate(("full", "segmented_black")):
        table[variant] = np.linspace(60, 80, rows) + place
        table[f"{variant}_low"] = table[variant] - 5
        table[f"{variant}_high"] = table[variant] + 4
        if floor:
            table[f"{variant}_floor"] = 25.0 + place
    return table


def mark_table() -> pd.DataFrame:
    records = [
        {
            "variant": variant,
            "curriculum": curriculum,
            "split": split,
            "balanced_accuracy": 90.0 - 30 * place + row,
            "balanced_accuracy_low": 85.0 - 30 * place,
            "balanced_accuracy_high": 95.0 - 30 * place,
            "chance": 50.0,
            "mark_attention": 10.0 + place,
            "mark_share": 1.0,
        }
        for variant in ("full", "segmented_black")
        for row, curriculum in enumerate(("scratch", "moco"))
        for place, split in enumerate(("mark_trained", "mark_removed", "mark_reversed"))
    ]
    return pd.DataFrame(records)


@pytest.mark.parametrize("rows", [1, 3, 24])
def test_accuracy_overview_shows_every_model_chance_and_baselines(rows):
    table = overview([f"moco+rotation+task{row}" for row in range(rows)])
    figure = overviews.accuracy_overview_figure(table, baselines={"metadata:view": 62.9})
    (axes,) = figure.axes
    points = drawn(axes)
    assert [color for color, _ in points] == [charts.BLUE.upper(), charts.VERMILION.upper()]
    assert points[1][1] == table["segmented_black"].tolist()
    assert [text.get_text() for text in axes.get_yticklabels()] == table["curriculum"].tolist()
    upright = [line.get_xdata()[0] for line in axes.lines if line.get_xdata()[0] in (50, 62.9)]
    assert upright == [50, 62.9]
    assert axes.get_xlabel() == "balanced accuracy (%)"
    assert inside(figure)


def test_overview_leaves_out_a_variant_without_values():
    table = overview(["moco"])
    table[["segmented_black", "segmented_black_low", "segmented_black_high"]] = np.nan
    figure = overviews.accuracy_overview_figure(table)
    assert len(drawn(figure.axes[0])) == 1
    with pytest.raises(InputError, match="no values"):
        overviews.accuracy_overview_figure(table.assign(full=np.nan))


def test_ail_figure_draws_a_floor_per_variant():
    table = overview(["scratch", "moco", "mean"], floor=True)
    figure = overviews.ail_by_model(table)
    segments = [c.get_segments() for c in figure.axes[0].collections]
    floors = [s for s in segments if all(line[0][0] == line[1][0] for line in s)]
    assert [line[0][0] for line in floors[0]] == [25.0] * 3
    assert [line[0][0] for line in floors[1]] == [26.0] * 3
    assert len(figure.legends[0].get_texts()) == 4
    assert inside(figure)


def test_shortcut_figure_pairs_accuracy_with_attention():
    figure = overviews.shortcut_figure(mark_table())
    assert len(figure.axes) == 4
    accuracy, attention = figure.axes[:2]
    assert accuracy.get_title(loc="left") == "full"
    assert [values for _, values in drawn(accuracy)] == [[90, 91], [60, 61], [30, 31]]
    assert [text.get_text() for text in accuracy.get_yticklabels()] == ["scratch", "moco"]
    values = [values for _, values in drawn(attention)]
    assert values == [[10, 10], [1, 1], [11, 11], [1, 1], [12, 12], [1, 1]]
    assert inside(figure)
    with pytest.raises(InputError, match="no rows"):
        overviews.shortcut_figure(mark_table().iloc[:0])
