"""Comparisons between models that tell several findings: which differences are more than chance.

As :mod:`sscdl.tables.comparisons`, of mean AUC: the same references, method, correction and
verdicts.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd

from sscdl.evaluation.differences import compare
from sscdl.evaluation.finding_measures import mean_over, told
from sscdl.evaluation.measures import one_auc
from sscdl.tables import comparisons
from sscdl.tables.comparisons import MARGIN, TOO_FEW
from sscdl.tables.findings.scores import of_findings

COLUMNS = (
    *("variant", "curriculum", "against", "n_findings", "n_images", "n_patients", "n_seeds"),
    *("auc", "auc_against", "difference", "difference_low", "difference_high"),
    *("patients_low", "patients_high", "another_low", "another_high"),
    *("p", "p_holm", "p_equivalent", "verdict", "detectable", "margin", "seeds_needed"),
)


def finding_comparisons(
    predictions: pd.DataFrame, split: str, *, margin: float = MARGIN
) -> pd.DataFrame:
    """Return each model compared with scratch, with imagenet and with its first task alone.

    Args:
        predictions: those of the models.
        split: the images that count.
        margin: the smallest difference that matters, in percent points: a hundredth of AUC.

    Returns:
        one row per comparison, as :func:`sscdl.tables.comparisons.comparisons` describes, with
        ``n_findings``, the number of findings that the mean is of, and mean AUC in [0, 1]
        (``auc, auc_against``); differences are in hundredths of it.

    Raises:
        InputError: no image model has rows of ``split``.
    """
    compared = partial(_compared, margin=margin)
    lines = comparisons.with_references(of_findings(predictions, split), compared)
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _compared(model: pd.DataFrame, other: pd.DataFrame, *, margin: float) -> dict[str, Any]:
    """Return the measures of one comparison, over the images that both models predicted."""
    model, other = comparisons.of_shared(model, other)
    findings = told(model)
    found = compare(model, other, mean_over(findings, one_auc))
    why = comparisons.untested_in_any_case(found) if findings else TOO_FEW
    return {
        "n_findings": len(findings),
        **comparisons.counts(model, other),
        "auc": found.first.value,
        "auc_against": found.second.value,
        **comparisons.comparison_columns(found, why, margin=margin),
    }
