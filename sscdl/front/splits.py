"""A split that is given with somebody's images: found, tried, and taken where that is said."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sscdl.archives.given_split import read_given_split
from sscdl.archives.sides import COLUMN, LISTS, REFUSE, SIDES
from sscdl.csv_rows import columns_of
from sscdl.errors import InputError
from sscdl.front import propose
from sscdl.front.ask import Asker
from sscdl.front.look import Folder, Table
from sscdl.front.paths import sides_of, split_folders

_COLUMN = re.compile(r"(data)?(split|fold|set|subset|partition)")
_FILES = re.compile(r"(train|val|valid|test|list|lists|files|images|names|split|set|txt|_|-|\.)+")


class Given(NamedTuple):
    """A split that is given: the block of a configuration, and whether it is to be taken."""

    block: dict[str, Any]
    taken: bool


def given_split(
    dataset: Mapping[str, Any], folder: Folder, labels: Mapping[str, str], asker: Asker
) -> Given | None:
    """Return the split that the images come with, None if none is found.

    ``labels`` are those of the files that have one. It is taken if somebody says so on a terminal,
    and can be taken; what speaks against it is told.
    """
    block = next(_found(dataset, folder, labels), None)
    if block is None:
        return None
    named = block[block["source"]]
    if block["source"] == COLUMN:
        where = "folders" if dataset["layout"] == "folders" else f"column {named['name']!r}"
    else:
        where = ", ".join(named.values())
    print(f"A split is given: {where}")
    if against := _against(dataset, block, folder, labels):
        print(f"  it is not taken: {against}")
        return Given(block, False)
    if asker.terminal:
        answer = asker.choose(
            "Take this split (no: one is drawn)", ["yes", "no"], "yes", "", sure=False
        )
        return Given(block, answer == "yes")
    print("  it is not taken, but stands in the file: take away the # to have it")
    return Given(block, False)


def further_tables(dataset: Mapping[str, Any], folder: Folder) -> list[str]:
    """Return the other tables, below the folder, that have the columns of a data set's one."""
    if dataset["layout"] != "table":
        return []
    table = Table(Path(dataset["root"]) / dataset["table"])
    found = []
    for path in folder.tables:
        if path.name == table.path.name or not path.is_relative_to(folder.root):
            continue
        try:
            if set(columns_of(path, list(table.columns))) == set(table.columns):
                found.append(str(path.relative_to(folder.root)))
        except InputError:
            continue  # a table of something else, or damaged, which its reader would tell
    return found


def _found(
    dataset: Mapping[str, Any], folder: Folder, labels: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield the blocks of splits that are there: of folders, of a column, or of lists."""
    if dataset["layout"] == "folders":
        if sides := sides_of(split_folders(dict(dataset), folder)):
            yield {"source": COLUMN, COLUMN: {"name": "split", **_enough(sides, labels)}}
    elif dataset["layout"] == "table":
        table = Table(Path(dataset["root"]) / dataset["table"])
        for name in table.columns:
            sides = sides_of(table.counts[name])
            if sides and _COLUMN.fullmatch(propose.plain(name)):
                yield {"source": COLUMN, COLUMN: {"name": name, **sides}}
    lists: dict[str, list[str]] = {side: [] for side in SIDES}
    for text in folder.texts:
        name = Path(text).name.lower()
        if name.endswith(".txt") and _FILES.fullmatch(name):
            side = next((one for one in ("test", "train", "val") if one in name), "")
            if side:
                lists[side].append(text)
    there = {side: texts[0] for side, texts in lists.items() if len(texts) == 1}
    if there.keys() >= {"train", "test"} and not any(len(some) > 1 for some in lists.values()):
        yield {"source": LISTS, LISTS: there}


def _enough(sides: dict[str, list[str]], labels: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the sides of folders, without a validation side of too few images to choose by."""
    if "val" not in sides:
        return sides
    names = [f"/{name}/" for name in sides["val"]]
    inside = (labels[path] for path in labels if any(name in f"/{path}" for name in names))
    counts = Counter(inside)
    if all(counts[label] >= propose.FEWEST_IMAGES for label in set(labels.values())):
        return sides
    return {"train": sides["train"] + sides["val"], "test": sides["test"]}


def _against(
    dataset: Mapping[str, Any], block: Mapping[str, Any], folder: Folder, labels: Mapping[str, str]
) -> str:
    """Return why a split cannot be taken, '' if it can."""
    named = {"pattern": None, **dict.fromkeys(SIDES), **block[block["source"]]}
    split = {"straddling": REFUSE, **block, block["source"]: named}
    try:
        given = read_given_split(dataset, split, folder.paths)
    except InputError as error:
        return str(error)
    there = {(given.sides.get(path), label) for path, label in labels.items()}
    for side in SIDES if given.validated else ("train", "test"):
        for label in sorted(set(labels.values())):
            if (side, label) not in there:
                return f"no image labelled {label} is on the side {side}"
    return ""
