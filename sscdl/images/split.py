"""Dividing the images into training, validation and test sets.

A split is a function of the ids and the seed alone: units (patients or images) are laid end to end
in the order of a hash, each as long as it has images, and the line is cut at the shares. A unit
belongs to the piece that its middle lies in. So the shares hold to within half a unit at each cut,
patients with many images are as likely in one set as in another, and rows may come in any order.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter
from itertools import accumulate

import pandas as pd

from sscdl.archives.cohorts import MAIN
from sscdl.errors import InputError
from sscdl.finding_labels import rarest_finding

SPLITS = ("train", "val", "test")


def assign_split(
    images: pd.DataFrame,
    *,
    by: str,
    stratified: bool,
    val: float,
    test: float,
    seed: int,
    several: bool = False,
) -> pd.Series:
    """Return the split of each row of ``images``, with the same index.

    ``images`` has the columns image_id, patient_id, label ('' if unknown) and cohort. Rows of the
    cohort 'main' get 'train', 'val' or 'test'; the others get their cohort's name. ``by`` is
    'patient' (a patient's images stay together) or 'image'. ``stratified`` divides the units of
    each label by themselves, so that the labels have like shares in all sets; a patient with
    several labels counts with the most frequent of them, of equals the one that is rarer in all.
    ``val`` and ``test`` are fractions of the images, in [0, 1); the rest is for training.

    With ``several``, labels are of several findings (``sscdl.finding_labels``): a unit counts with
    the finding that is rarest in all of those that any of its images shows, so that rare ones are
    spread over the sets, and units that show none are divided by themselves.

    Raises InputError for other fractions, a cohort that is named as a split, or, but for
    ``several``, a label that would have no image in one of the sets that are to have any.
    """
    if by not in ("patient", "image"):
        raise InputError(f"split by: is {by!r}; choose 'patient' or 'image'")
    for name, fraction in (("val", val), ("test", test)):
        if not 0 <= fraction < 1:
            raise InputError(f"split {name}: is {fraction}; choose a fraction from 0 to below 1")
    if val + test >= 1:
        raise InputError(
            f"split val and test: {val} + {test} leave nothing for training; make them smaller"
        )
    taken = sorted(set(images["cohort"]) & set(SPLITS))
    if taken:
        raise InputError(f"cohort {taken[0]}: is also the name of a split; choose another name")

    shares = {"train": 1 - val - test, "val": val, "test": test}
    shares = {name: share for name, share in shares.items() if share > 0}
    main = images[images["cohort"] == MAIN]
    units = list(main["patient_id" if by == "patient" else "image_id"])
    members = list(zip(units, main["label"], strict=True))
    strata = dict.fromkeys(units, "")
    if stratified:
        strata = rarest_finding(members) if several else _most_frequent(members)
    chosen = _place(Counter(units), strata, shares, seed)
    placed = [chosen[unit] for unit in units]
    if not several:
        _check_classes(list(zip(main["label"], placed, strict=True)), shares)
    split = images["cohort"].to_numpy(dtype=object, copy=True)
    split[(images["cohort"] == MAIN).to_numpy()] = placed
    return pd.Series(split, index=images.index, name="split", dtype="str")


def _most_frequent(members: list[tuple[str, str]]) -> dict[str, str]:
    """Return the label that units count with; ``members`` has the (unit, label) of each image."""
    totals = Counter(label for _, label in members)
    contents: dict[str, Counter[str]] = {}
    for unit, label in members:
        contents.setdefault(unit, Counter())[label] += 1
    return {
        unit: min(own, key=lambda label: (label == "", -own[label], totals[label], label))
        for unit, own in contents.items()
    }


def _place(
    sizes: dict[str, int], strata: dict[str, str], shares: dict[str, float], seed: int
) -> dict[str, str]:
    """Return the split of each unit, from the units' image counts and what each counts with."""
    chosen: dict[str, str] = {}
    for stratum in set(strata.values()):
        units = {unit: size for unit, size in sizes.items() if strata[unit] == stratum}
        chosen |= _cut(units, shares, seed)
    return chosen


def _cut(sizes: dict[str, int], shares: dict[str, float], seed: int) -> dict[str, str]:
    """Return the split of each unit of one stratum; ``sizes`` holds the units' image counts."""
    order = sorted(
        sizes, key=lambda unit: (hashlib.blake2b(f"{seed}:{unit}".encode()).digest(), unit)
    )
    ends = list(accumulate(sizes[unit] for unit in order))
    middles = {
        unit: (end - sizes[unit] / 2) / ends[-1] for unit, end in zip(order, ends, strict=True)
    }
    # Rounding keeps a middle that lies on a cut from hanging on the last bit of a sum.
    cuts = [round(cut, 9) for cut in accumulate(shares.values())]
    names = list(shares)
    last = len(names) - 1
    chosen = {
        unit: names[min(bisect_right(cuts, round(middle, 9)), last)]
        for unit, middle in middles.items()
    }
    if len(order) >= len(names):
        # A short piece may lie between two middles: give it the nearest unit that can be spared.
        for name, cut in zip(names, cuts, strict=True):
            counts = Counter(chosen.values())
            if not counts[name]:
                center = cut - shares[name] / 2
                spare = [unit for unit in order if counts[chosen[unit]] > 1]
                chosen[min(spare, key=lambda unit: abs(middles[unit] - center))] = name
    return chosen


def _check_classes(placed: list[tuple[str, str]], shares: dict[str, float]) -> None:
    """Raise InputError if a label has no image in a split; ``placed`` holds (label, split)."""
    present = set(placed)
    totals = Counter(label for label, _ in placed)
    for label in sorted(totals.keys() - {""}):
        for name in shares:
            if (label, name) not in present:
                raise InputError(
                    f"split {name}: would have no image labelled {label} ({totals[label]} in all); "
                    "choose a larger fraction for it, another seed or a stratified split, or "
                    "leave the class out"
                )
