"""Whether a training has learnt anything of its images, by the record of an epoch.

A task may be trained to its end without that: at a learning rate that is too low or too high, or
with all images mapped to one embedding. Its numbers look like those of any other stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# A loss that is less than this share below that of knowing nothing is not told from it.
HARDLY = 0.01
# A floor below this share of the chance is nothing: cosines of 32-bit floats are rounded at about
# 1e-7 of one, while networks that tell images apart have floors above a hundredth.
NOTHING = 1e-4
LEARNT, NOT_SHOWN, COLLAPSED, INFINITE = "learnt", "not shown", "collapsed", "infinite"


def of_nothing(record: Mapping[str, Any]) -> float:
    """Return the loss in training of a network that knows nothing of the images.

    It is the floor of tasks that fall below guessing without an image being known, and for the
    others the loss of guessing.
    """
    floor: float | None = record.get("floor")
    return record["chance"] if floor is None else floor


def verdict(record: Mapping[str, Any]) -> str:
    """Return what the record of an epoch says of the network: one of four words.

    ``infinite``: the loss is not finite. ``collapsed``: all images have one embedding. ``not
    shown``: the loss in training is not below that of knowing nothing by a hundredth of it.
    ``learnt``: it is.
    """
    if not record["finite"]:
        return INFINITE
    nothing = of_nothing(record)
    if nothing < NOTHING * record["chance"]:
        return COLLAPSED
    return LEARNT if record["loss"] < (1 - HARDLY) * nothing else NOT_SHOWN
