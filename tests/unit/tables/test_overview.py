"""Result tables: shapes of the thesis, values recomputed by hand, and the files written."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from sscdl.archives.cohorts import MARKED
from sscdl.errors import InputError
from sscdl.tables import confounders, details, overview
from sscdl.tables.comparisons import holm
from sscdl.tables.files import write_table
from sscdl.tables.html_table import BOLD
from sscdl.tables.predictions import PREDICTION_TABLES
from sscdl.tables.rates import learning_rates
from tests.unit.made_up import CLASSES, THESIS, made_up, made_up_untrained


@pytest.fixture(scope="module")
def predictions() -> pd.DataFrame:
    parts = [
        made_up("segmented_black", "swav+moco", seed=1),
        made_up("full", "mine"),
        *(made_up("full", "moco", seed=seed) for seed in range(3)),
        made_up("full", "swav+moco", seed=1),
        made_up("segmented_black", "moco", right=1.0),
        made_up("segmented_gray", "moco"),
        made_up("full", "scratch"),
        made_up("full", "moco", split="val", right=0.1),
        made_up("metadata", "metadata:view", right=0.6),
    ]
    return pd.concat(parts, ignore_index=True)


def test_normalisation_stands_beside_the_thesis():
    stats = pd.DataFrame(
        {"variant": ["other", "segmented_black", "full"], "mean": [0.1, 0.2, 0.5], "std": 0.2}
    )
    table = overview.normalisation(stats, thesis_dir=THESIS)
    assert table.columns.tolist() == ["variant", "mean", "std", "mean_thesis", "std_thesis"]
    assert table["variant"].tolist() == ["full", "segmented_black", "other"]
    assert table["mean_thesis"].tolist()[:2] == [0.5234, 0.1028]
    assert np.isnan(table["std_thesis"][2])


def test_accuracy_overview_has_the_columns_and_order_of_the_thesis(predictions):
    table = overview.accuracy_overview(predictions, "test", thesis_dir=THESIS)
    leading = pd.read_csv(THESIS / "4.14_accuracy_overview.csv").columns.tolist()
    assert table.columns[:4].tolist() == leading
    assert table.columns[4:8].tolist() == [
        "full_thesis",
        "segmented_black_thesis",
        "better_thesis",
        "segmented_gray",
    ]
    assert table["curriculum"].tolist() == ["scratch", "moco", "swav+moco", "mine"]
    row = table.set_index("curriculum").loc["moco"]
    models = predictions.query("variant == 'full' and curriculum == 'moco' and split == 'test'")
    by_seed = [
        100 * reference.balanced_accuracy_score(part["label"], part["predicted"])
        for _, part in models.groupby("seed")
    ]
    assert row["full"] == pytest.approx(np.mean(by_seed))
    assert row["full_std"] == pytest.approx(np.std(by_seed, ddof=1))
    assert row["full_low"] < row["full"] < row["full_high"]
    assert row["segmented_black"] == 100
    assert np.isnan(row["segmented_black_std"])
    assert row["better"] == "segmented"
    assert (row["full_thesis"], row["better_thesis"]) == (83.89, "full")
    mine = table.set_index("curriculum").loc["mine"]
    assert np.isnan([mine["full_thesis"], mine["segmented_black"]]).all()
    assert (mine["better"], mine["better_thesis"]) == ("", "")
    assert set(table["chance"]) == {50.0}


def test_the_overview_marks_the_best_of_each_number_of_tasks_as_the_thesis_does():
    # Better with every model, so that neither the last nor the first is the best by its place.
    scores = {
        **{"scratch": 0.99, "moco": 0.6, "rotation": 0.8, "relloc": 0.7},
        **{"moco+swav": 0.95, "swav+moco": 0.65, "moco+swav+relloc": 0.5},
    }
    parts = [
        made_up(variant, name, right=right, rows=400)
        for variant in ("full", "segmented_black")
        for name, right in scores.items()
        if (variant, name) != ("segmented_black", "rotation")
    ]
    table = overview.accuracy_overview(pd.concat(parts), "test", thesis_dir=THESIS)
    rows = table.set_index("curriculum")
    both = "full segmented_black"
    assert rows["tasks"].to_dict()["moco+swav+relloc"] == 3
    assert rows["best"].to_dict() == {
        **{"scratch": "", "moco": "", "rotation": "full", "relloc": "segmented_black"},
        **{"moco+swav": both, "swav+moco": "", "moco+swav+relloc": ""},
    }
    # Of the printed figures 83.97 and 83.799 are the highest single tasks, 83.67 and 84.35 the
    # highest pairs among these rows.
    assert rows["best_thesis"].to_dict() == {
        **{"scratch": "", "moco": "", "rotation": "full", "relloc": "segmented_black"},
        **{"moco+swav": "full", "swav+moco": "segmented_black", "moco+swav+relloc": ""},
    }


def test_figures_of_the_thesis_stand_only_where_they_are_asked_for(predictions):
    table = overview.accuracy_overview(predictions, "test", thesis_dir=THESIS)
    leading = pd.read_csv(THESIS / "4.14_accuracy_overview.csv").columns.tolist()
    kept, notes = overview.beside_thesis(table, ["a"], ["b"], figures=False)
    assert notes == ["a"]
    assert kept.columns.tolist()[:4] == leading
    assert not [column for column in kept if column.endswith("_thesis")]
    pd.testing.assert_frame_equal(kept, table[kept.columns])
    same, notes = overview.beside_thesis(table, ["a"], ["b"], figures=True)
    assert same.columns.tolist() == table.columns.tolist()
    assert notes == ["a", overview.THESIS, "b"]


def test_figures_of_other_classes_are_told_to_be():
    table = pd.DataFrame({"full_thesis": [1.0]})
    for classes, told in ((("ill", "well"), True), (("negative", "typical"), False)):
        _, notes = overview.beside_thesis(table, (), figures=True, classes=classes)
        assert ("two other classes" in " ".join(notes)) == told
    empty = pd.DataFrame({"full_thesis": [np.nan]})
    _, notes = overview.beside_thesis(empty, (), figures=True, classes=("ill", "well"))
    assert "two other classes" not in " ".join(notes)


def test_chance_is_that_of_the_models_classes_in_every_table():
    """Three classes, of which the test images (and every group of them) have two."""
    classes = ["negative", "typical", "atypical"]
    names = ("scratch", "moco")
    rows = pd.concat([made_up("full", name, classes=classes, rows=90) for name in names])
    rows = rows[rows["label"] != "atypical"]
    rows["mark_attention"] = rows["mark_share"] = 0.1
    marked = pd.concat([rows.assign(split=split) for split in MARKED])
    probes = rows.assign(share=1.0, draw=0, n_labels=9)
    shown = pd.concat([rows, rows.assign(shown="lung_box")])
    made = {
        "shortcut": marked, "linear_probe": probes, "cross_variants": shown,
        "attention": pd.concat([rows, made_up_untrained("full", rows=90)]),
    }  # fmt: skip
    told = set()
    for name, table in PREDICTION_TABLES.items():
        if name == "faithfulness":  # of accuracies while pictures vanish, not of predictions
            continue
        found = table.make(made.get(name, rows), "test", THESIS, 1)
        if "chance" in found:
            told.add(name)
            assert len(found)
            assert found["chance"].to_numpy() == pytest.approx(100 / 3), name
    assert {"4.14_accuracy_overview", "accuracy_details", "subgroups", *made} - {
        "attention"
    } <= told


def test_overviews_refuse_a_split_without_models(predictions):
    with pytest.raises(InputError, match="no image model has rows of split train"):
        overview.accuracy_overview(predictions, "train", thesis_dir=THESIS)
    with pytest.raises(InputError, match="missing"):
        overview.ail_overview(predictions, "test", thesis_dir=THESIS / "nowhere")


def test_ail_overview_gives_floor_lift_and_mean(predictions):
    some = predictions.copy()
    hidden = some.index[(some["curriculum"] == "scratch") & (some["split"] == "test")][:5]
    some.loc[hidden, "ail"] = np.nan
    random = made_up_untrained("full")
    some = pd.concat([some, random])
    table = overview.ail_overview(some, "test", thesis_dir=THESIS)
    leading = pd.read_csv(THESIS / "4.15_ail_overview.csv").columns.tolist()
    assert table.columns[:3].tolist() == leading
    assert table["curriculum"].tolist() == ["scratch", "moco", "swav+moco", "mine", "mean"]
    scratch, mean = table.iloc[0], table.iloc[-1]
    assert scratch["full_undefined"] == 5
    kept = some[(some["curriculum"] == "scratch") & some["ail"].notna()]
    assert scratch["full_centre"] == pytest.approx(100 * kept["ail_centre"].mean())
    seen = random[random["image_id"].isin(kept["image_id"])]
    assert scratch["full_random"] == pytest.approx(100 * seen["ail"].mean())
    assert np.isnan(scratch["segmented_black_random"])
    assert scratch["full"] == pytest.approx(100 * kept["ail"].mean())
    assert scratch["full_floor"] == pytest.approx(100 * kept["lung_share"].mean())
    assert scratch["full_lift"] == pytest.approx(10)
    assert np.isnan(scratch["segmented_black_undefined"])
    assert mean["full"] == pytest.approx(table["full"][:-1].mean())
    assert mean["full_undefined"] == 5
    assert np.isnan(mean["full_low"])
    assert scratch["full_thesis"] == 37.3083


def test_accuracy_details_agree_with_scikit_learn(predictions):
    table = details.accuracy_details(predictions)
    assert table["variant"].iloc[-1] == "metadata"
    row = table[(table["variant"] == "full") & (table["curriculum"] == "mine")].iloc[0]
    rows = predictions[predictions["curriculum"] == "mine"]
    true = rows["label"]
    assert (row["n_images"], row["n_patients"], row["n_seeds"]) == (80, 40, 1)
    recalls = reference.recall_score(true, rows["predicted"], labels=CLASSES, average=None)
    assert row["accuracy_negative"] == pytest.approx(100 * recalls[0])
    assert row["accuracy_typical"] == pytest.approx(100 * recalls[1])
    assert row["balanced_accuracy"] == pytest.approx(100 * recalls.mean())
    assert row["auc"] == pytest.approx(
        reference.roc_auc_score(true == "typical", rows["prob_typical"])
    )
    assert row["auc_low"] < row["auc"] < row["auc_high"]
    assert row["f1"] == pytest.approx(reference.f1_score(true, rows["predicted"], average="macro"))
    several = table[(table["curriculum"] == "moco") & (table["variant"] == "full")]
    assert several["split"].tolist() == ["test", "val"]
    assert several["n_seeds"].tolist() == [3, 1]


def test_confusions_count_every_image_once(predictions):
    table = details.confusions(predictions)
    cells = table[(table["curriculum"] == "mine")]
    assert len(cells) == 4
    assert cells["count"].sum() == 80
    assert cells.groupby("label")["share"].sum().to_numpy() == pytest.approx(100)
    rows = predictions[predictions["curriculum"] == "mine"]
    missed = ((rows["label"] == "typical") & (rows["predicted"] == "negative")).sum()
    assert cells.query("label == 'typical' and predicted == 'negative'")["count"].item() == missed


def test_learning_rates_join_the_appendix_of_the_thesis():
    run = {
        "variant": "full",
        "curriculum": "moco+rotation",
        "stage": "classification",
        "seed": 0,
        "metric": "balanced_accuracy",
    }
    histories = [
        {**run, "lr": 0.058, "epochs": 150, "value": 0.7, "chosen": True},
        {**run, "lr": 0.058, "epochs": 70, "value": 0.6, "chosen": True},
        {**run, "lr": 0.01, "epochs": 70, "value": 0.5, "chosen": False},
        {
            **run,
            "curriculum": "swav",
            "stage": "pretext",
            "metric": "loss",
            "lr": 0.3,
            "epochs": 20,
            "value": 7.5,
            "chosen": False,
        },
    ]
    table = learning_rates(histories, thesis_dir=THESIS)
    assert table["epochs"].tolist() == [70, 70, 150, 20]
    assert table["value"].tolist() == pytest.approx([50, 60, 70, 7.5])
    assert table["value_thesis"].tolist() == [82.24, 83.06, 84.7728, 7.61]
    assert table["chosen"].tolist() == [False, True, True, False]
    again = learning_rates([*histories, histories[-1]], thesis_dir=THESIS)
    assert len(again) == len(table), "a continuation of no epochs has no row of its own"
    assert learning_rates([], thesis_dir=THESIS).empty


def test_shortcut_measures_the_fall_and_the_attention_on_the_mark():
    parts = [
        made_up("full", "moco", split=split, right=right).assign(
            mark_attention=[0.3, np.nan] * 40, mark_share=[0.01, np.nan] * 40
        )
        for split, right in zip(MARKED, (0.95, 0.6, 0.1), strict=True)
    ]
    parts += [made_up_untrained("full", split=split) for split in MARKED]
    table = confounders.shortcut(pd.concat(parts))
    assert table.columns.tolist() == list(confounders.SHORTCUT_COLUMNS)
    assert table["split"].tolist() == list(MARKED)
    accuracy = table["balanced_accuracy"]
    assert np.isnan(table["drop"][0])
    assert table["drop"][2] == pytest.approx(accuracy[0] - accuracy[2])
    assert 0 < table["drop_low"][2] < table["drop"][2] < table["drop_high"][2]
    assert table["mark_attention"].to_numpy() == pytest.approx(30)
    assert table["mark_share"].to_numpy() == pytest.approx(1)
    assert (table["ail"] - table["ail_floor"]).to_numpy() == pytest.approx(10)


def test_shortcut_is_empty_without_its_splits(predictions):
    assert confounders.shortcut(predictions).empty


def test_subgroups_compare_with_the_metadata_that_do_best_on_validation_images():
    models = {"good": 1.0, "bad": 0.05, "same": 0.62}
    parts = [
        pd.concat([made_up("full", name, right=right, seed=seed) for seed in range(3)])
        for name, right in models.items()
    ]
    parts += [
        # The first would be the better choice on the very images that are reported.
        made_up("metadata", "metadata:view", right=0.8),
        made_up("metadata", "metadata:view+sex+age", right=0.7),
        made_up("metadata", "metadata:view", right=0.5, split="val"),
        made_up("metadata", "metadata:view+sex+age", right=0.7, split="val"),
    ]
    table = confounders.subgroups(pd.concat(parts), "test")
    assert table.columns.tolist() == list(confounders.SUBGROUP_COLUMNS)
    groups = ["all", "view AP", "view PA", "sex F", "sex M"]
    groups += ["age below 40", "age 40 to 59"]
    assert table["group"].tolist() == groups * 3, "nobody is older"
    overall = table[table["group"] == "all"].set_index("curriculum")
    assert set(overall["metadata"]) == {"metadata:view+sex+age"}
    assert overall["verdict"].to_dict() == {
        "good": "beats metadata",
        "bad": "worse",
        "same": "not better than metadata",
    }
    assert overall.loc["good", "difference"] == pytest.approx(
        100 - overall.loc["good", "metadata_balanced_accuracy"]
    )
    sizes = table[table["curriculum"] == "good"].set_index("group")["n_images"]
    for name in ("view", "sex", "age"):
        assert sum(sizes[group] for group in groups if group.startswith(name)) == 80, name
    assert sizes["all"] == 80
    # Patients are 20 to 59 years old; there are forty with two images each.
    assert sizes["age below 40"] == 40
    within = parts[0][parts[0]["view"] == "AP"]
    row = table[(table["curriculum"] == "bad") & (table["group"] == "view AP")].iloc[0]
    each = [
        reference.balanced_accuracy_score(bad["label"], bad["predicted"])
        for _, bad in parts[1][parts[1]["image_id"].isin(within["image_id"])].groupby("seed")
    ]
    assert row["balanced_accuracy"] == pytest.approx(100 * np.mean(each))
    tested = table["p"].notna()
    assert tested.any()
    assert table["p_holm"].to_numpy() == pytest.approx(holm(table["p"]), nan_ok=True)


def test_subgroups_without_baseline_or_with_one_class_give_no_verdict():
    model = made_up("full", "moco")
    assert set(confounders.subgroups(model, "test")["verdict"]) == {""}
    one = model[(model["view"] != "PA") | (model["label"] == "typical")]
    both = pd.concat([one, one.assign(variant="metadata", curriculum="metadata:view")])
    table = confounders.subgroups(both, "test").set_index("group")
    assert table.loc["view PA", "verdict"] == "one class only"
    assert table.loc["view AP", "verdict"] == "one training: not tested"
    three = pd.concat([both, *(one.assign(seed=seed) for seed in (1, 2))])
    table = confounders.subgroups(three, "test").set_index("group")
    assert table.loc["view AP", "verdict"] == "not better than metadata"


@pytest.mark.parametrize("split", ["test", "val"])
def test_without_other_images_the_baseline_is_the_better_one_on_the_reported_ones(split):
    """The worse one would be a straw man."""
    parts = [made_up("full", "moco", split=split)]
    parts += [made_up("metadata", "metadata:view", right=0.9, split=split)]
    parts += [made_up("metadata", "metadata:view+sex+age", right=0.6, split=split)]
    table = confounders.subgroups(pd.concat(parts), split)
    assert set(table["metadata"]) == {"metadata:view"}


def test_write_table_writes_exact_csv_and_rounded_text(tmp_path):
    df = pd.DataFrame(
        {
            "curriculum": ["segmented_black", "a|b & 50%"],
            "accuracy": [83.123456, np.nan],
            "loss": [-0.001, 0.25],
            "n": [3, 4],
            "chosen": [True, False],
        }
    )
    stem = tmp_path / "4.14_accuracy_overview"
    paths = write_table(
        df,
        stem,
        caption="Share of x_y",
        notes=["5% of #1"],
        digits={"accuracy": 1},
        best={"accuracy": "max", "loss": "min"},
    )
    endings = ("csv", "md", "tex", "html")
    assert [path.name for path in paths] == [f"{stem.name}.{s}" for s in endings]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    pd.testing.assert_frame_equal(pd.read_csv(paths[0]), df)
    markdown = paths[1].read_text(encoding="utf-8").splitlines()
    assert markdown[0] == "**Share of x_y**"
    assert markdown[3] == "| :--- | ---: | ---: | ---: | :--- |"
    assert markdown[4] == "| segmented_black | 83.1 | **0.00** | 3 | yes |"
    assert markdown[5] == r"| a\|b & 50% | – | 0.25 | 4 | no |"
    assert markdown[-2:] == ["- 5% of #1", f"- {BOLD}"]
    latex = paths[2].read_text(encoding="utf-8")
    assert r"segmented\_black & 83.1 & \textbf{0.00} & 3 & yes \\" in latex
    assert r"a|b \& 50\% & -- & 0.25 & 4 & no \\" in latex
    assert r"\begin{tabular}{lrrrl}" in latex
    assert r"\label{tab:4.14-accuracy-overview}" in latex
    assert r"5\% of \#1" in latex
    assert latex.count("{") == latex.count("}")


def test_write_table_shares_bold_between_values_that_print_alike(tmp_path):
    df = pd.DataFrame({"x": [1.001, 1.002, 0.5]})
    path = write_table(df, tmp_path / "t", caption="c", digits=2, best={"x": "max"})[1]
    assert path.read_text(encoding="utf-8").count("**1.00**") == 2
    with pytest.raises(InputError, match="best"):
        write_table(df, tmp_path / "t", caption="c", best={"y": "max"})


def test_nothing_is_the_best_where_there_is_nothing_to_choose_from(tmp_path):
    df = pd.DataFrame({"x": [90.0, 10.0, 30.0, 30.001, np.nan, 7.0]})
    groups = [1, 2, 3, 3, 4, 4]
    paths = write_table(df, tmp_path / "t", caption="c", best={"x": "max"}, groups=groups)
    text = paths[1].read_text(encoding="utf-8")
    assert text.count("**") == 2, "the caption's"
    assert "Bold" not in "".join(path.read_text(encoding="utf-8") for path in paths[:3])
    assert "Bold" in write_table(df, tmp_path / "t", caption="c", best={"x": "max"})[1].read_text()


def test_the_only_model_of_its_number_of_tasks_is_not_called_the_best():
    """A curriculum of three tasks, worse than all others, is the only one of its depth."""
    rights = {"moco": 0.9, "swav": 0.7, "moco+swav+rotation": 0.4}
    parts = [
        made_up(variant, name, right=right, rows=60)
        for variant in ("full", "inverted")
        for name, right in rights.items()
    ]
    table = overview.accuracy_overview(pd.concat(parts), "test", thesis_dir=THESIS)
    assert table.set_index("curriculum")["best"].to_dict() == {
        "moco": "full inverted", "swav": "", "moco+swav+rotation": "",
    }  # fmt: skip


def test_write_table_marks_the_best_of_each_group_and_none_outside(tmp_path):
    df = pd.DataFrame({"x": [9.0, 1.0, 3.0, 2.0, 5.0]})
    groups = [None, 1, 1, 2, 2]
    text = write_table(df, tmp_path / "t", caption="c", digits=0, best={"x": "max"}, groups=groups)[
        1
    ].read_text(encoding="utf-8")
    assert "**3**" in text
    assert "**5**" in text
    assert text.count("**") == 6, "with the caption's"
