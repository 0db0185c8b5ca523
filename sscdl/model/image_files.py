"""The image files that a model is asked about, and what its outputs call them."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sscdl.archives.listing import scan_pictures, stem
from sscdl.errors import InputError
from sscdl.recipe import fingerprint
from sscdl.words import many

LOGGER = logging.getLogger("sscdl.model")
_LONGEST_NAME = 150  # bytes; most file systems take 255, of which suffixes need some


@dataclass
class ImageFile:
    """One file: where it lies, what its outputs are called and its line of the table."""

    path: Path
    shown: str
    name: str
    line: dict[str, Any] = field(default_factory=dict)

    def fail(self, reason: str) -> None:
        self.line["error"] = reason
        LOGGER.warning("%s: no prediction: %s", self.shown, reason)


def find_images(source: Path, out: Path) -> tuple[list[ImageFile], list[tuple[str, str]]]:
    """Return the image files of ``source``, and (path, reason) of names that were set aside.

    Raises InputError if there is none, or ``out`` is no folder for what they give.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"output {out}: is a file; give a folder")
    if source.is_file():
        shown, problems = [source.name], []
    elif not source.is_dir():
        raise InputError(f"images {source}: no such file or folder; give one that exists")
    else:
        if out.resolve().is_relative_to(source.resolve()):
            raise InputError(
                f"output {out}: lies in the folder of the images, whose masks would be taken for "
                "images next time; give a folder elsewhere"
            )
        try:
            listing = scan_pictures(source)
        except InputError as error:
            raise InputError(
                f"images {source}: holds no DICOM, PNG, JPEG or TIFF file at any depth; give the "
                f"folder of the images ({error})"
            ) from None
        shown, problems = [path for path, _ in listing.files], listing.problems
        for path, reason in problems:
            LOGGER.warning("%s: no prediction: %s", path, reason)
        if listing.texts:
            LOGGER.info(
                "%s text passed over, such as %s",
                many(len(listing.texts), "file that holds", "files that hold"), listing.texts[0],
            )  # fmt: skip
    folder = source if source.is_dir() else source.parent
    endings = _endings(shown)
    named = zip(shown, endings, _names(endings), strict=True)
    return [ImageFile(folder / path, ending, name) for path, ending, name in named], problems


def _endings(paths: list[str]) -> list[str]:
    """Return of each relative path the shortest end that no other has: most often the file's name.

    Folders of archives are named after patients and studies, which outputs do not repeat.
    """
    every = {path: _tails(path) for path in paths}
    counts = Counter(tail for tails in every.values() for tail in tails)
    return [
        next((tail for tail in every[path] if counts[tail] == 1), every[path][-1]) for path in paths
    ]


def _tails(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[k:]) for k in reversed(range(len(parts)))]


def _names(paths: list[str]) -> list[str]:
    """Return a name for the outputs of each path; no two are alike, in lower or upper case."""
    names: list[str] = []
    used: set[str] = set()
    for path in paths:
        flat = path.replace("/", "_")
        tried = [stem(flat), flat, f"{stem(flat)}-{fingerprint(path)}"]
        if len(flat.encode()) > _LONGEST_NAME:
            front = flat.encode()[: _LONGEST_NAME - 20].decode(errors="ignore")
            tried = [f"{front}-{fingerprint(path)}"]
        name = next((name for name in tried if name.casefold() not in used), tried[-1])
        used.add(name.casefold())
        names.append(name)
    return names
