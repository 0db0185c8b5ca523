"""Differences between models: intervals, tests, and what it would take to find one.

What :mod:`sscdl.evaluation.inference` says of one score, of the difference of two. Its limits come
from those of both scores and from how both go together over patients (MOVER: Newcombe 1998, Zou &
Donner 2008). p is the level at which the interval touches zero, so that the two cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from sscdl.evaluation.inference import (
    LEVEL,
    NAN,
    Factor,
    Interval,
    Score,
    Variance,
    patients_of,
    score,
    variance,
)
from sscdl.evaluation.measures import Measure

POWER = 0.8
# The smallest p that is told apart from zero, as a natural logarithm.
_SMALLEST = -40.0


@dataclass(frozen=True)
class Comparison:
    """The difference of two scores of the same patients, first minus second."""

    first: Score
    second: Score
    spread: Variance
    tested: bool  # whether there are trainings enough to say anything of other ones

    @property
    def value(self) -> float:
        """Return the difference."""
        return self.first.value - self.second.value

    def limits(self, alpha: float) -> tuple[float, float]:
        """Return the limits that leave out ``alpha`` on both sides together."""
        own = [one.variance()._replace(df=self.spread.df) for one in (self.first, self.second)]
        totals = [one.total for one in own]
        together = 2 * np.sqrt(totals[0] * totals[1])
        shared = sum(totals) - self.spread.total
        shared = float(np.clip(shared / together, -1, 1)) if together > 0 else 0.0
        (low_1, high_1), (low_2, high_2) = (
            score.limits(of, alpha)
            for score, of in zip((self.first, self.second), own, strict=True)
        )
        distances = [
            np.hypot(a - shared * b, b * np.sqrt(1 - shared**2))
            for a, b in (
                (self.first.value - low_1, high_2 - self.second.value),
                (high_1 - self.first.value, self.second.value - low_2),
            )
        ]
        return self.value - distances[0], self.value + distances[1]

    def as_trained(self) -> Comparison:
        """Return the difference as if these trainings were the only ones: over patients alone."""
        first, second = self.first.as_trained(), self.second.as_trained()
        return of_factors(first, second, [], tested=self.tested)

    def interval(self, level: float = LEVEL) -> Interval:
        """Return the difference with its limits."""
        return Interval(self.value, *self.limits(level))

    @cached_property
    def p(self) -> float:
        """Return the two-sided p: the level at which the interval touches zero."""
        return _touches(lambda alpha: self._excludes(alpha, 0.0, 0.0))

    def _excludes(self, alpha: float, low: float, high: float) -> bool | None:
        """Return whether the whole of [low, high] lies outside the interval; None: undefined."""
        limits = self.limits(alpha)
        return None if np.isnan(limits).any() else limits[0] > high or limits[1] < low

    def p_equivalent(self, margin: float) -> float:
        """Return p of "the difference is ``margin`` or more": two one-sided tests (1987)."""

        def within(alpha: float) -> bool | None:
            low, high = self.limits(2 * alpha)
            return None if np.isnan(low + high) else -margin < low and high < margin

        return _touches(within, most=0.5)

    @property
    def detectable(self) -> float:
        """Return about the smallest true difference that such a comparison finds 4 times in 5.

        By itself, that is, at LEVEL without correction for others. With one training of each, other
        trainings are left out of account.
        """
        low, high = self.limits(LEVEL)
        half = (high - low) / 2 / float(stdtrit(self.spread.df, 1 - LEVEL / 2))
        return _reach(self.spread.df) * max(float(np.sqrt(self.spread.total)), half)

    def another(self, level: float = LEVEL) -> tuple[float, float]:
        """Return where the difference of one further training of each would lie (NaN with one).

        On the same patients; Student's prediction interval, degrees of freedom after Welch.
        """
        parts = [score.trainings for score in (self.first, self.second)]
        if any(len(one.values) < 2 for one in parts):
            return NAN, NAN
        single = sum(one.between * (len(one.values) + 1) for one in parts)
        unsure = sum(
            (one.between * (len(one.values) + 1)) ** 2 / (len(one.values) - 1) for one in parts
        )
        if not unsure > 0:
            return self.value, self.value
        half = stdtrit(single**2 / unsure, 1 - level / 2) * np.sqrt(single)
        return self.value - half, self.value + half

    def trainings_for(self, difference: float, most: int = 100) -> int | None:
        """Return about how many trainings of each find a true ``difference`` four times in five.

        As :attr:`detectable`, without correction; it is as rough as what few trainings say of more.
        None where no number up to ``most`` does with these patients, or nothing is known of other
        trainings.
        """
        parts = [score.trainings for score in (self.first, self.second)]
        if not self.tested or not self.spread.total > 0:
            return None
        once = [max(one.between, one.interaction) * len(one.values) for one in parts]
        for number in range(2, most + 1):
            between = sum(once) / number
            total = between + self.spread.common
            unsure = sum(one**2 for one in once) / number**2 / (number - 1)
            df = total**2 / unsure if unsure > 0 else 1e6
            if _reach(df) * np.sqrt(total) <= difference:
                return number
        return None


def _reach(df: float) -> float:
    """Return how many standard errors a difference must have to be found with POWER at LEVEL."""
    return float(stdtrit(df, 1 - LEVEL / 2) + stdtrit(df, POWER))


def _touches(excludes: Callable[[float], bool | None], most: float = 1.0) -> float:
    """Return the smallest level, up to ``most``, at which ``excludes(level)`` holds, by halving."""
    if excludes(most * (1 - 1e-9)) is None:
        return NAN
    low, high = _SMALLEST, float(np.log(most))
    if not excludes(most * (1 - 1e-9)):
        return most
    for _ in range(45):
        middle = (low + high) / 2
        if excludes(float(np.exp(middle))):
            high = middle
        else:
            low = middle
    return float(np.exp(high))


def compare(
    first: pd.DataFrame, second: pd.DataFrame, measure: Measure, *, fixed: bool = False
) -> Comparison:
    """Return the difference in ``measure`` of two models, over the patients that both tested.

    Their trainings count as independent of each other. Those of one seed that share a part of
    their curriculum are more alike than that, which makes the interval wider than it had to be.
    ``fixed`` says that the second is not trained from random weights, such as a rule or a
    regression, and would come out alike again.

    Raises:
        InputError: column patient_id is missing or has empty cells, or no patient is in both.
    """
    patients = patients_of(first, second)
    scores = score(first, measure, patients), score(second, measure, patients)
    number = [len(one.trainings.values) for one in scores]
    tested = number[0] > 1 and (fixed or number[1] > 1)
    return of_factors(*scores, [one.trainings for one in scores], tested=tested)


def compare_same(first: pd.DataFrame, second: pd.DataFrame, measure: Measure) -> Comparison:
    """Return the difference in ``measure`` of the same trainings, tested on two sets of images.

    Only seeds and patients count that both tables have. Raises InputError as :func:`compare` does.
    """
    return _of_same(first, second, measure, patients_of(first, second))


def compare_groups(first: pd.DataFrame, second: pd.DataFrame, measure: Measure) -> Comparison:
    """Return the difference in ``measure`` of the same trainings between two groups of images.

    Only seeds count that both tables have, and all patients: those of one group are others than
    those of the other, or some have images in both. Raises InputError as :func:`compare` does.
    """
    patients = patients_of(first).union(patients_of(second))
    return _of_same(first, second, measure, patients)


def _of_same(
    first: pd.DataFrame, second: pd.DataFrame, measure: Measure, patients: pd.Index
) -> Comparison:
    """Return the difference of the same trainings, over ``patients``."""
    seeds = set(first["seed"]) & set(second["seed"])
    first, second = (
        rows[rows["seed"].isin(seeds)].sort_values("seed", kind="stable")
        for rows in (first, second)
    )
    scores = score(first, measure, patients), score(second, measure, patients)
    own = [one.trainings for one in scores]
    falls = Factor(own[0].values - own[1].values, own[0].influences - own[1].influences)
    return of_factors(*scores, [falls], tested=len(falls.values) > 1)


def of_factors(first: Score, second: Score, factors: list[Factor], *, tested: bool) -> Comparison:
    """Return the difference of two scores of the same patients, which ``factors`` make vary."""
    spread = variance(first.influence - second.influence, factors)
    return Comparison(first, second, spread, tested)
