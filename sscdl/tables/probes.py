"""Tables by share of the labels: what frozen networks know, and what whole trainings come to.

The predictions are those of :mod:`sscdl.evaluation.probe_study` and
:mod:`sscdl.evaluation.few_labels`; the tables' conventions (percent, seeds, intervals) are those of
:mod:`sscdl.tables.overview`. Values are means over the draws of labels of a seed, for random
networks over these and the draws, then over seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sscdl.errors import InputError
from sscdl.evaluation import measures, metrics
from sscdl.evaluation.differences import of_factors
from sscdl.evaluation.inference import Factor, Score, mean_stratum, patients_of
from sscdl.evaluation.measures import Measure
from sscdl.evaluation.prediction_files import NETWORK
from sscdl.study.trie import SCRATCH
from sscdl.tables.comparisons import difference_columns
from sscdl.tables.overview import models_in, of_split

COLUMNS = (
    *("variant", "curriculum", "label_share", "n_labels", "n_seeds", "n_networks", "n_draws"),
    *("balanced_accuracy", "balanced_accuracy_std", "balanced_accuracy_low"),
    *("balanced_accuracy_high", "balanced_accuracy_networks", "balanced_accuracy_draws", "chance"),
    *("difference", "difference_low", "difference_high"),
    *("auc", "auc_std", "auc_low", "auc_high"),
)
COUNTED = ("variant", "curriculum", "label_share", "n_labels", "n_fewest", "n_seeds", "n_draws")
FEW_COLUMNS = (
    *(*COUNTED, "balanced_accuracy", "balanced_accuracy_std", "balanced_accuracy_low"),
    *("balanced_accuracy_high", "balanced_accuracy_draws", "chance"),
    *("difference", "difference_low", "difference_high"),
    *("auc", "auc_std", "auc_low", "auc_high"),
)
FEW_NOTES = (
    "label_share: of the training patients of each class, or finding, of which a patient counts "
    "with the rarest; n_labels: images, n_fewest: patients of the class, or with the finding, that "
    "has fewest, means of the draws. Learning rates were chosen on all validation images.",
    "std: between seeds, each the mean of its draws. draws: between draws of labels, which are "
    "trainings of their own, mean over seeds.",
)
FEW_INTERVALS = (
    "Intervals are 95 %: over patients and seeds, with all that follows from these (initial "
    "weights, order, labels). With one seed they are over patients and draws of labels, with one "
    "draw over patients alone: then nothing is known of other trainings. Nothing is corrected for "
    "the number of models and shares."
)
Scored = tuple[str, Measure, float]  # name, measure and scale of a score
OF_CLASSES: tuple[Scored, ...] = (
    ("balanced_accuracy", measures.balanced_accuracy, 100.0),
    ("auc", measures.auc, 1.0),
)
_RUN = ("seed", NETWORK, "draw")


class Runs:
    """The probes of one curriculum with one share of the labels, a run each.

    ``runs`` has each run's predictions by (seed, network, draw). A trained network is another with
    every seed, and is number 0 of its seed. Random networks are the same with all seeds, which say
    which labels are drawn: every network meets the draws of every seed, as the trained ones do.

    All predict the same images.
    """

    def __init__(self, rows: pd.DataFrame) -> None:
        """Take labelled rows of one curriculum and share, of any number of runs."""
        network = rows[NETWORK].fillna(0).astype(int) if NETWORK in rows else 0
        groups: Any = rows.assign(**{NETWORK: network}).groupby(list(_RUN))  # by all of them
        self.runs: dict[tuple[int, int, int], pd.DataFrame] = {
            key: part.sort_values("image_id").reset_index(drop=True) for key, part in groups
        }
        self.all = list(self.runs.values())
        self.images = self.all[0][["image_id", "patient_id", "label"]]
        if not all(run[self.images.columns].equals(self.images) for run in self.all):
            raise InputError(
                "predictions: files of one variant are of different images; delete them and run "
                "again"
            )
        # What another study would have drawn again: seeds with all that follows from them, or with
        # one seed the draws of labels.
        several = len({seed for seed, _, _ in self.runs}) > 1
        self.unit = "seed" if several else "draw"

    def measured(self, measure: Measure) -> Measured:
        """Return ``measure`` of each run, without strata where it is undefined in one of them."""
        patients = patients_of(self.images)
        codes = patients.get_indexer(pd.Index(self.images["patient_id"].astype(str)))
        return Measured(self, [measure(run, codes, len(patients)) for run in self.all])


class Measured:
    """A measure of each of the :class:`Runs`, and the means that intervals are made of."""

    def __init__(self, runs: Runs, strata: list[list[measures.Stratum]]) -> None:
        """Take the strata of each run."""
        self.keys = pd.DataFrame(list(runs.runs), columns=list(_RUN))
        self.unit = runs.unit
        if not all(strata):
            strata = [[] for _ in strata]
        self.strata = tuple(mean_stratum(same) for same in zip(*strata, strict=True))
        self.values = np.array([sum(p.weight * p.value for p in one) for one in strata])
        self.influences = np.array(
            [np.sum([p.weight * p.influence for p in one], axis=0) for one in strata]
        )

    def by(self, column: str) -> Factor:
        """Return the means over all runs that share a value of ``column``, in its order."""
        groups = self.keys.groupby(column).indices
        return Factor(
            np.array([self.values[rows].mean() for rows in groups.values()]),
            np.array([self.influences[rows].mean(axis=0) for rows in groups.values()]),
        )

    def score(self) -> Score:
        """Return the mean of all runs, which differ by networks, seeds and draws of labels."""
        units = self.by(self.unit)
        if self.keys[NETWORK].nunique() == 1:
            return Score(self.strata, units)
        return Score(self.strata, self.by(NETWORK), (units,))

    def series(self) -> pd.Series:
        """Return the value of each run, with the index (seed, network, draw)."""
        return pd.Series(self.values, pd.MultiIndex.from_frame(self.keys))


def linear_probe(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return how well linear probes of each network do with each share of the labels.

    Returns:
        one row per ``variant, curriculum`` (a pretext stage, or a root) and ``label_share`` (text):
        ``n_labels`` (mean over draws), ``n_seeds``, ``n_networks`` (with each seed), ``n_draws``
        (of each seed); ``balanced_accuracy`` in percent with ``_std`` (between seeds), ``_low,
        _high`` (over patients, networks, and seeds; with one seed over the draws of labels in
        their place), ``_networks`` (standard deviation between random networks) and ``_draws``
        (between the draws of a seed, mean over seeds and networks); ``chance``; ``difference`` to
        ``scratch``, the mean of all random networks with the same draws, in percent points, with
        an interval over the same (empty for ``scratch`` itself); ``auc`` in [0, 1] with its three.
    """
    return _of_classes(predictions, split, COLUMNS)


def few_labels(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return how well the trainings of each model do with each share of the labels.

    Returns:
        one row per ``variant, curriculum`` and ``label_share`` (text), as of :func:`linear_probe`
        but for what is about networks; ``n_fewest``, the training patients of the class that has
        fewest, mean over draws. ``difference`` is to the trainings of ``scratch`` with the same
        labels and seeds, percent points, paired over patients and these.
    """
    return _of_classes(predictions, split, FEW_COLUMNS)


def _of_classes(predictions: pd.DataFrame, split: str, columns: Sequence[str]) -> pd.DataFrame:
    rows = of_split(predictions, split)
    chance = 100 * metrics.chance(rows)
    table = [line | {"chance": chance} for line in by_share(rows, OF_CLASSES)]
    return pd.DataFrame(table, columns=list(columns))


def by_share(rows: pd.DataFrame, scores: Sequence[Scored]) -> Iterator[dict[str, Any]]:
    """Yield a line for each model and share of the labels, with all that any of the tables has.

    The first of the scores is the one that is compared.
    """
    groups = {
        (variant, curriculum, share): Runs(part)
        for (variant, curriculum), group in models_in(rows)
        for share, part in group.groupby("share")
    }
    for (variant, curriculum, share), runs in groups.items():
        line: dict[str, Any] = {"variant": variant, "curriculum": curriculum}
        line["label_share"] = f"{share:g}"  # a text, as it names the row and is not to be rounded
        for name in ("n_labels", "n_fewest"):
            if name in rows:
                line[name] = float(np.mean([run[name].iloc[0] for run in runs.all]))
        for name, numbers in zip(_RUN, zip(*runs.runs, strict=True), strict=True):
            line[f"n_{name}s"] = len(set(numbers))
        for name, measure, scale in scores:
            found = runs.measured(measure)
            if not found.strata:  # tested on one class alone
                continue
            values, interval = scale * found.series(), found.score().interval()
            line[name] = scale * interval.estimate
            line[f"{name}_std"] = values.groupby("seed").mean().std()
            line |= {f"{name}_low": scale * interval.low, f"{name}_high": scale * interval.high}
            line[f"{name}_networks"] = values.groupby(NETWORK).mean().std()
            line[f"{name}_draws"] = values.groupby(["seed", NETWORK]).std().mean()
        scratch = groups.get((variant, SCRATCH, share))
        if scores and scratch is not None and curriculum != SCRATCH:
            line |= _difference(runs, scratch, scores[0][1])
        yield line


def _difference(runs: Runs, scratch: Runs, measure: Measure) -> dict[str, float]:
    """Return the difference in a measure, percent points, with its interval.

    Both met the same draws, which are compared one by one; random networks vary by themselves.
    """
    if not runs.images.equals(scratch.images):
        raise InputError("predictions: networks of a variant predict different images; run again")
    first, second = (one.measured(measure) for one in (runs, scratch))
    drawn = [{(seed, draw) for seed, _, draw in one.runs} for one in (runs, scratch)]
    if drawn[0] != drawn[1]:
        raise InputError("predictions: what is compared met other draws of labels; run again")
    if not (first.strata and second.strata):
        return {}
    units = [one.by(runs.unit) for one in (first, second)]
    apart = Factor(units[0].values - units[1].values, units[0].influences - units[1].influences)
    factors = [apart, second.by(NETWORK)]
    return difference_columns(of_factors(first.score(), second.score(), factors, tested=True))
