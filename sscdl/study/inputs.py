"""What the files hold that a configuration names: archives, given masks, pairs and weights.

Read once, by the process that plans; the processes of its jobs are told. Imports neither torch nor
pandas.
"""

from __future__ import annotations

import errno
import os
import re
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from sscdl.archives import folder_settings
from sscdl.archives.cohorts import MAIN, PRETRAINING
from sscdl.archives.digests import Digests, content, earlier_content, folder_content
from sscdl.archives.given_split import read_given_split
from sscdl.archives.layouts import Files, list_files
from sscdl.errors import InputError, of_key
from sscdl.recipe import file_hash, fingerprint, folder_listing
from sscdl.weight_files import weights_format

GIVEN = {"masks": (".png",), "train": (".png", ".jpg", ".jpeg")}  # by source of the lungs
PLACES = ("root", "table", "further")  # of an archive
_FOR_EXCEL = re.compile(r"\"?sep=.?\"?", re.IGNORECASE)
_FIRST = 64  # bytes of a first line that may be such a one
PICTURES_IN = {"masks": ("",), "train": ("images", "masks")}


class Inputs:
    """The contents of a study's files, each looked up when it is first asked for."""

    def __init__(
        self, cohorts: Mapping[str, Any], lungs: Mapping[str, Any], digests: Digests
    ) -> None:
        """Take the description of each archive that is there, and the block ``lungs``."""
        self.cohorts, self.lungs, self.digests = cohorts, lungs, digests

    @cached_property
    def _files(self) -> dict[str, Files]:
        found = {}
        for name, cohort in self.cohorts.items():
            with of_key("pretraining_dataset" if name == PRETRAINING else "dataset"):
                for table in filter(None, (cohort.get("table"), *(cohort.get("further") or ()))):
                    check_first_line(Path(cohort["root"], table))
                found[name] = list_files(cohort)
        return found

    @cached_property
    def archives(self) -> dict[str, str]:
        """Return a fingerprint of the contents of each archive, by cohort."""
        return {name: content(files, self.digests) for name, files in self._files.items()}

    def earlier_archives(self) -> dict[str, str]:
        """Return the fingerprint that each archive had when names and sizes were all of it."""
        return {name: earlier_content(files) for name, files in self._files.items()}

    @cached_property
    def parts(self) -> dict[str, Mapping[str, Mapping[str, str]]]:
        """Return what the paths of each archive of layout folders say, as ``Files`` has it."""
        return {name: files.parts for name, files in self._files.items() if files.parts}

    def image_files(self) -> int:
        """Return how many files of the main archive may be images."""
        return len(self._files[MAIN].images)

    def given_split(self, split: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the block ``split`` gives: its ``recipe``, ``notes`` and what is ``counted``.

        ``files`` has the number of image files on each side, ``problems`` is a hash of what is odd.
        Raises InputError if it cannot be used (see ``sscdl.archives.given_split``).
        """
        given = read_given_split(self.cohorts[MAIN], split, self._files[MAIN].images)
        return {
            "recipe": given.recipe(),
            "notes": given.notes,
            "counted": given.counted,
            "files": dict(Counter(given.sides.values())),
            "problems": fingerprint(given.problems),
        }

    @property
    def _given(self) -> Path | None:
        """Return the folder of given masks, or of pairs to learn from, None if there is none."""
        source = self.lungs["source"]
        folder = self.lungs[source]["folder"] if source in GIVEN else None
        return Path(folder) if folder else None

    @property
    def _index(self) -> list[str]:
        """Return the hash of the list of pairs, where there are pairs."""
        if self.lungs["source"] != "train":
            return []
        with of_key("lungs.train.folder"):
            # There is a folder where there are pairs.
            return [file_hash(self._given / "index.csv")]  # type: ignore[operator]

    @cached_property
    def _given_files(self) -> list[tuple[str, int]]:
        source = self.lungs["source"]
        with of_key(f"lungs.{source}.folder"):
            try:
                # Asked only where a folder is given.
                return folder_listing(self._given, GIVEN[source])  # type: ignore[arg-type]
            except OSError as error:  # such as a link that leads nowhere
                raise InputError(
                    f"{error.filename}: cannot be read ({error.strerror}); remove it, or mend "
                    "where it leads"
                ) from None

    @cached_property
    def given(self) -> Any:
        """Return what identifies given masks or pairs, or the weights of a segmenter, by contents.

        None where there is none of them.
        """
        if self.lungs["source"] == "checkpoint" and self.lungs["checkpoint"]["file"]:
            with of_key("lungs.checkpoint.file"):
                weights_format(Path(self.lungs["checkpoint"]["file"]))
                return self.digests.of_file(self.lungs["checkpoint"]["file"])
        if self._given is None:
            return None
        names = [name for name, _ in self._given_files]
        source = self.lungs["source"]
        return [folder_content(self._given, names, source, self.digests), *self._index]

    def earlier_given(self) -> Any:
        """Return what identified given masks or pairs when names and sizes were all of it."""
        if self._given is None:
            return self.given
        return [self._given_files, *self._index] if self._index else self._given_files


def check_first_line(table: Path) -> None:
    """Raise InputError if a table begins with a line for Excel, such as ``sep=;``.

    It says there what separates the columns, and would be taken for a header that names no column.
    """
    try:
        with open(table, "rb") as file:
            first = file.readline(_FIRST).decode("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError):
        return  # whoever reads the table says why
    if _FOR_EXCEL.fullmatch(first):
        raise InputError(
            f"{table}: its first line, {first}, is for Excel alone and no header; delete that line"
        )


def check_given(lungs: Mapping[str, Any]) -> None:
    """Raise InputError if given masks, or pairs to learn from, cannot be read, or there are none.

    Whoever lists them is not told: they would be as if they were not there.
    """
    source = lungs["source"]
    folder = lungs[source]["folder"] if source in GIVEN else None
    if folder:
        for below in PICTURES_IN[source]:
            _check_pictures(Path(folder, below), GIVEN[source], f"lungs.{source}.folder")


def _check_pictures(folder: Path, suffixes: tuple[str, ...], key: str) -> None:
    """Raise InputError that names ``key`` unless a folder has pictures, all of them readable."""
    try:
        with os.scandir(folder) as entries:
            names = [one.path for one in entries if one.name.lower().endswith(suffixes)]
        for name in names:
            os.stat(name)  # a link that leads nowhere has no permissions either
            if not os.access(name, os.R_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
    except OSError as error:
        raise InputError(
            f"{key}: {error.filename} cannot be read ({error.strerror}); check the path, where "
            "it leads and its permissions"
        ) from None
    if not names:
        raise InputError(
            f"{key}: {folder} has no file that ends in {' or '.join(suffixes)}; check the path"
        )


def asked(cohorts: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Return a fingerprint of the question that is answered by what is in the files of a study."""
    parts = (config[key] for key in ("lungs", "roots", "ingest", "backbone", "store", "split"))
    return fingerprint([cohorts, *parts])


def description(block: Mapping[str, Any], *, several: bool) -> dict[str, Any]:
    """Return what the readers of archives are told about a block such as ``dataset``.

    ``several``: an image may have several labels, as findings are; a table can say so.
    """
    found = {"layout": block["layout"], **block[block["layout"]]}
    if several and found["layout"] == "table" and found["labels"]:
        # Only then, so that images of other studies are called what they have always been.
        found["several"] = True
    return found


def meaning(
    description: Mapping[str, Any], parts: Mapping[str, Mapping[str, str]] | None
) -> dict[str, Any]:
    """Return what is said of an archive but for where it lies: moving it changes nothing.

    In the place of patterns stands what comes of them but for the split: how they are written, and
    which side they find, makes no other images. ``parts`` are those of its ``Files``, None for
    other layouts.
    """
    found = {key: value for key, value in description.items() if key not in PLACES}
    if parts is None:
        return found
    known = sorted(folder_settings.read_settings(description).groups - {folder_settings.SPLIT})
    said = sorted((path, [texts[name] for name in known]) for path, texts in parts.items())
    return {**found, "patterns": fingerprint([known, said])}
