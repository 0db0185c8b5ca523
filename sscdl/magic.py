"""What a file is by its first bytes, in words, for messages about one that is something else.

Needs only the standard library.
"""

from __future__ import annotations

from pathlib import Path

from sscdl.errors import InputError

LENGTH = 512  # bytes that tell
PICTURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
# Whole words of these formats: a text may well begin with the letters that theirs do.
PACKED = {
    b"\x1f\x8b": "gzip",
    **{b"BZh%d1AY&SY" % level: "bzip2" for level in range(1, 10)},
    b"\xfd7zXZ\0": "xz",
    b"PK\x03\x04": "zip",
    b"(\xb5/\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
}
_OTHERS = {
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Excel or Word file (.xls, .doc)",
    b"\x89HDF": "an HDF5 file, as Keras writes (.h5)",
    b"%PDF-": "a PDF file",
    b"\x93NUMPY": "an array of NumPy (.npy)",
    b"Rar!\x1a\x07": "an archive (rar); unpack it",
    b"SQLite format 3\0": "a database (SQLite)",
    b"PAR1\x15": "a Parquet file",
}
_OFFICE = (b"[Content_Types].xml", b"xl/", b"docProps/", b"mimetypeapplication/vnd.")
_LFS = b"version https://git-lfs.github.com/"
_PAGES = (b"<!doctype html", b"<html", b"<head")


def first_bytes(path: Path) -> bytes:
    """Return the first bytes of a file; InputError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(LENGTH)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def known_kind(start: bytes) -> str:
    """Return what a file is that begins with ``start``, '' if it is nothing that is known.

    What is known is in common use, or what comes in place of a file that could not be fetched.
    """
    if not start:
        return "an empty file (0 bytes)"
    if start.startswith(_LFS):
        return "a pointer of Git LFS and not the file that it stands for; fetch that (git lfs pull)"
    if start.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_PAGES):
        return "a web page (HTML), as comes of a download that needs a login or another address"
    for magic, kind in _OTHERS.items():
        if start.startswith(magic):
            return kind
    for magic, kind in PICTURES.items():
        if start.startswith(magic):
            return f"a picture ({kind})"
    if start.startswith(b"PK\x03\x04") and any(part in start for part in _OFFICE):
        return "a workbook (Excel or another program's: .xlsx, .ods) and no text"
    for magic, kind in PACKED.items():
        if start.startswith(magic):
            return f"compressed ({kind}); unpack it"
    return ""
