"""Tables that ask whether a model looks at the lungs or at how the radiograph was taken.

Two tests: :func:`shortcut` for artificial marks whose link to the label is known and can be turned
around, :func:`subgroups` for view position, sex and age. The tables' conventions (percent, seeds,
intervals) are those of :mod:`sscdl.tables.overview`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from sscdl.archives.cohorts import MARKED
from sscdl.evaluation import measures, metrics
from sscdl.evaluation.differences import compare, compare_same
from sscdl.evaluation.inference import LEVEL
from sscdl.tables.comparisons import ONE_CLASS, difference_columns, holm, untested
from sscdl.tables.overview import (
    METADATA,
    NAN,
    mean_percent,
    models_in,
    parted,
    random_percent,
    score_model,
)

VALIDATION = "val"
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
    *("difference_high", "p", "p_holm", "verdict"),
)


def _measures(rows: pd.DataFrame) -> dict[str, Any]:
    values = score_model(rows, measures.balanced_accuracy)
    return {
        "n_images": rows["image_id"].nunique(),
        "n_patients": rows["patient_id"].nunique(),
        "balanced_accuracy": values["value"],
        **{f"balanced_accuracy_{part}": values[part] for part in ("std", "low", "high")},
        "chance": 100 * metrics.chance(rows),
    }


def shortcut(predictions: pd.DataFrame) -> pd.DataFrame:
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
            line: dict[str, Any] = {"variant": variant, "curriculum": curriculum, "split": split}
            line.update(_measures(rows))
            if split != "mark_trained" and not trained.empty:
                fall = compare_same(trained, rows, measures.balanced_accuracy)
                line |= difference_columns(fall, "drop")
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


def _verdict(line: Mapping[str, Any]) -> str:
    if line["verdict"] or np.isnan(line["difference"]):
        return line["verdict"]
    if line["p_holm"] < LEVEL:
        return "beats metadata" if line["difference"] > 0 else "worse"
    return "not better than metadata"


def _baseline(predictions: pd.DataFrame, split: str) -> tuple[str, str] | None:
    """Return the metadata model to compare with: the better one on the validation images.

    Where there are none but those of ``split``, it is the better one on these, which favours it.
    """
    models = dict(models_in(predictions[predictions["variant"] == METADATA]))
    if not models:
        return None
    chosen_on = VALIDATION if (predictions["split"] == VALIDATION).any() else split
    scores = {
        name: measures.value(rows[rows["split"] == chosen_on], measures.balanced_accuracy)
        for name, rows in models.items()
    }
    known = {name: value for name, value in scores.items() if np.isfinite(value)}
    return max(known, key=known.__getitem__) if known else None


def _groups(predictions: pd.DataFrame) -> dict[str, dict[str, pd.Series]]:
    """Return which rows belong to each group, by property and name."""
    years = pd.to_numeric(predictions["age"])
    return {
        "view": {f"view {view}": predictions["view"] == view for view in VIEWS},
        "sex": {f"sex {sex}": predictions["sex"] == sex for sex in SEXES},
        "age": {name: (years >= low) & (years < high) for name, (low, high) in AGES.items()},
    }


def groups_of(predictions: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each group of images that has any, by its name, and its rows; ``all`` comes first.

    Groups are those of one view position, one sex, and patients below 40, from 40 to 59 and from 60
    years on. Images of which the property is not known belong to none of its groups.
    """
    for name, inside, _ in groups_and_rest(predictions):
        yield name, inside


def groups_and_rest(
    predictions: pd.DataFrame,
) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame | None]]:
    """Yield as :func:`groups_of`, and the rows of all other groups of the property as the third.

    That is None for ``all``, where no other group has rows, and for the second group of a property
    that has two: how they differ is one question.
    """
    if len(predictions):
        yield "all", predictions, None
    for groups in _groups(predictions).values():
        present = [name for name, mask in groups.items() if mask.any()]
        for place, name in enumerate(present):
            rest = pd.DataFrame({n: groups[n] for n in present if n != name}).any(axis=1)
            asked = len(present) > 2 or (len(present) == 2 and place == 0)
            yield name, predictions[groups[name]], predictions[rest] if asked else None


def subgroups(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return each model's accuracy over all images and within groups, beside the metadata's.

    The baseline is the metadata model that does best on the validation images, the same for all
    groups.

    Returns:
        one row per model and ``group`` (see :func:`groups_of`): ``variant, curriculum, split,
        group, n_images, n_patients, balanced_accuracy`` with ``_std, _low, _high``, ``chance``,
        ``metadata`` (the baseline's curriculum) and its ``metadata_balanced_accuracy``,
        ``difference`` (model minus baseline, percent points) with ``_low, _high``, ``p`` and
        ``p_holm``, corrected for all rows of the table, both empty with one seed; ``verdict``:
        ``beats metadata`` or ``worse`` where ``p_holm`` is below 0.05, else ``not better than
        metadata``; or why nothing was tested; empty without a baseline.
    """
    predictions = metrics.labelled(predictions)
    baseline = _baseline(predictions, split)
    lines = []
    for group, part in groups_of(metrics.rows_where(predictions, predictions["split"] == split)):
        models = dict(models_in(part))
        regression = models.get(baseline) if baseline else None
        for name, model in models.items():
            if name[0] == METADATA:
                continue
            line: dict[str, Any] = {"variant": name[0], "curriculum": name[1], "split": split}
            line |= {"group": group, **_measures(model)}
            line |= {"metadata": "", "difference": NAN, "p": NAN, "verdict": ""}
            if baseline is not None and regression is not None:
                line["metadata"] = baseline[1]
                known = measures.value(regression, measures.balanced_accuracy)
                line["metadata_balanced_accuracy"] = 100 * known
            if model["label"].nunique() < 2:
                line["verdict"] = ONE_CLASS
            elif regression is not None:
                found = compare(model, regression, measures.balanced_accuracy, fixed=True)
                line |= difference_columns(found)
                line["verdict"] = untested(found, model["label"])
                line["p"] = NAN if line["verdict"] else found.p
            lines.append(line)
    for line, p in zip(lines, holm(line["p"] for line in lines), strict=True):
        line["p_holm"] = float(p)
        line["verdict"] = _verdict(line)
    result = pd.DataFrame(lines, columns=list(SUBGROUP_COLUMNS))
    order = result.groupby(["variant", "curriculum"], sort=False).ngroup().argsort(kind="stable")
    return result.iloc[order].reset_index(drop=True)
