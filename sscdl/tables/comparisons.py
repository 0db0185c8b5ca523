"""Comparisons between models of one variant: which differences are more than chance.

The thesis compares single numbers. Here every model is compared with no pretraining (``scratch``),
with ``imagenet``, and with what its own first task gives alone: the three questions that the thesis
and the paper it follows ask. All pairs would be 276 for its 24 models, and a correction for so many
would hide what these 63 show.

Difference, interval and p are of one quantity, balanced accuracy, and of one method
(:mod:`sscdl.evaluation.differences`): over patients and over trainings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sscdl.evaluation import measures, metrics
from sscdl.evaluation.differences import Comparison, compare
from sscdl.evaluation.inference import LEVEL
from sscdl.study.thesis import references
from sscdl.tables.overview import METADATA, models_in, of_split

MARGIN = 5.0  # percent points
BETTER, WORSE, EQUIVALENT = "better", "worse", "equivalent"
NOT_SHOWN, ONE_TRAINING = "not shown", "one training: not tested"
TOO_FEW, ONE_CLASS = "too few patients", "one class only"
COLUMNS = (
    *("variant", "curriculum", "against", "n_images", "n_patients", "n_seeds"),
    *("balanced_accuracy", "balanced_accuracy_against", "difference", "difference_low"),
    *("difference_high", "patients_low", "patients_high", "another_low", "another_high"),
    *("only_model", "only_against", "p", "p_holm", "p_equivalent", "verdict"),
    *("detectable", "margin", "seeds_needed", "chance"),
)


def notes(too_few: str) -> tuple[str, ...]:
    """Return what is to be said of the columns of any comparisons.

    ``too_few`` says, as the end of a sentence, where there are too few patients to compare.
    """
    return (
        "difference_low, difference_high: over patients and trainings; with one seed over patients "
        "alone. patients: over patients alone, as if these trainings were the only ones. another: "
        "where the difference of one further training of both would lie on the same patients.",
        "p: the level at which the interval over patients and trainings touches zero. p_holm: "
        "corrected after Holm for all comparisons of this table. p_equivalent: of a true "
        "difference of margin points or more, either way, corrected alike.",
        "verdict: better or worse where p_holm is below 0.05; equivalent where p_equivalent is; "
        "with one seed nothing is tested, as another training might turn the difference round. too "
        f"few patients: {too_few}.",
        "detectable: about the true difference that such a comparison by itself finds four times "
        "in five, without correction for the others. seeds_needed: about how many trainings of "
        "each model make that margin points, as far as these few tell; empty where more trainings "
        "of any number do not with these patients, or one training tells nothing.",
    )


NOTES = (
    *notes("a class is that of a single one"),
    "only_model, only_against: images that one gets right with a larger share of its seeds.",
)


def holm(p_values: Iterable[float]) -> NDArray[np.float64]:
    """Return p values corrected for their number after Holm (1979), in the given order.

    Those that are NaN stay so, and do not count.
    """
    p = np.asarray(list(p_values), dtype=float)
    order = np.argsort(p, kind="stable")[: np.isfinite(p).sum()]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected = np.full_like(p, np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def with_verdicts(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the lines of :func:`compared` of a table, corrected for their number and judged."""
    for column, corrected in (("p", "p_holm"), ("p_equivalent", "p_equivalent")):
        values = holm(line[column] for line in lines)
        lines = [line | {corrected: float(p)} for line, p in zip(lines, values, strict=True)]
    return [line | {"verdict": _verdict(line)} for line in lines]


def untested(found: Comparison, labels: pd.Series) -> str:
    """Return why a comparison of models on images of these labels is not tested, '' if it is."""
    return ONE_CLASS if labels.nunique() < 2 else untested_in_any_case(found)


def untested_in_any_case(found: Comparison) -> str:
    """Return why a comparison is not tested whatever its images are, '' if it is."""
    if not found.tested:
        return ONE_TRAINING
    return TOO_FEW if np.isnan(found.p) else ""


def _verdict(line: Mapping[str, Any]) -> str:
    if line["verdict"]:
        return line["verdict"]
    if line["p_holm"] < LEVEL:
        return BETTER if line["difference"] > 0 else WORSE
    return EQUIVALENT if line["p_equivalent"] < LEVEL else NOT_SHOWN


def comparisons(predictions: pd.DataFrame, split: str, *, margin: float = MARGIN) -> pd.DataFrame:
    """Return each model compared with scratch, with imagenet and with its first task alone.

    Args:
        predictions: those of the models.
        split: the images that count.
        margin: the smallest difference that matters, in percent points.

    Returns:
        one row per comparison: ``variant, curriculum, against``, how many images, patients and
        seeds (the fewer of both) it is made of; both balanced accuracies and their ``difference``
        in percent points; its limits over patients and trainings, over patients alone
        (``patients_low, patients_high``), and those of one further training of both
        (``another_low, another_high``, empty with one seed); ``only_model`` and ``only_against``,
        images that one of the two gets right with a larger share of its seeds; ``p``, ``p_holm``
        and ``p_equivalent``, the last two corrected for all rows, all empty with one seed;
        ``verdict``: ``better``, ``worse``, ``equivalent``, ``not shown``, or why nothing was
        tested; ``detectable`` and ``seeds_needed`` (:class:`sscdl.evaluation.differences.
        Comparison`) with the ``margin`` that they are about; ``chance``, the accuracy of guessing.
        No rows where there is nothing to compare with.
    """
    lines = with_references(of_split(predictions, split), partial(compared, margin=margin))
    return pd.DataFrame(lines, columns=list(COLUMNS))


def with_references(
    rows: pd.DataFrame, compared: Callable[[pd.DataFrame, pd.DataFrame], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return a line for each model and each that it is compared with, corrected and judged.

    ``rows`` are those that count; ``compared`` returns the columns of a comparison of two models'
    rows.
    """
    groups = {name: group for name, group in models_in(rows) if name[0] != METADATA}
    lines: list[dict[str, Any]] = []
    for variant in dict.fromkeys(name for name, _ in groups):
        models = {name: group for (of, name), group in groups.items() if of == variant}
        lines += [
            {"variant": variant, "curriculum": name, "against": other}
            | compared(models[name], models[other])
            for name in models
            for other in references(name, models)
        ]
    return with_verdicts(lines)


def compared(model: pd.DataFrame, other: pd.DataFrame, *, margin: float) -> dict[str, Any]:
    """Return the measures of one comparison, over the images that both models predicted.

    ``model`` and ``other`` are labelled predictions that share images. The result has the columns
    from ``n_images`` on that :func:`comparisons` describes, before any correction.
    """
    model, other = of_shared(model, other)
    found = compare(model, other, measures.balanced_accuracy)
    first, second = _shares_right(model).align(_shares_right(other))
    return {
        **counts(model, other),
        "balanced_accuracy": 100 * found.first.value,
        "balanced_accuracy_against": 100 * found.second.value,
        "only_model": int((first > second).sum()),
        "only_against": int((first < second).sum()),
        **comparison_columns(found, untested(found, model["label"]), margin=margin),
        "chance": 100 * metrics.chance(model),
    }


def of_shared(model: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of two models that are of images which both predicted."""
    shared = set(model["image_id"]) & set(other["image_id"])
    return model[model["image_id"].isin(shared)], other[other["image_id"].isin(shared)]


def counts(model: pd.DataFrame, other: pd.DataFrame) -> dict[str, int]:
    """Return how much a comparison of two models is made of, whose images are the same."""
    return {
        "n_images": model["image_id"].nunique(),
        "n_patients": model["patient_id"].nunique(),
        "n_seeds": min(model["seed"].nunique(), other["seed"].nunique()),
    }


def comparison_columns(found: Comparison, why: str, *, margin: float) -> dict[str, Any]:
    """Return what any comparison says, in percent points, before any correction.

    ``why`` says why it is not tested, and is empty if it is; ``margin`` is the smallest difference
    that matters.
    """
    alone, another = found.as_trained().interval(), found.another()
    return {
        **difference_columns(found),
        "patients_low": 100 * alone.low,
        "patients_high": 100 * alone.high,
        "another_low": 100 * another[0],
        "another_high": 100 * another[1],
        "p": np.nan if why else found.p,
        "p_equivalent": np.nan if why else found.p_equivalent(margin / 100),
        "verdict": why,
        "detectable": 100 * found.detectable,
        "margin": margin,
        "seeds_needed": found.trainings_for(margin / 100) or np.nan,
    }


def difference_columns(found: Comparison, name: str = "difference") -> dict[str, float]:
    """Return a difference in percent points with its limits, as columns called ``name``."""
    values = zip(("", "_low", "_high"), found.interval(), strict=True)
    return {f"{name}{part}": 100 * value for part, value in values}


def _shares_right(rows: pd.DataFrame) -> pd.Series:
    """Return the share of the trainings that are right, by image."""
    right = rows["predicted"] == rows["label"]
    return right.groupby(rows["image_id"]).mean()
