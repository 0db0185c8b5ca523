"""One finding of several by itself: predictions of whether an image shows it, as of two classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from sscdl.evaluation import metrics
from sscdl.evaluation.finding_measures import states
from sscdl.finding_labels import POSITIVE, UNKNOWN
from sscdl.tables.overview import METADATA


def absent(finding: str) -> str:
    """Return what the class of images without a finding is called; no finding is called so."""
    return f"no {finding}"


def alone(predictions: pd.DataFrame, finding: str) -> pd.DataFrame:
    """Return the rows whose label says whether they show ``finding``, as those of two classes.

    The finding is the second class, so that it is the positive one; all other columns but other
    probabilities and ``predicted`` stay.
    """
    state = states(predictions["label"], [finding])[:, 0]
    rows = metrics.rows_at(predictions, np.flatnonzero(state != UNKNOWN))
    kept = [column for column in rows if not str(column).startswith(("prob_", "predicted"))]
    scores = rows[f"prob_{finding}"].astype(float)
    shown = state[state != UNKNOWN] == POSITIVE
    return rows[kept].assign(
        label=np.where(shown, finding, absent(finding)),
        **{f"prob_{absent(finding)}": 1 - scores, f"prob_{finding}": scores},
    )


def each(predictions: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield every finding and the rows of image models that are known of it (:func:`alone`)."""
    rows = metrics.rows_where(predictions, predictions["variant"] != METADATA)
    for finding in metrics.class_names(rows):
        yield finding, alone(rows, finding)


def by_model(table: pd.DataFrame) -> Any:
    """Return a table made finding by finding with the rows of each model together."""
    order = table.groupby(["variant", "curriculum"], sort=False).ngroup().argsort(kind="stable")
    return table.iloc[order].reset_index(drop=True)
