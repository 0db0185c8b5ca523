"""Classification metrics and patient-level bootstrap intervals over tables of predictions.

A *prediction table* has one row per image (and seed) with the columns ``image_id``, ``patient_id``,
``seed``, ``label``, ``predicted`` and one ``prob_<class>`` column per class. Rows whose label is
empty or not one of the classes take no part in any metric.

A *statistic* is a function of such a table and of case weights of shape (draws, rows) that returns
one value per draw. All draws of a bootstrap are therefore evaluated at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sscdl.errors import InputError

Floats = NDArray[np.float64]
Statistic = Callable[[pd.DataFrame, Floats], Floats]

# Bounds the memory of a bootstrap: a block of weights has at most this many elements (32 MB).
_BLOCK_ELEMENTS = 4_000_000


class Interval(NamedTuple):
    """A point estimate with the limits of its confidence interval (NaN where undefined)."""

    estimate: float
    low: float
    high: float


class Difference(NamedTuple):
    """A paired difference with its confidence interval, two-sided p and number of patients."""

    estimate: float
    low: float
    high: float
    p: float
    patients: int


def class_names(predictions: pd.DataFrame) -> list[str]:
    """Return the classes of a prediction table: its ``prob_`` columns that hold any value."""
    return [
        str(column).removeprefix("prob_")
        for column in predictions.columns
        if str(column).startswith("prob_") and predictions[column].notna().any()
    ]


def labelled(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose label is one of the table's classes."""
    return predictions[predictions["label"].isin(class_names(predictions))]


def _codes(values: Sequence[str] | pd.Series, classes: Sequence[str]) -> NDArray[np.int64]:
    return pd.Index(classes, dtype=object).get_indexer(pd.Index(values, dtype=object))


def confusion_matrix(
    labels: Sequence[str] | pd.Series,
    predicted: Sequence[str] | pd.Series,
    classes: Sequence[str],
    weights: Floats | None = None,
) -> Floats:
    """Return counts of shape (C, C), true classes in rows, predicted ones in columns.

    With ``weights`` of shape (draws, rows) the result has shape (draws, C, C). Rows whose label is
    not one of ``classes`` are left out.

    Raises:
        InputError: a labelled row has a prediction that is not one of ``classes``.
    """
    true, guess = _codes(labels, classes), _codes(predicted, classes)
    use = true >= 0
    if (guess[use] < 0).any():
        raise InputError(
            f"predictions: a predicted class is empty or not one of {', '.join(classes)}; "
            "write the predictions again with the classes of the study"
        )
    size = len(classes)
    cells = true[use] * size + guess[use]
    if weights is None:
        return np.bincount(cells, minlength=size * size).reshape(size, size).astype(float)
    one_hot = np.zeros((len(cells), size * size))
    one_hot[np.arange(len(cells)), cells] = 1.0
    case_weights = weights if use.all() else weights[:, use]
    return (case_weights @ one_hot).reshape(-1, size, size)


def _mean_of_defined(values: Floats) -> Floats:
    """Mean over the last axis, NaN entries left out; NaN where nothing is defined."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(defined, values, 0.0).sum(axis=-1) / defined.sum(axis=-1)


def per_class_accuracy(matrix: Floats) -> Floats:
    """Return the recall of each class, in [0, 1], of confusion matrices (..., C, C).

    NaN for a class without images.
    """
    with np.errstate(invalid="ignore"):
        return np.diagonal(matrix, axis1=-2, axis2=-1) / matrix.sum(axis=-1)


def balanced_accuracy(matrix: Floats) -> Floats:
    """Return the mean recall, in [0, 1], over the classes that have images (Brodersen et al. 2010).

    ``matrix`` has shape (..., C, C); the result has its leading shape.
    """
    return _mean_of_defined(per_class_accuracy(matrix))


def macro_f1(matrix: Floats) -> Floats:
    """Return the mean F1 score, in [0, 1], over classes that are either true or predicted."""
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    with np.errstate(invalid="ignore"):
        return _mean_of_defined(2 * hits / (matrix.sum(axis=-1) + matrix.sum(axis=-2)))


def chance(predictions: pd.DataFrame) -> float:
    """Return the balanced accuracy of guessing among all classes that the model knows."""
    known = class_names(predictions)
    return 1.0 / len(known) if known else float("nan")


def weighted_auc(scores: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """Return the area under the ROC curve per row of ``weights`` (draws, N), in [0, 1].

    It is the Mann-Whitney statistic: the share of (positive, negative) pairs in the right order,
    ties counted half. NaN where one side has no weight.
    """
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    weights, positive = weights[:, order], positive[order]
    above = np.add.reduceat(weights * positive, starts, axis=1)
    below = np.add.reduceat(weights * ~positive, starts, axis=1)
    pairs = above.sum(axis=1) * below.sum(axis=1)
    right = (above * (np.cumsum(below, axis=1) - below / 2)).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return right / pairs


def _confusions(predictions: pd.DataFrame, weights: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the confusion matrices (draws, C, C), and which draws have lost a class (draws,).

    A draw without any image of a class that ``predictions`` has would be a score of the others.
    """
    classes = class_names(predictions)
    matrix = confusion_matrix(predictions["label"], predictions["predicted"], classes, weights)
    occurring = np.isin(classes, predictions["label"].unique())
    return matrix, (matrix.sum(axis=-1)[:, occurring] == 0).any(axis=-1)


def balanced_accuracy_statistic(predictions: pd.DataFrame, weights: Floats) -> Floats:
    """Balanced accuracy of ``predictions`` per draw, in [0, 1]; NaN where a class is not drawn."""
    matrix, lost = _confusions(predictions, weights)
    return np.where(lost, np.nan, balanced_accuracy(matrix))


def macro_f1_statistic(predictions: pd.DataFrame, weights: Floats) -> Floats:
    """Macro F1 of ``predictions`` per draw, in [0, 1]; NaN where a class is not drawn."""
    matrix, lost = _confusions(predictions, weights)
    return np.where(lost, np.nan, macro_f1(matrix))


def auc_statistic(predictions: pd.DataFrame, weights: Floats) -> Floats:
    """Area under the ROC curve per draw, in [0, 1].

    Two classes: of the second class's probability. More: mean over one-vs-rest curves of the
    classes that have both positives and negatives (Hand & Till 2001 call this the OvR average); NaN
    where one of these is not drawn.
    """
    classes = class_names(predictions)
    codes = _codes(predictions["label"], classes)
    use = codes >= 0
    if not use.any():
        return np.full(len(weights), np.nan)
    case_weights = weights if use.all() else weights[:, use]
    scored = classes[1:] if len(classes) == 2 else classes
    scored = [name for name in scored if 0 < (codes[use] == classes.index(name)).mean() < 1]
    if not scored:
        return np.full(len(weights), np.nan)
    areas = [
        weighted_auc(
            predictions[f"prob_{name}"].to_numpy(dtype=float)[use],
            codes[use] == classes.index(name),
            case_weights,
        )
        for name in scored
    ]
    return np.mean(areas, axis=0)


def column_mean(column: str) -> Statistic:
    """Return the statistic "mean of ``column`` over the rows where it is defined"."""

    def statistic(predictions: pd.DataFrame, weights: Floats) -> Floats:
        values = predictions[column].to_numpy(dtype=float)
        defined = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            return (weights @ np.where(defined, values, 0.0)) / (weights @ defined.astype(float))

    return statistic


def mean_over_seeds(statistic: Statistic) -> Statistic:
    """Return ``statistic`` taken per training seed (column ``seed``), then averaged over seeds."""

    def averaged(predictions: pd.DataFrame, weights: Floats) -> Floats:
        seeds = predictions["seed"].to_numpy()
        unique = pd.unique(seeds)
        if len(unique) <= 1:
            return statistic(predictions, weights)
        masks = [seeds == seed for seed in unique]
        values = [statistic(predictions[mask], weights[:, mask]) for mask in masks]
        return np.mean(values, axis=0)

    return averaged


def evaluate(predictions: pd.DataFrame, statistic: Statistic) -> float:
    """Return ``statistic`` of ``predictions`` with every row counted once (NaN without rows)."""
    if predictions.empty:
        return float("nan")
    return float(statistic(predictions, np.ones((1, len(predictions))))[0])


def _patients(predictions: pd.DataFrame, by: str) -> pd.Series:
    if by not in predictions or predictions[by].isna().any():
        raise InputError(
            f"predictions: column {by} is missing or has empty cells; resampling needs to know "
            "which rows belong together, so fill it (with the image's own id if nothing is known)"
        )
    return predictions[by].astype(str)


def _resamples(units: int, draws: int, elements: int, seed: int) -> Iterator[Floats]:
    """Yield blocks (block, units) of how often each unit is drawn, ``draws`` rows in all."""
    generator = np.random.default_rng(seed)
    # Drawing in single rows' order keeps the numbers independent of the block size.
    block = max(1, min(draws, _BLOCK_ELEMENTS // max(1, elements)))
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        drawn = generator.integers(units, size=(rows, units))
        drawn += np.arange(rows)[:, None] * units
        counts = np.bincount(drawn.ravel(), minlength=rows * units)
        yield counts.reshape(rows, units).astype(float)


def _limits(values: Floats, level: float) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_interval(
    predictions: pd.DataFrame,
    statistic: Statistic,
    *,
    by: str = "patient_id",
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Return a statistic with its percentile bootstrap interval (Efron & Tibshirani 1993).

    Whole patients (values of column ``by``) are drawn with replacement, because images of one
    patient are not independent. The limits are NaN with fewer than two patients, and draws in
    which the statistic is undefined are left out.

    Raises:
        InputError: column ``by`` is missing or has empty cells.
    """
    estimate = evaluate(predictions, statistic)
    codes, patients = pd.factorize(_patients(predictions, by), sort=True)
    if len(patients) < 2:
        return Interval(estimate, float("nan"), float("nan"))
    elements = max(len(predictions), len(patients))
    values = [
        statistic(predictions, counts[:, codes])
        for counts in _resamples(len(patients), draws, elements, seed)
    ]
    return Interval(estimate, *_limits(np.concatenate(values), level))


def paired_difference(
    first: pd.DataFrame,
    second: pd.DataFrame,
    statistic: Statistic = balanced_accuracy_statistic,
    *,
    by: str = "patient_id",
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Difference:
    """Return ``statistic(first) - statistic(second)`` with a paired patient bootstrap.

    Each draw takes the same patients in both tables; patients that only one table has are left out
    (``patients`` tells how many were used). ``p`` is the two-sided bootstrap p value: twice the
    smaller share of draws on either side of zero, never below 2 / (draws + 1).

    Raises:
        InputError: column ``by`` is missing or has empty cells, or no patient is in both tables.
    """
    first_ids, second_ids = _patients(first, by), _patients(second, by)
    common = np.intersect1d(first_ids.unique(), second_ids.unique())
    if not len(common):
        raise InputError(
            f"predictions: the two tables to compare share no {by}; compare models on one split"
        )
    keep_first, keep_second = first_ids.isin(common), second_ids.isin(common)
    first, second = first[keep_first], second[keep_second]
    first_codes = np.searchsorted(common, first_ids[keep_first].to_numpy(dtype=common.dtype))
    second_codes = np.searchsorted(common, second_ids[keep_second].to_numpy(dtype=common.dtype))
    estimate = evaluate(first, statistic) - evaluate(second, statistic)
    if len(common) < 2:
        return Difference(estimate, *[float("nan")] * 3, len(common))
    blocks = _resamples(len(common), draws, max(len(first), len(second)), seed)
    values = np.concatenate(
        [
            statistic(first, counts[:, first_codes]) - statistic(second, counts[:, second_codes])
            for counts in blocks
        ]
    )
    values = values[np.isfinite(values)]
    below = (int((values <= 0).sum()) + 1) / (len(values) + 1)
    above = (int((values >= 0).sum()) + 1) / (len(values) + 1)
    return Difference(
        estimate, *_limits(values, level), min(1.0, 2 * min(below, above)), len(common)
    )
