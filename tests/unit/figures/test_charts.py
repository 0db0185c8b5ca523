"""What all charts share: the shape of grids, legends that fit, files with their caption."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from sscdl.figures import charts
from tests.unit.figures.looks import inside


def chart() -> Figure:
    figure = Figure(figsize=(4, 2), layout="constrained")
    figure.subplots().plot([0, 1], [0, 1])
    return figure


def pixels(path) -> np.ndarray:
    with Image.open(path) as written:
        return np.asarray(written.convert("L"))


def test_a_file_without_caption_has_the_figures_size(tmp_path):
    path = tmp_path / "deep" / "4.3_ail.png"
    charts.write_figure(chart(), path, dpi=150)
    with Image.open(path) as written:
        assert written.size == (600, 300)
        assert written.info["dpi"][0] == pytest.approx(150, abs=1)
    assert list(path.parent.iterdir()) == [path]


def test_a_caption_stands_below_the_picture_and_changes_nothing_in_it(tmp_path):
    charts.write_figure(chart(), tmp_path / "bare.png", dpi=100)
    caption = "What is to be seen here, in words that cost $5 and more than one line of room. " * 3
    charts.write_figure(
        chart(), tmp_path / "told.png", dpi=100, title="Accuracy: figure", caption=caption
    )
    bare, told = pixels(tmp_path / "bare.png"), pixels(tmp_path / "told.png")
    assert told.shape[1] == bare.shape[1]
    assert (told[: len(bare) - 1] == bare[:-1]).all()
    below = told[len(bare) :]
    lines = np.flatnonzero(np.diff((below < 128).any(axis=1).astype(int)) == 1)
    assert len(lines) >= 3
    # Whole letters, and white around them.
    assert (below[-3:] > 200).all()
    assert (below[:, -4:] > 200).all()
    with Image.open(tmp_path / "told.png") as written:
        assert written.text["Title"] == "Accuracy: figure"


@pytest.mark.parametrize(
    ("count", "shape"),
    [(1, (1, 1)), (2, (1, 2)), (3, (1, 3)), (4, (2, 2)), (6, (2, 3)), (7, (2, 4)), (24, (6, 4))],
)
def test_grids_have_few_empty_places(count, shape):
    assert charts.grid_shape(count) == shape


def test_no_grid_lacks_a_place_or_has_an_empty_row():
    for count in range(1, 40):
        rows, columns = charts.grid_shape(count)
        assert (rows - 1) * columns < count <= rows * columns
        assert columns <= 4


def test_a_legend_has_only_as_many_columns_as_fit():
    figure = chart()
    names = ["a name that is rather long, longer than an inch"] * 4
    charts.legend(figure, [charts.point(charts.BLUE, "o", name) for name in names], columns=4)
    assert inside(figure)
