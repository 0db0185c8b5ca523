"""Comparisons between models of one variant: which differences are more than chance.

The thesis compares single numbers. Here every model is compared with no pretraining (``scratch``),
with ``imagenet``, and with what its own first task gives alone: the three questions that the thesis
and the paper it follows ask. All pairs would be 276 for its 24 models, and a correction for so many
would hide what these 63 show.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

from sscdl import metrics
from sscdl.tables import METADATA, models_in
from sscdl.thesis_names import first_task
from sscdl.trie import SCRATCH

IMAGENET = "imagenet"
LEVEL = 0.05
COLUMNS = (
    *("variant", "curriculum", "against", "n_images", "n_patients", "n_seeds"),
    *("balanced_accuracy", "balanced_accuracy_against", "difference", "difference_low"),
    *("difference_high", "only_model", "only_against", "p_mcnemar", "p_holm", "verdict"),
    "chance",
)
NOTES = (
    "p_mcnemar: McNemar's exact test on the images that only one of the two gets right; it counts "
    "images, not classes. p_holm: corrected after Holm for all comparisons of the variant.",
    "verdict: better or worse where the interval excludes zero and p_holm is below 0.05.",
    "Interval and test are about the choice of patients and images. How much another training "
    "would differ, only several seeds tell.",
)
_BALANCED = metrics.mean_over_seeds(metrics.balanced_accuracy_statistic)


class Discordance(NamedTuple):
    """Images that only one of two models gets right, and the exact two-sided p of McNemar."""

    only_first: int
    only_second: int
    p: float


def references(curriculum: str, available: Iterable[str]) -> list[str]:
    """Return what a curriculum is compared with, of the models that are available."""
    wanted = [SCRATCH, IMAGENET, first_task(curriculum)]
    if curriculum == SCRATCH:
        return []
    return [name for name in wanted if name != curriculum and name in set(available)]


def difference_to(first: pd.DataFrame, second: pd.DataFrame, *, draws: int, seed: int) -> dict:
    """Return the difference in balanced accuracy, percent points, with its paired interval.

    Returns:
        ``value, low, high`` and ``patients``, how many both tables have.
    """
    found = metrics.paired_difference(first, second, _BALANCED, draws=draws, seed=seed)
    percent = {"value": found.estimate, "low": found.low, "high": found.high}
    return {key: 100 * value for key, value in percent.items()} | {"patients": found.patients}


def mcnemar(first: pd.DataFrame, second: pd.DataFrame) -> Discordance:
    """Return McNemar's exact test (1947) of two models on the images that both predicted.

    Each image counts once: for the model that gets it right with the larger share of its seeds.
    With one seed each this is McNemar's test; with more, the sign test that it becomes.
    """
    shares = [
        (rows["label"] == rows["predicted"]).groupby(rows["image_id"]).mean()
        for rows in (first, second)
    ]
    both = pd.concat(shares, axis=1, join="inner").to_numpy()
    only_first = int((both[:, 0] > both[:, 1]).sum())
    only_second = int((both[:, 0] < both[:, 1]).sum())
    if only_first + only_second == 0:
        return Discordance(0, 0, 1.0)
    p = binomtest(only_first, only_first + only_second, 0.5).pvalue
    return Discordance(only_first, only_second, float(p))


def holm(p_values: Iterable[float]) -> NDArray[np.float64]:
    """Return p values corrected for their number after Holm (1979), in the given order."""
    p = np.asarray(list(p_values), dtype=float)
    order = np.argsort(p, kind="stable")
    steps = p[order] * np.arange(len(p), 0, -1)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def with_verdicts(family: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the lines of :func:`compared` that belong together with ``p_holm`` and ``verdict``."""
    corrected = holm(line["p_mcnemar"] for line in family)
    lines = [line | {"p_holm": float(p)} for line, p in zip(family, corrected, strict=True)]
    return [line | {"verdict": _verdict(line)} for line in lines]


def _verdict(line: Mapping[str, Any]) -> str:
    """Return "better" or "worse" if interval and corrected test agree on it, else "not shown"."""
    if line["p_holm"] < LEVEL:
        if line["difference_low"] > 0 and line["only_model"] > line["only_against"]:
            return "better"
        if line["difference_high"] < 0 and line["only_model"] < line["only_against"]:
            return "worse"
    return "not shown"


def comparisons(
    predictions: pd.DataFrame, split: str, *, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return each model compared with scratch, with imagenet and with its first task alone.

    Returns:
        one row per comparison: ``variant, curriculum, against``, how many images, patients and
        seeds (the fewer of both) it is made of; both balanced accuracies and their ``difference``
        in percent points with the interval of a paired bootstrap over patients; ``only_model`` and
        ``only_against``, images that one of the two gets right and the other does not; the exact p
        of McNemar, and ``p_holm``, corrected for all comparisons of the variant; ``verdict``:
        ``better`` or ``worse`` where the interval excludes zero and ``p_holm`` is below 0.05, else
        ``not shown``; ``chance``, the accuracy of guessing. No rows where there is nothing to
        compare with.
    """
    rows = metrics.labelled(predictions[predictions["split"] == split])
    groups = {name: group for name, group in models_in(rows) if name[0] != METADATA}
    table: list[dict[str, Any]] = []
    for variant in dict.fromkeys(name for name, _ in groups):
        models = {name: group for (of, name), group in groups.items() if of == variant}
        family = [
            {"variant": variant, "curriculum": name, "against": other}
            | compared(models[name], models[other], draws=draws, seed=seed)
            for name in models
            for other in references(name, models)
        ]
        table += with_verdicts(family)
    return pd.DataFrame(table, columns=list(COLUMNS))


def compared(model: pd.DataFrame, other: pd.DataFrame, *, draws: int, seed: int) -> dict[str, Any]:
    """Return the measures of one comparison, over the images that both models predicted.

    ``model`` and ``other`` are labelled predictions that share images. The result has the columns
    from ``n_images`` to ``p_mcnemar`` that :func:`comparisons` describes, and ``chance``.
    """
    shared = set(model["image_id"]) & set(other["image_id"])
    model, other = (part[part["image_id"].isin(shared)] for part in (model, other))
    found = difference_to(model, other, draws=draws, seed=seed)
    test = mcnemar(model, other)
    return {
        "n_images": len(shared),
        "n_patients": found["patients"],
        "n_seeds": min(model["seed"].nunique(), other["seed"].nunique()),
        "balanced_accuracy": 100 * metrics.evaluate(model, _BALANCED),
        "balanced_accuracy_against": 100 * metrics.evaluate(other, _BALANCED),
        "difference": found["value"],
        "difference_low": found["low"],
        "difference_high": found["high"],
        "only_model": test.only_first,
        "only_against": test.only_second,
        "p_mcnemar": test.p,
        "chance": 100 * metrics.chance(model["label"]),
    }
