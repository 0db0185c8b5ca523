"""Table of models that are shown the pictures of another variant than they were trained on.

A model that was trained on full images and keeps its accuracy where only the lungs are left does
not need what was taken away, but may read the outline of the cut, which what was taken away has
shaped. One that falls to chance has read what was taken away, or is put off by the cut itself: read
the table in both directions. The conventions (percent, seeds, intervals) are those of
:mod:`sscdl.tables.overview`.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from sscdl.errors import InputError
from sscdl.evaluation import measures, metrics
from sscdl.evaluation.differences import compare_same
from sscdl.tables.comparisons import difference_columns
from sscdl.tables.overview import (
    mean_percent,
    models_in,
    of_images,
    parted,
    random_percent,
    score_model,
)

COLUMNS = (
    *("variant", "curriculum", "shown", "split", "n_images", "n_patients", "balanced_accuracy"),
    *("balanced_accuracy_std", "balanced_accuracy_low", "balanced_accuracy_high"),
    *("drop", "drop_low", "drop_high", "chance", "ail", "ail_floor", "ail_centre", "ail_random"),
)


def cross_variants(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return how each model fares on the pictures of every variant, one row each.

    Args:
        predictions: those of every model on its own variant, and those with the column ``shown``
            that :func:`sscdl.evaluation.predict.predict_shown` wrote; where it is empty or missing,
            the model was shown its own variant; and with the column ``network`` those of untrained
            networks.
        split: the images that count.

    Returns:
        ``variant`` (trained on), ``curriculum, shown, split, n_images, n_patients,
        balanced_accuracy`` with ``_std, _low, _high``; ``drop``, the fall in percent points from
        the model's own variant, with its paired interval (same patients; empty for the own
        variant); ``chance``; ``ail`` and ``ail_floor``, the attention inside the lungs and their
        share of the picture, both in the pictures shown, over the images where AIL is defined;
        ``ail_centre`` and ``ail_random``, as in ``attention``. The own variant comes first, the
        others in order of appearance.

    Raises:
        InputError: a model was shown other variants, but not its own.
    """
    predictions, untrained = parted(predictions)
    rows = of_images(predictions, split)
    shown = rows["shown"] if "shown" in rows else pd.Series("", index=rows.index)
    own = shown.isna() | (shown == "")
    rows = metrics.labelled(rows.assign(shown=shown.where(~own, rows["variant"])))
    table = []
    for (variant, curriculum), group in models_in(rows):
        parts = {str(shown): part for shown, part in group.groupby("shown", sort=False)}
        if variant not in parts:
            raise InputError(
                f"predictions: {curriculum} trained on {variant} was shown "
                f"{', '.join(parts)}, but not {variant}; give its own predictions as well"
            )
        trained = parts.pop(variant)
        for name, part in {variant: trained, **parts}.items():
            table.append(
                {
                    "variant": variant,
                    "curriculum": curriculum,
                    "shown": name,
                    "split": split,
                    **_scores(part, name, untrained),
                }
            )
            if name != variant:
                both = set(trained["image_id"]) & set(part["image_id"])
                same, other = (rows[rows["image_id"].isin(both)] for rows in (trained, part))
                fall = compare_same(same, other, measures.balanced_accuracy)
                table[-1] |= difference_columns(fall, "drop")
    return pd.DataFrame(table, columns=list(COLUMNS))


def _scores(rows: pd.DataFrame, shown: str, untrained: pd.DataFrame) -> dict[str, Any]:
    score = score_model(rows, measures.balanced_accuracy)
    defined = rows[rows["ail"].notna()]
    return {
        "n_images": rows["image_id"].nunique(),
        "n_patients": rows["patient_id"].nunique(),
        "balanced_accuracy": score["value"],
        **{f"balanced_accuracy_{part}": score[part] for part in ("std", "low", "high")},
        "chance": 100 * metrics.chance(rows),
        "ail": mean_percent(defined, "ail"),
        "ail_floor": mean_percent(defined, "lung_share"),
        "ail_centre": mean_percent(defined, "ail_centre"),
        "ail_random": random_percent(untrained, shown, defined),
    }
