"""Listing the files of an archive: in the layout of the SIIM-FISABIO-RSNA challenge, or any folder.

This module needs only the standard library: the list also tells whether an archive has changed, and
that question is asked before anything heavy is imported.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sscdl.dicom import kinds
from sscdl.errors import InputError

STUDY_CSV = "train_study_level.csv"
IMAGE_CSV = "train_image_level.csv"
LAYOUT = "train/<study>/<series>/<image>.dcm"
# The kinds of image files, by the suffixes that they usually have.
KIND_OF = {
    **dict.fromkeys((".dcm", ".dicom"), kinds.DICOM),
    ".png": "PNG",
    **dict.fromkeys((".jpg", ".jpeg"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
}
DICOM_SUFFIXES = tuple(suffix for suffix, kind in KIND_OF.items() if kind == kinds.DICOM)
PICTURE_SUFFIXES = tuple(suffix for suffix in KIND_OF if suffix not in DICOM_SUFFIXES)
_IMAGES = tuple(dict.fromkeys(KIND_OF.values()))
_TEXT = "text"


@dataclass(frozen=True)
class Listing:
    """What lies in an archive: paths are relative to its root, with forward slashes, sorted.

    ``files`` holds (path, size in bytes) of the image files; ``problems`` holds (path, reason) of
    everything that was set aside; ``texts`` are the paths of files that hold text, such as tables.
    """

    files: list[tuple[str, int]]
    problems: list[tuple[str, str]]
    texts: list[str] = field(default_factory=list)


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

    These have the suffix .dcm, or are DICOM by their first bytes. Set aside are links that lead out
    of the root or to a folder, DICOM files at another depth than
    train/<study>/<series>/<image>.dcm, files of another kind, unprintable names and unreadable
    folders.
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
    if not _inside(os.path.realpath(top), os.path.realpath(root)):
        raise InputError(
            f"{top}: is a link that leads out of the root; set the root to the folder that really "
            "holds the files, with the two CSV files beside train/"
        )
    found = _walk(root, "train", lambda name: name.lower().endswith(".dcm"), (kinds.DICOM,))
    depth = LAYOUT.count("/")
    files = [file for file in found.files if file[0].count("/") == depth]
    misplaced = [(path, f"not at {LAYOUT}") for path, _ in found.files if path.count("/") != depth]
    problems = sorted(found.problems + misplaced)
    if not files:
        raise InputError(f"{top}: no DICOM file found as {LAYOUT}{told(problems)}")
    return Listing(files, problems, found.texts)


def scan_pictures(root: str | Path) -> Listing:
    """Walk ``root`` once and return all files that may be images.

    These have a suffix of DICOM, PNG, JPEG or TIFF, or none (then they may be DICOM), or are one of
    these by their first bytes. Hidden files and folders are passed over. Set aside are other files
    that are no text, links that lead out of the root or to a folder, unprintable names and
    unreadable folders.
    Raises InputError if the root is missing or there is not one such file.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(
            f"{root}: there is no such folder; set the data set's root to the folder that the "
            "image files lie in, at any depth"
        )
    found = _walk(root, "", _may_be_image, _IMAGES, hidden=False)
    if not found.files:
        hint = told(found.problems)
        raise InputError(
            f"{root}: no image file ({', '.join(DICOM_SUFFIXES + PICTURE_SUFFIXES)}, or DICOM "
            f"without a suffix) at any depth{hint}; check the root of the data set"
        )
    return found


def told(problems: Sequence[tuple[str, str]]) -> str:
    """Return how many files were set aside and why, as the end of a sentence; '' for none."""
    counts = Counter(reason for _, reason in problems)
    first = {reason: path for path, reason in reversed(problems)}
    parts = [
        f"{reason} ({count}, such as {first[reason]})" for reason, count in counts.most_common(3)
    ]
    links = "; copy linked files, or set the root to the folder that holds them"
    hint = links if any(reason.startswith("link") for reason in counts) else ""
    return f"; of {len(problems)} set aside: {', '.join(parts)}{hint}" if parts else ""


def stem(name: str) -> str:
    """Return a file's name without a suffix that images have.

    Names of DICOM files are often UIDs, whose last number is no suffix.
    """
    front, suffix = os.path.splitext(name)
    return front if suffix.lower() in (*DICOM_SUFFIXES, *PICTURE_SUFFIXES, ".ima", ".img") else name


def _may_be_image(name: str) -> bool:
    suffix = os.path.splitext(name)[1].lower()
    return suffix in DICOM_SUFFIXES + PICTURE_SUFFIXES or not suffix or suffix[1:].isdecimal()


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _walk(
    root: Path,
    below: str,
    wanted: Callable[[str], bool],
    taken: Collection[str],
    *,
    hidden: bool = True,
) -> Listing:
    """List the files below ``root``/``below``, and what is set aside.

    These are files whose names are ``wanted``, and others, not hidden, that are of a kind that is
    ``taken`` (see ``sscdl.dicom.kinds``).
    """
    texts: list[str] = []
    top, real_root = str(root), os.path.realpath(root)
    files: list[tuple[str, int]] = []
    problems: list[tuple[str, str]] = []
    folders = [below]
    while folders:
        relative = folders.pop()
        try:
            with os.scandir(os.path.join(top, relative)) as entries:
                found = list(entries)
        except OSError as error:
            problems.append((relative or ".", f"folder cannot be read: {error.strerror}"))
            continue
        start = f"{relative}/" if relative else ""
        for entry in found:
            if entry.name.startswith(".") and not hidden:
                continue
            if not entry.name.isprintable():
                # ascii() keeps such names writable; they would break every table that holds them.
                problems.append((start + ascii(entry.name)[1:-1], "name cannot be printed"))
                continue
            path = start + entry.name
            try:
                if entry.is_symlink() and not _inside(os.path.realpath(entry.path), real_root):
                    problems.append((path, "link leads out of the root, not followed"))
                elif entry.is_symlink() and entry.is_dir():
                    problems.append((path, "link to a folder, not followed"))
                elif entry.is_dir():
                    folders.append(path)
                elif wanted(entry.name):
                    if entry.is_file():
                        files.append((path, entry.stat().st_size))
                    else:
                        problems.append((path, "not a regular file, or a broken link"))
                elif entry.is_file() and not entry.name.startswith("."):
                    kind = _kind(entry.path)
                    if kind in taken:
                        files.append((path, entry.stat().st_size))
                    elif kind == _TEXT:
                        texts.append(path)
                    else:
                        named = f"a {kind} file, of which there is no use here"
                        problems.append((path, named if kind in _IMAGES else kind))
            except OSError as error:
                problems.append((path, f"cannot be looked at: {error.strerror}"))
    return Listing(sorted(files), sorted(problems), sorted(texts))


def _kind(path: str) -> str:
    """Return the kind of an image file, ``_TEXT``, or why a file is neither."""
    try:
        with open(path, "rb") as file:
            start = file.read(kinds.LENGTH)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if kind := kinds.image_kind(start):
        return kind
    if packed := kinds.packed_by(start):
        return packed
    return _TEXT if kinds.is_text(start) else f"no image ({', '.join(_IMAGES)}) by its contents"
