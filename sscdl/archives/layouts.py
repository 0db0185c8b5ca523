"""The layouts of archives: what identifies the content of each.

Needs only the standard library: this is asked each time the workflow is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sscdl.archives import folder_settings
from sscdl.archives.digests import Digests
from sscdl.archives.listing import IMAGE_CSV, STUDY_CSV, file_list, scan_pictures
from sscdl.archives.table_settings import read_settings
from sscdl.recipe import file_hash, fingerprint


class Files(NamedTuple):
    """The files of an archive: ``listed`` has (path relative to the root, size in bytes), sorted.

    ``listed`` has the tables of the layout siim, too; ``tables`` are the CSV files of any layout.
    """

    layout: str
    root: Path
    listed: list[tuple[str, int]]
    tables: list[Path]

    @property
    def images(self) -> list[str]:
        """Return the paths of the files that may be images."""
        return [path for path, _ in self.listed if path not in (IMAGE_CSV, STUDY_CSV)]


def list_files(dataset: Mapping[str, Any]) -> Files:
    """Return the files of the archive that ``dataset`` describes.

    Raises InputError if a folder, a CSV file, a column of it or every image file is missing, or
    patterns fit no path.
    """
    layout = dataset["layout"]
    if layout == "siim":
        root = Path(dataset["root"])
        tables = [root / name for name in (IMAGE_CSV, STUDY_CSV)]
        return Files(layout, root, file_list(root), tables)
    if layout == "table":
        settings = read_settings(dataset)
        return Files(layout, settings.root, scan_pictures(settings.root).files, settings.tables)
    if layout == "folders":
        described = folder_settings.read_settings(dataset)
        listing = scan_pictures(described.root)
        folder_settings.read_parts(described, listing)
        return Files(layout, described.root, listing.files, [])
    raise ValueError(f"layout {layout!r} is unknown")


def content(files: Files, digests: Digests) -> str:
    """Return the fingerprint of what an archive holds: paths and contents of all its files.

    Where the archive lies, and what its table is called, is not in it. A file that cannot be read
    counts as one that cannot be read. Raises InputError if that is a table, or if a file does not
    stop changing.
    """
    tables = [file_hash(table) for table in files.tables]
    return fingerprint([folder_content(files.root, files.images, files.layout, digests), tables])


def folder_content(root: Path, names: list[str], use: str, digests: Digests) -> str:
    """Return the SHA-256, as 64 hex digits, over paths and contents of the files ``names``.

    ``use`` is as :meth:`sscdl.archives.digests.Digests.of_folder` takes it.
    """
    found = sorted(digests.of_folder(root, names, use).items())
    text = "".join(f"{name}\0{digest or 'cannot be read'}\0" for name, digest in found)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def earlier_content(files: Files) -> str:
    """Return the fingerprint that archives had up to version 0.1: of names, sizes and tables."""
    tables = [file_hash(table) for table in files.tables]
    return fingerprint([[list(file) for file in files.listed], tables])
