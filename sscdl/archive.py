"""Listing the files of an archive in the layout of the SIIM-FISABIO-RSNA COVID-19 challenge.

This module needs only the standard library: the list also tells whether an archive has changed, and
that question is asked before anything heavy is imported.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sscdl.errors import InputError

STUDY_CSV = "train_study_level.csv"
IMAGE_CSV = "train_image_level.csv"
LAYOUT = "train/<study>/<series>/<image>.dcm"


@dataclass(frozen=True)
class Listing:
    """What lies in an archive: paths are relative to its root, with forward slashes, sorted.

    ``files`` holds (path, size in bytes) of the DICOM files; ``problems`` holds (path, reason) of
    everything that was set aside.
    """

    files: list[tuple[str, int]]
    problems: list[tuple[str, str]]


def file_list(root: str | Path) -> list[tuple[str, int]]:
    """Return the sorted (relative path, size in bytes) of the DICOM files and the two CSV files.

    Raises InputError if the archive is not there or not complete (see ``scan``).
    """
    root = Path(root)
    files = scan(root).files
    tables = [(name, (root / name).stat().st_size) for name in (IMAGE_CSV, STUDY_CSV)]
    return sorted(files + tables)


def scan(root: str | Path) -> Listing:
    """Walk ``root``/train once and return its DICOM files and what had to be set aside.

    Set aside are links that lead out of the root or to a folder, DICOM files at another depth than
    train/<study>/<series>/<image>.dcm, unprintable names and unreadable folders.
    Raises InputError if the root, its train folder, a CSV file or every DICOM file is missing.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(
            f"{root}: there is no such folder; set the data set's root to the folder that holds "
            f"train/, {STUDY_CSV} and {IMAGE_CSV}"
        )
    top = root / "train"
    if not top.is_dir():
        raise InputError(
            f"{top}: there is no such folder; the root must hold files as {LAYOUT} "
            "(is the root one folder too high or too low?)"
        )
    for name in (STUDY_CSV, IMAGE_CSV):
        if not (root / name).is_file():
            raise InputError(
                f"{root / name}: there is no such file; it belongs to the challenge's data, "
                "put it beside train/"
            )
    real_root = os.path.realpath(root)
    if not _inside(os.path.realpath(top), real_root):
        raise InputError(
            f"{top}: is a link that leads out of the root; set the root to the folder that really "
            "holds the files, with the two CSV files beside train/"
        )
    files: list[tuple[str, int]] = []
    problems: list[tuple[str, str]] = []
    _walk(str(top), "train", real_root, files, problems)
    if not files:
        hint = (
            f"; first of {len(problems)} set aside: {': '.join(min(problems))}" if problems else ""
        )
        raise InputError(f"{top}: no DICOM file found as {LAYOUT}{hint}")
    return Listing(sorted(files), sorted(problems))


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _walk(
    folder: str,
    relative: str,
    real_root: str,
    files: list[tuple[str, int]],
    problems: list[tuple[str, str]],
) -> None:
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError as error:
        problems.append((relative, f"folder cannot be read: {error.strerror}"))
        return
    for entry in found:
        if not entry.name.isprintable():
            # ascii() keeps such names writable; they would break every table that holds them.
            problems.append((f"{relative}/{ascii(entry.name)[1:-1]}", "name cannot be printed"))
            continue
        path = f"{relative}/{entry.name}"
        if entry.is_symlink() and not _inside(os.path.realpath(entry.path), real_root):
            problems.append((path, "link leads out of the root, not followed"))
        elif entry.is_symlink() and entry.is_dir():
            problems.append((path, "link to a folder, not followed"))
        elif entry.is_dir():
            _walk(entry.path, path, real_root, files, problems)
        elif entry.name.lower().endswith(".dcm"):
            if path.count("/") != LAYOUT.count("/"):
                problems.append((path, f"not at {LAYOUT}"))
            elif entry.is_file():
                files.append((path, entry.stat().st_size))
            else:
                problems.append((path, "not a regular file, or a broken link"))
