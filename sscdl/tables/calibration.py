"""Do models know how sure they may be? Calibration of predicted probabilities.

*Confidence* is the probability of the predicted class. The calibration error is the root of the
mean squared distance between confidence and accuracy, over bins that hold the same number of images
(equal confidences share a bin). The distances of a sample are larger than those of the model, most
of all in small bins, and the usual expected calibration error (Guo et al. 2017) carries that with
it: it is never 0, and depends on how many bins there are. The square has an unbiased estimate, the
mean over pairs of images, as Ferro & Fricker (2012) and Kumar et al. (2019, arXiv:1909.10155) take
it away; here over pairs of different patients, as images of one are not independent.

The tables' conventions (percent, seeds, intervals) are those of :mod:`sscdl.tables.overview`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from sscdl.evaluation import measures, metrics
from sscdl.evaluation.inference import score
from sscdl.evaluation.measures import Codes, Floats, Stratum
from sscdl.tables.overview import METADATA, NAN, mean_percent, models_in, of_split, score_model

BINS = 15  # as in Guo et al.
PER_BIN = 10  # images at least: with few images, fewer bins
SMALLEST = 5e-7  # predictions are written with six decimals, so that 0 stands for up to this
COLUMNS = (
    *("variant", "curriculum", "split", "n_images", "n_patients", "n_seeds", "n_bins"),
    *("confidence", "accuracy", "calibration_error", "calibration_error_std"),
    *("calibration_error_low", "calibration_error_high"),
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


def with_confidence(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with ``confidence`` and whether the prediction is ``right``, 0 or 1."""
    chances, _ = _probabilities(rows)
    right = (rows["predicted"] == rows["label"]).astype(float)
    return rows.assign(confidence=chances.max(axis=1), right=right)


def squared_error(rows: pd.DataFrame, patients: Codes, count: int) -> list[Stratum]:
    """Return the measure "squared calibration error", unbiased, so that it may be below 0.

    Rows have ``confidence``, in [0, 1], and whether they are ``right``, 0 or 1. In a bin it is the
    mean product of the gaps (right minus confidence) of two images of different patients; bins with
    a single patient are left out. Influences are those of the jackknife, with the bins as they are.
    """
    confidence, right = (rows[name].to_numpy(dtype=float) for name in ("confidence", "right"))
    bins = bins_of(confidence, bin_count(len(rows)))
    whole, without = 0.0, np.zeros(count)
    size, rest = 0.0, np.zeros(count)
    for number in np.unique(bins):
        inside = bins == number
        whose = patients[inside]
        if len(np.unique(whose)) < 2:
            continue
        gaps = np.bincount(whose, (right - confidence)[inside], minlength=count)
        images = np.bincount(whose, minlength=count).astype(float)
        whole += images.sum() * _of_pairs(gaps.sum(), (gaps**2).sum(), images)
        size += images.sum()
        others = images.sum() - images
        squares = (gaps**2).sum() - gaps**2
        pairs = others**2 - ((images**2).sum() - images**2)
        left = np.where(pairs > 0, (gaps.sum() - gaps) ** 2 - squares, 0.0)
        without += others * left / np.where(pairs > 0, pairs, 1.0)
        rest += others
    if not size:
        return []
    present = np.bincount(patients, minlength=count) > 0
    number = int(present.sum())
    apart = np.where(present, without / np.where(rest > 0, rest, 1.0), np.nan)
    influence = np.sqrt((number - 1) / number) * np.nan_to_num(np.nanmean(apart) - apart)
    return [Stratum(1.0, whole / size, influence, len(rows), number, bounded=False)]


def _of_pairs(total: float, squares: float, images: Floats) -> float:
    """Return the mean product over pairs of images of different patients."""
    return float((total**2 - squares) / (images.sum() ** 2 - (images**2).sum()))


def calibration_error(rows: pd.DataFrame) -> dict[str, float]:
    """Return the calibration error in percent points, its deviation and limits, as columns.

    Rows of one model have what :func:`squared_error` needs.
    """
    found = score(rows, squared_error)
    values = 100 * np.sqrt(np.clip([*found.interval()], 0, None))
    each = 100 * np.sqrt(np.clip(found.trainings.values, 0, None))
    names = ("calibration_error", "calibration_error_low", "calibration_error_high")
    return {
        **dict(zip(names, map(float, values), strict=True)),
        "calibration_error_std": float(each.std(ddof=1)) if len(each) > 1 else NAN,
    }


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


def calibration(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return how far each model's probabilities may be trusted, on every split that has labels.

    Returns:
        ``variant, curriculum, split, n_images, n_patients, n_seeds, n_bins``; mean ``confidence``
        and ``accuracy`` in percent; ``calibration_error`` (percent points; 0 where the unbiased
        estimate of its square is below 0) with ``_std, _low, _high``; ``brier`` ([0, 1]) and
        ``nll`` (nats) with the same three and ``_prior``, the score of always giving the labels'
        frequencies.
    """
    table = []
    for (variant, curriculum), group in models_in(metrics.labelled(predictions)):
        for split, rows in group.groupby("split", sort=False):
            rows = with_confidence(rows).assign(brier=brier_values(rows), nll=nll_values(rows))
            seeds = [part for _, part in rows.groupby("seed")]
            line: dict[str, Any] = {"variant": variant, "curriculum": curriculum, "split": split}
            line["n_images"] = rows["image_id"].nunique()
            line["n_patients"] = rows["patient_id"].nunique()
            line["n_seeds"] = len(seeds)
            line["n_bins"] = bin_count(len(seeds[0]))
            for name, column in (("confidence", "confidence"), ("accuracy", "right")):
                line[name] = mean_percent(rows, column)
            line |= calibration_error(rows)
            for name in ("brier", "nll"):
                found = score_model(rows, measures.mean_of(name), scale=1.0)
                line[name] = found.pop("value")
                found["low"] = max(found["low"], 0.0)
                line |= {f"{name}_{part}": value for part, value in found.items()}
            line["brier_prior"], line["nll_prior"] = _prior(seeds[0])
            table.append(line)
    return pd.DataFrame(table, columns=list(COLUMNS))


def calibration_bins(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return each model's accuracy beside its confidence, by bins of confidence, on one split.

    A bin holds the predictions of all seeds; there are as many as for one.

    Returns:
        ``variant, curriculum, split, bin`` (from 0), ``n_predictions``, mean ``confidence`` and
        ``accuracy`` in percent, the latter with ``_low, _high``, over patients.
    """
    rows = of_split(predictions, split)
    table = []
    for (variant, curriculum), group in models_in(rows):
        if variant == METADATA:
            continue
        group = with_confidence(group)
        confidence = group["confidence"].to_numpy()
        group["bin"] = bins_of(confidence, bin_count(group["image_id"].nunique()))
        for number, part in group.groupby("bin"):
            pooled = score(part.assign(seed=0), measures.mean_of("right", bounded=True))
            found = pooled.interval()
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
