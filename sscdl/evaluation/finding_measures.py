"""Measures of predictions of several findings at once, finding by finding and as their mean.

A prediction table of such models has a ``label`` that names every finding an image shows
(:mod:`sscdl.finding_labels`) and ``prob_<finding>``, the probability of each by itself. An image
counts for a finding if its label says whether it shows it. A finding is *told* by images if at
least two patients show it and at least two do not: otherwise nothing is known of how its scores
would vary between patients. :mod:`sscdl.evaluation.measures` says what influences are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sscdl.evaluation import metrics
from sscdl.evaluation.measures import Bools, Codes, Floats, Measure, Stratum, of_sides
from sscdl.finding_labels import NEGATIVE, POSITIVE, UNKNOWN, read_label

# Scores (N,), which are positive (N,), patients (N,) and their number -> the value, the influence
# of each patient, and the patients of the side that has fewer.
Summary = Callable[[Floats, Bools, Codes, int], tuple[float, Floats, int]]
_FEWEST = 2  # patients on either side


def states(labels: pd.Series, findings: Sequence[str]) -> NDArray[np.int64]:
    """Return for each label and finding whether the image shows it, as ``read_label`` does (N, F).

    Reads every different label once.
    """
    codes, unique = pd.factorize(labels.fillna(""))
    read = [read_label(label, findings) for label in unique]
    return np.array(read, dtype=np.int64).reshape(len(read), len(findings))[codes]


def told(rows: pd.DataFrame) -> list[str]:
    """Return the findings that two patients or more show in these images, and two or more do not.

    In the order of the table's probabilities.
    """
    findings = metrics.class_names(rows)
    shown = states(rows["label"], findings)
    sides = [
        [rows.loc[column == side, "patient_id"].nunique() for side in (POSITIVE, NEGATIVE)]
        for column in shown.T
    ]
    return [name for name, numbers in zip(findings, sides, strict=True) if min(numbers) >= _FEWEST]


def mean_over(findings: Sequence[str], summary: Summary) -> Measure:
    """Return the measure "mean of ``summary`` over ``findings``", in [0, 1].

    All of them or none: the measure is undefined where the images show one of ``findings``
    everywhere or nowhere, so that what is compared is always a mean over the same.
    """

    def measure(rows: pd.DataFrame, patients: Codes, count: int) -> list[Stratum]:
        shown = states(rows["label"], findings)
        known = shown != UNKNOWN
        parts = []
        for name, state, use in zip(findings, shown.T, known.T, strict=True):
            positive = state[use] == POSITIVE
            if positive.all() or not positive.any():
                return []
            scores = rows[f"prob_{name}"].to_numpy(dtype=float)[use]
            parts.append(summary(scores, positive, patients[use], count))
        if not parts:
            return []
        values, influences, numbers = zip(*parts, strict=True)
        influence = np.mean(influences, axis=0)
        # Each of several findings is looked for in each image: their mean is known from all.
        images, many = float(known.sum()), len(numbers) > 1
        value = float(np.mean(values))
        return [Stratum(1.0, value, influence, images, min(numbers), shared=many)]

    return measure


def average_precision(
    scores: Floats, positive: Bools, patients: Codes, count: int
) -> tuple[float, Floats, int]:
    """Return average precision, influences (P,), and the patients of the side that has fewer.

    It is the mean, over positive images, of the precision P among the N images that score as high
    or higher (Manning, Raghavan & Schuetze 2008, section 8.4). By the weight of an image, the
    precision of all positives that score as high as that image or lower moves: by (1 - P) / N if it
    is positive, by -P / N if it is not. A positive one moves the mean by its own P besides.
    """
    ranked, place = np.unique(scores, return_inverse=True)
    hits = np.bincount(place[positive], minlength=len(ranked)).astype(float)
    number = np.cumsum(np.bincount(place, minlength=len(ranked))[::-1])[::-1].astype(float)
    precision = np.cumsum(hits[::-1])[::-1] / number
    value = float((hits * precision).sum() / hits.sum())
    up = np.cumsum(hits * (1 - precision) / number)
    down = np.cumsum(hits * precision / number)
    moved = np.where(positive, precision[place] - value + up[place], -down[place]) / hits.sum()
    return value, *of_sides(moved, positive, patients, count)
