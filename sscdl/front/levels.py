"""What the folders above images are: of a label, a side, a patient, masks, or about files alone."""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sscdl.archives.sides import SIDES
from sscdl.errors import InputError
from sscdl.front import propose
from sscdl.front.ask import Asker
from sscdl.front.patients import is_patient
from sscdl.words import nearest

# Names of folders that are about files, and not about what is seen.
_PLAIN = re.compile(
    r"(images?|imgs?)([ _-]?\d+)?|pictures?|png|jpe?g|tiff?|dicom|dcm|data|files|"
    r"(study|series|session|ses)[ _-]?\d+",
    re.I,
)
# Every word of `propose.DRAWN` has one of these, and to look for them takes little time. Without an
# i: its forms are alike to regular expressions that are blind to case, and to nothing else.
_LETTERS = ("mask", "heat", "annotat", "contour", "seg", "overlay")
_SIDES = {
    **dict.fromkeys(("train", "training", "trainset"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "testset"), "test"),
}


@dataclass(frozen=True)
class Place:
    """Where an image lies.

    ``folders`` are those above it, the topmost first; ``named`` the places in them of those that
    may be a label: not about files, no sides, no patients', and not the same for all images.
    """

    path: str
    folders: tuple[str, ...]
    named: tuple[int, ...]

    def label_at(self, level: int) -> int:
        """Return which of the folders is the label, counted from the top, or the deepest."""
        return self.named[min(level, len(self.named) - 1)]


@dataclass(frozen=True)
class Level:
    """Folders that may be labels: their level from the top, and how many images are in each."""

    level: int
    counts: Counter[str]

    @property
    def shown(self) -> str:
        """Return the names of the folders, and how many images each has."""
        return ", ".join(f"{name} ({number:,})" for name, number in self.counts.items())


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


def numbered(names: Iterable[str]) -> bool:
    """Return whether names differ in a number beside the same letters alone: ``P01``, ``P02``.

    Those of patients do, and those of parts; grades of a disease have a word for it.
    """
    words = {re.sub(r"[\d\W_]+", "", name).lower() for name in names}
    return len(words) == 1 and not words & {"", "grade", "class", "stage", "level", "kl", "type"}


def is_plain(name: str) -> bool:
    """Return whether a folder is, by its name, about files and not about what is seen."""
    return bool(_PLAIN.fullmatch(name))


def drawn(paths: Sequence[str]) -> dict[str, str]:
    """Return the word for a mask or the like in each path that has one; those in all tell nothing.

    The folder of all images may be called after the task: ``lung segmentation/images/...``.
    """
    none: frozenset[str] = frozenset()
    found = {
        path: frozenset(map(str.lower, propose.DRAWN.findall(path)))
        if _may_be_drawn(path)
        else none
        for path in paths
    }
    everywhere = frozenset.intersection(*set(found.values()))
    return {path: min(words - everywhere) for path, words in found.items() if words - everywhere}


def _may_be_drawn(path: str) -> bool:
    return any(map(path.casefold().__contains__, _LETTERS))


def places(paths: Iterable[str]) -> list[Place]:
    """Return where the images lie; those of which no folder may be a label are left out."""
    # A hundred thousand images lie in far fewer folders, and these have still fewer names.
    kept: dict[str, bool] = {}
    above: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {}
    found = []
    for path in paths:
        parent = path[: path.rfind("/") + 1]
        if parent not in above:
            folders = tuple(parent.split("/")[:-1])
            for one in folders:
                if one not in kept:
                    kept[one] = not (is_plain(one) or side_of(one) or is_patient(one))
            above[parent] = folders, tuple(n for n, one in enumerate(folders) if kept[one])
        found.append((path, parent))
    # What all images lie in tells them not apart.
    stacks = {tuple(folders[n] for n in named) for folders, named in above.values() if named}
    common = len(os.path.commonprefix(list(stacks)))
    left = {parent: (folders, named[common:]) for parent, (folders, named) in above.items()}
    return [Place(path, *left[parent]) for path, parent in found if left[parent][1]]


def levels_of(paths: Sequence[str]) -> list[Level]:
    """Return the levels of folders that may be labels; masks and the like do not count."""
    aside = drawn(paths)
    return levels(places(path for path in paths if path not in aside))


def levels(found: Sequence[Place]) -> list[Level]:
    """Return the levels of folders that may be labels, by how many there are in each."""
    likely: dict[tuple[tuple[str, int], ...], Level] = {}
    for level in range(max((len(one.named) for one in found), default=0)):
        names = Counter(one.folders[one.label_at(level)] for one in found)
        many = names.total() >= propose.FEWEST_IMAGES * len(names)
        if 2 <= len(names) <= propose.MOST_LABELS and many:
            counts = Counter(dict(names.most_common()))
            likely[tuple(counts.items())] = Level(level, counts)
    return list(likely.values())


def meant(likely: Sequence[Level], told: Sequence[str] | None, example: str, asker: Asker) -> Level:
    """Return the level of the labels where folders lie in folders: told by classes, or asked.

    ``told`` are the words of ``--classes``, ``example`` is a path. Raises InputError if one of them
    is no folder, or nobody can be asked.
    """
    words = {word: {word, word.partition("=")[2]} for word in told or ()}
    fit = [one for one in likely if words and all(w & one.counts.keys() for w in words.values())]
    whole = [one for one in fit if one.counts.keys() <= set().union(*words.values())]
    if len(whole) == 1 or len(fit) == 1:
        return (whole or fit)[0]
    shown = "; or ".join(one.shown for one in likely)
    names = {name for one in likely for name in one.counts}
    for word, either in words.items():
        if not either & names:
            near = nearest(word.partition("=")[2] or word, sorted(names))
            hint = f"did you mean {near!r}?" if near else "give some of those"
            raise InputError(f"--classes {word}: is none of the folders ({shown}); {hint}")
    if not asker.terminal:
        ways = "; or ".join(f"--classes {shlex.join(one.counts)}" for one in likely)
        raise InputError(
            f"which folders are the labels: {shown} (of paths such as {example}); give those that "
            f"are meant: {ways}"
            if len(likely) > 1
            else f"are these folders the labels: {shown} (paths such as {example} have others, "
            f"too); if they are, give {ways}; if not, a table must tell the labels (--table)"
        )
    for number, one in enumerate(likely, start=1):
        print(f"  {number}  {one.shown}")
    known = [str(number) for number in range(1, len(likely) + 1)]
    question = f"Number of the folders that are the labels (in paths such as {example})"
    return likely[int(asker.choose(question, known, "", "--classes", sure=False)) - 1]
