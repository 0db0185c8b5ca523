"""What the paths of images say where there is no table: a folder for each label, sides, patients.

That is the habit of torchvision's ``ImageFolder``, and of much that is published.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sscdl.errors import InputError
from sscdl.front.ask import Asker
from sscdl.front.classes import classes_of
from sscdl.front.levels import Place, drawn, is_plain, levels, meant, numbered, places, side_of
from sscdl.front.look import Folder
from sscdl.front.patients import is_patient, pattern_in
from sscdl.front.spellings import are_one, check_one, number_alone, refuse_about_ids
from sscdl.words import many

_OWN = "write patterns (layout: folders; config/kermany.yaml of the project is an example)"


@dataclass(frozen=True)
class _Found:
    """An image with the parts of its path: folders of side, label and patient, and between them.

    ``side`` and ``patient`` are '' where there is no such folder; ``above`` says whether the side
    stands above the label; ``between`` are the folders from the upper one of both to the lower
    one, ``before`` and ``behind`` those that lead to the patient's and to the file.
    """

    path: str
    label: str
    side: str
    above: bool
    between: str
    before: str
    patient: str
    behind: str

    @property
    def name(self) -> str:
        """Return the name of the file."""
        return self.path.rpartition("/")[2]


def folder_settings(
    folder: Folder, options: argparse.Namespace, asker: Asker
) -> dict[str, Any] | None:
    """Return the settings of a folder whose paths tell labels, None if they do not.

    Raises InputError where what they tell is not sure and nobody can be asked.
    """
    aside = drawn(folder.paths)
    if aside:
        words = ", ".join(sorted(set(aside.values())))
        print(
            f"{len(aside):,} of {many(len(folder.paths), 'file')} "
            f"{'is' if len(aside) == 1 else 'are'} set aside, as their paths say that they are no "
            f"radiographs ({words}; such as {next(iter(aside))})"
        )
    placed = places(path for path in folder.paths if path not in aside)
    likely = levels(placed)
    if not likely:
        _tell_others(folder)
        return None
    for flag in ("file", "patient", "label", "unknown"):
        if getattr(options, flag) is not None:
            raise InputError(
                f"--{flag}: {folder.root} has no table, and so no columns; leave it out, or give "
                "--table"
            )
    sure = all(len(one.named) == 1 for one in placed)
    chosen = likely[0] if sure else meant(likely, options.classes, placed[-1].path, asker)
    print(f"no table; folders that may be labels: {chosen.shown}")
    for one in likely:
        if one != chosen:
            print(f"  not taken for labels: {one.shown}")
    if not options.classes and numbered(chosen.counts):
        raise InputError(
            f"folders differ in a number alone ({chosen.shown}): if they are classes, give "
            "--classes; if they are patients, a table must tell the labels"
        )
    classes = classes_of(chosen.counts, "folder", options.classes, asker, where=str(folder.root))
    found = [_parts(one, one.label_at(chosen.level)) for one in placed]
    sided = all(one.side for one in found) and len({one.above for one in found}) == 1
    if not sided and (sides := Counter(one.side for one in found if one.side)):
        shown = ", ".join(f"{side} ({number:,})" for side, number in sides.items())
        print(f"folders called as sides of a split are no split, as not all images are so: {shown}")
    patients = _alike(found, _patients(found, folder, options, asker), options, asker)
    patterns = _patterns(found, sided, patients, sorted(set(aside.values())))
    _check(patterns, found, folder)
    return {
        "layout": "folders",
        "root": folder.root,
        "id_key": "sscdl",
        "patterns": patterns,
        "labels": classes,
    }


def split_folders(dataset: Mapping[str, Any], folder: Folder) -> list[str]:
    """Return the names of the folders that the patterns take for sides, of each file one."""
    found = _matches(dataset["patterns"], folder.paths)
    return [match["split"] for _, match in found if "split" in match.re.groupindex]


def _tell_others(folder: Folder) -> None:
    """Say which folders there are, of which none is taken for a label."""
    above = Counter(path.split("/")[-2] for path in folder.paths if "/" in path)
    patients = [name for name in above if is_patient(name)]
    if patients:
        print(
            f"{many(len(patients), 'folder looks', 'folders look')} like those of patients (such "
            f"as {patients[0]}), and none that may be labels stand above them"
        )
    elif above:
        few = ", ".join(f"{name} ({number:,})" for name, number in above.most_common(5))
        names = many(len(above), "name")
        print(f"no folders that may be labels: {names} of folders with images ({few})")


def _parts(place: Place, label: int) -> _Found:
    """Return the parts of a path of which folder ``label`` is the label."""
    folders = place.folders
    upper = next((n for n in range(label - 1, -1, -1) if side_of(folders[n])), -1)
    lower = next((n for n in range(label + 1, len(folders)) if not is_plain(folders[n])), -1)
    above = upper >= 0
    side = upper if above else lower if lower >= 0 and side_of(folders[lower]) else -1
    first, last = sorted((label, side)) if side >= 0 else (label, label)
    whose = next((n for n in range(last + 1, len(folders)) if is_patient(folders[n])), -1)
    end = whose if whose >= 0 else last
    return _Found(
        place.path,
        folders[label],
        folders[side] if side >= 0 else "",
        above,
        _joined(folders[first + 1 : last]),
        _joined(folders[last + 1 : whose]) if whose >= 0 else "",
        folders[whose] if whose >= 0 else "",
        _joined(folders[end + 1 :]),
    )


def _joined(folders: Iterable[str]) -> str:
    return "".join(f"{one}/" for one in folders)


def _patients(
    found: Sequence[_Found], folder: Folder, options: argparse.Namespace, asker: Asker
) -> dict[str, tuple[str, bool]]:
    """Return what tells the patient in folders or names of files, by the folder of the label.

    That is a pattern, and whether it is of a folder. Files that have none count as a patient each
    where that is said, or if they have headers.
    """
    patients: dict[str, tuple[str, bool]] = {}
    silent: dict[str, str] = {}
    for label in dict.fromkeys(one.label for one in found):
        some = [one for one in found if one.label == label]
        own = all(one.patient for one in some)
        pattern = pattern_in(one.patient if own else one.name for one in some)
        patients[label] = pattern, own
        if not pattern:
            silent[label] = some[0].path
    if options.no_patient and len(silent) < len(patients):
        told = next(one.path for one in found if one.label not in silent)
        print(f"--no-patient: where paths tell a patient, that is taken all the same ({told})")
    if not silent or folder.all_dicom:
        return patients
    persons = (one.path for one in found if any(map(is_patient, one.path.split("/")[:-1])))
    if person := next(persons, ""):
        raise InputError(
            f"{folder.root}: folders of patients lie above labels, or beside images without one "
            f"(such as {person}); nothing is written; {_OWN}, with a pattern for the patient"
        )
    if options.no_patient:
        return patients
    example = next(iter(silent.values()))
    question = f"Names of files in {', '.join(silent)} tell no patient (such as {example})"
    if not asker.terminal:
        raise InputError(
            f"{question}; give --no-patient if each is of another one, or {_OWN}, with one for the "
            "patient"
        )
    more = f"{question}; is each of another one"
    if asker.choose(more, ["yes", "no"], "", "--no-patient", sure=False) == "no":
        raise InputError(
            f"{folder.root}: nothing is written; a pattern must tell the patient: {_OWN}"
        )
    return patients


def _alike(
    found: Sequence[_Found],
    patients: Mapping[str, tuple[str, bool]],
    options: argparse.Namespace,
    asker: Asker,
) -> dict[str, tuple[str, bool]]:
    """Return what tells the patient: the word and the number, or the number where that is one.

    Folders of several labels may write one patient in several ways.
    """
    ids: dict[str, str] = {}
    for one in found:
        pattern, own = patients[one.label]
        if pattern and (
            match := re.search(number_alone(pattern), one.patient if own else one.name)
        ):
            ids[match[0]] = match[1]
    if not ids:
        refuse_about_ids(options, "the paths tell no patients")
    if are_one(ids, options, asker):
        check_one(ids)
        return {label: (number_alone(one), own) for label, (one, own) in patients.items()}
    words = {label: one.replace("(", "").replace(")", "") for label, (one, _) in patients.items()}
    return {
        label: (f"({words[label]})", own) if one else ("", own)
        for label, (one, own) in patients.items()
    }


def _patterns(
    found: Sequence[_Found],
    sided: bool,
    patients: Mapping[str, tuple[str, bool]],
    aside: Sequence[str],
) -> list[str]:
    """Return a pattern for each way in which paths tell the patient.

    ``aside`` are words of paths that are left out.
    """
    alike: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for label, way in patients.items():
        alike[way].append(label)
    side = f"(?P<split>{_any(sorted({one.side for one in found}))})/"
    start = rf"^(?!.*(?i:{_any(aside)}))(?:.*/)?" if aside else "(?:^|/)"
    written = []
    for (pattern, own), labels in alike.items():
        some = [one for one in found if one.label in labels]
        label = f"(?P<label>{_any(labels)})/"
        between = _optional(one.between for one in some)
        above = some[0].above
        head = label
        if sided:
            head = f"{side}{between}{label}" if above else f"{label}{between}{side}"
        else:  # sides that are no split may be folders below the label
            some_side = {f"{one.between}{one.side}/" for one in some if one.side and not one.above}
            head += _optional(some_side)
        person = pattern.replace("(", "(?P<patient>", 1)
        before, behind = (
            _optional(getattr(one, what) for one in some) for what in ("before", "behind")
        )
        if not pattern:
            tail = f"{before}{'(?:[^/]+/)?' if own else ''}{behind}[^/]+$"
        elif own:
            tail = f"{before}{person}/{behind}[^/]+$"
        else:
            tail = f"{behind}[^/]*?{person}[^/]*$"
        written.append(f"{start}{head}{tail}")
    return written


def _optional(texts: Iterable[str]) -> str:
    """Return a pattern of folders that lie between others, '' if there are none."""
    runs = sorted({text for text in texts if text})
    if not runs:
        return ""
    if all(is_plain(one) or side_of(one) for run in runs for one in run[:-1].split("/")):
        return f"(?:{_any(runs)})?"
    return "(?:[^/]+/)*"


def _any(texts: Iterable[str]) -> str:
    return "|".join(map(re.escape, texts))


def _matches(patterns: Sequence[str], paths: Iterable[str]) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield each path in which a pattern is found, and where the first one is."""
    compiled = [re.compile(one) for one in patterns]
    for path in paths:
        if match := next((m for one in compiled if (m := one.search(path))), None):
            yield path, match


def _check(patterns: Sequence[str], found: Sequence[_Found], folder: Folder) -> None:
    """Raise InputError if the patterns give a label to other files than those that were seen."""
    meant = {one.path: one.label for one in found}
    said = {path: match["label"] for path, match in _matches(patterns, folder.paths)}
    wrong = sorted(path for path, _ in meant.items() ^ said.items())
    if wrong:
        raise InputError(
            f"{folder.root}: {many(len(wrong), 'file lies', 'files lie')} so that no simple "
            f"pattern tells whether a folder is the label (such as {wrong[0]}); move them, or "
            f"{_OWN}"
        )
