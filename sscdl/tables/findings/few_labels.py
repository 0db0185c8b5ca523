"""Findings told by models that were trained with few labels, by share of these.

As :func:`sscdl.tables.probes.few_labels`, of mean AUC.
"""

from __future__ import annotations

import pandas as pd

from sscdl.evaluation.finding_measures import mean_over, told
from sscdl.evaluation.measures import one_auc
from sscdl.tables.findings.scores import of_findings
from sscdl.tables.probes import COUNTED, by_share

COLUMNS = (
    *(*COUNTED, "n_findings", "auc", "auc_std", "auc_low", "auc_high", "auc_draws"),
    *("difference", "difference_low", "difference_high"),
)


def finding_few_labels(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return as :func:`sscdl.tables.probes.few_labels` the mean AUC of findings, in [0, 1].

    Returns:
        ``n_findings``, that the mean is of; ``n_fewest``, the training patients with the finding
        that fewest show; ``auc`` with ``_std, _low, _high, _draws``; ``difference`` in hundredths.
    """
    rows = of_findings(predictions, split)
    names = told(rows)
    scores = [("auc", mean_over(names, one_auc), 1.0)] if names else []
    table = [line | {"n_findings": len(names)} for line in by_share(rows, scores)]
    return pd.DataFrame(table, columns=list(COLUMNS))
