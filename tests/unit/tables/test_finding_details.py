"""Thresholds, calibration, subgroups and attention by finding, counted again by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from sscdl.evaluation.finding_measures import states
from sscdl.figures import drawing
from sscdl.finding_labels import NEGATIVE, POSITIVE, UNKNOWN
from sscdl.tables.calibration import bin_count
from sscdl.tables.column_texts import explain
from sscdl.tables.comparisons import holm
from sscdl.tables.findings.alone import alone
from sscdl.tables.headings import DETAILS, place
from sscdl.tables.predictions import PREDICTION_TABLES
from tests.unit.figures.looks import inside
from tests.unit.made_up_findings import SHARES, made_up_findings

TOLD = list(SHARES)[:3]
DETAILED = ("finding_attention", "finding_calibration", "finding_operating_points",
            "finding_subgroups")  # fmt: skip


def with_patients(rows: pd.DataFrame) -> pd.DataFrame:
    """Return predictions whose patients have sex, age and view, and maps that look somewhere."""
    draw = np.random.default_rng(7)
    number = rows["patient_id"].str[1:].astype(int)
    look = np.random.default_rng(rows["seed"].iloc[0])
    return rows.assign(
        sex=np.where(number % 3 == 0, "M", "F"),
        age=20 + (number * 7) % 70.0,
        view=draw.choice(["AP", "PA"], len(rows)),
        ail_centre=0.45,
        **{f"ail_of_{name}": look.random(len(rows)) for name in SHARES},
    )


@pytest.fixture(scope="module")
def predictions() -> pd.DataFrame:
    """Return those of three trainings of two models on validation and test images."""
    return pd.concat(
        [
            with_patients(made_up_findings("full", name, split=split, seed=seed, skill=skill,
                                           rows=240))
            for name, skill in (("scratch", 0.4), ("moco", 1.2))
            for split in ("val", "test")
            for seed in range(3)
        ],
        ignore_index=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def with_untrained(predictions) -> pd.DataFrame:
    """Add random networks, which look elsewhere where a finding is not shown."""
    one = predictions[(predictions["curriculum"] == "moco") & (predictions["seed"] == 0)]
    named = one[["variant", "image_id", "patient_id", "split", "label"]]
    elsewhere = np.where(named["label"] == "-", 0.9, 0.3)
    networks = [named.assign(network=k, ail=elsewhere + 0.02 * k) for k in range(4)]
    return pd.concat([predictions, *networks], ignore_index=True)


def made(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    return PREDICTION_TABLES[name].make(rows, "test", None, 5.0)


def of(rows: pd.DataFrame, curriculum: str, split: str, finding: str):
    """Yield of each training what is known: whether images show a finding, and its probability."""
    part = rows[(rows["curriculum"] == curriculum) & (rows["split"] == split)]
    for _, one in part.groupby("seed"):
        state = states(one["label"], [finding])[:, 0]
        known = state != UNKNOWN
        yield one[known], state[known] == POSITIVE, one.loc[known, f"prob_{finding}"].to_numpy()


def test_one_finding_alone_leaves_out_what_is_unknown_of_it(predictions):
    rows = alone(predictions, "Edema")
    state = states(predictions["label"], ["Edema"])[:, 0]
    assert len(rows) == (state != UNKNOWN).sum() < len(predictions)
    assert (rows["label"] == "Edema").sum() == (state == POSITIVE).sum()
    assert (rows["label"] == "no Edema").sum() == (state == NEGATIVE).sum()
    assert [c for c in rows if c.startswith("prob_")] == ["prob_no Edema", "prob_Edema"]


def test_thresholds_are_those_of_validation_images_and_their_worth_is_counted(predictions):
    table = made("finding_operating_points", predictions)
    assert table["finding"].tolist() == [name for name in SHARES for _ in range(3)] * 2
    assert set(table["chosen_on"]) == {"val"}
    for finding in TOLD:
        at, right = [], []
        for _, shown, chance in of(predictions, "moco", "val", finding):
            false, true, thresholds = roc_curve(shown, chance)
            at.append(thresholds[np.argmax(true - false)])
        for one, (_, shown, chance) in zip(
            at, of(predictions, "moco", "test", finding), strict=True
        ):
            called = chance >= one
            right.append([called[shown].mean(), (~called[~shown]).mean(), shown[called].mean()])
        line = table.set_index(["curriculum", "finding", "rule"]).loc["moco", finding, "Youden"]
        assert line["threshold"] == pytest.approx(np.mean(at))
        found = line[["sensitivity", "specificity", "ppv"]].to_list()
        assert found == pytest.approx(list(100 * np.mean(right, axis=0)))
        assert line["prevalence"] == pytest.approx(100 * shown.mean())
        assert line["sensitivity_low"] < line["sensitivity"] < line["sensitivity_high"]
    empty = table[table["finding"] == "Hernia"]
    assert empty[["threshold", "sensitivity", "specificity", "npv"]].isna().all(axis=None)


def test_calibration_is_of_the_probability_of_the_finding(predictions):
    table = made("finding_calibration", predictions)
    assert set(table["split"]) == {"val", "test"}
    own = table.set_index(["curriculum", "split", "finding"])
    for finding in TOLD:
        line = own.loc["moco", "test", finding]
        parts = list(of(predictions, "moco", "test", finding))
        brier = np.mean([brier_score_loss(shown, chance) for _, shown, chance in parts])
        said = np.mean([chance.mean() for *_, chance in parts])
        assert line["brier"] == pytest.approx(brier)
        assert line["probability"] == pytest.approx(100 * said)
        assert line["prevalence"] == pytest.approx(100 * parts[0][1].mean())
        assert line["n_bins"] == bin_count(len(parts[0][1]))
        assert line["brier_std"] > 0
        one = predictions[predictions["seed"] == 0]
        alone = made("finding_calibration", one).set_index(["curriculum", "split", "finding"])
        # Over trainings, too: three say more than one of itself, and not three times as much.
        wide = line["brier_high"] - line["brier_low"]
        single = alone.loc["moco", "test", finding]
        assert wide > 0.5 * (single["brier_high"] - single["brier_low"])
        share = parts[0][1].mean()
        assert line["brier_prior"] == pytest.approx(share * (1 - share))
        assert line["calibration_error_low"] <= line["calibration_error"]


def test_who_says_what_is_there_is_calibrated_and_who_is_sure_of_absence_is_not():
    """Both are sure of the absence of a rare finding; only one of them says how rare it is."""
    rows = made_up_findings("full", "moco", rows=2000, shares={"Rare": 0.05, "Other": 0.5})
    honest = made("finding_calibration", rows.assign(prob_Rare=0.05))
    bold = made("finding_calibration", rows.assign(prob_Rare=0.35))
    errors = [t.set_index("finding").loc["Rare", "calibration_error"] for t in (honest, bold)]
    assert errors[0] < 2
    assert errors[1] == pytest.approx(30, abs=2)


def test_gaps_are_between_a_group_and_all_others_of_which_the_property_is_known(predictions):
    unknown = predictions["patient_id"] == "p1"
    predictions = predictions.assign(sex=predictions["sex"].where(~unknown, ""))
    table = made("finding_subgroups", predictions)
    own = table.set_index(["curriculum", "group", "finding"])
    areas: dict[str, list[float]] = {"inside": [], "rest": []}
    for finding in TOLD:
        found: dict[str, list[float]] = {"F": [], "M": []}
        for rows, shown, chance in of(predictions, "moco", "test", finding):
            for sex, values in found.items():
                values.append(roc_auc_score(shown[rows["sex"] == sex], chance[rows["sex"] == sex]))
        line = own.loc["moco", "sex F", finding]
        assert line["auc"] == pytest.approx(np.mean(found["F"]))
        assert line["auc_rest"] == pytest.approx(np.mean(found["M"]))
        gap = 100 * (np.mean(found["F"]) - np.mean(found["M"]))
        assert line["gap"] == pytest.approx(gap)
        assert line["gap_low"] < gap < line["gap_high"]
        # The other of two groups is the same question.
        assert np.isnan(own.loc["moco", "sex M", finding]["gap"])
        areas["inside"].append(np.mean(found["F"]))
        areas["rest"].append(np.mean(found["M"]))
    mean = own.loc["moco", "sex F", "mean"]
    assert mean["gap"] == pytest.approx(100 * np.subtract(*map(np.mean, areas.values())))
    assert own.loc["moco", "all", "mean"][["gap", "p"]].isna().all()
    ages = [group for group in table["group"].unique() if group.startswith("age")]
    assert len(ages) == 3
    assert table[table["group"].isin(ages) & (table["n_findings"] == 1)]["gap"].notna().all()
    assert table["p_holm"].to_numpy() == pytest.approx(holm(table["p"]), nan_ok=True)
    assert set(own.loc["moco", "sex F", "Hernia"][["verdict"]]) == {"too few patients"}


def test_a_group_that_is_told_worse_is_found_and_one_training_is_not_tested():
    rows = pd.concat(
        [
            with_patients(made_up_findings("full", "moco", seed=seed, skill=1.5, rows=900))
            for seed in range(3)
        ]
    )
    men = rows["sex"] == "M"
    noise = np.random.default_rng(3).random(len(rows))
    for name in SHARES:
        rows[f"prob_{name}"] = rows[f"prob_{name}"].where(~men, noise)
    table = made("finding_subgroups", rows).set_index(["group", "finding"])
    assert table.loc[("sex F", "mean"), "verdict"] == "higher"
    assert table.loc[("view AP", "mean"), "verdict"] == "not shown"
    turned = rows.assign(sex=rows["sex"].map({"F": "M", "M": "F"}))
    table = made("finding_subgroups", turned).set_index(["group", "finding"])
    assert table.loc[("sex F", "mean"), "verdict"] == "lower"
    one = made("finding_subgroups", rows[rows["seed"] == 0]).set_index(["group", "finding"])
    assert one.loc[("sex F", "mean"), "verdict"] == "one training: not tested"
    assert one["p"].isna().all()


def test_a_gap_is_over_findings_that_both_sides_can_be_scored_by(predictions):
    """No man shows an effusion: it is in the women's mean, and not in the gap."""
    men = (predictions["sex"] == "M") & predictions["label"].str.contains("Effusion")
    rows = predictions[~men]
    table = made("finding_subgroups", rows).set_index(["curriculum", "group", "finding"])
    women = table.loc["moco", "sex F"]
    assert women.loc["mean", "n_findings"] == 3
    assert np.isnan(women.loc["Effusion", "gap"])
    gaps = women.loc[["Edema", "Mass"], "gap"]
    assert women.loc["mean", "gap"] == pytest.approx(gaps.mean())
    known = table.loc["moco", "sex M"]
    assert known.loc["mean", "n_findings"] == 2
    assert known.loc["mean", "n_positive"] < women.loc["mean", "n_positive"]


def test_thresholds_of_all_findings_are_chosen_on_the_same_images(predictions):
    """One that nobody knows on validation images has none, and not those of the test."""
    unknown = predictions["label"].str.replace("Mass", "Mass?").str.replace("??", "?")
    val = predictions["split"] == "val"
    missing = np.where(unknown.str.contains("Mass"), unknown, unknown + "|Mass?")
    rows = predictions.assign(label=np.where(val, missing, predictions["label"]))
    rows["label"] = rows["label"].str.replace("-|", "")
    table = made("finding_operating_points", rows)
    assert set(table["chosen_on"]) == {"val"}
    assert table[table["finding"] == "Mass"]["threshold"].isna().all()
    assert table[table["finding"] == "Edema"]["threshold"].notna().all()


def test_attention_is_that_of_the_map_of_the_finding_where_it_is_shown(with_untrained):
    table = made("finding_attention", with_untrained)
    assert table["finding"].tolist() == TOLD * 2, "nobody shows the last"
    own = table.set_index(["curriculum", "finding"])
    for finding in TOLD:
        line = own.loc["moco", finding]
        parts = [
            rows[f"ail_of_{finding}"][shown].mean()
            for rows, shown, _ in of(with_untrained, "moco", "test", finding)
        ]
        assert line["ail"] == pytest.approx(100 * np.mean(parts))
        assert line["lift"] == pytest.approx(100 * (np.mean(parts) - 0.3))
        assert line["lift_centre"] == pytest.approx(100 * (np.mean(parts) - 0.45))
        assert line["lift_random"] == pytest.approx(100 * (np.mean(parts) - 0.33))
        assert line["lift_random_low"] < line["lift_random"] < line["lift_random_high"]
    nowhere = with_untrained.assign(ail_of_Mass=np.nan)
    own = made("finding_attention", nowhere).set_index(["curriculum", "finding"])
    line = own.loc["moco", "Mass"]
    assert line["undefined"] == line["n_images"] * 3
    assert np.isnan(line["ail"])


@pytest.mark.parametrize("name", DETAILED)
def test_every_column_is_explained_and_every_table_has_a_place(with_untrained, predictions, name):
    table = made(name, with_untrained if name == "finding_attention" else predictions)
    assert [column for column in table if not explain(column)] == []
    assert place(name)[0] == DETAILS
    assert place(name)[1].startswith("Findings, ")
    models = table[["variant", "curriculum"]].drop_duplicates()
    assert models["curriculum"].tolist() == ["scratch", "moco"]
    assert table["curriculum"].tolist() == sorted(table["curriculum"], reverse=True)


@pytest.mark.parametrize("kind", ["roc", "precision_recall"])
def test_curves_have_a_panel_for_each_finding(predictions, tmp_path, kind):
    predictions.to_csv(tmp_path / "rows.csv", index=False)
    table = made("finding_operating_points", predictions)
    table.to_csv(tmp_path / "points.csv", index=False)
    figure = drawing.draw_curves(
        [tmp_path / "rows.csv"], tmp_path / "points.csv", kind=kind, split="test"
    )
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [f"full\n{name} or not" for name in SHARES]
    aucs = [np.mean([roc_auc_score(shown, chance) for _, shown, chance in
                     of(predictions, "moco", "test", name)]) for name in TOLD]  # fmt: skip
    for axes, area in zip(figure.axes, aucs, strict=False):
        names = [text.get_text() for text in axes.get_legend().get_texts()]
        assert kind != "roc" or f"moco, {area:.2f}" in names
        points = [line for line in axes.lines if line.get_marker() in ("o", "^", "s")]
        assert len(points) == 6
    said = [text.get_text() for text in figure.axes[-1].texts]
    assert said == ["all images are of one side"], "nobody shows the last"
    assert inside(figure)


def test_limits_of_shares_lie_where_shares_can(with_untrained):
    few = with_untrained[with_untrained["image_id"].isin(["i1", "i9", "i33", "i70", "i71"])]
    looks = few["seed"].fillna(0) % 2
    few = few.assign(**{f"ail_of_{name}": looks for name in SHARES})
    table = made("finding_attention", few)
    assert table["ail_low"].eq(0).any()
    assert table["ail_high"].eq(100).any()
    assert table["ail_low"].dropna().ge(0).all()
    assert (table["lift_low"] < -30).any(), "differences have limits of their own"
