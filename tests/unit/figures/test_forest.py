"""The forest plot of differences: that it shows the table, in groups, and hides nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from sscdl.errors import InputError
from sscdl.figures import charts, drawing
from sscdl.figures.forest import forest
from tests.unit.figures.looks import inside

LINES = [
    # variant, curriculum, against, difference, half of the interval, verdict
    ("full", "moco", "scratch", 3.0, 2.0, "better"),
    ("full", "moco+swav", "scratch", -4.0, 1.0, "worse"),
    ("full", "moco+swav", "moco", -7.0, 8.0, "not shown"),
    ("inverted", "moco", "scratch", 0.1, 0.4, "equivalent"),
]


def table(**changes: object) -> pd.DataFrame:
    rows = [
        {
            "variant": variant,
            "curriculum": curriculum,
            "against": against,
            "n_seeds": 5,
            "difference": value,
            "difference_low": value - half,
            "difference_high": value + half,
            "another_low": value - 2 * half,
            "another_high": value + 2 * half,
            "p_holm": 0.0213,
            "verdict": verdict,
        }
        for variant, curriculum, against, value, half, verdict in LINES
    ]
    return pd.DataFrame(rows).assign(**changes)


def segments(axes) -> dict[float, list[tuple[float, float]]]:
    """Return the horizontal lines of an axes by their width: their left and right ends."""
    found: dict[float, list[tuple[float, float]]] = {}
    for lines in axes.collections:
        ends = [(line[0][0], line[-1][0]) for line in lines.get_segments()]
        found.setdefault(lines.get_linewidths()[0], []).extend(ends)
    return found


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_each_comparison_is_a_line_in_the_group_of_its_reference():
    figure = forest(table())
    lefts, rights = figure.axes[::2], figure.axes[1::2]
    assert [axes.get_title(loc="left") for axes in lefts] == [
        "full, against no pretraining (scratch)",
        "full, against its own first task alone",
        "inverted, against no pretraining (scratch)",
    ]
    first = lefts[0]
    assert [tick.get_text() for tick in first.get_yticklabels()] == ["moco", "moco+swav"]
    assert segments(first) == {0.7: [(-1, 7), (-6, -2)], 2.6: [(1, 5), (-5, -3)]}
    points = [line for line in first.lines if line.get_marker() == "o"]
    assert [float(line.get_xdata()[0]) for line in points] == [3, -4]
    colours = [to_hex(line.get_color()).upper() for line in points]
    assert colours == [charts.BLUE, charts.VERMILION]
    assert 0 in [line.get_xdata()[0] for line in first.lines]
    assert texts(rights[0])[:6] == [
        "+3.0 [+1.0, +5.0]", "0.0213", "better",
        "\N{MINUS SIGN}4.0 [\N{MINUS SIGN}5.0, \N{MINUS SIGN}3.0]", "0.0213", "worse",
    ]  # fmt: skip
    # As far as the widest interval, with a little room, to both sides.
    assert lefts[0].get_xlim() == pytest.approx((-1.06 * 23, 1.06 * 23))
    assert len(figure.legends[0].get_texts()) == 2
    assert inside(figure)


def test_one_training_has_no_thin_line_no_p_and_says_over_what_its_interval_is():
    one = table(n_seeds=1, p_holm=np.nan, verdict="one training: not tested")
    figure = forest(one.drop(columns=["another_low", "another_high"]))
    assert list(segments(figure.axes[0])) == [2.6]
    assert texts(figure.axes[1])[1:3] == ["", "one training: not tested"]
    (text,) = figure.legends[0].get_texts()
    assert text.get_text().endswith("over patients")


def test_the_margin_is_a_band_and_what_reaches_too_far_is_cut_and_marked():
    wild = table(margin=2.0)
    wild.loc[0, "another_high"] = 400.0
    figure = forest(wild)
    first = figure.axes[0]
    (band,) = first.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == (-2, 2)
    assert first.get_xlim()[1] < 50
    arrows = [line for line in first.lines if line.get_marker() == ">"]
    assert [line.get_xdata()[0] for line in arrows] == [first.get_xlim()[1]]
    assert "margin of equivalence, 2 points" in [
        text.get_text() for text in figure.legends[0].get_texts()
    ]


def test_a_page_has_the_comparisons_of_a_variant_with_one_kind_of_reference(tmp_path):
    table().to_csv(tmp_path / "comparisons.csv", index=False)
    figure = drawing.draw_comparisons(tmp_path / "comparisons.csv", "full-first_task")
    assert [axes.get_title(loc="left") for axes in figure.axes[::2]] == [
        "full, against its own first task alone"
    ]
    assert len(drawing.draw_comparisons(tmp_path / "comparisons.csv").axes) == 6
    with pytest.raises(InputError, match="no rows"):
        drawing.draw_comparisons(tmp_path / "comparisons.csv", "inverted-imagenet")
