"""Do models know how likely each finding is? Calibration of its probability.

The error is that of :mod:`sscdl.tables.calibration`, with the probability of the finding in place
of the confidence in what is predicted: of a finding that few images show, models are sure of its
absence almost everywhere, and confidence would say nothing of the images that matter.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from sscdl.tables.calibration import bin_count, calibration_error
from sscdl.tables.findings.alone import by_model, each
from sscdl.tables.overview import mean_percent, models_in, score_share

COLUMNS = (
    *("variant", "curriculum", "finding", "split", "n_images", "n_patients", "n_seeds", "n_bins"),
    *("prevalence", "probability", "calibration_error", "calibration_error_std"),
    *("calibration_error_low", "calibration_error_high"),
    *("brier", "brier_std", "brier_low", "brier_high", "brier_prior"),
)


def finding_calibration(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return how far the probabilities of each finding may be trusted, on every set of images.

    Returns:
        ``variant, curriculum, finding, split``; the images and patients of which the finding is
        known (``n_images, n_patients``), ``n_seeds`` and ``n_bins``; ``prevalence``, the percentage
        of these images that show it, and ``probability``, the mean of what models say, in percent;
        ``calibration_error`` (percent points; 0 where the unbiased estimate of its square is below
        0) and ``brier`` ([0, 1]), each with ``_std, _low, _high``; ``brier_prior``, the Brier score
        of always giving the prevalence.
    """
    table = []
    for finding, known in each(predictions):
        shown = (known["label"] == finding).astype(float)
        chance = known[f"prob_{finding}"]
        known = known.assign(confidence=chance, right=shown, brier=(chance - shown) ** 2)
        for (variant, curriculum), group in models_in(known):
            for split, rows in group.groupby("split", sort=False):
                line: dict[str, Any] = {"variant": variant, "curriculum": curriculum}
                line |= {"finding": finding, "split": split, **_measures(rows)}
                table.append(line)
    return by_model(pd.DataFrame(table, columns=list(COLUMNS)))


def _measures(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the measures of one model on one set of images."""
    images, share = rows["image_id"].nunique(), float(rows["right"].mean())
    brier = score_share(rows, "brier", scale=1.0)
    return {
        "n_images": images,
        "n_patients": rows["patient_id"].nunique(),
        "n_seeds": rows["seed"].nunique(),
        "n_bins": bin_count(images),
        "prevalence": 100 * share,
        "probability": mean_percent(rows, "confidence"),
        **calibration_error(rows),
        "brier": brier["value"],
        "brier_std": brier["std"],
        "brier_low": brier["low"],
        "brier_high": brier["high"],
        "brier_prior": share * (1 - share),
    }
