"""Reading the index of an archive of any layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sscdl.archives import folders, siim, table
from sscdl.archives.index import Index


def read_index(dataset: Mapping[str, Any]) -> Index:
    """Return the index of the archive that ``dataset`` describes.

    ``dataset`` holds layout (``siim``, ``table`` or ``folders``), root, id_key and, for the last
    two, what ``sscdl.archives.table_settings`` and ``folder_settings`` read. Raises InputError if
    the archive or its tables are unusable.
    """
    if dataset["layout"] == "siim":
        return siim.read_index(dataset["root"])
    if dataset["layout"] == "table":
        return table.read_index(dataset)
    if dataset["layout"] == "folders":
        return folders.read_index(dataset)
    raise ValueError(f"layout {dataset['layout']!r} is unknown")
