"""Thresholds of each finding, chosen on validation images, and what they are worth.

As :mod:`sscdl.tables.operating_points`, each finding by itself.
"""

from __future__ import annotations

import pandas as pd

from sscdl.tables.findings.alone import by_model, each
from sscdl.tables.operating_points import chooses, operating_points


def finding_operating_points(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return what each model's thresholds of each finding are worth on ``split``.

    Returns:
        the columns of :func:`sscdl.tables.operating_points.operating_points`, ``finding`` in place
        of ``positive``. Images count that are known to show the finding or not to. Where those that
        choose a threshold, or those that it is tried on, are all of one side, what would need the
        other is empty.
    """
    # For all findings alike: what is unknown of one on validation images is not chosen elsewhere.
    chosen_on = chooses(predictions, split)
    parts = [operating_points(rows, split, chosen_on) for _, rows in each(predictions)]
    return by_model(pd.concat(parts, ignore_index=True).rename(columns={"positive": "finding"}))
