"""Intervals and tests over patients and trainings: what other ones of both would have shown.

A score rests on the patients that were tested and on the trainings that were run, and both are
samples. Radiology knows the question: readers who read the same cases. A training takes the
reader's place, and the method is that of Obuchowski & Rockette (1995) with the degrees of freedom
of Hillis (2007): the variance of a mean over R trainings is

    V = s^2 / R + C,

with s^2 the variance between the trainings' scores, and C the covariance of two trainings' scores
that comes from their common patients. Several *factors* that are independent of each other (the
trainings of two models; random networks) add their s^2 / R, and C is what they have in common.
With one training of everything, V is the variance over patients alone.

Near 0 and 1 a normal interval is wrong. A proportion has Wilson's (1927), with as many independent
images as its variance is worth (Korn & Graubard 1998: images of a patient are not independent), a
quantile of Student's t, and the lower limit of a Poisson variable where few images are on one side
(Brown, Cai & DasGupta 2001). Proportions are combined by the distances of their limits (MOVER:
Newcombe 1998; Zou & Donner 2008). ``benchmarks/coverage.py`` simulates all of them, and
:mod:`sscdl.evaluation.differences` compares models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import gammaincinv, stdtridf, stdtrit

from sscdl.errors import InputError
from sscdl.evaluation.measures import Floats, Measure, Stratum

LEVEL = 0.05
NAN = float("nan")
# Fewer images than these on one side of a proportion, and Poisson's limit is the better one.
_FEW = 5.0
# No variance is less than the one over patients alone divided by this.
_LEAST = 4


class Factor(NamedTuple):
    """Independent repetitions of something random: the trainings of a model, random networks."""

    values: Floats  # (R,), of each repetition
    influences: Floats  # (R, P)

    @property
    def between(self) -> float:
        """Return the variance of the mean that comes from the repetitions (0 if there is one)."""
        return float(self.values.var(ddof=1)) / len(self.values) if len(self.values) > 1 else 0.0

    @property
    def interaction(self) -> float:
        """Return the part of :attr:`between` that comes from patients: repetitions x patients."""
        number = len(self.values)
        if number < 2:
            return 0.0
        apart = self.influences - self.influences.mean(axis=0)
        return float((apart**2).sum()) / (number * (number - 1))


class Variance(NamedTuple):
    """Variance of an estimate over patients and repetitions, and its degrees of freedom."""

    total: float
    common: float  # what the repetitions share, as their patients are the same
    df: float


class Interval(NamedTuple):
    """A point estimate with the limits of its confidence interval (NaN where undefined)."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Score:
    """A measure of one model: mean over its trainings, all on the same patients."""

    strata: tuple[Stratum, ...]
    trainings: Factor
    others: tuple[Factor, ...] = ()  # what else is random and repeated, such as draws of labels

    @property
    def value(self) -> float:
        """Return the mean over trainings (NaN if it is undefined)."""
        return float(self.trainings.values.mean()) if len(self.trainings.values) else NAN

    @property
    def influence(self) -> Floats:
        """Return the influence of each patient on the mean, (P,)."""
        return self.trainings.influences.mean(axis=0)

    @property
    def deviation(self) -> float:
        """Return the sample standard deviation between trainings (NaN of one)."""
        values = self.trainings.values
        return float(values.std(ddof=1)) if len(values) > 1 else NAN

    def as_trained(self) -> Score:
        """Return the same score as if these trainings were the only ones."""
        mean = Factor(np.array([self.value]), self.influence[None])
        return Score(self.strata, mean)

    def variance(self) -> Variance:
        """Return the variance of the mean over patients and trainings."""
        return variance(self.influence, [self.trainings, *self.others])

    def limits(self, spread: Variance, alpha: float) -> tuple[float, float]:
        """Return the limits that leave out ``alpha`` on both sides together.

        ``spread`` is the score's variance; the degrees of freedom may be those of a comparison.
        """
        fixed = float((self.influence**2).sum())
        larger = spread.total / fixed if fixed > 0 else 1.0
        below = above = 0.0
        for part in self.strata:
            low, high = _stratum_limits(part, larger, spread.df, alpha)
            below += (part.weight * (part.value - low)) ** 2
            above += (part.weight * (high - part.value)) ** 2
        if not fixed > 0:
            # Patients say nothing, each training is of one kind: what trainings say comes on top.
            own: Any = stdtrit(spread.df, alpha / 2) ** 2 * spread.total
            below, above = below + own, above + own
        return self.value - np.sqrt(below), self.value + np.sqrt(above)

    def interval(self, level: float = LEVEL) -> Interval:
        """Return the value with its limits over patients and trainings."""
        return Interval(self.value, *self.limits(self.variance(), level))


def variance(influence: Floats, factors: Sequence[Factor]) -> Variance:
    """Return the variance of an estimate with this ``influence`` (P,), the sum of its factors'."""
    fixed = float((influence**2).sum())
    common = max(fixed - sum(one.interaction for one in factors), 0.0)
    repeated = [one for one in factors if len(one.values) > 1]
    # Where all trainings agree by chance, this may be next to nothing.
    total = max(common + sum(one.between for one in repeated), fixed / _LEAST)
    if not np.isfinite(total):
        return Variance(NAN, NAN, NAN)
    patients = max(len(influence) - 1, 1)
    twice = [len(one.values) == 2 for one in repeated]
    if any(twice) and not (len(twice) > 1 and all(twice)):
        return Variance(total, common, _df_of_two(total, common, repeated, patients))
    unsure = common**2 / patients
    unsure += sum(one.between**2 / (len(one.values) - 1) for one in repeated)
    return Variance(total, common, total**2 / unsure if unsure > 0 else float(patients))


def _df_of_two(total: float, common: float, repeated: Sequence[Factor], patients: int) -> float:
    """Return degrees of freedom where something was repeated twice, and all else more or not.

    Two repetitions that are close by chance would look like certainty. Each part of the ``total``
    keeps a quantile of its own instead (Cochran & Cox 1957), which is never too narrow; what the
    parts lack of it is counted as that of the two.
    """
    if not total > 0:
        return float(patients)
    parts = [(patients, common), *((len(one.values) - 1, one.between) for one in repeated)]
    parts.append((1, total - sum(part for _, part in parts)))
    square = sum(stdtrit(df, 1 - LEVEL / 2) ** 2 * part for df, part in parts) / total
    return float(np.clip(stdtridf(1 - LEVEL / 2, np.sqrt(square)), 1, patients))


def _stratum_limits(part: Stratum, larger: float, df: float, alpha: float) -> tuple[float, float]:
    """Return limits of a stratum whose variance is ``larger`` times that over its patients."""
    spread = float((part.influence**2).sum())
    if not np.isfinite(spread * larger) or part.patients < 2:
        return NAN, NAN
    # Of the lower tail, which tells levels apart that 1 - alpha / 2 rounds to 1.
    quantile: Any = -stdtrit(min(df, part.worth - 1), alpha / 2)
    if not part.bounded:
        half = quantile * np.sqrt(larger * spread)
        return part.value - half, part.value + half
    share = min(max(part.value, 0.0), 1.0)
    sides = share * (1 - share)
    # All alike: nothing tells how much images of a patient agree, so each patient counts once.
    told = spread > 0 and sides > 0
    worth = min(sides / spread, part.images) / larger if told else part.patients
    return 1 - _wilson_high(1 - share, worth, quantile, alpha), _wilson_high(
        share, worth, quantile, alpha
    )


def _wilson_high(share: float, worth: float, quantile: float, alpha: float) -> float:
    """Return the upper limit of a proportion that is known from ``worth`` independent images."""
    square = quantile**2 / worth
    half = quantile * np.sqrt(share * (1 - share) / worth + square / (4 * worth))
    high = (share + square / 2 + half) / (1 + square)
    others = worth * (1 - share)
    if share > 0 and 0 < others <= _FEW:
        high = max(high, 1 - gammaincinv(others, alpha) / worth)
    return float(min(high, 1.0))


def patients_of(*tables: pd.DataFrame, by: str = "patient_id") -> pd.Index:
    """Return the patients that all of these tables have, in order.

    Raises InputError if a table lacks the column or has empty cells in it, or none is in all.
    """
    found: pd.Index | None = None
    for table in tables:
        if by not in table or table[by].isna().any():
            raise InputError(
                f"predictions: column {by} is missing or has empty cells; intervals need to know "
                "which rows belong together, so fill it (with the image's own id if nothing is "
                "known)"
            )
        own = pd.Index(table[by].astype(str).unique())
        found = own if found is None else found.intersection(own)
    if found is None or (len(tables) > 1 and not len(found)):
        raise InputError(
            f"predictions: the tables to compare share no {by}; compare models on one split"
        )
    return found.sort_values()


def score(
    rows: pd.DataFrame, measure: Measure, patients: pd.Index | None = None, *, by: str = "seed"
) -> Score:
    """Return a measure of one model's rows, a repetition for each value of the column ``by``.

    ``patients`` are those that influences are told of, by default those of the rows; rows of other
    patients are left out. A repetition in which the measure is undefined makes all of it so.

    Raises:
        InputError: column patient_id is missing or has empty cells.
    """
    if patients is None:
        patients = patients_of(rows)
    codes = patients.get_indexer(pd.Index(rows["patient_id"].astype(str)))
    kept = codes >= 0
    rows, codes = rows[kept], codes[kept]
    repetitions = rows[by].to_numpy()
    parts = [
        measure(rows[chosen], codes[chosen], len(patients))
        for chosen in (repetitions == one for one in pd.unique(repetitions))
    ]
    named = {tuple(part.name for part in one) for one in parts}
    if len(named) > 1 and all(parts):
        raise InputError(
            "predictions: the trainings of one model were tested on images of different classes; "
            "delete the files of this model in predictions/ and run again"
        )
    if not parts or not all(parts):
        return Score((), Factor(np.array([NAN]), np.full((1, len(patients)), NAN)))
    strata = tuple(mean_stratum(same) for same in zip(*parts, strict=True))
    values = [sum(part.weight * part.value for part in one) for one in parts]
    influences = [np.sum([part.weight * part.influence for part in one], axis=0) for one in parts]
    return Score(strata, Factor(np.array(values), np.array(influences)))


def mean_stratum(parts: Sequence[Stratum]) -> Stratum:
    """Return the same stratum of several trainings as one, which more images are behind."""
    return parts[0]._replace(
        value=float(np.mean([part.value for part in parts])),
        influence=np.mean([part.influence for part in parts], axis=0),
        images=float(sum(part.images for part in parts)),
    )
