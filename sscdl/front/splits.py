"""A split that is given with somebody's images: found, tried, and taken where that is said."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sscdl.archives.folder_words import shown_texts
from sscdl.archives.given_split import GivenSplit, lacking, read_given_split
from sscdl.archives.sides import COLUMN, LISTS, REFUSE, SIDES, TELL
from sscdl.archives.straddling import crossing
from sscdl.csv_rows import check_columns, header
from sscdl.errors import InputError
from sscdl.front import propose
from sscdl.front.ask import Asker
from sscdl.front.levels import side_of, sides_of
from sscdl.front.look import Folder
from sscdl.front.paths import split_folders
from sscdl.words import many

_FILES = re.compile(r"(train|val|valid|test|list|lists|files|images|names|split|set|txt|_|-|\.)+")


class Given(NamedTuple):
    """A split that is given: the block of a configuration, and whether it is to be taken.

    ``against`` is why it cannot be, '' if it can; the block of one that lacks nothing but leave for
    patients on several sides gives that. ``notes`` say what it makes of the images.
    """

    block: dict[str, Any]
    taken: bool
    against: str = ""
    notes: tuple[str, ...] = ()


def given_split(
    dataset: Mapping[str, Any], folder: Folder, labels: Mapping[str, str], asker: Asker
) -> Given | None:
    """Return the split that the images come with, None if none is found.

    ``labels`` are those of the files that have one. It is taken if somebody says so on a terminal,
    and can be taken; what speaks against it is told.
    """
    blocks = list(_found(dataset, folder))
    for odd in _odd(dataset, folder, found=bool(blocks)):
        print(f"May be a split, and is not taken: {odd}")
    for block in blocks[1:]:
        print(f"Another split is given, and not looked at: {_where(dataset, block)}")
    if not blocks:
        return None
    print(f"A split is given: {_where(dataset, blocks[0])}")
    given = _tried(dataset, blocks[0], folder, labels)
    for note in given.notes:
        print(f"  {note}")
    if given.against:
        print(f"  it is not taken: {given.against}")
        return given
    if asker.terminal:
        answer = asker.choose(
            "Take this split (no: one is drawn)", ["yes", "no"], "yes", "", sure=False
        )
        return given._replace(taken=answer == "yes")
    print("  it is not taken, but stands in the file: take away the # to have it")
    return given


def further_tables(dataset: Mapping[str, Any], folder: Folder) -> list[str]:
    """Return the other tables, below the folder, that have the columns of a data set's one."""
    if dataset["layout"] != "table":
        return []
    table = folder.table(Path(dataset["root"]) / dataset["table"])
    names = Counter(header(table.path))  # also those without a name, and those there twice
    found = []
    for path in folder.tables:
        if path == table.path or not path.is_relative_to(folder.root):
            continue
        try:
            check_columns(path, list(table.columns))
            if Counter(header(path)) == names:
                found.append(str(path.relative_to(folder.root)))
        except InputError:
            continue  # a table of something else, or damaged, which its reader would tell
    return found


def split_of_tables(
    dataset: Mapping[str, Any], further: Sequence[str], folder: Folder
) -> dict[str, Any] | None:
    """Return the split of two tables, to train and to test on; None unless a run takes it."""
    if len(further) != 1:
        return None
    lists = {"train": str(dataset["table"]), "test": further[0]}
    block = {"source": LISTS, LISTS: lists}
    try:
        _read({**dataset, "further": further}, block, folder, REFUSE)
    except InputError as error:
        print(f"  they are no split as they are: {error}")
        return None
    return block


def _found(dataset: Mapping[str, Any], folder: Folder) -> Iterator[dict[str, Any]]:
    """Yield the blocks of splits that are there: of folders, of a column, or of lists."""
    if dataset["layout"] == "folders":
        if sides := sides_of(split_folders(dataset, folder)):
            yield {"source": COLUMN, COLUMN: {"name": "split", **sides}}
    elif dataset["layout"] == "table":
        table = folder.table(Path(dataset["root"]) / dataset["table"])
        for name in table.columns:
            if sides := sides_of(table.counts[name]):
                yield {"source": COLUMN, COLUMN: {"name": name, **sides}}
    lists = _lists(folder)
    if lists and not _wrong_lists(lists):
        yield {"source": LISTS, LISTS: {side: texts[0] for side, texts in lists.items()}}


def _where(dataset: Mapping[str, Any], block: Mapping[str, Any]) -> str:
    """Return in words what says a split."""
    named = block[block["source"]]
    if block["source"] == LISTS:
        return ", ".join(named.values())
    return "folders" if dataset["layout"] == "folders" else f"column {named['name']!r}"


def _lists(folder: Folder) -> dict[str, list[str]]:
    """Return the files that are called as lists of each side, of those that there are."""
    lists: dict[str, list[str]] = {side: [] for side in SIDES}
    for text in folder.texts:
        name = Path(text).name.lower()
        if name.endswith(".txt") and _FILES.fullmatch(name):
            side = next((one for one in ("test", "train", "val") if one in name), "")
            if side:
                lists[side].append(text)
    return {side: texts for side, texts in lists.items() if texts}


def _wrong_lists(lists: Mapping[str, list[str]]) -> str:
    """Return why lists are no split, '' if they are one."""
    if twice := [side for side, texts in lists.items() if len(texts) > 1]:
        return f"there are several for {twice[0]}"
    lost = [side for side in ("train", "test") if side not in lists]
    return f"there is none for {lost[0]}" if lost else ""


def _odd(dataset: Mapping[str, Any], folder: Folder, *, found: bool) -> Iterator[str]:
    """Yield what looks like a split and is none of the form that is taken, and why.

    Where one is ``found``, folders beside a table are probably the same one.
    """
    if dataset["layout"] == "folders":
        names = split_folders(dataset, folder)
        if names and not sides_of(names):
            yield f"folders {shown_texts(Counter(names))}; {_wrong_sides(names)}"
    elif dataset["layout"] == "table":
        table = folder.table(Path(dataset["root"]) / dataset["table"])
        for name, counts in table.counts.items():
            known = set(map(side_of, counts)) - {""}
            looks = len(known) > 1 or propose.called(name, "split")
            if counts and looks and not sides_of(counts):
                yield f"column {name!r} with {shown_texts(counts)}; {_wrong_sides(counts)}"
        above = Counter(
            next(filter(side_of, reversed(path.split("/")[:-1])), "") for path in folder.paths
        )
        del above[""]
        if not found and len(set(map(side_of, above))) > 1:
            yield (
                f"folders {shown_texts(above)}; with a table, its columns or lists say the split "
                "(split.source), or a pattern of the column of the files"
            )
    lists = _lists(folder)
    if wrong := _wrong_lists(lists) if lists else "":
        yield f"lists {', '.join(text for texts in lists.values() for text in texts)}; {wrong}"


def _wrong_sides(texts: Iterable[str]) -> str:
    """Return why texts are not those of a split."""
    other = [text for text in dict.fromkeys(texts) if not side_of(text)]
    if other:
        return f"{other[0]!r} is no usual name of a side"
    known = set(map(side_of, texts))
    return "there is none for " + ("test" if "test" not in known else "train")


def _tried(
    dataset: Mapping[str, Any],
    block: dict[str, Any],
    folder: Folder,
    labels: Mapping[str, str],
) -> Given:
    """Return a split as it can be taken, and why it cannot be.

    A folder of validation images too few to choose by joins the training side.
    """
    try:
        given = _read(dataset, block, folder, TELL)
    except InputError as error:
        return Given(block, False, str(error))
    sides, named, note = given.sides, block[block["source"]], ""
    if dataset["layout"] == "folders" and "val" in named and not _enough(sides, labels):
        train = named["train"] + named["val"]
        block = {**block, block["source"]: {**named, "train": train}}
        del block[block["source"]]["val"]
        joined = Counter(sides.values())["val"]
        few = many(
            joined,
            "image, too few to choose by, that trains",
            "images, too few to choose by, that train",
        )
        note = f"{', '.join(named['val'])}: {few}, too"
        given = _read(dataset, block, folder, TELL)
        sides = given.sides
    notes = (*([note] if note else []), *dict.fromkeys([*given.notes, given.counted]))
    present = {(label, sides.get(path, "")) for path, label in labels.items()}
    wanted = sorted(set(labels.values()))
    if lost := lacking(present, wanted, validated="val" in sides.values()):
        against = f"no image labelled {lost[0]} is on the side {lost[1]}"
        return Given(block, False, against, notes)
    homes: dict[str, set[str]] = {side: set() for side in SIDES}
    for path, side in sides.items():
        homes[side] |= {given.patients.get(path, "")} - {""}
    if any(crossing(homes).pairs.values()):
        try:
            _read(dataset, block, folder, REFUSE)
        except InputError as error:
            return Given({**block, "straddling": TELL}, False, str(error), notes)
    return Given(block, False, notes=notes)


def _read(
    dataset: Mapping[str, Any], block: Mapping[str, Any], folder: Folder, straddling: str
) -> GivenSplit:
    """Return what a split says of the images; InputError if it cannot be used."""
    named = {"pattern": None, **dict.fromkeys(SIDES), **block[block["source"]]}
    split = {**block, block["source"]: named, "straddling": straddling}
    return read_given_split(dataset, split, folder.paths)


def _enough(sides: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Return whether each label has so many validation images as one may choose by."""
    counts = Counter(label for path, label in labels.items() if sides.get(path) == "val")
    return all(counts[label] >= propose.FEWEST_IMAGES for label in set(labels.values()))
