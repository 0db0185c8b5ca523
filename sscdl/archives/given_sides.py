"""What a split that is given says of the images of a study: their sides, and what is odd in it.

What it says stands, and nothing moves an image to another side: what speaks against it is told.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sscdl.archives.cohorts import MAIN
from sscdl.archives.given_split import lacking, read_given_split
from sscdl.archives.layouts import list_files
from sscdl.archives.reading import read_index
from sscdl.archives.sides import ACROSS, EXAMPLES, REFUSE, SIDES, UNLISTED
from sscdl.archives.straddling import several, straddling_refused
from sscdl.errors import InputError
from sscdl.records import SAME_COMMAND

LOGGER = logging.getLogger("sscdl.archives")


@dataclass(frozen=True)
class Sides:
    """What a given split says: the side of each image by its id, and how it is to be taken.

    ``validated``: validation images are given, too. ``straddling`` says what becomes of patients on
    several sides, ``source`` is the key below ``split`` that gives the split, ``problems`` are
    (file, reason) of what is odd in it.
    """

    of: dict[str, str]
    validated: bool
    source: str
    straddling: str
    problems: list[tuple[str, str]]


def read_sides(dataset: Mapping[str, Any], split: Mapping[str, Any], recipe: str) -> Sides:
    """Return what the split says that is given for the main archive.

    ``dataset`` describes that archive, ``split`` is the block of the configuration, ``recipe`` what
    stands of it in the recipe by which stages were planned. Raises InputError if that is no longer
    so, or if the split cannot be used (see ``sscdl.archives.given_split``).
    """
    given = read_given_split(dataset, split, list_files(dataset).images)
    if given.recipe() != recipe:
        raise InputError(
            f"split.{split['source']}: the split that is given has changed since this run was "
            f"planned. Nothing was trained: {SAME_COMMAND}, and all is planned with it"
        )
    index = read_index(dataset).images
    of = {
        image: side
        for image, path in zip(index["image_id"], index["path"], strict=True)
        if (side := given.sides.get(path))
    }
    return Sides(of, given.validated, split["source"], split["straddling"], given.problems)


def check_sides(images: pd.DataFrame, sides: Sides, classes: Sequence[str]) -> dict[str, str]:
    """Return the remark on each image of a patient who has images on several sides.

    ``images`` are those that are not set aside. Raises InputError if there are such patients and
    the configuration does not say to go on, or if one of ``classes`` has no image on a side.
    """
    main = images[images["cohort"] == MAIN]
    side = main["image_id"].map(sides.of)
    present = set(zip(main["label"], side, strict=True))
    if lost := lacking(present, classes, validated=sides.validated):
        raise InputError(
            f"split.{sides.source}: no image labelled {lost[0]!r} is on the side {lost[1]}, of "
            f"{int((side == lost[1]).sum())} there; correct the split, or leave the class out of "
            "classes"
        )
    whose = main["patient_id"]
    straddling = sorted(several({name: set(whose[side == name]) for name in SIDES}))
    if straddling and sides.straddling == REFUSE:
        raise InputError(straddling_refused(sides.source, len(straddling), straddling))
    if straddling:
        LOGGER.warning(
            "%d patients have images on several sides of the given split (split.straddling: tell), "
            "such as %s", len(straddling), ", ".join(straddling[:EXAMPLES]),
        )  # fmt: skip
    ids = main.loc[whose.isin(straddling), "image_id"]
    return dict.fromkeys(ids, "of a patient on several sides of the given split")


def findings(images: pd.DataFrame, sides: Sides) -> pd.DataFrame:
    """Return file and reason of what is odd in the given split, and of what it does not name."""
    lost = int((images["cohort"] == UNLISTED).sum())
    rows = list(sides.problems)
    if lost:
        rows.append((".", f"images on no side of the given split, left out: {lost}"))
        LOGGER.warning("%d images are on no side of the given split, and are left out", lost)
    return pd.DataFrame(rows, columns=["file", "reason"])


def apart(images: pd.DataFrame, pairs: Sequence[Mapping[str, Any]], sides: Sides) -> dict[str, str]:
    """Return the remark on each image of the given sides whose near-duplicate is on another one.

    Those are only told: nothing moves what was given. ``images`` has the final splits; what is set
    aside is on no side.
    """
    used = images[images["split"].isin(SIDES)]
    side = {one: sides.of[one] for one in used["image_id"]}
    found: dict[str, str] = {}
    number = 0
    for pair in pairs:
        one, other = pair["image_ids"]
        if one in side and other in side and side[one] != side[other]:
            found |= dict.fromkeys((one, other), ACROSS)
            number += 1
    if number:
        LOGGER.warning(
            "%d pairs of near-duplicates are on two sides of the given split, which nothing moves; "
            "split.near_duplicates: aside uses one picture of each", number,
        )  # fmt: skip
    return found
