"""The table of linear probes against the same figures by other means."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from sscdl.errors import InputError
from sscdl.evaluation import measures
from sscdl.evaluation.differences import of_factors
from sscdl.evaluation.finding_measures import states
from sscdl.evaluation.inference import Factor, Score, mean_stratum, score
from sscdl.tables.findings.few_labels import finding_few_labels
from sscdl.tables.probes import COLUMNS, few_labels, linear_probe
from tests.unit.made_up import made_up
from tests.unit.made_up_findings import SHARES, made_up_findings

NETWORKS = {"scratch": (0, 1, 2), "moco": (None,)}
RIGHT = {"scratch": 0.6, "moco": 0.8}


def probes(rows: int = 40) -> pd.DataFrame:
    """Predictions of a trained network and three random ones, with the labels of two seeds.

    Three draws of a tenth, one of all labels.
    """
    parts = []
    for name, right in RIGHT.items():
        for network, seed in itertools.product(NETWORKS[name], (0, 1)):
            for share, draw in ((0.1, 0), (0.1, 1), (0.1, 2), (1.0, 0)):
                start = 1000 * (network or 0) + 100 * seed + 10 * int(share) + draw
                run = made_up("full", name, seed=start, right=right, rows=rows)
                labels = 10 + draw + seed if share < 1 else 100
                run = run.assign(
                    seed=seed, share=share, draw=draw, n_labels=labels, network=network
                )
                # In another order, as a file may have been sorted.
                parts.append(run.sample(frac=1, random_state=seed + draw))
    return pd.concat(parts, ignore_index=True)


def accuracy(run):
    return 100 * balanced_accuracy_score(run["label"], run["predicted"])


def by_hand(rows, name, share, measured):
    """Return a score of each run, (seeds, networks, draws)."""
    part = rows[(rows["curriculum"] == name) & (rows["share"] == share)]
    part = part.assign(network=part["network"].astype(float).fillna(0))
    return np.array(
        [
            [
                [measured(run) for _, run in runs.groupby("draw")]
                for _, runs in of_seed.groupby("network")
            ]
            for _, of_seed in part.groupby("seed")
        ]
    )


def test_means_and_deviations_are_over_draws_and_then_seeds():
    rows = probes()
    elsewhere = rows.assign(split="val", predicted="negative")
    table = linear_probe(pd.concat([rows, elsewhere]), "test")
    assert table.columns.tolist() == list(COLUMNS)
    assert table["label_share"].tolist() == ["0.1", "1"] * 2, "as in the file that is written"
    table["label_share"] = table["label_share"].astype(float)
    table = table.set_index(["curriculum", "label_share"])
    assert table.index.tolist() == [(n, s) for n in ("scratch", "moco") for s in (0.1, 1.0)]

    def auc(run):
        return roc_auc_score(run["label"] == "typical", run["prob_typical"])

    for (name, share), line in table.iterrows():
        for column, measured in (("balanced_accuracy", accuracy), ("auc", auc)):
            values = by_hand(rows, name, share, measured)
            assert line[column] == pytest.approx(values.mean())
            assert line[f"{column}_std"] == pytest.approx(values.mean(axis=(1, 2)).std(ddof=1))
            assert line[f"{column}_low"] <= line[column] <= line[f"{column}_high"]
        values = by_hand(rows, name, share, accuracy)
        if share < 1:
            expected = values.std(axis=2, ddof=1).mean()
            assert line["balanced_accuracy_draws"] == pytest.approx(expected)
        if name == "scratch":
            expected = values.mean(axis=(0, 2)).std(ddof=1)
            assert line["balanced_accuracy_networks"] == pytest.approx(expected)
    assert table["n_labels"].tolist() == [11.5, 100] * 2
    assert table["n_draws"].tolist() == [3, 1] * 2
    assert table["n_networks"].tolist() == [3, 3, 1, 1]
    assert table["balanced_accuracy_networks"].isna().tolist() == [False, False, True, True]
    assert table["n_seeds"].eq(2).all()
    assert table["chance"].eq(50).all()
    assert table["balanced_accuracy_draws"].isna().tolist() == [False, True] * 2


def test_intervals_are_over_patients_seeds_and_random_networks():
    """Two seeds of a model and three random networks, each with the draws of both seeds."""
    rows = probes()
    table = linear_probe(rows, "test").set_index(["curriculum", "label_share"])
    few = {name: part[part["share"] == 0.1] for name, part in rows.groupby("curriculum")}

    def accuracies(part: pd.DataFrame, by: list[str]) -> pd.Series:
        runs = part.assign(network=part["network"].astype(float).fillna(0)).groupby(
            ["seed", "network", "draw"]
        )
        values = {key: measures.value(run, measures.balanced_accuracy) for key, run in runs}
        return pd.Series(values).rename_axis(["seed", "network", "draw"]).groupby(by).mean()

    line = table.loc[("moco", "0.1")]
    apart = accuracies(few["moco"], ["seed"]) - accuracies(few["scratch"], ["seed"])
    networks = accuracies(few["scratch"], ["network"])
    assert line["difference"] == pytest.approx(100 * apart.mean())
    assert table.loc[("scratch", "0.1"), "n_networks"] == 3
    assert table.loc[("scratch", "0.1"), "balanced_accuracy_networks"] == pytest.approx(
        100 * networks.std()
    )
    half = (line["difference_high"] - line["difference_low"]) / 200
    assert half > 1.96 * np.sqrt(apart.var() / 2 + networks.var() / 3)
    alone = linear_probe(rows[rows["network"].astype(float).fillna(0) == 0], "test")
    alone = alone.set_index(["curriculum", "label_share"]).loc[("moco", "0.1")]
    assert alone["difference"] != pytest.approx(line["difference"])
    assert table.loc["scratch", "difference"].isna().all()


def test_random_networks_that_differ_widen_the_interval():
    """Where seeds are alike, one network of three that is always right is all that varies."""
    rows = probes()
    first = rows[rows["seed"] == rows["seed"].iloc[0]]
    rows = pd.concat([first.assign(seed=seed) for seed in range(2)])
    best = (rows["curriculum"] == "scratch") & (rows["network"].astype(float) == 2)
    apart = rows.assign(predicted=rows["predicted"].where(~best, rows["label"]))
    halves, spreads = [], []
    for case in (rows, apart):
        line = linear_probe(case, "test").set_index(["curriculum", "label_share"])
        moco, scratch = line.loc[("moco", "1")], line.loc[("scratch", "1")]
        halves.append((moco["difference_high"] - moco["difference_low"]) / 2)
        spreads.append(scratch["balanced_accuracy_networks"] / np.sqrt(3))
    assert spreads[1] > 2 * spreads[0]
    assert halves[1] > 1.96 * spreads[1] > halves[0]


def test_with_one_seed_the_draws_of_labels_widen_the_interval():
    rows = probes()
    one = rows[rows["seed"] == rows["seed"].iloc[0]]
    table = linear_probe(one, "test").set_index(["curriculum", "label_share"])
    few = one[(one["curriculum"] == "moco") & (one["share"] == 0.1)]
    expected = score(few, measures.balanced_accuracy, by="draw").interval()
    line = table.loc[("moco", "0.1")]
    assert line["balanced_accuracy_low"] == pytest.approx(100 * expected.low)
    assert line["balanced_accuracy_high"] == pytest.approx(100 * expected.high)


def test_without_scratch_there_is_no_difference_and_other_images_are_refused():
    rows = probes(rows=20)
    alone = linear_probe(rows[rows["curriculum"] == "moco"], "test")
    assert alone["difference"].isna().all()
    with pytest.raises(InputError, match="different images"):
        linear_probe(rows.drop(rows.index[3]), "test")


def trained() -> pd.DataFrame:
    """Predictions of two recipes that learnt from few labels: two draws of a tenth, and all."""
    parts = []
    for name, right in (("scratch", 0.6), ("moco", 0.75)):
        for seed in (0, 1, 2):
            for share, draw in ((0.1, 0), (0.1, 1), (1.0, 0)):
                start = 100 * seed + 10 * int(share) + draw
                run = made_up("full", name, seed=start, right=right, rows=60)
                counts = {"n_labels": 9 if share < 1 else 90, "n_fewest": 3 + draw}
                parts.append(run.assign(seed=seed, share=share, draw=draw, **counts))
    return pd.concat(parts, ignore_index=True)


def test_few_labels_are_compared_with_scratch_seed_by_seed():
    rows = trained()
    table = few_labels(rows, "test").set_index(["curriculum", "label_share"])
    for share, text in ((0.1, "0.1"), (1.0, "1")):
        found = {}
        for name in ("scratch", "moco"):
            part = rows[(rows["curriculum"] == name) & (rows["share"] == share)]
            runs = part.groupby(["seed", "draw"])[["label", "predicted"]].apply(accuracy)
            found[name] = runs.groupby("seed").mean()
            line = table.loc[name, text]
            assert line["balanced_accuracy"] == pytest.approx(found[name].mean())
            assert line["balanced_accuracy_std"] == pytest.approx(found[name].std())
            draws = runs.groupby("seed").std().mean()
            assert line["balanced_accuracy_draws"] == pytest.approx(draws, nan_ok=True)
            assert (line["n_seeds"], line["n_draws"]) == (3, 2 if share < 1 else 1)
            assert line["n_labels"] == (9 if share < 1 else 90)
            assert line["n_fewest"] == (3.5 if share < 1 else 3)
        apart = (found["moco"] - found["scratch"]).mean()
        assert table.loc[("moco", text), "difference"] == pytest.approx(apart)
        limits = table.loc[("moco", text), ["difference_low", "difference_high"]]
        assert limits.iloc[0] < apart < limits.iloc[1]
        assert np.isnan(table.loc[("scratch", text), "difference"])


def alike(trial: int = 0, patients: int = 60) -> pd.DataFrame:
    """Predictions of two recipes whose trainings of one seed err together, two draws of a tenth.

    Between seeds and draws both vary far more than from each other.
    """
    draw = np.random.default_rng(trial)
    label = np.where(np.arange(patients) % 2, "typical", "negative")
    parts = []
    for seed in range(4):
        of_seed = draw.normal(0, 0.8)
        for number in range(2):
            common = of_seed + draw.normal(0, 0.4) + draw.normal(0, 1, patients)
            for name, gain in (("scratch", 0.0), ("moco", 0.3)):
                right = common + gain + draw.normal(0, 0.3, patients) > -0.8
                guess = np.where(right == (label == "typical"), "typical", "negative")
                parts.append(
                    pd.DataFrame(
                        {
                            "variant": "full", "curriculum": name, "seed": seed, "share": 0.1,
                            "draw": number, "n_labels": 9, "n_fewest": 4, "split": "test",
                            "image_id": [f"i{k}" for k in range(patients)],
                            "patient_id": [f"p{k // 2}" for k in range(patients)],
                            "label": label, "predicted": guess,
                            "prob_negative": (guess == "negative") * 1.0,
                            "prob_typical": (guess == "typical") * 1.0,
                        }
                    )
                )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def of_seeds(rows: pd.DataFrame, name: str) -> tuple[list, np.ndarray, np.ndarray]:
    """Return strata of all runs, and values and influences of each seed's mean over draws."""
    part = rows[rows["curriculum"] == name]
    patients = pd.Index(sorted(part["patient_id"].unique()))
    runs = {
        key: score(run, measures.balanced_accuracy, patients)
        for key, run in part.groupby(["seed", "draw"])
    }
    values = np.array([[runs[seed, k].value for k in (0, 1)] for seed in range(4)]).mean(axis=1)
    influences = np.array([[runs[seed, k].influence for k in (0, 1)] for seed in range(4)]).mean(
        axis=1
    )
    return [one.strata for one in runs.values()], values, influences


def test_the_limits_of_a_difference_are_those_of_pairs_of_one_seed():
    """Trainings of a seed go together: as pairs, they say far more than by themselves."""
    rows = alike()
    line = few_labels(rows, "test").set_index("curriculum").loc["moco"]
    scores, factors = [], []
    for name in ("moco", "scratch"):
        strata, values, influences = of_seeds(rows, name)
        means = tuple(mean_stratum(same) for same in zip(*strata, strict=True))
        factors.append(Factor(values, influences))
        scores.append(Score(means, factors[-1]))
    apart = Factor(*(one - other for one, other in zip(*factors, strict=True)))
    expected = of_factors(*scores, [apart], tested=True).interval()
    found = line[["difference", "difference_low", "difference_high"]].tolist()
    assert found == pytest.approx([100 * value for value in expected])
    by_themselves = of_factors(*scores, factors, tested=True).interval()
    assert expected.high - expected.low < 0.7 * (by_themselves.high - by_themselves.low)
    # Seeds that are paired with others' say less, and other seeds or draws are no pairs at all.
    scratch = rows["curriculum"] == "scratch"
    turned = rows.assign(seed=rows["seed"].where(~scratch, 3 - rows["seed"]))
    wider = few_labels(turned, "test").set_index("curriculum").loc["moco"]
    assert wider["difference"] == pytest.approx(line["difference"])
    assert wider["difference_high"] - wider["difference_low"] > 1.3 * (found[2] - found[1])
    with pytest.raises(InputError, match="other draws"):
        few_labels(rows.assign(seed=rows["seed"] + scratch * 9), "test")


def test_tested_on_one_class_alone_there_are_no_scores():
    table = few_labels(alike().query("label == 'typical'"), "test")
    assert table["n_draws"].eq(2).all()
    nothing = few_labels(alike().assign(label="negative"), "test")
    assert nothing["auc"].isna().all()


def test_one_recipe_with_few_labels_twice_is_seldom_told_apart():
    """Two trainings alike but for chance: their interval leaves out 0 in one of twenty."""
    out = 0
    for trial in range(60):
        parts = []
        for number, name in enumerate(("scratch", "moco")):
            for seed in range(4):
                start = 10_000 * trial + 1000 * number + 10 * seed
                run = made_up("full", name, seed=start, right=0.7, rows=60)
                parts.append(run.assign(seed=seed, share=0.1, draw=0, n_labels=9, n_fewest=4))
        line = few_labels(pd.concat(parts), "test").set_index("curriculum").loc["moco"]
        out += not line["difference_low"] <= 0 <= line["difference_high"]
    assert out <= 8


def test_few_labels_of_findings_are_told_by_their_mean_auc():
    parts = []
    for name, skill in (("scratch", 0.3), ("moco", 1.0)):
        for seed in (0, 1, 2):
            for share in (0.1, 1.0):
                run = made_up_findings("full", name, seed=10 * seed + int(share), skill=skill)
                parts.append(run.assign(seed=seed, share=share, draw=0, n_labels=9, n_fewest=2))
    rows = pd.concat(parts)
    table = finding_few_labels(rows, "test").set_index(["curriculum", "label_share"])
    told = [name for name, share in SHARES.items() if share]
    means = {}
    for name in ("scratch", "moco"):
        part = rows[(rows["curriculum"] == name) & (rows["share"] == 0.1)]
        areas = []
        for _, run in part.groupby("seed"):
            each = []
            for finding in told:
                state = states(run["label"], [finding])[:, 0]
                each.append(roc_auc_score(state[state >= 0], run[f"prob_{finding}"][state >= 0]))
            areas.append(np.mean(each))
        means[name] = np.mean(areas)
        assert table.loc[(name, "0.1"), "auc"] == pytest.approx(means[name])
    assert table["n_findings"].eq(len(told)).all()
    apart = 100 * (means["moco"] - means["scratch"])
    assert table.loc[("moco", "0.1"), "difference"] == pytest.approx(apart)
    nobody = finding_few_labels(rows.assign(label="-"), "test")
    assert nobody["n_findings"].eq(0).all()
    assert nobody[["auc", "difference"]].isna().all(axis=None)
