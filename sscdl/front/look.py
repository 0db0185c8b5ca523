"""What lies in a folder of radiographs: image files by kind, CSV files, and what these hold."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path

from sscdl.archives.listing import IMAGE_CSV, KIND_OF, STUDY_CSV, scan_pictures, stem
from sscdl.archives.lookup import find_files
from sscdl.csv_rows import header, read_rows
from sscdl.dicom.kinds import DICOM, image_kind
from sscdl.errors import InputError
from sscdl.magic import first_bytes
from sscdl.study.inputs import check_first_line
from sscdl.words import many

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
    _read: dict[Path, Table] = field(default_factory=dict, repr=False, compare=False)

    @property
    def told(self) -> str:
        """Return how many files of which kind there are, in words."""
        return ", ".join(many(number, f"{kind} file") for kind, number in self.kinds.items())

    @property
    def all_dicom(self) -> bool:
        """Return whether every image has a header that may name its patient."""
        return set(self.kinds) == {DICOM}

    def table(self, path: Path) -> Table:
        """Return a CSV file, which is read once; raises InputError as ``Table`` does."""
        if path not in self._read:
            self._read[path] = Table(path)
        return self._read[path]

    def named(self, texts: Iterable[str]) -> int:
        """Return how many of some texts name image files."""
        # A text can only mean a file of the same last part: looking among all takes seconds.
        lasts = {text: _last(text) for text in texts}
        known = [text for text, last in lasts.items() if last in self._by_name]
        near = dict.fromkeys(path for text in known for path in self._by_name[lasts[text]])
        return len(find_files(known, list(near))[0]) if near else 0

    def share_named(self, texts: Iterable[str]) -> float:
        """Return the share of some texts, of up to 200 of them, that name image files."""
        texts = list(texts)
        sample = texts[:: max(1, len(texts) // _SAMPLE)]
        return self.named(sample) / len(sample) if sample else 0.0

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        """Return the paths by the names of their files, with and without a suffix."""
        found: dict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            name = path.rpartition("/")[2]
            for one in {name, stem(name)}:
                found[one].append(path)
        return found


class Table:
    """A CSV file.

    ``columns`` has the texts of each column that is there once, in their order; ``doubled`` the
    names of the others.
    """

    def __init__(self, path: Path, most: int | None = None) -> None:
        """Read the file, or up to ``most`` of its rows.

        Raises InputError as ``sscdl.csv_rows`` does, or if it has no rows.
        """
        self.path = path
        check_first_line(path)
        first = header(path)
        times = Counter(first)
        names = [name for name in first if name and times[name] == 1]
        self.doubled = tuple(name for name, number in times.items() if name and number > 1)
        self.columns: dict[str, list[str]] = {name: [] for name in names}
        for _, row in islice(read_rows(path, names), most):
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


def _last(text: str) -> str:
    """Return the last part of a path as tables write them, '' if it has none."""
    parts = [part for part in re.split(r"[/\\]", text) if part not in ("", ".")]
    return parts[-1] if parts else ""


def _kind(path: Path) -> str:
    """Return the kind of an image file by its suffix or, without a usual one, by its contents."""
    suffix = path.suffix.lower()
    return KIND_OF.get(suffix) or image_kind(first_bytes(path)) or "other"
