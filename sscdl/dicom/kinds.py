"""What a file is by its first bytes, whatever its name says. Needs only the standard library."""

from __future__ import annotations

import struct

from sscdl.magic import PACKED, PICTURES

LENGTH = 132  # bytes that tell: the preamble of a DICOM file and its magic word
DICOM = "DICOM"


def picture_kind(start: bytes) -> str:
    """Return PNG, JPEG or TIFF, '' for none of these, from the first bytes of a file."""
    return next((kind for magic, kind in PICTURES.items() if start.startswith(magic)), "")


def has_preamble(start: bytes) -> bool:
    """Return whether a file begins as DICOM files do since PS3.10."""
    return start[LENGTH - 4 : LENGTH] == b"DICM"


def has_first_element(start: bytes) -> bool:
    """Return whether a file begins with an element of group 2 or 8, as DICOM files did before."""
    if len(start) < 4:
        return False
    tags = [struct.unpack_from(order + "HH", start) for order in "<>"]
    return any(group in (2, 8) and element < 0x100 for group, element in tags)


def image_kind(start: bytes) -> str:
    """Return DICOM, PNG, JPEG or TIFF, '' for none of these, from the first bytes of a file."""
    if has_preamble(start):
        return DICOM  # which may be TIFF at once: then the DICOM header knows more
    return picture_kind(start) or (DICOM if has_first_element(start) else "")


def packed_by(start: bytes) -> str:
    """Return why a compressed file or an archive of files is not read, '' for any other."""
    for magic, name in PACKED.items():
        if start.startswith(magic):
            return f"compressed ({name}), which is not read; unpack it"
    return ""


def is_text(start: bytes) -> bool:
    """Return whether a file begins as a text in UTF-8 does, or is empty."""
    try:
        # The last character may be cut.
        text = start[:LENGTH].decode("utf-8", "strict" if len(start) < LENGTH else "ignore")
    except UnicodeDecodeError:
        return False
    return len(text.encode()) >= len(start[:LENGTH]) - 3 and all(
        character.isprintable() or character in "\t\r\n\f\ufeff" for character in text
    )
