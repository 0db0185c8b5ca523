"""Classification metrics over tables of predictions.

A *prediction table* has one row per image (and seed) with the columns ``image_id``, ``patient_id``,
``seed``, ``label``, ``predicted`` and one ``prob_<class>`` column per class. Rows whose label is
empty or not one of the classes take no part in any metric. :mod:`sscdl.evaluation.measures` has the
metrics whose intervals are printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sscdl.errors import InputError

Floats = NDArray[np.float64]


def class_names(predictions: pd.DataFrame) -> list[str]:
    """Return the classes of a prediction table: its ``prob_`` columns that hold any value."""
    return [
        str(column).removeprefix("prob_")
        for column in predictions.columns
        if str(column).startswith("prob_") and predictions[column].notna().any()
    ]


def rows_where(rows: pd.DataFrame, held: pd.Series) -> pd.DataFrame:
    """Return the rows for which ``held`` is true."""
    return rows_at(rows, np.flatnonzero(held))


def rows_at(rows: pd.DataFrame, places: NDArray[np.intp]) -> pd.DataFrame:
    """Return the rows at ``places``, which ascend; without a copy if they stand together.

    Predictions of a large study fill gigabytes, and mostly those of a model stand together.
    """
    if len(places) and places[-1] - places[0] + 1 == len(places):
        return rows.iloc[places[0] : places[-1] + 1]
    return rows.take(places)


def labelled(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the rows whose label is one of the table's classes."""
    return rows_where(predictions, predictions["label"].isin(class_names(predictions)))


def codes(values: Sequence[str] | pd.Series, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the number of each class, -1 for what is none."""
    known: Any = pd.Index(classes, dtype=object)
    return known.get_indexer(pd.Index(values, dtype=object))


def check_predicted(guess: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Raise InputError if the number of a predicted class is below 0: it is none of ``classes``."""
    if (guess < 0).any():
        raise InputError(
            f"predictions: a predicted class is empty or not one of {', '.join(classes)}; "
            "write the predictions again with the classes of the study"
        )


def confusion_matrix(
    labels: Sequence[str] | pd.Series,
    predicted: Sequence[str] | pd.Series,
    classes: Sequence[str],
) -> Floats:
    """Return counts of shape (C, C), true classes in rows, predicted ones in columns.

    Rows whose label is not one of ``classes`` are left out.

    Raises:
        InputError: a labelled row has a prediction that is not one of ``classes``.
    """
    true, guess = codes(labels, classes), codes(predicted, classes)
    use = true >= 0
    check_predicted(guess[use], classes)
    size = len(classes)
    cells = true[use] * size + guess[use]
    return np.bincount(cells, minlength=size * size).reshape(size, size).astype(float)


def per_class_accuracy(matrix: Floats) -> Floats:
    """Return the recall of each class, in [0, 1], of confusion matrices (..., C, C).

    NaN for a class without images.
    """
    with np.errstate(invalid="ignore"):
        return np.diagonal(matrix, axis1=-2, axis2=-1) / matrix.sum(axis=-1)


def chance(predictions: pd.DataFrame) -> float:
    """Return the balanced accuracy of guessing among the classes that the model knows, in [0, 1].

    It is one over their number, however many of them the images have: whoever guesses among three
    is right once in three also where only two occur. NaN for a table without probabilities.
    """
    known = len(class_names(predictions))
    return 1.0 / known if known else float("nan")
