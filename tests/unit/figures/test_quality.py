"""Figures of linear probes and of calibration: what they set off, and that they show the tables."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
import pytest

from sscdl.errors import InputError
from sscdl.figures import charts
from sscdl.figures.charts import write_figure
from sscdl.figures.quality import label_efficiency, reliability
from sscdl.study.trie import thesis_curricula
from sscdl.tables.calibration import calibration, calibration_bins
from tests.unit.made_up import made_up


def probe_table(curricula, variants=("full",), shares=(0.01, 0.1, 1.0)) -> pd.DataFrame:
    """A table of linear probes in which the n-th network gains with n."""
    lines = []
    for variant in variants:
        for place, name in enumerate(curricula):
            for share in shares:
                value = 80 + 10 * np.log10(share) + 0.3 * place
                lines.append(
                    {
                        "variant": variant, "curriculum": name, "label_share": share,
                        "n_labels": 4000 * share, "balanced_accuracy": value, "chance": 50.0,
                        "balanced_accuracy_low": value - 2, "balanced_accuracy_high": value + 2,
                    }
                )  # fmt: skip
    return pd.DataFrame(lines)


def legend(axes) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_a_few_networks_have_a_line_each():
    names = ["scratch", "imagenet", "moco", "moco+swav"]
    figure = label_efficiency(probe_table(names, ("full", "segmented_black")), "probes")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["full", "segmented_black"]
    axes = figure.axes[0]
    assert legend(axes) == [*names, "chance"]
    lines = [line for line in axes.lines if line.get_marker() != "None"]
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 4
    for place, line in enumerate(lines):
        assert line.get_ydata() == pytest.approx(
            [60 + 0.3 * place, 70 + 0.3 * place, 80 + 0.3 * place]
        )
        assert line.get_xdata() == pytest.approx([40, 400, 4000], rel=0.2)
    assert axes.get_xscale() == "log"
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ["40\n1 %", "400\n10 %", "4000\n100 %"]


def test_of_many_networks_the_best_of_each_number_of_tasks_is_set_off():
    names = thesis_curricula()
    axes = label_efficiency(probe_table(names), "probes").axes[0]
    shown = legend(axes)
    assert shown[:2] == ["scratch", "imagenet"]
    # The last of each number of tasks gains most.
    assert shown[2:5] == [f"best of 1 task: {names[5]}", f"best of 2 tasks: {names[17]}",
                          f"best of 3 tasks: {names[23]}"]  # fmt: skip
    pale = [line for line in axes.lines if line.get_alpha()]
    assert len(pale) == 24 - 5
    assert {line.get_color() for line in pale} == {
        charts.BLUE, charts.VERMILION, charts.GREEN,
    }  # fmt: skip


def test_one_share_alone_and_written_files(tmp_path):
    table = probe_table(thesis_curricula(), ("full", "inverted", "x"), (1.0,))
    figure = label_efficiency(table, "probes")
    write_figure(figure, tmp_path / "figure.png")
    width, height = matplotlib.image.imread(tmp_path / "figure.png").shape[1::-1]
    assert width == round(200 * charts.PAGE_WIDTH)
    assert height < 200 * 10
    with pytest.raises(InputError, match="no rows"):
        label_efficiency(probe_table([]), "probes")


def test_of_findings_the_mean_auc_is_drawn_beside_a_half():
    table = probe_table(["scratch", "moco"]).drop(columns="chance")
    names = {column: column.replace("balanced_accuracy", "auc") for column in table}
    shares = ["auc", "auc_low", "auc_high"]
    table = table.rename(columns=names)
    table[shares] /= 100
    figure = label_efficiency(table, "trainings")
    axes = figure.axes[0]
    assert figure.get_supylabel() == "mean AUC of findings of trainings"
    assert set(axes.lines[-1].get_ydata()) == {0.5}
    assert axes.lines[0].get_ydata() == pytest.approx([0.6, 0.7, 0.8])


def tables(models) -> tuple[pd.DataFrame, pd.DataFrame]:
    parts = [made_up(*model, right=0.55 + 0.4 * k / len(models)) for k, model in enumerate(models)]
    rows = pd.concat([*parts, *(part.assign(split="val", predicted="typical") for part in parts)])
    return calibration_bins(rows, "test"), calibration(rows)


def test_a_few_models_have_a_panel_each():
    bins, table = tables([(v, c) for v in ("full", "inverted") for c in ("scratch", "moco")])
    figure = reliability(bins, table)
    assert [axes.get_title() for axes in figure.axes] == [
        "scratch\nfull", "moco\nfull", "scratch\ninverted", "moco\ninverted",
    ]  # fmt: skip
    part = bins[(bins["variant"] == "inverted") & (bins["curriculum"] == "scratch")]
    axes = figure.axes[2]
    assert axes.lines[1].get_xdata() == pytest.approx(part["confidence"])
    assert axes.lines[1].get_ydata() == pytest.approx(part["accuracy"])
    row = (table["variant"] == "inverted") & (table["curriculum"] == "scratch")
    error = table[row & (table["split"] == "test")]["calibration_error"].item()
    text = axes.texts[0].get_text()
    assert text == f"error {error:.1f}\nn = 80, 10 a point"


def test_many_models_share_panels_by_variant_and_number_of_tasks(tmp_path):
    variants = ("full", "segmented_black")
    bins, table = tables([(v, c) for v in variants for c in thesis_curricula()])
    figure = reliability(bins, table)
    assert [axes.get_title() for axes in figure.axes] == [
        f"{variant}, {tasks}"
        for tasks in ("no task (2)", "1 task (4)", "2 tasks (12)", "3 tasks (6)")
        for variant in variants
    ]
    pairs = table[(table["split"] == "test") & (table["variant"] == "full")]
    pairs = pairs[pairs["curriculum"].str.count(r"\+") == 1].sort_values("calibration_error")
    assert legend(figure.axes[4]) == [
        f"{line['curriculum']}: error {line['calibration_error']:.1f}"
        for _, line in pairs.iloc[[0, -1]].iterrows()
    ]
    assert len(figure.axes[4].lines) == 1 + 12 + 2
    write_figure(figure, tmp_path / "figure.png")
    assert matplotlib.image.imread(tmp_path / "figure.png").shape[0] < 200 * 10
    with pytest.raises(InputError, match="no rows"):
        reliability(bins.iloc[:0], table)
