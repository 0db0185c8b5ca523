"""The thesis's tables by number of tasks, of all rates and of the naive runs."""

from __future__ import annotations

import math
import re

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from sscdl.files import write_json
from sscdl.study.thesis import FOUR_CLASSES, THESIS_TABLES
from sscdl.tables.thesis.backbones import backbones
from sscdl.tables.thesis.tables import (
    CONTRADICTIONS,
    appendix,
    chosen_rates,
    naive,
    summary,
)
from sscdl.tables.thesis.write import write_thesis_table
from sscdl.tables.write import read_runs
from tests.unit import records
from tests.unit.made_up import THESIS, made_up


def run(curriculum, lr, value, *, chosen=False, final=False, seed=0, **more) -> dict:
    """Return a classifier's training run as ``read_runs`` does."""
    common = {"variant": "full", "stage": "classification", "metric": "balanced_accuracy"}
    epochs = 150 if final else 70
    return {
        **common, "curriculum": curriculum, "lr": lr, "value": value, "chosen": chosen or final,
        "final": final, "seed": seed, "epochs": epochs, **more,
    }  # fmt: skip


def test_summary_has_rows_and_columns_of_the_thesis():
    name = "4.10_summary_full"
    printed = pd.read_csv(THESIS / f"{name}.csv")
    parts = [
        *(made_up("full", "swav+moco", seed=seed) for seed in (0, 1)),
        made_up("full", "moco+rotation"),
        made_up("full", "moco+moco"),
        made_up("full", "moco"),
        made_up("full", "moco+rotation", split="val", right=0.1),
        made_up("segmented_black", "moco+swav"),
        made_up("metadata", "metadata:view"),
    ]
    rates = {("full", "moco+rotation"): 0.3, ("full", "swav+moco"): "0.01 / 0.058"}
    table = summary(pd.concat(parts), name, "test", rates=rates, thesis_dir=THESIS)
    assert table.columns.tolist() == [
        *printed.columns, "best_lr_thesis", "accuracy_thesis",
        "accuracy_std", "accuracy_low", "accuracy_high",
    ]  # fmt: skip
    assert table["curriculum"].tolist() == ["moco+rotation", "swav+moco", "moco+moco"]
    row = table.iloc[0]
    exact = reference.balanced_accuracy_score(parts[2]["label"], parts[2]["predicted"])
    assert row["accuracy"] == pytest.approx(100 * exact)
    assert (row["best_lr"], row["best_lr_thesis"], row["accuracy_thesis"]) == (0.3, 0.058, 84.7728)
    assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]
    assert math.isnan(row["accuracy_std"])
    seeds = [100 * reference.balanced_accuracy_score(p["label"], p["predicted"]) for p in parts[:2]]
    assert table["accuracy"][1] == pytest.approx(np.mean(seeds))
    assert table["accuracy_std"][1] == pytest.approx(np.std(seeds, ddof=1))
    assert table["best_lr"][1] == "0.01 / 0.058"
    assert math.isnan(table["accuracy_thesis"][2])


def test_the_first_summary_has_the_baselines():
    parts = [made_up("full", name) for name in ("moco", "imagenet", "scratch", "moco+swav")]
    table = summary(pd.concat(parts), "4.8_summary_full", "test", rates={}, thesis_dir=THESIS)
    assert table["curriculum"].tolist() == ["scratch", "imagenet", "moco"]
    assert table["accuracy_thesis"].tolist() == [83.69, 82.75, 83.89]


def test_chosen_rates_of_several_seeds():
    runs = [
        run("moco", 0.3, 0.5, chosen=True),
        run("moco", 0.3, 0.6, final=True),
        run("moco", 0.058, 0.6, final=True, seed=1),
        run("swav", 0.01, 0.6, final=True),
        run("swav", 0.01, 0.6, final=True, seed=1),
        run("swav", 0.2, 0.6, final=True, stage="pretext"),
    ]
    assert chosen_rates(runs) == {("full", "moco"): "0.058 / 0.3", ("full", "swav"): 0.01}


def test_naive_tables_have_the_accuracy_of_each_class():
    name = "4.4_naive_half_batch_full"
    printed = pd.read_csv(THESIS / f"{name}.csv")
    parts = [
        made_up("full", curriculum, classes=FOUR_CLASSES, right=0.5, rows=200)
        for curriculum in ("swav", "scratch")
    ]
    table = naive(
        pd.concat(parts), name, "test", rates={("full", "swav"): 0.01},
        batches={"swav": 4, "moco": 16, "classify": 32}, thesis_dir=THESIS,
    )  # fmt: skip
    columns = printed.columns.tolist()
    theirs = [f"{column}_thesis" for column in columns[1:]]
    assert table.columns.tolist() == [
        *columns, *theirs, "mean_std", "mean_low", "mean_high", "chance",
    ]  # fmt: skip
    assert table["pretraining"].tolist() == ["scratch", "swav"]
    assert table["batch_size"].tolist() == [32, 4]
    assert table["batch_size_thesis"].tolist() == [16, 4]
    row = table.iloc[1]
    recalls = 100 * reference.recall_score(
        parts[0]["label"], parts[0]["predicted"], labels=FOUR_CLASSES, average=None
    )
    assert row[list(FOUR_CLASSES)].tolist() == pytest.approx(recalls)
    assert row["mean"] == pytest.approx(recalls.mean())
    assert row[theirs].tolist() == [0.01, 4, 77.84, 84.59, 0.0, 0.0, 40.608]
    assert row["lr"] == 0.01
    assert table["chance"].eq(25).all()
    others = naive(
        pd.concat(parts), "4.5_naive_full", "test", rates={}, batches={}, thesis_dir=THESIS
    )
    assert "batch_size" not in others
    assert others["mean_thesis"].tolist() == [43.942, 43.93]


def test_the_appendix_of_a_classifier():
    name = "B.2_classification_1task_full"
    runs = [
        run("swav", 0.3, 0.7, chosen=True),
        run("swav", 0.01, 0.6),
        run("swav", 0.3, 0.8, final=True),
        run("swav", 0.3, 0.5, seed=1),
        run("swav", 0.01, 0.9, chosen=True, seed=1),
        run("swav", 0.01, 0.7, final=True, seed=1),
        run("scratch", 0.01, math.nan),
        run("scratch", 0.05, 0.5, chosen=True),
        run("scratch", 0.05, 0.6, final=True),
        run("moco+swav", 0.01, 0.5),
        run("swav", 0.01, 7.5, stage="pretext", metric="loss"),
        run("swav", 0.01, 0.5, variant="segmented_black"),
    ]
    table = appendix(runs, name, thesis_dir=THESIS)
    printed = pd.read_csv(THESIS / f"{name}.csv")
    assert table.columns.tolist() == [
        *printed.columns, "epochs_thesis", "value_thesis", "value_std", "n_seeds", "chosen_by",
    ]  # fmt: skip
    assert list(zip(table["curriculum"], table["lr"], strict=True)) == [
        ("scratch", "0.01"), ("swav", "0.01"), ("scratch", "0.05"), ("swav", "0.3"),
        ("scratch", "best"), ("swav", "best"),
    ]  # fmt: skip
    value = table["value"].tolist()
    assert math.isnan(value[0])
    assert value[1:] == pytest.approx([75, 50, 60, 60, 75])
    # What the thesis prints for scratch and swav at 0.01, swav at 0.3, and after 150 epochs.
    assert table["value_thesis"].dropna().tolist() == [81.55, 82.78, 74.39, 83.69, 83.97]
    assert math.isnan(table["value_thesis"][2])
    assert table["epochs"].tolist() == [70] * 4 + [150] * 2
    assert table["epochs_thesis"].dropna().tolist() == [70, 70, 70, 150, 150]
    assert table["value_std"][1] == pytest.approx(np.std([60, 90], ddof=1))
    assert table["n_seeds"].tolist() == [1, 2, 1, 2, 1, 2]
    assert table["chosen_by"].tolist() == [0, 1, 1, 1, 1, 2]


def test_the_appendix_of_pretext_stages_has_losses_and_no_continuation():
    loss = {"stage": "pretext", "metric": "loss", "epochs": 20}
    right = {**loss, "metric": "accuracy"}
    runs = [
        run("moco", 0.01, 8.0, chosen=True, **loss),
        run("moco", 0.01, 7.0, final=True, **loss),
        run("rotation", 0.01, 0.9, **right),
    ]
    table = appendix(runs, "B.1_pretext_1task_full", thesis_dir=THESIS)
    assert table["value"].tolist() == [8.0, 90.0]
    assert table["value_thesis"].tolist() == [8.259, 99.09]


HISTORY = {"epoch": 2, "finite": True}


def node(folder, name, task, values, final, **more):
    """Write a pointer and return its path."""
    runs = [
        records.run(learning_rate=lr, value=v, history=[{**HISTORY, "loss": 1.0, "chance": 2.0}])
        for lr, v in values.items()
    ]
    end = {**runs[0], "value": final, "epochs": 3, "weights": {"bytes": 1, "sha256": ""}}
    rate = end["learning_rate"]
    found = {"node": name, "task": task, "learning_rate": rate, "candidates": runs, "final": end}
    path = folder / f"{name}.f.json"
    write_json(path, records.pointer(**found, **more))
    return path


def test_runs_tell_the_continuation_from_the_search(tmp_path):
    path = node(tmp_path, "moco+classify", "classify", {0.1: 0.5, 0.2: None}, 0.6)
    runs = read_runs([path])
    assert [one["final"] for one in runs] == [False, False, True]
    assert [one["chosen"] for one in runs] == [True, False, True]
    assert {one["curriculum"] for one in runs} == {"moco"}


def test_tables_are_written_with_notes_and_the_best_marked(tmp_path):
    files = []
    for name, right in (("scratch", 0.6), ("rotation", 0.9)):
        files.append(tmp_path / f"{name}.csv")
        made_up("full", name, right=right).to_csv(files[-1], index=False)
    pointers = [
        node(tmp_path, "classify", "classify", {0.1: 0.5}, 0.6),
        node(tmp_path, "rotation+classify", "classify", {0.2: 0.5}, 0.6),
    ]
    common = {"split": "test", "thesis": THESIS, "thesis_figures": True, "batches": {},
              "stand_ins": ["imagenet"], "map_notes": ["A coarse map."],
              "classes": ("negative", "typical")}  # fmt: skip
    name = "4.8_summary_full"
    write_thesis_table(name, files, pointers, tmp_path / f"{name}.csv", **common)
    table = pd.read_csv(tmp_path / f"{name}.csv")
    assert table["best_lr"].tolist() == [0.1, 0.2]
    text = (tmp_path / f"{name}.md").read_text()
    best = f"**{table['accuracy'].max():.2f}**"
    assert text.count("**") == 4
    assert best in text
    assert "swav 83.97 and rotation 84.72 here and in B.2" in text
    assert "Intervals are 95 %" in text
    assert "imagenet: random weights stand in for it; the row says nothing of imagenet." in text
    assert "A coarse map." not in text  # it is of accuracies alone
    name = "B.2_classification_1task_full"
    write_thesis_table(name, [], pointers, tmp_path / f"{name}.csv", **common)
    table = pd.read_csv(tmp_path / f"{name}.csv", dtype={"lr": str})
    assert table["lr"].tolist() == ["0.1", "0.2", "best", "best"]
    pretext = node(tmp_path, "rotation", "rotation", {0.2: 0.5}, 0.6)
    name = "curriculum_kinds"
    write_thesis_table(name, files, [pretext], tmp_path / f"{name}.csv", **common)
    assert pd.read_csv(tmp_path / f"{name}.csv")["difficulty"].tolist()[1:] == [0.5]
    assert (tmp_path / f"{name}.tex").is_file()


def test_figures_of_other_classes_are_told_to_be(tmp_path):
    files = []
    for curriculum in ("scratch", "rotation"):
        files.append(tmp_path / f"full.{curriculum}.s0.csv")
        made_up("full", curriculum, classes=("ill", "well")).to_csv(files[-1], index=False)
    common = {"split": "test", "thesis": THESIS, "batches": {}, "stand_ins": [], "map_notes": []}
    name, out = "4.8_summary_full", tmp_path / "table.csv"
    for classes, told in ((("ill", "well"), True), (("negative", "typical"), False)):
        write_thesis_table(name, files, [], out, classes=classes, thesis_figures=True, **common)
        assert ("two other classes" in out.with_suffix(".md").read_text()) == told
    write_thesis_table(
        name, files, [], out, classes=("ill", "well"), thesis_figures=False, **common
    )
    assert pd.read_csv(out).columns.tolist() == [
        "curriculum", "best_lr", "accuracy", "accuracy_std", "accuracy_low", "accuracy_high",
    ]  # fmt: skip
    assert "thesis" not in out.with_suffix(".md").read_text()


def test_contradictions_are_those_of_the_printed_tables():
    """Recomputes what the notes claim, from the printed figures themselves."""
    overview = pd.read_csv(THESIS / "4.14_accuracy_overview.csv").set_index("curriculum")
    lower = swapped = 0
    for name, (kind, variant, _) in THESIS_TABLES.items():
        notes = " ".join(CONTRADICTIONS.get(name, ()))
        printed = pd.read_csv(THESIS / f"{name}.csv") if kind != "curriculum_kinds" else None
        if kind == "summary":
            theirs = overview.loc[printed["curriculum"], variant].to_numpy()
            wrong = printed["curriculum"][np.abs(printed["accuracy"] - theirs) > 0.006]
            swapped += len(wrong)
            assert all(curriculum in notes for curriculum in wrong)
            assert ("reverse" in notes) == bool(len(wrong))
        if kind == "classification":
            ends = printed[printed["lr"] == "best"].set_index("curriculum")["value"]
            tops = printed[printed["lr"] != "best"].groupby("curriculum")["value"].max()
            fallen = int((ends < tops.reindex(ends.index)).sum())
            lower += fallen
            claimed = re.search(r"(\d+) of them in this table", notes)
            assert int(claimed[1] if claimed else 0) == fallen
        if kind in ("pretext", "classification"):
            six = printed.query("lr != 'best'")["lr"].nunique() == 6
            assert ("0.058" in notes) == six, name
    assert (lower, swapped) == (11, 6)


def test_the_networks_are_measured():
    table = backbones("resnet18", 2, thesis_dir=THESIS).set_index("backbone")
    assert table.index.tolist() == ["resnet50", "densenet121", "resnet18"]
    # torchvision documents 25,557,032 and 7,978,856 parameters with the classifier.
    assert table["with_classifier"].tolist()[:2] == [25557032, 7978856]
    assert table["parameters"].tolist()[:2] == [23508032, 6953856]
    assert table["layers"].tolist() == [53, 120, 10]
    assert table["parameters_millions_thesis"].tolist()[:2] == [23, 9]
    assert table["imagenet_accuracy"].tolist()[:2] == pytest.approx([76.13, 74.434])
    assert pd.isna(table.loc["resnet18", ["with_classifier", "imagenet_accuracy"]]).all()
    assert table.loc["resnet50", "size_mb"] == pytest.approx(94.0, abs=0.5)
    # The thesis's reason to prefer ResNet-50: DenseNet-121 is smaller and yet needs more memory.
    assert table.loc["densenet121", "training_mb"] > table.loc["resnet50", "training_mb"]
    of_timm = backbones("vit_tiny_patch16_224", 4, thesis_dir=THESIS).iloc[-1]
    # timm's documentation has 5.7 million with the classifier.
    assert of_timm["with_classifier"] == 5717416
    assert pd.isna(of_timm["imagenet_accuracy"])
    assert of_timm["layers"] == 1 + 12 * 4
    again = backbones("resnet50", 4, thesis_dir=THESIS)
    assert again["backbone"].tolist() == ["resnet50", "densenet121"]
