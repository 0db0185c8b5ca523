"""What near-duplicates mean for a study: who stays together, and what stands in its recipes.

The standard library alone: it is asked each time the workflow is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sscdl.archives.cohorts import MAIN
from sscdl.recipe import fingerprint
from sscdl.records import NEAR_DUPLICATES, read_record

TOGETHER, ASIDE, IGNORE = "together", "aside", "ignore"
NEARLY = "nearly the same picture as"  # in remarks, as exact copies are "the same picture as"


class Effect(NamedTuple):
    """What pairs change in a study: members of groups and the group that each is in.

    ``patients`` are those whom pairs join, ``pictures`` images that are one picture; each group is
    called like the first of its members. ``treatment`` is the key ``split.near_duplicates``.
    """

    treatment: str
    patients: dict[str, str]
    pictures: dict[str, str]

    def recipe(self) -> dict[str, Any] | None:
        """Return what stands in the recipe of a split, None where nothing is changed.

        It is made of the outcome: the same groups are the same split, whoever found them.
        """
        if not self.patients and not self.pictures:
            return None
        groups = [sorted(self.patients.items()), sorted(self.pictures.items())]
        return {"treatment": self.treatment, "groups": fingerprint(groups)}


def read_pairs(record: Path) -> list[dict[str, Any]]:
    """Return the pairs that a record of near-duplicates lists."""
    return read_record(record, NEAR_DUPLICATES)["pairs"]


def effect(pairs: Sequence[Mapping[str, Any]], treatment: str, by: str) -> Effect:
    """Return what ``pairs`` change where they get ``treatment`` and the split is ``by`` that.

    Each pair has ``image_ids``, ``patient_ids`` and ``cohorts``, two of each. Patients are joined
    where a group has one of the main archive: no others are split or held back. Pictures matter by
    themselves where copies are set aside, and where the split is by image.
    """
    if treatment == IGNORE:
        return Effect(treatment, {}, {})
    both = [
        (patient, cohort)
        for pair in pairs
        for patient, cohort in zip(pair["patient_ids"], pair["cohorts"], strict=True)
    ]
    split = {patient for patient, cohort in both if cohort == MAIN}
    patients = _groups(pair["patient_ids"] for pair in pairs)
    concerned = {patients[one] for one in split if one in patients}
    joined = {one: group for one, group in patients.items() if group in concerned}
    chosen = [pair for pair in pairs if treatment == ASIDE or set(pair["cohorts"]) == {MAIN}]
    single = treatment == ASIDE or by == "image"
    return Effect(
        treatment, joined, _groups(pair["image_ids"] for pair in chosen) if single else {}
    )


def _groups(links: Iterable[Sequence[str]]) -> dict[str, str]:
    """Return the first member of its group for each of those who are linked, by whatever way."""
    found: dict[str, str] = {}

    def head(one: str) -> str:
        while (other := found.setdefault(one, one)) != one:
            one = other
        return one

    for one, other in links:
        if one != other:
            first, last = sorted((head(one), head(other)))
            found[last] = first
    return {one: head(one) for one in found}
