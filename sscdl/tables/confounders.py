"""Tables that ask whether a model looks at the lungs or at how the radiograph was taken.

Two tests: :func:`shortcut` for artificial marks whose link to the label is known and can be turned
around, :func:`subgroups` for view position, sex and age. The tables' conventions (percent, seeds,
intervals) are those of :mod:`sscdl.tables.overview`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from sscdl.archives.cohorts import MARKED
from sscdl.evaluation import metrics
from sscdl.tables.overview import (
    METADATA,
    NAN,
    mean_percent,
    models_in,
    parted,
    random_percent,
    score_model,
)

VIEWS = ("AP", "PA")
SEXES = ("F", "M")
AGES = {"age below 40": (0, 40), "age 40 to 59": (40, 60), "age 60 and above": (60, 200)}
SHORTCUT_COLUMNS = (
    *("variant", "curriculum", "split", "n_images", "n_patients", "balanced_accuracy"),
    *("balanced_accuracy_std", "balanced_accuracy_low", "balanced_accuracy_high"),
    *("drop", "drop_low", "drop_high", "chance", "ail", "ail_floor", "mark_attention"),
    *("mark_share", "ail_centre", "ail_random"),
)
SUBGROUP_COLUMNS = (
    *("variant", "curriculum", "split", "group", "n_images", "n_patients", "balanced_accuracy"),
    *("balanced_accuracy_std", "balanced_accuracy_low", "balanced_accuracy_high", "chance"),
    *("metadata", "metadata_balanced_accuracy", "difference", "difference_low"),
    *("difference_high", "p", "verdict"),
)
_BALANCED = metrics.mean_over_seeds(metrics.balanced_accuracy_statistic)


def _measures(rows: pd.DataFrame, *, draws: int, seed: int) -> dict[str, Any]:
    values = score_model(rows, metrics.balanced_accuracy_statistic, draws=draws, seed=seed)
    return {
        "n_images": rows["image_id"].nunique(),
        "n_patients": rows["patient_id"].nunique(),
        "balanced_accuracy": values["value"],
        **{f"balanced_accuracy_{part}": values[part] for part in ("std", "low", "high")},
        "chance": 100 * metrics.chance(rows),
    }


def shortcut(predictions: pd.DataFrame, *, draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return how each model fares when a mark that went with the label goes or changes sides.

    One row per model and split: ``mark_trained`` (the mark goes with the label as in training),
    ``mark_removed`` and ``mark_reversed`` (it goes with the other label). A model that reads the
    mark falls to or below chance on the last; one that reads the lungs stays.

    Returns:
        ``variant, curriculum, split, n_images, n_patients, balanced_accuracy`` with ``_std, _low,
        _high``; ``drop``, the fall in percent points from ``mark_trained``, with its paired
        interval (same patients); ``chance``; ``ail`` beside ``ail_floor`` and ``mark_attention``
        beside ``mark_share``, each the attention in a region beside that region's area share, over
        the images where both are defined; ``ail_centre`` and ``ail_random``, as in ``attention``.
        No rows if none of the splits is present.
    """
    predictions, untrained = parted(predictions)
    marked = predictions[predictions["split"].isin(MARKED)]
    table = []
    for (variant, curriculum), group in models_in(metrics.labelled(marked)):
        if variant == METADATA:
            continue
        trained = group[group["split"] == "mark_trained"]
        for split in MARKED:
            rows = group[group["split"] == split]
            if rows.empty:
                continue
            line = {"variant": variant, "curriculum": curriculum, "split": split}
            line.update(_measures(rows, draws=draws, seed=seed))
            if split != "mark_trained" and not trained.empty:
                fall = metrics.paired_difference(trained, rows, _BALANCED, draws=draws, seed=seed)
                line["drop"] = 100 * fall.estimate
                line["drop_low"], line["drop_high"] = 100 * fall.low, 100 * fall.high
            for name, floor, attention, area in (
                ("ail", "ail_floor", "ail", "lung_share"),
                ("mark_attention", "mark_share", "mark_attention", "mark_share"),
            ):
                defined = rows[rows[attention].notna() & rows[area].notna()]
                line[name] = mean_percent(defined, attention)
                line[floor] = mean_percent(defined, area)
            looked = rows[rows["ail"].notna()]
            line["ail_centre"] = mean_percent(looked, "ail_centre")
            line["ail_random"] = random_percent(untrained, variant, looked)
            table.append(line)
    return pd.DataFrame(table, columns=list(SHORTCUT_COLUMNS))


def _verdict(difference: metrics.Difference) -> str:
    if difference.low > 0:
        return "beats metadata"
    return "worse" if difference.high < 0 else "not better than metadata"


def groups_of(predictions: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each group of images that has any, by its name, and its rows; ``all`` comes first.

    Groups are those of one view position, one sex, and patients below 40, from 40 to 59 and from 60
    years on. Images of which the property is not known belong to none of its groups.
    """
    years = pd.to_numeric(predictions["age"])
    masks = {"all": pd.Series(True, index=predictions.index)}
    masks |= {f"view {view}": predictions["view"] == view for view in VIEWS}
    masks |= {f"sex {sex}": predictions["sex"] == sex for sex in SEXES}
    masks |= {name: (years >= low) & (years < high) for name, (low, high) in AGES.items()}
    for name, mask in masks.items():
        if mask.any():
            yield name, predictions[mask]


def subgroups(
    predictions: pd.DataFrame, split: str, *, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return each model's accuracy over all images and within groups, beside the metadata's.

    The baseline of a group is the metadata model with the highest balanced accuracy in that very
    group, which favours the baseline. The comparison is a paired patient bootstrap.

    Returns:
        one row per model and ``group`` (see :func:`groups_of`): ``variant, curriculum, split,
        group, n_images, n_patients, balanced_accuracy`` with ``_std, _low, _high``, ``chance``,
        ``metadata`` (the baseline's curriculum) and its ``metadata_balanced_accuracy``,
        ``difference`` (model minus baseline, percent points) with ``_low, _high``, ``p`` and
        ``verdict``: ``beats metadata`` or ``worse`` if the interval excludes zero, else ``not
        better than metadata``; ``one class only`` where there is nothing to tell apart; empty
        without a baseline.
    """
    rows = metrics.labelled(predictions[predictions["split"] == split])
    table = []
    for group, part in groups_of(rows):
        models = dict(models_in(part))
        baselines = {name: model for name, model in models.items() if name[0] == METADATA}
        scores = {name: metrics.evaluate(model, _BALANCED) for name, model in baselines.items()}
        best = max(scores, key=scores.__getitem__) if scores else None
        for name, model in models.items():
            if name in baselines:
                continue
            line = {"variant": name[0], "curriculum": name[1], "split": split, "group": group}
            line.update(_measures(model, draws=draws, seed=seed))
            line.update(metadata="", metadata_balanced_accuracy=NAN, verdict="")
            if best is not None:
                line.update(metadata=best[1], metadata_balanced_accuracy=100 * scores[best])
            if model["label"].nunique() < 2:
                line["verdict"] = "one class only"
            elif best is not None:
                found = metrics.paired_difference(
                    model, baselines[best], _BALANCED, draws=draws, seed=seed
                )
                line["difference"] = 100 * found.estimate
                line["difference_low"], line["difference_high"] = 100 * found.low, 100 * found.high
                line.update(p=found.p, verdict=_verdict(found))
            table.append(line)
    result = pd.DataFrame(table, columns=list(SUBGROUP_COLUMNS))
    order = result.groupby(["variant", "curriculum"], sort=False).ngroup().argsort(kind="stable")
    return result.iloc[order].reset_index(drop=True)
