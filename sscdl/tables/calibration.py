"""Do models know how sure they may be? Calibration of predicted probabilities.

*Confidence* is the probability of the predicted class. The expected calibration error (Guo et al.
2017, arXiv:1706.04599) is the distance between confidence and accuracy, averaged over bins. Theirs
are of equal width, most of them all but empty where a model is sure of itself; here each holds the
same number of images (Nixon et al. 2019, arXiv:1904.01685), and equal confidences share a bin.

The tables' conventions (percent, seeds, intervals) are those of :mod:`sscdl.tables.overview`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from sscdl.evaluation import metrics
from sscdl.evaluation.metrics import Floats
from sscdl.tables.overview import METADATA, models_in, score_model

BINS = 15  # as in Guo et al.
PER_BIN = 10  # images at least: with few images, fewer bins
SMALLEST = 5e-7  # predictions are written with six decimals, so that 0 stands for up to this
COLUMNS = (
    *("variant", "curriculum", "split", "n_images", "n_patients", "n_seeds", "n_bins"),
    *("confidence", "accuracy", "ece", "ece_std", "ece_low", "ece_high", "ece_calibrated"),
    *("brier", "brier_std", "brier_low", "brier_high", "brier_prior"),
    *("nll", "nll_std", "nll_low", "nll_high", "nll_prior"),
)
BIN_COLUMNS = (
    *("variant", "curriculum", "split", "bin", "n_predictions", "confidence"),
    *("accuracy", "accuracy_low", "accuracy_high"),
)


def bin_count(images: int) -> int:
    """Return how many bins are made of a number of images: 15, fewer for less than 150."""
    return int(np.clip(images // PER_BIN, 1, BINS))


def bins_of(confidence: Floats, count: int) -> NDArray[np.int64]:
    """Return the bin (N,), from 0 to less than ``count``, of each confidence (N,) in [0, 1].

    Bins hold the same number of images, but for confidences that are equal: these stay together, in
    the bin that the middle one of them belongs to.
    """
    middle = (rankdata(confidence) - 0.5) / len(confidence)
    return np.floor(middle * count).astype(int)


def _probabilities(rows: pd.DataFrame) -> tuple[Floats, NDArray[np.int64]]:
    """Return probabilities (N, K) and the number of the true class (N,) of labelled rows."""
    classes = metrics.class_names(rows)
    chances = rows[[f"prob_{name}" for name in classes]].to_numpy(dtype=float)
    return chances, pd.Index(classes).get_indexer(pd.Index(rows["label"]))


def _sure_and_right(rows: pd.DataFrame) -> tuple[Floats, Floats]:
    """Return confidence (N,) and whether the prediction is right (N,), 0 or 1."""
    chances, _ = _probabilities(rows)
    return chances.max(axis=1), (rows["predicted"] == rows["label"]).to_numpy(dtype=float)


def ece_statistic(rows: pd.DataFrame, weights: Floats) -> Floats:
    """Return the expected calibration error, in [0, 1], per row of ``weights`` (draws, N).

    The bins are those of the images as they are, the same for all draws.
    """
    confidence, right = _sure_and_right(rows)
    bins = bins_of(confidence, bin_count(len(rows)))
    gap = np.zeros((len(rows), bins.max() + 1))
    gap[np.arange(len(rows)), bins] = confidence - right
    with np.errstate(invalid="ignore"):
        return np.abs(weights @ gap).sum(axis=1) / weights.sum(axis=1)


def calibrated_ece(rows: pd.DataFrame) -> float:
    """Return the calibration error that a calibrated model is expected to show, in [0, 1].

    Were each prediction right with the probability p that it claims, the sum of n gaps in a bin
    would have the variance sum p (1 - p), and a normal variable of that variance has the mean size
    sqrt(2 / pi) sd. Images of one patient, which go together, make it larger than this.
    """
    confidence, _ = _sure_and_right(rows)
    bins = bins_of(confidence, bin_count(len(rows)))
    variance = np.bincount(bins, weights=confidence * (1 - confidence))
    return float(np.sqrt(2 / np.pi * np.clip(variance, 0, None)).sum() / len(rows))


def brier_values(rows: pd.DataFrame) -> Floats:
    """Return each row's Brier score (1950), (N,): half the squared distance to the truth, [0, 1].

    With two classes this is (p - y)^2 of either class.
    """
    chances, truth = _probabilities(rows)
    return ((chances - np.eye(chances.shape[1])[truth]) ** 2).sum(axis=1) / 2


def nll_values(rows: pd.DataFrame) -> Floats:
    """Return each row's negative log likelihood, (N,), in nats; probabilities are at least 5e-7."""
    chances, truth = _probabilities(rows)
    return -np.log(np.clip(chances[np.arange(len(rows)), truth], SMALLEST, 1))


def _prior(rows: pd.DataFrame) -> tuple[float, float]:
    """Return Brier score and negative log likelihood of always giving the labels' frequencies."""
    shares = rows["label"].value_counts(normalize=True).to_numpy()
    return float((1 - (shares**2).sum()) / 2), float(-(shares * np.log(shares)).sum())


def calibration(predictions: pd.DataFrame, *, draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return how far each model's probabilities may be trusted, on every split that has labels.

    Returns:
        ``variant, curriculum, split, n_images, n_patients, n_seeds, n_bins``; mean ``confidence``
        and ``accuracy`` in percent; ``ece`` (percent points) with ``_std, _low, _high`` and
        ``_calibrated``, what a calibrated model would be expected to show with as many images;
        ``brier`` ([0, 1]) and ``nll`` (nats) with the same three and ``_prior``, the score of
        always giving the labels' frequencies.

        Few images in a bin make the calibration error of a sample larger than that of the model,
        and resampled ones larger still: the interval of ``ece`` is the basic one (twice the
        estimate less the quantiles, Davison & Hinkley 1997, section 5.2), cut at 0, and lies below
        where that of the quantiles would lie above. The others are of the quantiles.
    """
    table = []
    for (variant, curriculum), group in models_in(metrics.labelled(predictions)):
        for split, rows in group.groupby("split", sort=False):
            confidence, right = _sure_and_right(rows)
            rows = rows.assign(
                confidence=confidence, right=right, brier=brier_values(rows), nll=nll_values(rows)
            )
            seeds = [part for _, part in rows.groupby("seed")]
            line: dict[str, Any] = {"variant": variant, "curriculum": curriculum, "split": split}
            line["n_images"] = rows["image_id"].nunique()
            line["n_patients"] = rows["patient_id"].nunique()
            line["n_seeds"] = len(seeds)
            line["n_bins"] = bin_count(len(seeds[0]))
            for name, column in (("confidence", "confidence"), ("accuracy", "right")):
                mean = metrics.mean_over_seeds(metrics.column_mean(column))
                line[name] = 100 * metrics.evaluate(rows, mean)
            for name, statistic, scale in (
                ("ece", ece_statistic, 100.0),
                ("brier", metrics.column_mean("brier"), 1.0),
                ("nll", metrics.column_mean("nll"), 1.0),
            ):
                score = score_model(rows, statistic, draws=draws, seed=seed, scale=scale)
                line[name] = score.pop("value")
                line |= {f"{name}_{part}": value for part, value in score.items()}
            low, high = line["ece_low"], line["ece_high"]
            line["ece_low"] = max(0.0, 2 * line["ece"] - high)
            line["ece_high"] = max(0.0, 2 * line["ece"] - low)
            line["ece_calibrated"] = 100 * float(np.mean([calibrated_ece(part) for part in seeds]))
            line["brier_prior"], line["nll_prior"] = _prior(seeds[0])
            table.append(line)
    return pd.DataFrame(table, columns=list(COLUMNS))


def calibration_bins(
    predictions: pd.DataFrame, split: str, *, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return each model's accuracy beside its confidence, by bins of confidence, on one split.

    A bin holds the predictions of all seeds; there are as many as for one.

    Returns:
        ``variant, curriculum, split, bin`` (from 0), ``n_predictions``, mean ``confidence`` and
        ``accuracy`` in percent, the latter with ``_low, _high``, over patients.
    """
    rows = metrics.labelled(predictions[predictions["split"] == split])
    table = []
    for (variant, curriculum), group in models_in(rows):
        if variant == METADATA:
            continue
        confidence, right = _sure_and_right(group)
        bins = bins_of(confidence, bin_count(group["image_id"].nunique()))
        group = group.assign(confidence=confidence, right=right, bin=bins)
        for number, part in group.groupby("bin"):
            found = metrics.bootstrap_interval(
                part, metrics.column_mean("right"), draws=draws, seed=seed
            )
            table.append(
                {
                    **{"variant": variant, "curriculum": curriculum, "split": split},
                    **{"bin": number, "n_predictions": len(part)},
                    "confidence": 100 * part["confidence"].mean(),
                    "accuracy": 100 * found.estimate,
                    "accuracy_low": 100 * found.low,
                    "accuracy_high": 100 * found.high,
                }
            )
    return pd.DataFrame(table, columns=list(BIN_COLUMNS))
