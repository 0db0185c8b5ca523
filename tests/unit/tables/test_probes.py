"""The table of linear probes against the same figures by other means."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from sscdl.errors import InputError
from sscdl.evaluation import metrics
from sscdl.tables.probes import COLUMNS, linear_probe
from tests.unit.made_up import made_up

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


def by_hand(rows, name, share, score):
    """Return a score of each run, (seeds, networks, draws)."""
    part = rows[(rows["curriculum"] == name) & (rows["share"] == share)]
    part = part.assign(network=part["network"].astype(float).fillna(0))
    return np.array(
        [
            [
                [score(run) for _, run in runs.groupby("draw")]
                for _, runs in of_seed.groupby("network")
            ]
            for _, of_seed in part.groupby("seed")
        ]
    )


def test_means_and_deviations_are_over_draws_and_then_seeds():
    rows = probes()
    elsewhere = rows.assign(split="val", predicted="negative")
    table = linear_probe(pd.concat([rows, elsewhere]), "test", draws=20)
    assert table.columns.tolist() == list(COLUMNS)
    assert table["label_share"].tolist() == ["0.1", "1"] * 2, "as in the file that is written"
    table["label_share"] = table["label_share"].astype(float)
    table = table.set_index(["curriculum", "label_share"])
    assert table.index.tolist() == [(n, s) for n in ("scratch", "moco") for s in (0.1, 1.0)]

    def auc(run):
        return roc_auc_score(run["label"] == "typical", run["prob_typical"])

    for (name, share), line in table.iterrows():
        for column, score in (("balanced_accuracy", accuracy), ("auc", auc)):
            values = by_hand(rows, name, share, score)
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


def test_intervals_are_those_of_a_bootstrap_over_patients():
    rows = probes()
    table = linear_probe(rows, "test", draws=50).set_index(["curriculum", "label_share"])

    def over_draws(run, weights):
        """The mean over networks and draws by masks of the long table, seed by seed."""
        runs = run["draw"].to_numpy() + 10 * run["network"].astype(float).fillna(0).to_numpy()
        masks = [runs == one for one in sorted(set(runs))]
        return np.mean(
            [metrics.balanced_accuracy_statistic(run[m], weights[:, m]) for m in masks], axis=0
        )

    statistic = metrics.mean_over_seeds(over_draws)
    few = {name: rows[(rows["curriculum"] == name) & (rows["share"] == 0.1)] for name in RIGHT}
    line = table.loc[("moco", "0.1")]
    found = metrics.bootstrap_interval(few["moco"], statistic, draws=50)
    assert line["balanced_accuracy_low"] == pytest.approx(100 * found.low)
    assert line["balanced_accuracy_high"] == pytest.approx(100 * found.high)
    gap = by_hand(rows, "moco", 0.1, accuracy) - by_hand(rows, "scratch", 0.1, accuracy)
    assert gap.shape == (2, 3, 3), "every network with every draw"
    assert line["difference"] == pytest.approx(gap.mean())
    paired = metrics.paired_difference(few["moco"], few["scratch"], statistic, draws=50)
    assert line["difference"] == pytest.approx(100 * paired.estimate)
    assert line["difference_low"] == pytest.approx(100 * paired.low)
    assert line["difference_high"] == pytest.approx(100 * paired.high)
    assert table.loc["scratch", "difference"].isna().all()


def test_without_scratch_there_is_no_difference_and_other_images_are_refused():
    rows = probes(rows=20)
    alone = linear_probe(rows[rows["curriculum"] == "moco"], "test", draws=5)
    assert alone["difference"].isna().all()
    with pytest.raises(InputError, match="different images"):
        linear_probe(rows.drop(rows.index[3]), "test", draws=5)
