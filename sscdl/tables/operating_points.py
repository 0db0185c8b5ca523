"""Where a model would be used: thresholds chosen on validation images, what they are worth after.

An image is called positive if its probability is at least the threshold. With two classes the
second is the positive one; with more, each is in its turn, against all others.

The tables' conventions (percent, seeds, intervals) are those of :mod:`sscdl.tables.overview`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_curve

from sscdl.evaluation import metrics
from sscdl.evaluation.inference import score
from sscdl.evaluation.measures import Bools, Floats, mean_of
from sscdl.tables.overview import METADATA, models_in

VALIDATION = "val"
AT_LEAST = 0.9  # of sensitivity or specificity, where one of them is asked for
MEASURES = ("sensitivity", "specificity", "ppv", "npv")
COLUMNS = (
    *("variant", "curriculum", "positive", "rule", "chosen_on", "split", "n_images", "n_patients"),
    *("n_seeds", "prevalence", "threshold", "threshold_std"),
    *(name + part for name in MEASURES for part in ("", "_std", "_low", "_high")),
)
NOTES = (
    "An image is called positive if its probability is at least the threshold, which each "
    "training has of its own. Youden: the largest sum of sensitivity and specificity. "
    "sensitivity 90 % (specificity 90 %): where that is reached at the least cost of the "
    "other.",
    "chosen_on: images on which the threshold was chosen. Where these are the reported "
    "ones, as in a split without validation images, all that is reported is too good.",
    "ppv, npv: among images with the prevalence of these.",
    "Intervals are 95 %, of these thresholds: over the patients tested and, with several "
    "seeds, over trainings. That other validation images would have given other thresholds "
    "is not in them, and may be more than all else where these are few.",
)


def positives(classes: list[str]) -> list[str]:
    """Return the classes that are told from all others: of two the second, of more each."""
    return classes[1:] if len(classes) == 2 else classes


def _youden(false: Floats, true: Floats) -> int:
    """Return the place with the largest Youden's J, sensitivity + specificity - 1."""
    return int(np.argmax(true - false))


def _sensitive(false: Floats, true: Floats) -> int:
    """Return the place with the least false positives at a sensitivity of 90 % or more."""
    return int(np.flatnonzero(true >= AT_LEAST)[0])


def _specific(false: Floats, true: Floats) -> int:
    """Return the place with the most true positives at a specificity of 90 % or more."""
    return int(np.flatnonzero(1 - false >= AT_LEAST)[-1])


# Of a ROC curve's false and true positive rates, from the highest threshold to the lowest.
RULES: dict[str, Callable[[Floats, Floats], int]] = {
    "Youden": _youden,
    "sensitivity 90 %": _sensitive,
    "specificity 90 %": _specific,
}


def threshold(rows: pd.DataFrame, positive: str, rule: str) -> float:
    """Return the threshold that a rule chooses on these rows of one training."""
    scores = rows[f"prob_{positive}"].to_numpy(dtype=float)
    return best_threshold(scores, (rows["label"] == positive).to_numpy(), rule)


def best_threshold(scores: Floats, true: Bools, rule: str) -> float:
    """Return the threshold that a rule chooses for scores (N,) of which some are ``true`` (N,).

    It is a score that occurs, or just above the highest where no image may be positive. NaN where
    all are of one side.
    """
    if true.all() or not true.any():
        return float("nan")
    # The rates at all thresholds: without those that look needless, the specific rule would miss.
    false_rate, true_rate, at = roc_curve(true, scores, drop_intermediate=False)
    found = float(at[RULES[rule](false_rate, true_rate)])
    return found if np.isfinite(found) else float(np.nextafter(scores.max(), 2))


def chooses(predictions: pd.DataFrame, split: str) -> str:
    """Return the set of images on which thresholds are chosen: ``split`` itself without others."""
    return VALIDATION if (predictions["split"] == VALIDATION).any() else split


def operating_points(
    predictions: pd.DataFrame, split: str, chosen_on: str | None = None
) -> pd.DataFrame:
    """Return what each model's thresholds, chosen on validation images, are worth on ``split``.

    Args:
        predictions: those of all models.
        split: the reported images.
        chosen_on: the images on which thresholds are chosen, by default those of :func:`chooses`.

    Returns:
        one row for each image model, positive class and rule: ``variant, curriculum, positive,
        rule``; ``chosen_on``, the set of images on which each training's threshold was chosen,
        which is ``split`` itself where there are no validation images; ``split, n_images,
        n_patients, n_seeds``; ``prevalence``, the percentage of positives; ``threshold`` in [0, 1],
        mean over trainings; ``sensitivity, specificity``, and the positive and negative predictive
        values ``ppv`` and ``npv``, in percent, each with ``_std, _low, _high``.
    """
    rows = metrics.labelled(metrics.rows_where(predictions, predictions["variant"] != METADATA))
    classes = positives(metrics.class_names(rows))
    chosen_on = chosen_on or chooses(rows, split)
    table = []
    for (variant, curriculum), group in models_in(rows):
        for positive in classes:
            for rule in RULES:
                line = {
                    **{"variant": variant, "curriculum": curriculum, "positive": positive},
                    **{"rule": rule, "chosen_on": chosen_on, "split": split},
                }
                table.append(line | _point(group, positive, rule, chosen_on, split))
    return pd.DataFrame(table, columns=list(COLUMNS))


def _point(
    group: pd.DataFrame, positive: str, rule: str, chosen_on: str, split: str
) -> dict[str, Any]:
    """Return the measures of one model at the thresholds that a rule chooses."""
    chosen = {
        seed: threshold(part, positive, rule)
        for seed, part in group[group["split"] == chosen_on].groupby("seed")
    }
    values = pd.Series(chosen, dtype=float)
    shown = group[group["split"] == split]
    true = shown["label"] == positive
    called = shown[f"prob_{positive}"].astype(float) >= shown["seed"].map(values)
    shown = shown.assign(right=(true == called).astype(float))
    trainings = set(shown["seed"])
    known = len(values) and values.notna().all() and set(chosen) == trainings
    point: dict[str, Any] = {
        "n_images": shown["image_id"].nunique(),
        "n_patients": shown["patient_id"].nunique(),
        "n_seeds": shown["seed"].nunique(),
        "prevalence": 100 * float(true.mean()),
        "threshold": values.mean() if known else np.nan,
        "threshold_std": values.std(ddof=1) if len(values) > 1 else np.nan,
    }
    for name, among in zip(MEASURES, (true, ~true, called, ~called), strict=True):
        rows = shown[among]
        # Undefined in one training, it is so in their mean.
        whole = known and set(rows["seed"]) == trainings
        point |= _measured(name, rows if whole else shown.iloc[:0])
    return point


def _measured(name: str, among: pd.DataFrame) -> dict[str, float]:
    """Return the percentage of rows that are right, with its interval, as columns of ``name``.

    All that this table says about uncertainty is said here.
    """
    found = score(among, mean_of("right", bounded=True))
    interval = found.interval()
    return {
        name: 100 * found.value,
        f"{name}_std": 100 * found.deviation,
        f"{name}_low": 100 * interval.low,
        f"{name}_high": 100 * interval.high,
    }
