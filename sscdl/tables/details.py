"""Tables of every metric and of every confusion matrix, over all models and sets of images.

The tables' conventions (percent, seeds, intervals) are those of :mod:`sscdl.tables.overview`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sscdl.evaluation import measures, metrics
from sscdl.tables.overview import NAN, models_in, of_images, score_model


def accuracy_details(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return every metric of every model on every split that has labels, one row each.

    Returns:
        ``variant, curriculum, split, n_images, n_patients, n_seeds``, then ``balanced_accuracy``
        with ``_std, _low, _high`` (percent), ``accuracy_<class>`` (percent), ``auc`` and ``f1``
        with the same three ([0, 1]), and ``chance`` (percent).
    """
    classes = metrics.class_names(predictions)
    table = []
    for (variant, curriculum), group in models_in(metrics.labelled(predictions)):
        for split, rows in group.groupby("split", sort=False):
            line: dict[str, Any] = {
                "variant": variant,
                "curriculum": curriculum,
                "split": split,
                "n_images": rows["image_id"].nunique(),
                "n_patients": rows["patient_id"].nunique(),
                "n_seeds": rows["seed"].nunique(),
            }
            score = score_model(rows, measures.balanced_accuracy)
            line["balanced_accuracy"] = score.pop("value")
            line.update({f"balanced_accuracy_{part}": value for part, value in score.items()})
            per_class = [
                metrics.per_class_accuracy(
                    metrics.confusion_matrix(part["label"], part["predicted"], classes)
                )
                for _, part in rows.groupby("seed")
            ]
            for name, value in zip(classes, np.mean(per_class, axis=0), strict=True):
                line[f"accuracy_{name}"] = 100 * value
            for name, statistic in (
                ("auc", measures.auc),
                ("f1", measures.macro_f1),
            ):
                score = score_model(rows, statistic, scale=1.0)
                line[name] = score.pop("value")
                line.update({f"{name}_{part}": value for part, value in score.items()})
            table.append({**line, "chance": 100 * metrics.chance(rows)})
    return pd.DataFrame(table)


def seeds(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return accuracy and attention of each training alone, on one split, in percent.

    Returns:
        ``variant, curriculum, split, seed, balanced_accuracy`` and ``ail`` (empty where no map has
        a positive value), one row an image model and seed.
    """
    rows = of_images(predictions, split)
    table = []
    for (variant, curriculum), group in models_in(rows):
        for seed, part in group.groupby("seed"):
            known = metrics.labelled(part)
            table.append(
                {
                    "variant": variant,
                    "curriculum": curriculum,
                    "split": split,
                    "seed": seed,
                    "balanced_accuracy": 100 * measures.value(known, measures.balanced_accuracy),
                    "ail": 100 * part["ail"].mean(),
                }
            )
    return pd.DataFrame(table)


def confusions(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return all confusion matrices in long format, one row per model, seed, split and cell.

    Returns:
        ``variant, curriculum, seed, split, label, predicted, count, share``; ``share`` is the
        percentage of the label's images (empty for a class without images).
    """
    classes = metrics.class_names(predictions)
    table = []
    for (variant, curriculum), group in models_in(metrics.labelled(predictions)):
        for (seed, split), rows in group.groupby(["seed", "split"], sort=False):
            matrix = metrics.confusion_matrix(rows["label"], rows["predicted"], classes)
            for label, counts in zip(classes, matrix, strict=True):
                for predicted, count in zip(classes, counts, strict=True):
                    table.append(
                        {
                            "variant": variant,
                            "curriculum": curriculum,
                            "seed": seed,
                            "split": split,
                            "label": label,
                            "predicted": predicted,
                            "count": int(count),
                            "share": 100 * count / counts.sum() if counts.sum() else NAN,
                        }
                    )
    return pd.DataFrame(table)
