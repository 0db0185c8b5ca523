"""What the paths of images say where there is no table: a folder for each label, sides, patients.

That is the habit of torchvision's ``ImageFolder``, and of much that is published.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sscdl.archives.sides import SIDES
from sscdl.errors import InputError
from sscdl.front import propose
from sscdl.front.ask import Asker
from sscdl.front.classes import classes_of
from sscdl.front.look import Folder
from sscdl.front.patients import pattern_in

# Names of folders that are about files, and not about what is seen.
_PLAIN = re.compile(r"images?|imgs?|pictures?|png|jpe?g|tiff?|dicom|dcm|data|files", re.I)
_SIDES = {
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
}


class _Place(NamedTuple):
    """Where a file lies: its name, the folder of its label, the one above, plain ones between."""

    name: str
    label: str
    above: str
    plain: str


def folder_settings(
    folder: Folder, options: argparse.Namespace, asker: Asker
) -> dict[str, Any] | None:
    """Return the settings of a folder whose paths tell labels, None if they do not.

    Raises InputError where what they tell is not sure and nobody can be asked.
    """
    places = [place for path in folder.paths if (place := _place(path))]
    counts = Counter(dict(Counter(place.label for place in places).most_common()))
    many = counts.total() >= propose.FEWEST_IMAGES * len(counts)
    if not (2 <= len(counts) <= propose.MOST_LABELS and many):
        return None
    for flag in ("file", "patient", "label"):
        if getattr(options, flag) is not None:
            raise InputError(
                f"--{flag}: {folder.root} has no table, and so no columns; leave it out, or give "
                "--table"
            )
    shown = ", ".join(f"{name} ({number:,})" for name, number in counts.items())
    print(f"no table; folders that may be labels: {shown}")
    classes = classes_of(counts, "folder", options.classes, asker, where=str(folder.root))
    sided = all(side_of(place.above) for place in places)
    patients = _patients(places, folder, options, asker)
    return {
        "layout": "folders",
        "root": folder.root,
        "id_key": "sscdl",
        "patterns": _patterns(places, list(counts), sided, patients),
        "labels": classes,
    }


def side_of(text: str) -> str:
    """Return the side of a split that a text is the usual name of, '' if it is of none."""
    return _SIDES.get(text.lower(), "")


def sides_of(texts: Iterable[str]) -> dict[str, list[str]]:
    """Return the texts that name each side, {} if one is of none, or there is no test side."""
    found: dict[str, list[str]] = defaultdict(list)
    for text in sorted(set(texts)):
        found[side_of(text)].append(text)
    whole = "" not in found and found.keys() >= {"train", "test"}
    return {side: found[side] for side in SIDES if side in found} if whole else {}


def split_folders(dataset: dict[str, Any], folder: Folder) -> list[str]:
    """Return the names of the folders that the patterns take for sides, of each file one."""
    patterns = [re.compile(one) for one in dataset["patterns"]]
    found = (
        next((m for one in patterns if (m := one.search(path))), None) for path in folder.paths
    )
    return [match["split"] for match in found if match and "split" in match.re.groupindex]


def _place(path: str) -> _Place | None:
    """Return where a file lies, None for a mask and where no folder may be a label."""
    *above, name = path.split("/")
    plain: list[str] = []
    while above and _PLAIN.fullmatch(above[-1]):
        plain.insert(0, above.pop())
    if not above or any("mask" in one.lower() for one in above) or side_of(above[-1]):
        return None
    return _Place(name, above[-1], above[-2] if len(above) > 1 else "", "/".join(plain))


def _patients(
    places: Sequence[_Place], folder: Folder, options: argparse.Namespace, asker: Asker
) -> dict[str, str]:
    """Return the pattern of the patient in names of files, by the folder of the label.

    Files that have none count as a patient each where that is said, or if they have headers.
    """
    names: dict[str, list[str]] = defaultdict(list)
    for place in places:
        names[place.label].append(place.name)
    found = {
        label: pattern_in(some).replace("(", "").replace(")", "") for label, some in names.items()
    }
    silent = [label for label, pattern in found.items() if not pattern]
    if not silent or folder.all_dicom or options.no_patient:
        return found
    example = names[silent[0]][0]
    question = f"Names of files in {', '.join(silent)} tell no patient (such as {example})"
    if not asker.terminal:
        raise InputError(
            f"{question}; give --no-patient if each is of another one, or write a pattern for the "
            "patient (layout: folders; config/kermany.yaml of the project is an example)"
        )
    more = f"{question}; is each of another one"
    if asker.choose(more, ["yes", "no"], "", "--no-patient", sure=False) == "no":
        raise InputError(
            f"{folder.root}: nothing is written; a pattern must tell the patient (layout: folders; "
            "config/kermany.yaml of the project is an example)"
        )
    return found


def _patterns(
    places: Sequence[_Place], labels: Sequence[str], sided: bool, patients: dict[str, str]
) -> list[str]:
    """Return a pattern for each way in which names of files tell the patient."""
    alike: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        alike[patients[label]].append(label)
    sides = sorted({place.above for place in places})
    above = f"(?P<split>{_any(sides)})/" if sided else ""
    between = sorted({f"{place.plain}/" for place in places if place.plain})
    plain = f"(?:{_any(between)})?" if between else ""
    return [
        rf"(?:^|/){above}(?P<label>{_any(some)})/{plain}"
        + (f"[^/]*?(?P<patient>{patient})[^/]*$" if patient else "[^/]+$")
        for patient, some in alike.items()
    ]


def _any(texts: Iterable[str]) -> str:
    return "|".join(map(re.escape, texts))
