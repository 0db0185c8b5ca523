"""How well each model tells each finding, and all of them on average.

The tables' conventions (seeds, intervals) are those of :mod:`sscdl.tables.overview`; scores are in
[0, 1]. :mod:`sscdl.evaluation.finding_measures` says which images count for which finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from sscdl.evaluation import metrics
from sscdl.evaluation.finding_measures import average_precision, mean_over, states, told
from sscdl.evaluation.measures import one_auc
from sscdl.finding_labels import POSITIVE, UNKNOWN
from sscdl.tables.overview import image_models, models_in, score_model

MEAN = "mean"  # of the findings, in place of the name of one
CHANCE = 0.5  # AUC of guessing
SUMMARIES = {"auc": one_auc, "average_precision": average_precision}
PARTS = ("", "_std", "_low", "_high")
COLUMNS = (
    *("variant", "curriculum", "split", "finding", "n_findings", "n_images", "n_patients"),
    *("n_positive", "n_positive_patients", "n_seeds"),
    *(f"{name}{part}" for name in SUMMARIES for part in PARTS),
    "average_precision_chance",
)


def of_findings(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the rows of one split whose label says of any finding whether it is shown.

    Raises InputError if no image model has rows of ``split``.
    """
    rows = image_models(predictions, split)
    known = (states(rows["label"], metrics.class_names(rows)) != UNKNOWN).any(axis=1)
    return metrics.rows_at(rows, np.flatnonzero(known))


def finding_scores(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the scores of every model on one split, of all findings on average and of each.

    Returns:
        for each model a row with ``finding`` = ``mean`` and one for each finding, in the order of
        the probabilities: ``variant, curriculum, split, finding``; ``n_findings``, how many
        findings the scores are of (0 for a finding that fewer than two patients show, or do not:
        it has no scores, and is not in the mean); the images and patients of which these findings
        are known (``n_images, n_patients``), and those that show one (``n_positive,
        n_positive_patients``); ``n_seeds``; ``auc`` and ``average_precision`` with ``_std, _low,
        _high``, and ``average_precision_chance``, which guessing scores: the share of images that
        show the finding.

    Raises:
        InputError: no image model has rows of ``split``.
    """
    table = []
    for (variant, curriculum), rows in models_in(of_findings(predictions, split)):
        names, found = metrics.class_names(rows), told(rows)
        about = {"variant": variant, "curriculum": curriculum, "split": split}
        table.append({**about, "finding": MEAN, **counts(rows, found), **_scores(rows, found)})
        for name in names:
            scored = [name] if name in found else []
            number = counts(rows, [name])
            table.append({**about, "finding": name, **number, **_scores(rows, scored)})
    return pd.DataFrame(table, columns=list(COLUMNS))


def counts(rows: pd.DataFrame, findings: Sequence[str]) -> dict[str, Any]:
    """Return of how many images and patients these findings are known, and who shows any."""
    shown = states(rows["label"], findings)
    known, positive = (shown != UNKNOWN).any(axis=1), (shown == POSITIVE).any(axis=1)
    return {
        "n_images": rows.loc[known, "image_id"].nunique(),
        "n_patients": rows.loc[known, "patient_id"].nunique(),
        "n_positive": rows.loc[positive, "image_id"].nunique(),
        "n_positive_patients": rows.loc[positive, "patient_id"].nunique(),
        "n_seeds": rows["seed"].nunique(),
    }


def _scores(rows: pd.DataFrame, findings: Sequence[str]) -> dict[str, float]:
    """Return the mean scores over ``findings``, nothing but their number where there are none."""
    line: dict[str, float] = {"n_findings": len(findings)}
    if not findings:
        return line
    for name, summary in SUMMARIES.items():
        score = score_model(rows, mean_over(findings, summary), scale=1.0)
        line[name] = score.pop("value")
        line |= {f"{name}_{part}": value for part, value in score.items()}
    shown = states(rows["label"], findings)
    shares = (shown == POSITIVE).sum(axis=0) / (shown != UNKNOWN).sum(axis=0)
    return {**line, "average_precision_chance": float(shares.mean())}
