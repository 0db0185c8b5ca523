"""Curves over thresholds: those of scikit-learn, and the points of the table on them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from sscdl.errors import InputError
from sscdl.evaluation.metrics import class_names, labelled
from sscdl.figures import drawing
from sscdl.figures.curves import KINDS, curves
from sscdl.study.trie import thesis_curricula
from sscdl.tables.operating_points import operating_points, positives
from tests.unit.figures.looks import inside
from tests.unit.made_up import made_up


def predictions(names, *, seeds: int = 1, variants=("full",), **more) -> pd.DataFrame:
    return pd.concat(
        made_up(variant, name, seed=seed, split=split, right=0.7 + 0.02 * place, **more)
        for variant in variants
        for place, name in enumerate(names)
        for seed in range(seeds)
        for split in ("val", "test")
    )


def drawn_from(rows: pd.DataFrame, kind: str):
    tested = labelled(rows[rows["split"] == "test"])
    sides = dict.fromkeys(positives(class_names(tested)), tested)
    return curves(sides, operating_points(rows, "test"), kind)


def thick(axes) -> list:
    return [line for line in axes.lines if line.get_linewidth() == 1.4]


@pytest.mark.parametrize("kind", KINDS)
def test_points_of_one_training_lie_on_its_curve(kind):
    rows = predictions(["moco"])
    figure = drawn_from(rows, kind)
    (axes,) = figure.axes
    (curve,) = thick(axes)
    points = [line for line in axes.lines if line.get_marker() in ("o", "^", "s")]
    assert len(points) == 3
    for point in points:
        ((x, y),) = point.get_xydata()
        # The curve is known at every fifth of a percent.
        near = curve.get_ydata()[np.abs(curve.get_xdata() - x) < 0.21]
        assert y <= near.max() + 0.1
        # Of the precisions at one recall the curve has the best.
        assert kind != "roc" or y >= near.min() - 0.1
    assert inside(figure)


def test_the_area_of_a_curve_and_what_the_legend_says_are_those_of_scikit_learn():
    rows = predictions(["scratch", "moco"], seeds=3)
    test = rows[(rows["split"] == "test") & (rows["curriculum"] == "moco")]
    parts = [part for _, part in test.groupby("seed")]
    expected = {
        "roc": [roc_auc_score(p["label"] == "typical", p["prob_typical"]) for p in parts],
        "precision_recall": [
            average_precision_score(p["label"] == "typical", p["prob_typical"]) for p in parts
        ],
    }
    for kind, areas in expected.items():
        (axes,) = drawn_from(rows, kind).axes
        curve = thick(axes)[1]
        area = np.trapezoid(curve.get_ydata(), curve.get_xdata()) / 1e4
        assert area == pytest.approx(np.mean(areas), abs=0.005)
        names = [text.get_text() for text in axes.get_legend().get_texts()]
        assert names[1] == f"moco, {np.mean(areas):.2f}"
        thin = [line for line in axes.lines if line.get_linewidth() == 0.5]
        assert len(thin) == 2 * 3
        mean = np.mean([line.get_ydata() for line in thin[3:]], axis=0)
        np.testing.assert_allclose(mean, curve.get_ydata())


def test_of_many_models_the_best_of_each_number_of_tasks_is_set_off():
    figure = drawn_from(predictions(thesis_curricula(), variants=("full", "inverted")), "roc")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["full", "inverted"]
    for axes in figure.axes:
        assert len(thick(axes)) == 5
        assert len([line for line in axes.lines if line.get_alpha() == 0.3]) == 24 - 5
        assert axes.get_aspect() == 1
    assert inside(figure)


@pytest.mark.parametrize("variants", [1, 2])
def test_of_more_classes_each_has_a_panel(variants, tmp_path):
    classes = ["a", "b", "c", "d"]
    names = [f"v{number}" for number in range(variants)]
    rows = predictions(["moco"], variants=names, classes=classes)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    operating_points(rows, "test").to_csv(tmp_path / "points.csv", index=False)
    figure = drawing.draw_curves(
        [tmp_path / "rows.csv"], tmp_path / "points.csv", kind="precision_recall", split="test"
    )
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [f"{variant}\n{name} or not" for variant in names for name in classes]
    assert inside(figure)


def test_without_labels_there_is_nothing_to_draw():
    rows = predictions(["moco"]).assign(label="")
    with pytest.raises(InputError, match="no prediction"):
        drawn_from(rows, "roc")
