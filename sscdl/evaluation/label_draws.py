"""Which labels a linear probe is fitted with: random patients of each class, share by share."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sscdl.errors import InputError

LOGGER = logging.getLogger("sscdl.probe")


class Draw(NamedTuple):
    """A random choice of labelled training images."""

    share: float  # of the patients of each class
    number: int  # from 0, of the draws of this share
    rows: NDArray[np.int64]  # places in the list of the labelled training images


def label_draws(
    labels: Sequence[str], patients: Sequence[str], shares: Sequence[float], number: int, seed: int
) -> Iterator[Draw]:
    """Yield ``number`` random draws for each share of the labels, one for all of them.

    A draw takes that share of the patients of each class, rounded up, and at least two, so that
    every class has the two that cross-validation needs. A patient who has images of several classes
    counts in each of them by itself. Patients come in the order of a hash of seed, draw and
    id: the draw of a smaller share is a part of the same draw of a larger one, and nobody changes
    places because others come or go.

    Shares below 1 that take everybody, or as many of each class as a larger share, are left out
    (all labels take their place if no share remains), and so are classes of one patient; the log
    says so. Raises InputError if fewer than two classes are left.

    Args:
        labels: class of each training image, (N,).
        patients: patient of each training image, (N,).
        shares: in (0, 1].
        number: of draws of each share below 1.
        seed: of the training whose networks are probed.
    """
    frame = pd.DataFrame({"label": labels, "patient": patients})
    counts = frame.groupby("label")["patient"].nunique()
    for name in sorted(counts.index[counts < 2]):
        LOGGER.warning("class %s has one training patient: no probe can learn it", name)
    classes = sorted(counts.index[counts >= 2])
    if len(classes) < 2:
        raise InputError(
            "linear probe: fewer than two classes have two patients with labels to train on; give "
            "results.label_shares an empty list to leave the probes out"
        )
    own = {name: frame.loc[frame["label"] == name, "patient"].unique() for name in classes}
    for share, sizes in _sizes({name: len(them) for name, them in own.items()}, shares).items():
        for draw in range(1 if share == 1 else number):
            kept = np.zeros(len(frame), dtype=bool)
            for name, size in sizes.items():
                first = sorted(own[name], key=lambda patient: _place(seed, draw, patient))[:size]
                kept |= (frame["label"] == name) & frame["patient"].isin(first)
            yield Draw(share, draw, np.flatnonzero(kept))


def _sizes(patients: dict[str, int], shares: Sequence[float]) -> dict[float, dict[str, int]]:
    """Return how many patients of each class a draw takes, by share, the smallest share first."""
    found: dict[float, dict[str, int]] = {}
    larger = None
    for share in sorted(set(shares), reverse=True):
        # Less a little: 0.1 of 30 patients is 3, although 0.1 * 30 is more.
        wanted = {name: math.ceil(share * count - 1e-9) for name, count in patients.items()}
        sizes = {name: min(patients[name], max(2, size)) for name, size in wanted.items()}
        if share < 1 and sizes == patients:
            LOGGER.warning("share %g of the labels is left out: a draw would take all", share)
            continue
        if sizes == larger:
            LOGGER.warning("share %g of the labels is left out: no fewer than the next", share)
            continue
        for name in (name for name in sizes if sizes[name] > wanted[name]):
            LOGGER.warning("share %g: two patients of class %s, the fewest possible", share, name)
        found[share] = larger = sizes
    if not found:
        LOGGER.warning("all labels are used instead")
        found = {1.0: patients}
    return dict(reversed(found.items()))


def _place(seed: int, draw: int, patient: str) -> bytes:
    return hashlib.blake2b(f"{seed}:{draw}:{patient}".encode()).digest()
