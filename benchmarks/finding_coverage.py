"""Do the intervals of scores of findings cover, of which a radiograph may show several?

As ``benchmarks/coverage.py``, of :mod:`sscdl.evaluation.finding_measures`: a patient has one to
three made-up radiographs, each of which shows any number of findings; findings go together, images
of a patient are alike in what they show and in how a model errs, and some states are unknown.

    python benchmarks/finding_coverage.py scores      one training
    python benchmarks/finding_coverage.py trainings   the same recipe twice, by number of seeds
    python benchmarks/finding_coverage.py gaps        two groups that a model tells alike

Each line is a cell: the share of simulations whose interval holds the truth, and that of those
whose interval holds the mean of all simulations, which is what as many patients score on average;
the interval's mean width; the share of simulations that have none. Average precision of few images
is higher than that of many.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

import numpy as np
import pandas as pd
from scipy.stats import norm

from sscdl.evaluation.differences import compare, compare_groups
from sscdl.evaluation.finding_measures import average_precision, mean_over, told
from sscdl.evaluation.inference import score
from sscdl.evaluation.measures import one_auc
from sscdl.finding_labels import write_label

ALIKE = 0.7  # share of what makes a finding shown that images of a patient have in common
BLURRED = 0.4  # share of the blur of scores that images of a patient have in common
KNOWN = 0.5  # share of the blur that trainings of all models have in common
TOGETHER = 0.3  # share of either that all findings have in common
UNKNOWN = 0.1  # share of the states that nobody knows
SUMMARIES = {"auc": one_auc, "average_precision": average_precision}
Held = defaultdict[str, list[tuple[float, float, float, float]]]  # truth, value, low, high


class World:
    """Patients with images; every call of :meth:`model` is another model's predictions of them."""

    def __init__(self, random: np.random.Generator, patients: int, shares: list[float]) -> None:
        """Draw ``patients``, whose images show finding k with the probability ``shares[k]``."""
        self.random, self.patients, self.shares = random, patients, shares
        self.patient = np.repeat(np.arange(patients), random.integers(1, 4, patients))
        self.shown = norm.cdf(self._field(ALIKE)) < shares
        self.unknown = random.random(self.shown.shape) < UNKNOWN
        self.common = self._field(BLURRED)

    def _field(self, alike: float) -> np.ndarray:
        """Return normal variables (N, F) that patients and findings have in part in common."""
        size = len(self.shares)
        parts = []
        for rows in (self.patients, len(self.patient)):
            whole, own = self.random.normal(size=(rows, 1)), self.random.normal(size=(rows, size))
            parts.append(np.sqrt(TOGETHER) * whole + np.sqrt(1 - TOGETHER) * own)
        return np.sqrt(alike) * parts[0][self.patient] + np.sqrt(1 - alike) * parts[1]

    def model(self, auc: float, trainings: int = 1, deviation: float = 0.0) -> pd.DataFrame:
        """Return predictions of a recipe whose trainings differ by ``deviation`` in AUC."""
        names = [f"finding {number}" for number in range(len(self.shares))]
        labels = [
            write_label(
                [
                    name
                    for name, *state in zip(names, *image, strict=True)
                    if state == [True, False]
                ],
                [name for name, _, unknown in zip(names, *image, strict=True) if unknown],
            )
            for image in zip(self.shown, self.unknown, strict=True)
        ]
        tables = []
        for seed in range(trainings):
            place = norm.ppf(auc)
            place += deviation / norm.pdf(place) * self.random.normal()
            blur = np.sqrt(KNOWN) * self.common + np.sqrt(1 - KNOWN) * self._field(BLURRED)
            scores = norm.cdf(np.sqrt(2) * place * self.shown + blur)
            table = {"seed": seed, "patient_id": self.patient.astype(str), "label": labels}
            table |= {f"prob_{name}": scores[:, k] for k, name in enumerate(names)}
            tables.append(pd.DataFrame(table))
        return pd.concat(tables, ignore_index=True)


def truth(name: str, auc: float, share: float) -> float:
    """Return what a measure of a finding is in a population of which a ``share`` shows it."""
    if name == "auc":
        return auc
    apart = np.sqrt(2) * norm.ppf(auc)
    at = norm.ppf((np.arange(4000) + 0.5) / 4000)  # of a positive image, less ``apart``
    hits, others = share * norm.sf(at), (1 - share) * norm.sf(at + apart)
    return float(np.mean(hits / (hits + others)))


def scores(options: argparse.Namespace) -> None:
    """Print the coverage of the interval of each measure, one training."""
    for share in options.shares:
        for patients in options.patients:
            for auc in options.aucs:
                random = np.random.default_rng([options.seed, patients, round(1000 * auc)])
                shares = [share] * options.findings
                held: Held = defaultdict(list)
                true = {name: truth(name, auc, share) for name in SUMMARIES}
                for _ in range(options.simulations):
                    rows = World(random, patients, shares).model(auc)
                    for name in SUMMARIES:
                        found = score(rows, mean_over(told(rows), SUMMARIES[name])).interval()
                        held[name].append((true[name], *found))
                _print(f"{patients} patients, {share:g} show each, AUC {auc:g}", held)


def trainings(options: argparse.Namespace) -> None:
    """Print how often intervals over trainings cover.

    That of the difference of a recipe to itself holds zero, that of its scores their truth.
    """
    for share in options.shares:
        for patients in options.patients:
            for seeds in options.trainings:
                random = np.random.default_rng([options.seed, patients, seeds])
                held: Held = defaultdict(list)
                true = {name: truth(name, options.aucs[0], share) for name in SUMMARIES}
                for _ in range(options.simulations):
                    world = World(random, patients, [share] * options.findings)
                    one, other = (
                        world.model(options.aucs[0], seeds, options.deviation) for _ in range(2)
                    )
                    for name, summary in SUMMARIES.items():
                        found = compare(one, other, mean_over(told(one), summary))
                        held[f"difference of {name}"].append((0.0, *found.interval()))
                        found = score(one, mean_over(told(one), summary))
                        held[name].append((true[name], *found.interval()))
                _print(f"{patients} patients, {share:g} show each, {seeds} seeds", held)


def gaps(options: argparse.Namespace) -> None:
    """Print how often the interval of the gap between two groups holds zero, which is the truth.

    Groups of patients, as by sex, and of images, as by view: a patient may have both kinds.
    """
    for share in options.shares:
        for patients in options.patients:
            for seeds in options.trainings:
                random = np.random.default_rng([options.seed, patients, seeds])
                held: Held = defaultdict(list)
                for _ in range(options.simulations):
                    world = World(random, patients, [share] * options.findings)
                    rows = world.model(options.aucs[0], seeds, options.deviation)
                    chosen = {
                        "patients": (random.random(patients) < options.group)[world.patient],
                        "images": random.random(len(world.patient)) < options.group,
                    }
                    for kind, group in chosen.items():
                        mask = np.tile(group, seeds)
                        inside, rest = rows[mask], rows[~mask]
                        names = [name for name in told(inside) if name in told(rest)]
                        if not names:
                            held[f"of {kind}"].append((0.0, *[np.nan] * 3))
                            continue
                        found = compare_groups(inside, rest, mean_over(names, one_auc))
                        held[f"of {kind}"].append((0.0, *found.interval()))
                _print(f"{patients} patients, {share:g} show each, {seeds} seeds", held)


def _print(about: str, held: Held) -> None:
    texts = []
    for name, found in held.items():
        true, value, low, high = np.transpose(found)
        known = np.isfinite(low)
        covered, expected = (
            ((low <= one) & (one <= high))[known].mean() for one in (true, np.nanmean(value))
        )
        width = (high - low)[known].mean()
        texts.append(
            f"{name} {covered:.3f}, mean {expected:.3f} ({width:.3f}; none {1 - known.mean():.3f})"
        )
    print(f"{about}: {'; '.join(texts)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = {"scores": scores, "trainings": trainings, "gaps": gaps}
    parser.add_argument("command", choices=list(commands))
    parser.add_argument("--simulations", type=int, default=4000)
    parser.add_argument("--findings", type=int, default=1)
    parser.add_argument("--patients", type=int, nargs="+", default=[50, 200])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.3])
    parser.add_argument("--aucs", type=float, nargs="+", default=[0.5, 0.7, 0.9])
    parser.add_argument("--trainings", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--group", type=float, default=0.3, help="share of the smaller group")
    parser.add_argument("--deviation", type=float, default=0.02)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    commands[options.command](options)


if __name__ == "__main__":
    main()
