"""The overviews of accuracy and attention: what is drawn, and that it reaches the file whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sscdl.errors import InputError
from sscdl.figures import charts, overviews
from tests.unit.figures.looks import drawn, inside


def overview(curricula: list[str]) -> pd.DataFrame:
    rows = len(curricula)
    table = pd.DataFrame({"curriculum": curricula, "chance": 50.0})
    for place, variant in enumerate(("full", "segmented_black")):
        table[variant] = np.linspace(60, 80, rows) + place
        table[f"{variant}_low"] = table[variant] - 5
        table[f"{variant}_high"] = table[variant] + 4
    return table


def attention(curricula: list[str], variants=("full", "segmented_black")) -> pd.DataFrame:
    rows = [
        {
            "variant": variant,
            "curriculum": curriculum,
            **{"ail": 30.0 + row, "ail_low": 28.0, "ail_high": 41.0},
            **{"floor": 25.0 + place, "ail_centre": 50.0 + place},
            **{"ail_random": 33.0 + place, "ail_random_std": 4.0},
        }
        for place, variant in enumerate(variants)
        for row, curriculum in enumerate(curricula)
    ]
    return pd.DataFrame(rows)


def trainings(curricula: list[str], seeds: int = 3) -> pd.DataFrame:
    """Return what each seed has: more by one point than the one before."""
    rows = [
        {"variant": variant, "curriculum": name, "seed": seed} | dict.fromkeys(
            ("balanced_accuracy", "ail"), 60.0 + seed
        )
        for variant in ("full", "segmented_black")
        for name in curricula
        for seed in range(seeds)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def dots(axes) -> list:
    """Return the series of single trainings that an axes holds."""
    return [line for line in axes.lines if line.get_markerfacecolor() == "none"]


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
    names = [f"moco+rotation+task{row}" for row in range(rows)]
    table = overview(names)
    figure = overviews.accuracy_overview_figure(
        table, trainings(names, 1), baselines={"metadata:view": 62.9}
    )
    (axes,) = figure.axes
    points = drawn(axes)
    assert [color for color, _ in points] == [charts.BLUE.upper(), charts.VERMILION.upper()]
    assert points[1][1] == table["segmented_black"].tolist()
    assert [text.get_text() for text in axes.get_yticklabels()] == table["curriculum"].tolist()
    upright = [line.get_xdata()[0] for line in axes.lines if line.get_xdata()[0] in (50, 62.9)]
    assert upright == [50, 62.9]
    assert axes.get_xlabel() == "balanced accuracy (%)"
    assert dots(axes) == []
    assert inside(figure)


def test_each_of_several_trainings_is_a_dot_in_the_row_of_its_model():
    names = ["scratch", "moco"]
    figure = overviews.accuracy_overview_figure(overview(names), trainings(names))
    full, segmented = dots(figure.axes[0])
    assert list(full.get_xdata()) == list(segmented.get_xdata()) == [60, 61, 62] * 2
    intervals = [line for line in figure.axes[0].lines if line.get_marker() in "os"]
    rows = list(intervals[0].get_ydata())
    assert list(full.get_ydata()) == [rows[0]] * 3 + [rows[1]] * 3
    names_of_legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "each training alone" in names_of_legend
    assert inside(figure)


def test_overview_leaves_out_a_variant_without_values():
    table, none = overview(["moco"]), trainings(["moco"], 1)
    table[["segmented_black", "segmented_black_low", "segmented_black_high"]] = np.nan
    figure = overviews.accuracy_overview_figure(table, none)
    assert len(drawn(figure.axes[0])) == 1
    with pytest.raises(InputError, match="no values"):
        overviews.accuracy_overview_figure(table.assign(full=np.nan), none)


def test_attention_stands_beside_all_that_scores_without_training():
    names = ["scratch", "moco"]
    figure = overviews.ail_by_model(attention(names), trainings(names))
    full, segmented = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["full", "segmented_black"]
    for shift, axes in enumerate((full, segmented)):
        upright = {
            tuple(segment[0][0] for segment in lines.get_segments())
            for lines in axes.collections
            if all(start[0] == end[0] for start, end in lines.get_segments())
        }
        assert upright == {(25 + shift,) * 2, (50 + shift,) * 2, (33 + shift,) * 2}
        bands = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in axes.patches]
        assert bands == [(29 + shift, 37 + shift)] * 2
        assert [list(one.get_xdata()) for one in dots(axes)] == [[60, 61, 62] * 2]
    assert [text.get_text() for text in full.get_yticklabels()] == names
    assert len(figure.legends[0].get_texts()) == 5
    assert inside(figure)
    with pytest.raises(InputError, match="no rows"):
        overviews.ail_by_model(attention([]), trainings([]))


@pytest.mark.parametrize("variants", [2, 3, 5])
def test_attention_of_a_model_that_a_variant_lacks_leaves_its_row_empty(variants):
    names = [f"v{number}" for number in range(variants)]
    table = attention(["scratch", "moco+swav+rotation"], names)
    figure = overviews.ail_by_model(table.iloc[1:], trainings(["scratch"], 1))
    assert len(figure.axes) == variants
    values = drawn(figure.axes[0])[0][1]
    assert len(values) == 2
    assert np.isnan(values).sum() == 1
    assert dots(figure.axes[0]) == []
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
