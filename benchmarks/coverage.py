"""Do the intervals cover, and do comparisons of models that are alike find nothing? By simulation.

Radiographs are made up: a patient has one to three of them, those of a patient are alike, and a
model's score of an image is the truth, blurred by the patient, the image, and what a training made
of them. Every interval and test is that of the tables (:mod:`sscdl.evaluation.inference`).

    python benchmarks/coverage.py scores        one training: patients from 10 to 1,000
    python benchmarks/coverage.py differences   two models of different accuracy, one training each
    python benchmarks/coverage.py trainings     the same recipe twice, with 1, 2, 3, 5, 10 seeds

Each line is a cell: the share of simulations whose interval holds the truth, and its mean width.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

import numpy as np
import pandas as pd
from scipy.stats import norm

from sscdl.evaluation import measures
from sscdl.evaluation.differences import compare, compare_same
from sscdl.evaluation.inference import score

ALIKE = 0.4  # share of the blur that images of a patient have in common
KNOWN = 0.5  # share of the blur that trainings of all models have in common
AIL = 0.3  # mean of the made-up attention, a beta variable
MEASURES = {
    "balanced_accuracy": measures.balanced_accuracy,
    "macro_f1": measures.macro_f1,
    "auc": measures.auc,
    "accuracy": measures.mean_of("right", bounded=True),
    "attention": measures.mean_of("ail"),
}


class World:
    """Patients with images; every call of :meth:`model` is another model's predictions of them."""

    def __init__(self, random: np.random.Generator, patients: int, share: float) -> None:
        """Make ``patients``, of whom a ``share`` is ill, at least two on each side."""
        self.random = random
        ill = min(max(2, round(patients * share)), patients - 2)
        number = random.integers(1, 4, patients)
        self.patient = np.repeat(np.arange(patients), number)
        self.ill = self.patient < ill
        self.shared = [random.normal(size=patients), random.normal(size=len(self.patient))]

    def _blur(self, images: int) -> np.ndarray:
        own = [self.random.normal(size=len(self.shared[0])), self.random.normal(size=images)]
        parts = [
            np.sqrt(KNOWN) * both + np.sqrt(1 - KNOWN) * one
            for both, one in zip(self.shared, own, strict=True)
        ]
        return np.sqrt(ALIKE) * parts[0][self.patient] + np.sqrt(1 - ALIKE) * parts[1]

    def model(self, accuracy: float, trainings: int = 1, deviation: float = 0.0) -> pd.DataFrame:
        """Return predictions of a recipe whose trainings differ by ``deviation`` in accuracy."""
        tables = []
        for seed in range(trainings):
            place = norm.ppf(accuracy)
            place += deviation / norm.pdf(place) * self.random.normal()
            blur = self._blur(len(self.patient))
            score_of = np.where(self.ill, place, -place) + blur
            predicted = score_of > 0
            ail = np.clip(AIL + 0.1 * blur + deviation * self.random.normal(), 0, 1)
            tables.append(
                pd.DataFrame(
                    {
                        "seed": seed,
                        "patient_id": self.patient.astype(str),
                        "label": np.where(self.ill, "ill", "well"),
                        "predicted": np.where(predicted, "ill", "well"),
                        "prob_well": 1 - norm.cdf(score_of),
                        "prob_ill": norm.cdf(score_of),
                        "right": (predicted == self.ill).astype(float),
                        "ail": ail,
                    }
                )
            )
        return pd.concat(tables, ignore_index=True)


def truth(name: str, accuracy: float, share: float) -> float:
    """Return what a measure is in a population with this share of ill patients."""
    if name == "auc":
        return float(norm.cdf(np.sqrt(2) * norm.ppf(accuracy)))
    if name == "macro_f1":
        parts = [
            2 * own * accuracy / (own + own * accuracy + (1 - own) * (1 - accuracy))
            for own in (share, 1 - share)
        ]
        return float(np.mean(parts))
    return AIL if name == "attention" else accuracy


def cells(options: argparse.Namespace) -> Iterator[tuple[int, float, float]]:
    """Yield patients, share of the ill, and accuracy."""
    for share in options.shares:
        for patients in options.patients:
            for accuracy in options.accuracies:
                yield patients, share, accuracy


def scores(options: argparse.Namespace) -> None:
    """Print the coverage of the interval of each measure, one training."""
    for patients, share, accuracy in cells(options):
        random = np.random.default_rng([options.seed, patients, round(1000 * accuracy)])
        held: dict[str, list[tuple[bool, float]]] = defaultdict(list)
        for _ in range(options.simulations):
            rows = World(random, patients, share).model(accuracy)
            real = max(2, round(patients * share)) / patients
            for name in options.measures:
                found = score(rows, MEASURES[name]).interval()
                if np.isfinite(found.low):
                    true = truth(name, accuracy, real)
                    held[name].append((found.low <= true <= found.high, found.high - found.low))
        _print(f"{patients} patients, {share:g} ill, accuracy {accuracy:g}", held)


def differences(options: argparse.Namespace) -> None:
    """Print the coverage of the interval of the difference of two models, one training each."""
    for patients, share, accuracy in cells(options):
        for fall in (0.0, 0.04, 0.1):
            random = np.random.default_rng([options.seed, patients, round(1000 * accuracy)])
            held: dict[str, list[tuple[bool, float]]] = defaultdict(list)
            for _ in range(options.simulations):
                world = World(random, patients, share)
                pair = world.model(accuracy), world.model(accuracy - fall)
                real = max(2, round(patients * share)) / patients
                for name in options.measures:
                    found = compare(*pair, MEASURES[name]).interval()
                    true = truth(name, accuracy, real) - truth(name, accuracy - fall, real)
                    held[name].append((found.low <= true <= found.high, found.high - found.low))
            _print(
                f"{patients} patients, {share:g} ill, {accuracy:g} and {accuracy - fall:g}", held
            )


def trainings(options: argparse.Namespace) -> None:
    """Print how often one recipe, trained twice, is called different from itself; and coverage."""
    for patients, share, accuracy in cells(options):
        for seeds in options.trainings:
            for deviation in options.deviations:
                random = np.random.default_rng([options.seed, patients, seeds])
                held: dict[str, list[tuple[bool, float]]] = defaultdict(list)
                for _ in range(options.simulations):
                    world = World(random, patients, share)
                    pair = [world.model(accuracy, seeds, deviation) for _ in range(2)]
                    for name in options.measures:
                        found = compare(*pair, MEASURES[name])
                        low, high = found.limits(0.05)
                        held[f"{name}: alike"].append((low <= 0 <= high, high - low))
                        one = score(pair[0], MEASURES[name]).interval()
                        held[f"{name}: score"].append(
                            (
                                one.low <= truth(name, accuracy, share) <= one.high,
                                one.high - one.low,
                            )
                        )
                        if seeds > 1:
                            low, high = found.another()
                            further = [world.model(accuracy, 1, deviation) for _ in range(2)]
                            value = compare(*further, MEASURES[name]).value
                            held[f"{name}: another"].append((low <= value <= high, high - low))
                            same = compare_same(*pair, MEASURES[name]).interval()
                            held[f"{name}: same trainings"].append(
                                (same.low <= 0 <= same.high, same.high - same.low)
                            )
                about = f"{patients} patients, {seeds} seeds, sd {100 * deviation:g} points"
                _print(about, held)


def _print(about: str, held: dict[str, list[tuple[bool, float]]]) -> None:
    texts = [
        f"{name} {np.mean([one for one, _ in found]):.3f} ({np.mean([w for _, w in found]):.3f})"
        for name, found in held.items()
    ]
    print(f"{about}: {'; '.join(texts)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = {"scores": scores, "differences": differences, "trainings": trainings}
    parser.add_argument("command", choices=list(commands))
    parser.add_argument("--simulations", type=int, default=4000)
    parser.add_argument("--patients", type=int, nargs="+", default=[10, 20, 50, 200, 1000])
    parser.add_argument("--accuracies", type=float, nargs="+", default=[0.5, 0.7, 0.9, 0.95, 0.99])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.5, 0.2])
    parser.add_argument("--measures", nargs="+", choices=list(MEASURES), default=list(MEASURES))
    parser.add_argument("--trainings", type=int, nargs="+", default=[1, 2, 3, 5, 10])
    parser.add_argument("--deviations", type=float, nargs="+", default=[0.0, 0.01, 0.03, 0.1])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    commands[options.command](options)


if __name__ == "__main__":
    main()
