"""Ids that are fit to be file names, and the pseudonyms that stand for those of patients."""

from __future__ import annotations

import hashlib
import re

_SOUND = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,64}(?<!\.)")
# Windows opens a device under these names, whatever suffix follows.
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def fault(identifier: str) -> str:
    """Return why ``identifier`` cannot be a file name on every system, '' if it can.

    What is free of faults has no separator, no parent folder, nothing invisible and no look-alike.
    """
    if not _SOUND.fullmatch(identifier):
        return (
            "is not 1 to 64 of the characters A-Z a-z 0-9 . _ - without a leading or trailing dot"
        )
    if _RESERVED.fullmatch(identifier):
        return "is the name of a device on Windows"
    return ""


def pseudonym(identifier: str, id_key: str) -> str:
    """Return 16 hex digits of the BLAKE2b hash (RFC 7693) of ``identifier``, keyed with ``id_key``.

    A key of more than 64 bytes, the most that BLAKE2b takes, is replaced by its own hash.
    """
    key = id_key.encode()
    if len(key) > hashlib.blake2b.MAX_KEY_SIZE:
        key = hashlib.blake2b(key).digest()
    return hashlib.blake2b(identifier.encode("utf-8", "replace"), key=key).hexdigest()[:16]
