"""Which images of a study a split that is given puts on which side, and which it leaves out.

The hash of this module stands in the recipes of what is trained by a given split, and in no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from sscdl.archives.cohorts import MAIN
from sscdl.archives.sides import SIDES, UNLISTED


def set_apart(images: pd.DataFrame, sides: Mapping[str, str]) -> pd.DataFrame:
    """Return ``images`` in which those of the main archive on no side are a cohort of their own.

    ``sides`` has the side of each image that is on one, by its id.
    """
    lost = (images["cohort"] == MAIN) & ~images["image_id"].isin(sides)
    return images.assign(cohort=images["cohort"].where(~lost, UNLISTED))


def copies_on_other_sides(images: pd.DataFrame, sides: Mapping[str, str]) -> dict[str, str]:
    """Return why an image of the main archive is set aside whose picture another side has.

    The copy that stays is that in the test set, or else in validation: published test sets stay
    whole. Copies whose labels contradict each other are not among these. ``images`` is as
    ``sscdl.images.duplicates`` takes it.
    """
    main = images[images["cohort"] == MAIN]
    copies = main[main.duplicated("pixel_hash", keep=False)].sort_values("image_id")
    reasons: dict[str, str] = {}
    for _, group in copies.groupby("pixel_hash"):
        side = group["image_id"].map(sides)
        if side.nunique() == 1 or len(set(group["label"]) - {""}) > 1:
            continue
        best = next(one for one in reversed(SIDES) if (side == one).any())
        kept = group[side == best].iloc[0]
        for row in group[side != best].to_dict("records"):
            whose = "" if row["patient_id"] == kept["patient_id"] else " of another patient"
            reasons[row["image_id"]] = (
                f"the same picture as {kept['image_id']}{whose}, which the given split has in "
                f"{best}"
            )
    return reasons


def by_sides(
    images: pd.DataFrame,
    sides: Mapping[str, str],
    drawn: Callable[[pd.Series], pd.Series],
) -> pd.Series:
    """Return the split of each image where it is given; validation may be drawn from what trains.

    ``drawn`` returns the split of the images that a mask marks, where none is tested on: of those
    on the side to train on, and of other cohorts, which get their names. Where validation images
    are given it draws none.
    """
    side = images["image_id"].map(sides).where(images["cohort"] == MAIN, "").astype(object)
    fixed = side.isin(("val", "test"))
    side[~fixed] = drawn(~fixed)
    return side
