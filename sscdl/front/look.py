"""What lies in a folder of radiographs: image files by kind, CSV files, and what these hold."""

from __future__ import annotations

import csv
import os
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sscdl.archives.listing import (
    DICOM_SUFFIXES,
    IMAGE_CSV,
    STUDY_CSV,
    scan_pictures,
)
from sscdl.archives.lookup import find_files
from sscdl.csv_rows import DELIMITERS, read_rows
from sscdl.dicom.kinds import DICOM, image_kind
from sscdl.errors import InputError
from sscdl.magic import first_bytes

_KINDS = {**dict.fromkeys(DICOM_SUFFIXES, DICOM), ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG",
          ".tif": "TIFF", ".tiff": "TIFF"}  # fmt: skip
_TABLES = (".csv", ".tsv")
_SAMPLE = 200  # values of a column that are looked for among the files


@dataclass(frozen=True)
class Folder:
    """A folder of images.

    ``paths``: its image files, relative to ``root`` and with forward slashes; ``kinds``: how many
    there are of each kind; ``tables``: the CSV files in it or, if there is none, beside it;
    ``challenge``: whether it is laid out as the SIIM-FISABIO-RSNA challenge is; ``texts``: its
    files that hold text, relative to ``root``.
    """

    root: Path
    paths: tuple[str, ...]
    kinds: dict[str, int]
    tables: tuple[Path, ...]
    challenge: bool
    texts: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """Return how many files of which kind there are, in words."""
        return ", ".join(f"{number:,} {kind} files" for kind, number in self.kinds.items())

    @property
    def all_dicom(self) -> bool:
        """Return whether every image has a header that may name its patient."""
        return set(self.kinds) == {DICOM}


class Table:
    """A CSV file: ``columns`` has the texts of each column that is there once, in their order."""

    def __init__(self, path: Path) -> None:
        """Read the file; raises InputError as ``sscdl.csv_rows`` does, or if it has no rows."""
        self.path = path
        header = _header(path)
        names = [name for name in header if name and header.count(name) == 1]
        self.columns: dict[str, list[str]] = {name: [] for name in names}
        for _, row in read_rows(path, names):
            for name in names:
                self.columns[name].append(row[name])
        if not names or not self.rows:
            raise InputError(f"{path}: has no rows below a header; give another table")

    @property
    def rows(self) -> int:
        """Return the number of rows."""
        return len(next(iter(self.columns.values()), ()))

    @cached_property
    def counts(self) -> dict[str, Counter[str]]:
        """Return how often each text is in each column, the most frequent first, none empty."""
        counted = {}
        for name, texts in self.columns.items():
            counted[name] = Counter(dict(Counter(filter(None, texts)).most_common()))
        return counted

    def share_found(self, column: str, paths: tuple[str, ...]) -> float:
        """Return the share of a column's texts, of up to 200, that name one of ``paths``."""
        texts = list(self.counts[column])
        sample = texts[:: max(1, len(texts) // _SAMPLE)]
        return len(find_files(sample, paths)[0]) / len(sample) if sample else 0.0


def look(root: Path) -> Folder:
    """Look at a folder; InputError if it is not there or has no image at any depth."""
    root = Path(os.path.abspath(root))
    listing = scan_pictures(root)
    paths = tuple(path for path, _ in listing.files)
    # Those that are no text in UTF-8 were set aside; whoever reads them says what they are.
    others = [*listing.texts, *(path for path, _ in listing.problems)]
    tables = [root / path for path in sorted(others) if path.lower().endswith(_TABLES)]
    tables = [path for path in tables if path.is_file()]
    if not tables and root.parent != root and os.access(root.parent, os.R_OK):
        beside = (one for one in sorted(root.parent.iterdir()) if one.is_file())
        tables = [one for one in beside if one.name.lower().endswith(_TABLES)]
    files = [root / STUDY_CSV, root / IMAGE_CSV]
    return Folder(
        root,
        paths,
        dict(Counter(_kind(root / path) for path in paths).most_common()),
        tuple(tables),
        (root / "train").is_dir() and all(one.is_file() for one in files),
        tuple(listing.texts),
    )


def _kind(path: Path) -> str:
    """Return the kind of an image file by its suffix or, without a usual one, by its contents."""
    suffix = path.suffix.lower()
    return _KINDS.get(suffix) or image_kind(first_bytes(path)) or "other"


def _header(path: Path) -> list[str]:
    """Return the names in the first row, separated by what makes most of them.

    Whoever reads the rows says what is wrong with a file that is no such text.
    """
    rows: list[list[str]] = [[]]
    for delimiter in DELIMITERS:
        try:
            with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
                rows.append(next(csv.reader(file, delimiter=delimiter), []))
        except (OSError, csv.Error):
            continue
    return [name.strip() for name in max(rows, key=len)]
