"""The layouts of archives: which files each has, and what their paths say.

Needs only the standard library: this is asked each time the workflow is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sscdl.archives import folder_settings
from sscdl.archives.listing import IMAGE_CSV, STUDY_CSV, file_list, scan_pictures
from sscdl.archives.table_settings import read_settings


class Files(NamedTuple):
    """The files of an archive: ``listed`` has (path relative to the root, size in bytes), sorted.

    ``listed`` has the tables of the layout siim, too; ``tables`` are the CSV files of any layout.
    ``parts`` has what the paths say in layout folders: for each in which a pattern is found, the
    text of each group.
    """

    layout: str
    root: Path
    listed: list[tuple[str, int]]
    tables: list[Path]
    parts: Mapping[str, Mapping[str, str]]

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
        return Files(layout, root, file_list(root), tables, {})
    if layout == "table":
        settings = read_settings(dataset)
        listed = scan_pictures(settings.root).files
        return Files(layout, settings.root, listed, settings.tables, {})
    if layout == "folders":
        described = folder_settings.read_settings(dataset)
        listing = scan_pictures(described.root)
        paths = [path for path, _ in listing.files]
        parts = folder_settings.read_parts(described, paths, listing.problems)
        return Files(layout, described.root, listing.files, [], parts)
    raise ValueError(f"layout {layout!r} is unknown")
