"""Validation curves: a panel a model, a line a learning rate, and where the search ended."""

from __future__ import annotations

import pytest

from sscdl.errors import InputError
from sscdl.figures.validation import validation_curves
from tests.unit.figures.looks import inside


def curves(models: int, **changes: object) -> list[dict]:
    return [
        {
            "variant": "full",
            "curriculum": f"model{model}",
            "lr": lr,
            "metric": "balanced_accuracy",
            "epochs": range(1, 4),
            "values": [0.5, 0.6, 0.6 + lr],
            "chosen": lr == 0.1,
            "searched": 2,
            "averaged": [],
            **changes,
        }
        for model in range(models)
        for lr in (0.01, 0.1)
    ]


@pytest.mark.parametrize(("models", "shape"), [(1, (1, 1)), (3, (1, 3)), (24, (6, 4))])
def test_validation_curves_have_a_panel_per_model(models, shape):
    figure = validation_curves(curves(models), chance=0.5)
    assert len(figure.axes) == models
    grid = figure.axes[0].get_subplotspec().get_gridspec()
    assert (grid.nrows, grid.ncols) == shape
    first = figure.axes[0]
    assert len(first.lines) == 4
    thin, chosen, searched, chance = first.lines
    assert chosen.get_linewidth() > 1.5 * thin.get_linewidth()
    assert chosen.get_ydata()[-1] == pytest.approx(70)
    assert searched.get_xdata()[0] == 2
    assert chance.get_ydata()[0] == 50
    assert figure.get_supxlabel() == "epoch of the classifier's training"
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["rate 0.01", "rate 0.1", "chosen", "chance", "end of the search"]
    assert "chosen 0.1" in first.get_title()
    assert inside(figure)


def test_epochs_are_whole_and_one_of_them_is_seen():
    histories = [curve | {"epochs": [1, 2], "values": [0.5, 0.6]} for curve in curves(1)]
    histories[0] = histories[0] | {"epochs": [1], "values": [0.5]}
    axes = validation_curves(histories).axes[0]
    ticks = [tick for tick in axes.get_xticks() if 1 <= tick <= 2]
    assert ticks == [1, 2]
    assert [line.get_marker() for line in axes.lines] == [".", "None"]


def test_a_search_that_trained_to_the_end_has_no_line():
    figure = validation_curves(curves(1, searched=3))
    assert len(figure.axes[0].lines) == 2
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["rate 0.01", "rate 0.1", "chosen"]


def test_the_area_under_a_curve_is_no_percentage():
    figure = validation_curves(curves(1, metric="mean_auc"), chance=0.5)
    *_, chance = figure.axes[0].lines
    assert figure.axes[0].lines[0].get_ydata()[0] == 0.5
    assert chance.get_ydata()[0] == 0.5
    assert figure.get_supylabel() == "mean AUC on validation images"


def test_loss_curves_keep_their_units_and_metrics_do_not_mix():
    figure = validation_curves(curves(1, metric="loss"))
    assert figure.axes[0].lines[0].get_ydata()[0] == 0.5
    assert figure.get_supylabel() == "loss (nats), validation images"
    with pytest.raises(InputError, match="one metric"):
        validation_curves(curves(1) + curves(1, metric="loss"))
    with pytest.raises(InputError, match="one metric"):
        validation_curves([])
