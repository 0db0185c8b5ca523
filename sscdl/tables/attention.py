"""Table of where the models look, beside what would score without looking at the image.

The conventions (percent, seeds, intervals) are those of :mod:`sscdl.tables.overview`; the measures
are those of :func:`sscdl.evaluation.attention_scores.score_maps`.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from sscdl.errors import InputError
from sscdl.evaluation import measures, metrics
from sscdl.evaluation.differences import of_factors
from sscdl.evaluation.inference import patients_of, score
from sscdl.evaluation.prediction_files import NETWORK, OF_CLASS
from sscdl.tables.comparisons import difference_columns
from sscdl.tables.overview import (
    NAN,
    mean_percent,
    models_in,
    of_images,
    parted,
    score_model,
    score_share,
)

# Attention in the lungs that needs no network, and what the models have above it.
FLOORS = {"lift": ("floor", "lung_share"), "lift_centre": ("ail_centre", "ail_centre")}


def attention(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return each model's attention inside lungs and findings on one split, in percent.

    Returns:
        one row per image model: ``variant, curriculum, split, n_images``; ``undefined``, how many
        maps have no positive value (all seeds together; they count nowhere); ``ail`` with ``_std,
        _low, _high``; ``floor``, the AIL of a constant map (area share of the lungs), and ``lift``,
        AIL minus floor; the same with ``ail_centre``, the AIL of a Gaussian in the middle of every
        picture. ``ail_random``, the mean over images and untrained networks, with ``_std`` between
        these networks (each one's mean over images), and ``lift_random``, AIL minus that. Each lift
        has ``_low`` and ``_high``, paired over patients, over the images where both sides are
        defined; that of ``lift_random`` is over networks, too. ``ail_contrast,
        ail_contrast_random`` and ``lift_contrast_random`` are the same of the map of the predicted
        class minus the mean of the other classes'
        (:func:`sscdl.evaluation.attention.contrast_map`).

        ``ail_signed`` (negative values of the map kept: unbounded), ``ail_stretched`` (map
        stretched to [0, 1], as the package ``grad-cam`` does) and ``ail_of_<class>`` (map of that
        class) are the same AIL by other rules. ``n_boxed`` images show boxes around findings:
        ``box_attention`` is the attention in them, ``box_share`` their area, ``box_hit`` how often
        the map's maximum lies in one; empty without boxes.

    Args:
        predictions: those of the models, and with the column ``network`` those of the untrained
            networks (:mod:`sscdl.evaluation.untrained`).
        split: the images that count.

    Raises:
        InputError: no image model has rows of ``split``, or a variant's has none of untrained
            networks beside it.
    """
    predictions, untrained = parted(predictions)
    rows = of_images(predictions, split)
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
            **inside_lungs(group, untrained),
        }
        line |= _scored(group, "ail_contrast")
        line |= _above_untrained(group, untrained, "ail_contrast")
        for column in ("ail_signed", "ail_stretched", *classes):
            line[column] = mean_percent(defined, column)
        shown = defined[defined["box_share"].notna()]
        line["n_boxed"] = shown["image_id"].nunique()
        for column in ("box_attention", "box_share", "box_hit"):
            line[column] = mean_percent(shown, column) if len(shown) else NAN
        table.append(line)
    return pd.DataFrame(table)


def inside_lungs(rows: pd.DataFrame, untrained: pd.DataFrame) -> dict[str, float]:
    """Return what one model's ``ail`` on one split is, beside all that needs no model.

    The columns of :func:`attention` from ``undefined`` to ``lift_random_high``. InputError as
    :func:`beside_untrained`.
    """
    defined = rows[rows["ail"].notna()]
    line = {"undefined": len(rows) - len(defined), **_scored(defined, "ail")}
    for lift, (name, column) in FLOORS.items():
        line[name] = mean_percent(defined, column)
        above = defined.assign(lift=defined["ail"] - defined[column])
        found = score_model(above, measures.mean_of("lift"))
        line[lift] = found["value"]
        line.update({f"{lift}_{part}": found[part] for part in ("low", "high")})
    return line | _above_untrained(rows, untrained, "ail")


def beside_untrained(
    rows: pd.DataFrame, untrained: pd.DataFrame, column: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what a model's ``column`` is to be compared with, image by image.

    Args:
        rows: those of one model on one split, of any number of seeds.
        untrained: those of the untrained networks, of any variants and splits.
        column: ``ail`` or ``ail_contrast``.

    Returns:
        the model's rows, and the untrained networks' of the same variant, split and images (one
        for each network, by the column ``network``): those of the images where both have a value
        in ``column``.

    Raises:
        InputError: there are no untrained networks of this variant and split.
    """
    variant, split = rows["variant"].iloc[0], rows["split"].iloc[0]
    others = untrained[(untrained["variant"] == variant) & (untrained["split"] == split)]
    if others.empty:
        raise InputError(
            f"predictions/untrained: no network of variant {variant} on split {split}; run the "
            "workflow again"
        )
    rows, others = rows[rows[column].notna()], others[others[column].notna()]
    return (
        rows[rows["image_id"].isin(others["image_id"])],
        others[others["image_id"].isin(rows["image_id"])],
    )


def _above_untrained(rows: pd.DataFrame, untrained: pd.DataFrame, column: str) -> dict[str, float]:
    """Return the mean of the untrained networks, its deviation between them, and the lift."""
    rows, others = beside_untrained(rows, untrained, column)
    lift = f"lift{column.removeprefix('ail')}_random"
    if rows.empty:
        names = (f"{column}_random", f"{column}_random_std", lift, f"{lift}_low", f"{lift}_high")
        return dict.fromkeys(names, NAN)
    patients = patients_of(rows, others)
    measure = measures.mean_of(column)
    model = score(rows, measure, patients)
    random = score(others, measure, patients, by=NETWORK)
    above = of_factors(model, random, [model.trainings, random.trainings], tested=True)
    return {
        f"{column}_random": 100 * random.value,
        f"{column}_random_std": 100 * random.deviation,
        **difference_columns(above, lift),
    }


def _scored(rows: pd.DataFrame, column: str) -> dict[str, float]:
    """Return the mean of a column, its deviation between seeds and its interval."""
    rows = rows[rows[column].notna()]
    found = score_share(rows, column)
    return {column: found.pop("value")} | {f"{column}_{key}": each for key, each in found.items()}
