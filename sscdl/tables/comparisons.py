"""Comparisons between models of one variant: which differences are more than chance.

The thesis compares single numbers. Here every model is compared with no pretraining (``scratch``),
with ``imagenet``, and with what its own first task gives alone: the three questions that the thesis
and the paper it follows ask. All pairs would be 276 for its 24 models, and a correction for so many
would hide what these 63 show.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sscdl.evaluation import metrics
from sscdl.study.thesis import references
from sscdl.tables.overview import METADATA, models_in

LEVEL = 0.05
COLUMNS = (
    *("variant", "curriculum", "against", "n_images", "n_patients", "n_seeds"),
    *("balanced_accuracy", "balanced_accuracy_against", "difference", "difference_low"),
    *("difference_high", "only_model", "only_against", "p_permutation", "p_holm", "verdict"),
    "chance",
)
NOTES = (
    "only_model, only_against: images that one gets right with a larger share of its seeds than "
    "the other. p_permutation: exact permutation test of all that is right, each patient's results "
    "of the two exchanged or not (with one seed and one image a patient, McNemar's test); it "
    "counts images, not classes. p_holm: corrected after Holm for all comparisons of the variant.",
    "verdict: better or worse where the interval excludes zero and p_holm is below 0.05.",
    "Interval and test are about the choice of patients and images. How much another training "
    "would differ, only several seeds tell.",
)
_BALANCED = metrics.mean_over_seeds(metrics.balanced_accuracy_statistic)


class PairedTest(NamedTuple):
    """Images that one of two models gets right more often, and whether that is more than chance."""

    only_first: int
    only_second: int
    gain: float  # what the first gets right beyond the second, in images
    p: float  # two-sided


def difference_to(first: pd.DataFrame, second: pd.DataFrame, *, draws: int, seed: int) -> dict:
    """Return the difference in balanced accuracy, percent points, with its paired interval.

    Returns:
        ``value, low, high`` and ``patients``, how many both tables have.
    """
    found = metrics.paired_difference(first, second, _BALANCED, draws=draws, seed=seed)
    percent = {"value": found.estimate, "low": found.low, "high": found.high}
    return {key: 100 * value for key, value in percent.items()} | {"patients": found.patients}


def permutation_test(first: pd.DataFrame, second: pd.DataFrame) -> PairedTest:
    """Return the exact paired permutation test of two models on the images that both predicted.

    Were the models alike, each patient's results of the two could be exchanged: the difference of a
    patient's sums of right predictions (of each image, the share of the seeds) could as well have
    the other sign (Fisher 1935). p is the share of all choices of signs whose total is at least as
    far from zero. With one seed each and one image a patient this is McNemar's exact test (1947);
    images of a patient, which are not independent, keep together, and so do seeds.
    """
    keys = ["patient_id", "image_id"]
    rights = [
        rows.assign(right=rows["label"] == rows["predicted"]).groupby(keys)["right"]
        for rows in (first, second)
    ]
    counts = pd.concat([part.agg(["sum", "count"]) for part in rights], axis=1, join="inner")
    sums, sizes = counts["sum"].to_numpy(), counts["count"].to_numpy()
    # In whole numbers, so that totals that are alike are found to be.
    scale = math.lcm(*np.unique(sizes).tolist())
    gains = (sums * (scale // sizes)) @ np.array([1, -1])
    by_patient = pd.Series(gains, index=counts.index).groupby(level="patient_id").sum()
    return PairedTest(
        int((gains > 0).sum()),
        int((gains < 0).sum()),
        float(gains.sum() / scale),
        _exact_p(by_patient.abs().to_numpy(), abs(int(gains.sum()))),
    )


def _exact_p(sizes: NDArray[np.int64], total: int) -> float:
    """Return how likely signed ``sizes`` sum to at least ``total`` in size if signs are random."""
    chances = np.ones(1)  # of each sum, from the least to the largest in steps of 1
    for size in sizes[sizes > 0]:
        chances = np.pad(chances, (0, 2 * size)) / 2 + np.pad(chances, (2 * size, 0)) / 2
    sums = np.arange(len(chances)) - len(chances) // 2
    return min(1.0, float(chances[np.abs(sums) >= total].sum()))


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
    corrected = holm(line["p_permutation"] for line in family)
    lines = [line | {"p_holm": float(p)} for line, p in zip(family, corrected, strict=True)]
    return [line | {"verdict": _verdict(line)} for line in lines]


def _verdict(line: Mapping[str, Any]) -> str:
    """Return "better" or "worse" if interval and corrected test agree on it, else "not shown"."""
    if line["p_holm"] < LEVEL:
        if line["difference_low"] > 0 and line["gain"] > 0:
            return "better"
        if line["difference_high"] < 0 and line["gain"] < 0:
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
        ``only_against``, images that one of the two gets right with a larger share of its seeds;
        ``p_permutation`` of :func:`permutation_test`, and ``p_holm``, corrected for all comparisons
        of the variant; ``verdict``:
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
    from ``n_images`` to ``p_permutation`` that :func:`comparisons` describes, ``chance``, and
    ``gain`` (:class:`PairedTest`).
    """
    shared = set(model["image_id"]) & set(other["image_id"])
    model, other = (part[part["image_id"].isin(shared)] for part in (model, other))
    found = difference_to(model, other, draws=draws, seed=seed)
    test = permutation_test(model, other)
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
        "gain": test.gain,
        "p_permutation": test.p,
        "chance": 100 * metrics.chance(model),
    }
