"""The table of linear probes: what frozen networks know, by share of the labels.

The predictions are those of :mod:`sscdl.evaluation.probe_study`; the table's conventions (percent,
seeds, intervals) are those of :mod:`sscdl.tables.overview`. Values are means over the draws of
labels of a seed, for random networks over these and the draws, then over seeds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sscdl.errors import InputError
from sscdl.evaluation import metrics
from sscdl.evaluation.prediction_files import NETWORK
from sscdl.study.trie import SCRATCH
from sscdl.tables.overview import models_in

COLUMNS = (
    *("variant", "curriculum", "label_share", "n_labels", "n_seeds", "n_networks", "n_draws"),
    *("balanced_accuracy", "balanced_accuracy_std", "balanced_accuracy_low"),
    *("balanced_accuracy_high", "balanced_accuracy_networks", "balanced_accuracy_draws", "chance"),
    *("difference", "difference_low", "difference_high"),
    *("auc", "auc_std", "auc_low", "auc_high"),
)
_RUN = ("seed", NETWORK, "draw")
_BALANCED, _AUC = metrics.balanced_accuracy_statistic, metrics.auc_statistic


class Runs:
    """The probes of one curriculum with one share of the labels, a run each.

    ``runs`` has each run's predictions by (seed, network, draw). A trained network is another with
    every seed, and is number 0 of its seed. Random networks are the same with all seeds, which say
    which labels are drawn: every network meets the draws of every seed, as the trained ones do.

    All predict the same images, so that a resample of patients weighs the images of all alike.
    """

    def __init__(self, rows: pd.DataFrame) -> None:
        """Take labelled rows of one curriculum and share, of any number of runs."""
        network = rows[NETWORK].fillna(0).astype(int) if NETWORK in rows else 0
        self.runs: dict[tuple[int, int, int], pd.DataFrame] = {
            key: part.sort_values("image_id").reset_index(drop=True)
            for key, part in rows.assign(**{NETWORK: network}).groupby(list(_RUN))
        }
        self.all = list(self.runs.values())
        self.images = self.all[0][["image_id", "patient_id", "label"]]
        if not all(run[self.images.columns].equals(self.images) for run in self.all):
            raise InputError(
                "predictions/probe: files of one variant are of different images; delete them and "
                "run again"
            )

    def mean(self, statistic: metrics.Statistic) -> metrics.Statistic:
        """Return ``statistic`` averaged over the networks and draws of a seed, then over seeds.

        It takes the table of images, which it makes no use of, and weights (resamples, images).
        """

        def averaged(images: pd.DataFrame, weights: metrics.Floats) -> metrics.Floats:
            found: dict[int, list[metrics.Floats]] = {}
            for (seed, _, _), run in self.runs.items():
                found.setdefault(seed, []).append(statistic(run, weights))
            return np.mean([np.mean(of_seed, axis=0) for of_seed in found.values()], axis=0)

        return averaged

    def values(self, statistic: metrics.Statistic) -> pd.Series:
        """Return ``statistic`` of each run, with the index (seed, network, draw)."""
        found = [metrics.evaluate(run, statistic) for run in self.all]
        return pd.Series(found, pd.MultiIndex.from_tuples(list(self.runs), names=list(_RUN)))


def linear_probe(
    predictions: pd.DataFrame, split: str, *, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return how well linear probes of each network do with each share of the labels.

    Returns:
        one row per ``variant, curriculum`` (a pretext stage, or a root) and ``label_share`` (text):
        ``n_labels`` (mean over draws), ``n_seeds``, ``n_networks`` (with each seed), ``n_draws``
        (of each seed); ``balanced_accuracy`` in percent with ``_std`` (between seeds), ``_low,
        _high``, ``_networks`` (between random networks) and ``_draws`` (standard deviation between
        the draws of a seed, mean over seeds and networks); ``chance``; ``difference`` to
        ``scratch``, the mean of all random networks with the same draws, in percent points, with
        the interval of a bootstrap paired over patients (empty for ``scratch`` itself); ``auc`` in
        [0, 1] with its three.
    """
    rows = metrics.labelled(predictions[predictions["split"] == split])
    groups = {
        (variant, curriculum, share): Runs(part)
        for (variant, curriculum), group in models_in(rows)
        for share, part in group.groupby("share")
    }
    table = []
    for (variant, curriculum, share), runs in groups.items():
        line: dict[str, Any] = {"variant": variant, "curriculum": curriculum}
        line["label_share"] = f"{share:g}"  # a text, as it names the row and is not to be rounded
        line["n_labels"] = float(np.mean([run["n_labels"].iloc[0] for run in runs.all]))
        for name, numbers in zip(_RUN, zip(*runs.runs, strict=True), strict=True):
            line[f"n_{name}s"] = len(set(numbers))
        for name, statistic, scale in (("balanced_accuracy", _BALANCED, 100), ("auc", _AUC, 1)):
            found = metrics.bootstrap_interval(
                runs.images, runs.mean(statistic), draws=draws, seed=seed
            )
            values = scale * runs.values(statistic)
            line[name] = scale * found.estimate
            line[f"{name}_std"] = values.groupby("seed").mean().std()
            line[f"{name}_low"], line[f"{name}_high"] = scale * found.low, scale * found.high
            if name == "balanced_accuracy":
                line[f"{name}_networks"] = values.groupby(NETWORK).mean().std()
                line[f"{name}_draws"] = values.groupby(["seed", NETWORK]).std().mean()
        line["chance"] = 100 * metrics.chance(rows)
        random = groups.get((variant, SCRATCH, share))
        if random is not None and curriculum != SCRATCH:
            line |= _difference(runs, random, draws=draws, seed=seed)
        table.append(line)
    return pd.DataFrame(table, columns=list(COLUMNS))


def _difference(runs: Runs, random: Runs, *, draws: int, seed: int) -> dict[str, float]:
    """Return the difference in balanced accuracy, percent points, with its paired interval."""
    if not runs.images.equals(random.images):
        raise InputError("predictions/probe: networks of a variant predict different images")
    first, second = runs.mean(_BALANCED), random.mean(_BALANCED)
    found = metrics.bootstrap_interval(
        runs.images,
        lambda images, weights: first(images, weights) - second(images, weights),
        draws=draws,
        seed=seed,
    )
    named = {"": found.estimate, "_low": found.low, "_high": found.high}
    return {f"difference{key}": 100 * value for key, value in named.items()}
