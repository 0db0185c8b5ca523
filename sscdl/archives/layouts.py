"""The layouts of archives: what identifies the content of each.

Needs only the standard library: this is asked each time the workflow is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sscdl.archives.listing import IMAGE_CSV, STUDY_CSV, file_list, scan_pictures
from sscdl.archives.table_settings import read_settings
from sscdl.recipe import file_hash


def content(dataset: Mapping[str, Any]) -> list[Any]:
    """Return what identifies the content of the archive that ``dataset`` describes, fit for JSON.

    That is a list of [path relative to the root, size in bytes], sorted, and a list of the SHA-256
    of the CSV files. Where the archive lies and what its columns mean is not in it.

    Raises InputError if a folder, a CSV file, a column of it or every image file is missing.
    """
    if dataset["layout"] == "siim":
        root = Path(dataset["root"])
        files = file_list(root)
        tables = [root / name for name in (IMAGE_CSV, STUDY_CSV)]
    elif dataset["layout"] == "table":
        settings = read_settings(dataset)
        files = scan_pictures(settings.root).files
        tables = [settings.table]
    else:
        raise ValueError(f"layout {dataset['layout']!r} is unknown")
    return [[list(file) for file in files], [file_hash(table) for table in tables]]
