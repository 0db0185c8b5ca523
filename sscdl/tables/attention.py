"""Table of where the models look, beside what would score without looking at the image.

The conventions (percent, seeds, intervals) are those of :mod:`sscdl.tables.overview`; the measures
are those of :func:`sscdl.evaluation.attention_scores.score_maps`.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from sscdl.errors import InputError
from sscdl.evaluation import metrics
from sscdl.evaluation.prediction_files import OF_CLASS
from sscdl.tables.overview import METADATA, NAN, mean_percent, models_in, score_model

# Attention in the lungs that needs no trained model, and what the models have above it.
FLOORS = {
    "lift": ("floor", "lung_share"),
    "lift_centre": ("ail_centre", "ail_centre"),
    "lift_random": ("ail_random", "ail_random"),
}


def attention(
    predictions: pd.DataFrame, split: str, *, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return each model's attention inside lungs and findings on one split, in percent.

    Returns:
        one row per image model: ``variant, curriculum, split, n_images``; ``undefined``, how many
        maps have no positive value (all seeds together; they count nowhere); ``ail`` with ``_std,
        _low, _high``; ``floor``, the AIL of a constant map (area share of the lungs), and ``lift``,
        AIL minus floor; the same with ``ail_centre``, the AIL of a Gaussian in the middle of every
        picture, and with ``ail_random``, that of the untrained network. Each lift has ``_low`` and
        ``_high``: it is taken image by image, so that it is paired over patients, and over the
        images where both sides are defined.

        ``ail_signed`` (negative values of the map kept: unbounded), ``ail_stretched`` (map
        stretched to [0, 1], as the package ``grad-cam`` does) and ``ail_of_<class>`` (map of that
        class) are the same AIL by other rules. ``n_boxed`` images show boxes around findings:
        ``box_attention`` is the attention in them, ``box_share`` their area, ``box_hit`` how often
        the map's maximum lies in one; empty without boxes.

    Raises:
        InputError: no image model has rows of ``split``.
    """
    rows = predictions[(predictions["split"] == split) & (predictions["variant"] != METADATA)]
    if rows.empty:
        raise InputError(f"predictions: no image model has rows of split {split}")
    classes = [f"{OF_CLASS}{name}" for name in metrics.class_names(rows)]
    table = []
    for (variant, curriculum), group in models_in(rows):
        defined = group[group["ail"].notna()]
        line: dict[str, Any] = {
            "variant": variant,
            "curriculum": curriculum,
            "split": split,
            "n_images": group["image_id"].nunique(),
            "undefined": len(group) - len(defined),
        }
        ail = score_model(defined, metrics.column_mean("ail"), draws=draws, seed=seed)
        line["ail"] = ail.pop("value")
        line.update({f"ail_{part}": value for part, value in ail.items()})
        for lift, (name, column) in FLOORS.items():
            line[name] = mean_percent(defined, column)
            above = defined.assign(lift=defined["ail"] - defined[column])
            found = score_model(above, metrics.column_mean("lift"), draws=draws, seed=seed)
            line[lift] = found["value"]
            line.update({f"{lift}_{part}": found[part] for part in ("low", "high")})
        for column in ("ail_signed", "ail_stretched", *classes):
            line[column] = mean_percent(defined, column)
        shown = defined[defined["box_share"].notna()]
        line["n_boxed"] = shown["image_id"].nunique()
        for column in ("box_attention", "box_share", "box_hit"):
            line[column] = mean_percent(shown, column) if len(shown) else NAN
        table.append(line)
    return pd.DataFrame(table)
