"""What a measure of predictions is made of: its value, and what each patient contributes to it.

The *influence* of a patient on a measure is how the measure moves if that patient weighs a little
more: the sum of the squared influences is the measure's variance over the choice of patients (the
infinitesimal jackknife, Efron & Tibshirani 1993, section 22.6; for the area under the ROC curve
this is DeLong et al. 1988). It is linear, so that differences of measures and means over trainings
have the differences and means of the influences, and it needs no resampling.

A measure consists of *strata*, of which it is the weighted sum: balanced accuracy is the mean of
the recalls, each known from its own patients. :mod:`sscdl.evaluation.inference` makes intervals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sscdl.evaluation import metrics

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Stratum(NamedTuple):
    """A part of a measure that is known from patients of its own.

    ``value`` is a proportion, in [0, 1], unless ``bounded`` is False. ``influence`` (P,) is that of
    each patient on the value, scaled so that the sum of its squares is the value's variance (NaN
    where fewer than two patients tell it).
    """

    weight: float
    value: float
    influence: Floats
    images: float  # a proportion is known no better than from so many independent ones
    patients: int
    bounded: bool = True
    name: str = ""  # of the class, where there is a stratum for each
    shared: bool = False  # of several quantities, which patients tell unequally

    @property
    def worth(self) -> int:
        """Return as how many equally important patients those are that tell the value.

        The few patients of one rare finding among many say little of how sure a mean is, so that
        the smallest side of all would make intervals of no use: of what is ``shared``, influences
        say how many patients matter, if these are more. ``benchmarks/finding_coverage.py``
        simulates this.
        """
        squares = self.influence**2
        if not self.shared or not squares.sum() > 0:
            return self.patients
        return max(self.patients, int(squares.sum() ** 2 / (squares**2).sum()))


# Rows of one training, the patient of each row as a number below the second argument's -> strata.
Measure = Callable[[pd.DataFrame, Codes, int], list[Stratum]]


def value(rows: pd.DataFrame, measure: Measure) -> float:
    """Return a measure of rows of one training (NaN where it is undefined)."""
    strata = measure(rows, np.zeros(len(rows), dtype=int), 1) if len(rows) else []
    return sum(part.weight * part.value for part in strata) if strata else float("nan")


def _by_patient(values: Floats, patients: Codes, count: int) -> Floats:
    # Floating point, as the weights are.
    return np.bincount(patients, weights=values, minlength=count)  # type: ignore[return-value]


def _corrected(influence: Floats, patients: int) -> Floats:
    """Return influences whose squares sum to an unbiased variance of a mean over ``patients``."""
    if patients < 2:
        return np.full_like(influence, np.nan)
    return influence * np.sqrt(patients / (patients - 1))


def mean_of(column: str, *, bounded: bool = False) -> Measure:
    """Return the measure "mean of ``column`` over the rows where it is defined".

    ``bounded`` says that the values are proportions of their own, such as right or wrong.
    """

    def measure(rows: pd.DataFrame, patients: Codes, count: int) -> list[Stratum]:
        values = rows[column].to_numpy(dtype=float)
        defined = np.isfinite(values)
        values, whose = values[defined], patients[defined]
        if not len(values):
            return []
        mean = float(values.mean())
        number = len(np.unique(whose))
        influence = _by_patient((values - mean) / len(values), whose, count)
        return [Stratum(1.0, mean, _corrected(influence, number), len(values), number, bounded)]

    return measure


def _checked(rows: pd.DataFrame) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Return labels and predicted classes of rows whose labels are known."""
    classes = metrics.class_names(rows)
    metrics.check_predicted(metrics.codes(rows["predicted"], classes), classes)
    return rows["label"].to_numpy(dtype=object), rows["predicted"].to_numpy(dtype=object)


def balanced_accuracy(rows: pd.DataFrame, patients: Codes, count: int) -> list[Stratum]:
    """Return the recall of each class that occurs among the labels, in [0, 1].

    Raises InputError, as :func:`macro_f1` does, if a predicted class is not one of the model's.
    """
    labels, predicted = _checked(rows)
    right = (predicted == labels).astype(float)
    found = []
    for name in sorted(set(labels)):
        of_class = labels == name
        whose, hits = patients[of_class], right[of_class]
        recall, number = float(hits.mean()), len(np.unique(whose))
        influence = _by_patient((hits - recall) / len(hits), whose, count)
        influence = _corrected(influence, number)
        found.append(Stratum(0.0, recall, influence, len(hits), number, name=str(name)))
    return [part._replace(weight=1 / len(found)) for part in found]


def macro_f1(rows: pd.DataFrame, patients: Codes, count: int) -> list[Stratum]:
    """Return macro F1, in [0, 1], over classes that are either true or predicted.

    With confusion matrix M, F1 of a class is 2 M_cc / (row sum + column sum); its derivative by
    the weight of an image of label l that is predicted p is ([l = p = c] 2 - F1 ([l = c] +
    [p = c])) / (row sum + column sum).
    """
    labels, predicted = _checked(rows)
    classes = metrics.class_names(rows)
    values, influence = [], np.zeros(len(rows))
    for name in classes:
        true, guess = labels == name, predicted == name
        size = true.sum() + guess.sum()
        if not size:
            continue
        f1 = 2 * float((true & guess).sum()) / size
        values.append(f1)
        influence += (2 * (true & guess) - f1 * (true.astype(float) + guess)) / size
    if not values:
        return []
    summed = _by_patient(influence / len(values), patients, count)
    fewest = min(len(np.unique(patients[labels == name])) for name in set(labels))
    number = len(np.unique(patients))
    influence = _corrected(summed, number if fewest > 1 else 1)
    return [Stratum(1.0, float(np.mean(values)), influence, len(rows), fewest)]


def auc(rows: pd.DataFrame, patients: Codes, count: int) -> list[Stratum]:
    """Return the area under the ROC curve, in [0, 1]; influences are those of DeLong et al. 1988.

    Two classes: of the second class's probability. More: mean over one-vs-rest curves of the
    classes that have both positives and negatives (Hand & Till 2001 call this the OvR average).
    Empty where there is no such class.
    """
    labels = rows["label"].to_numpy()
    classes = metrics.class_names(rows)
    scored = classes[1:] if len(classes) == 2 else classes
    parts = [
        one_auc(rows[f"prob_{name}"].to_numpy(dtype=float), labels == name, patients, count)
        for name in scored
        if 0 < (labels == name).mean() < 1
    ]
    if not parts:
        return []
    values, influences, numbers = zip(*parts, strict=True)
    influence = np.mean(influences, axis=0)
    return [Stratum(1.0, float(np.mean(values)), influence, len(rows), min(numbers))]


def one_auc(
    scores: Floats, positive: Bools, patients: Codes, count: int
) -> tuple[float, Floats, int]:
    """Return the area under a ROC curve, influences (P,), and the patients of the smaller side.

    ``scores`` and ``positive`` (N,) are of images, of which some are positive and some are not.
    """
    ranked, place = np.unique(scores, return_inverse=True)
    above = np.bincount(place[positive], minlength=len(ranked)).astype(float)
    below = np.bincount(place[~positive], minlength=len(ranked)).astype(float)
    # For a positive: the share of negatives below it; for a negative, of positives above it.
    of_positives = ((np.cumsum(below) - below / 2) / below.sum())[place[positive]]
    of_negatives = ((above.sum() - np.cumsum(above) + above / 2) / above.sum())[place[~positive]]
    area = float(of_positives.mean())
    moved = np.empty(len(scores))
    moved[positive] = (of_positives - area) / len(of_positives)
    moved[~positive] = (of_negatives - area) / len(of_negatives)
    return area, *of_sides(moved, positive, patients, count)


def of_sides(moved: Floats, positive: Bools, patients: Codes, count: int) -> tuple[Floats, int]:
    """Return the influence of each patient (P,), and the patients of the side that has fewer.

    ``moved`` (N,) is how a measure moves by the weight of each image. Positive and negative images
    are two samples: the few patients of the one have a variance that is corrected for as few.
    """
    influence, numbers = np.zeros(count), []
    for side in (positive, ~positive):
        whose = patients[side]
        numbers.append(len(np.unique(whose)))
        influence += _corrected(_by_patient(moved[side], whose, count), numbers[-1])
    return influence, min(numbers)
