"""What is wrong between the keys of a split, each of which is right by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sscdl.archives.sides import COLUMN, DRAWN, LISTS, SIDES
from sscdl.csv_rows import plain_number


def wrong_in_split(config: dict[str, Any]) -> list[str]:
    """Return a message for each contradiction in ``config["split"]``, its defaults filled in."""
    split = config["split"]
    source = split["source"]
    drawn = split["val"] + (split["test"] if source == DRAWN else 0)
    found = []
    if drawn >= 1:
        found.append("split: val and test together leave nothing to train on; lower them")
    if config["protocol"] == "strict" and split["val"] == 0 and not all_given(split):
        found.append("split.val: 0, but protocol strict chooses on it; give it 0.15")
    for other in (COLUMN, LISTS):
        filled = [key for key, value in split[other].items() if value is not None]
        if filled and other != source:
            found.append(
                f"split.{other}.{filled[0]}: given, but split.source is {source}, which does not "
                f"use it; set split.source: {other}, or null for {', '.join(filled)} of "
                f"split.{other}"
            )
    if source == DRAWN:
        return found
    layout = config["dataset"]["layout"]
    if layout == "phantom":
        return [*found, f"split.source: {source} goes with real archives; layout phantom has none"]
    if source == COLUMN and layout == "siim":
        found.append("split.source: column, but layout siim has none for it; give lists")
    if source == COLUMN and not split[COLUMN]["name"]:
        found.append("split.column.name: missing; the column, or part of the path, with the side")
    given = split[source]
    if given["test"] is None:
        what = "its values" if source == COLUMN else "the list of the test images"
        found.append(f"split.{source}.test: missing; {what}")
    texts = {side: given[side] for side in SIDES if given[side] is not None}
    if source == LISTS:
        texts = {side: [name] for side, name in texts.items()}
    owners: dict[str, str] = {}
    for side, ones in texts.items():
        for one in {plain_number(str(one)) for one in ones}:
            if one in owners:
                found.append(f"split.{source}.{side}: {one!r} is also {owners[one]}; leave one")
            owners.setdefault(one, side)
    return found


def all_given(split: Mapping[str, Any]) -> bool:
    """Return whether the block ``split`` gives the validation images, too: nothing is drawn."""
    return split["source"] != DRAWN and split[split["source"]]["val"] is not None
