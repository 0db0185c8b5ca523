"""A split that is given: by lists of files, by a column of the table, or by parts of the paths.

Needs only the standard library: it is asked each time the workflow is read, as what it says stands
in recipes. What lists and columns say is read by ``sscdl.archives.given_read``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sscdl.archives.entries import Place
from sscdl.archives.given_read import read_lists, read_said, read_values
from sscdl.archives.sides import COLUMN, EXAMPLES, LISTS, REFUSE, SIDES
from sscdl.archives.straddling import several, straddling_refused
from sscdl.errors import InputError
from sscdl.identifiers import pseudonym
from sscdl.recipe import fingerprint

_VERBS = {"train": "train on", "val": "validate on", "test": "test on"}


@dataclass(frozen=True)
class GivenSplit:
    """Which side of a split the files of an archive are on, by paths below its root.

    ``sides`` has those that are on one, ``validated`` says whether validation images are given,
    too: otherwise they are drawn from the side ``train``. ``patients`` are the patients of files
    as far as tables or paths name them. ``problems`` are (file, reason) for the list of findings,
    ``notes`` sentences for whoever starts the run, and ``counted`` says what there is on each side.
    """

    sides: dict[str, str]
    validated: bool
    patients: dict[str, str] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counted: str = ""

    def recipe(self) -> str:
        """Return what stands in recipes: the same images on the same sides are the same split."""
        return fingerprint([sorted(self.sides.items()), self.validated])


def read_given_split(
    dataset: Mapping[str, Any], split: Mapping[str, Any], paths: Sequence[str]
) -> GivenSplit:
    """Return the split that is given for the archive that ``dataset`` describes.

    ``paths`` are those of its image files. Those of which no row that is kept, or no pattern, says
    anything are on no side, as they are in no study. ``split`` is that block of a configuration:
    its source, and ``column`` (name, pattern, and the values of each side, None for all others) or
    ``lists`` (a file for each side, None for all images that no other one names).

    Raises InputError if a list, a column or a side of it is missing or empty, or names nothing of
    the archive, or if two sides share an image; and, unless ``split`` says ``tell``, if they share
    a patient.
    """
    by_list = split["source"] == LISTS
    given = split[LISTS if by_list else COLUMN]
    said = read_said(dataset, paths, None if by_list else given)
    found = read_lists(dataset, given, paths, said) if by_list else read_values(given, said)
    sides = dict.fromkeys(found.others, "train")
    origin: dict[str, Place] = {}
    shared: list[tuple[Place, Place]] = []
    for side, named in found.named.items():
        for path, place in named.items():
            if path not in said:
                continue
            if path in origin:
                shared.append((origin[path], place))
            sides[path], origin[path] = side, place
    key = f"split.{split['source']}"
    if shared:
        pairs = "; ".join(f"{one} and {other}" for one, other in shared[:EXAMPLES])
        raise InputError(
            f"{key}: {len(shared)} images are on two sides, such as those of {pairs}; leave each "
            "on one"
        )
    described = f" (only {len(said)} of {len(paths)} files are described)"
    left = described if len(said) < len(paths) else ""
    for side in SIDES:
        if given[side] is not None and side not in sides.values():
            raise InputError(
                f"{key}.{side}: no image of the archive is on this side{left}; correct it"
            )
    if "train" not in sides.values():
        raise InputError(f"{key}: leaves no image to train on; correct it")
    parts: dict[str, set[str]] = {side: set() for side in SIDES}
    for path, side in sides.items():
        parts[side].add(said[path].patient)
    patients = {path: one.patient for path, one in said.items() if one.patient}
    straddling = several(parts) - {""}
    if straddling and split["straddling"] == REFUSE:
        shown = [pseudonym(patient, dataset["id_key"]) for patient in straddling]
        raise InputError(straddling_refused(split["source"], len(straddling), shown))
    validated = given["val"] is not None
    counted = _counted(split["source"], sides, len(paths), validated)
    notes = [*found.notes, counted] if found.notes else []
    return GivenSplit(sides, validated, patients, found.problems, notes, counted)


def _counted(source: str, sides: Mapping[str, str], files: int, validated: bool) -> str:
    """Return in a sentence how many of the archive's files are on which side."""
    number = Counter(sides.values())
    parts = [f"{number[side]} to {verb}" for side, verb in _VERBS.items() if number[side]]
    drawn = "" if validated else "; validation is drawn from those that train"
    return (
        f"The split is given (split.source: {source}): of {files} image files {', '.join(parts)}, "
        f"{files - len(sides)} on no side{drawn}"
    )


def lacking(
    present: Collection[tuple[str, str]], labels: Sequence[str], *, validated: bool
) -> tuple[str, str] | None:
    """Return the first of ``labels``, and a side, of which there is no image; None: there are all.

    ``present`` has the (label, side) of the images. Without ``validated`` the side for validation
    is drawn from that to train on, and not asked for.
    """
    sides = SIDES if validated else ("train", "test")
    needed = ((label, side) for label in labels for side in sides)
    return next((one for one in needed if one not in present), None)
