"""Recipes: what a stored result was made from, as plain data, and the fingerprint of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sscdl.errors import InputError


def fingerprint(value: Any) -> str:
    """Return 12 hex digits that identify ``value`` (anything that JSON can hold)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits; InputError if it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    return digest.hexdigest()


def folder_listing(folder: str | Path, suffixes: Iterable[str]) -> list[tuple[str, int]]:
    """Return (relative path, size in bytes) of the files with one of ``suffixes``, sorted."""
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{folder}: no such folder; check the path in the configuration")
    wanted = tuple(suffixes)
    return sorted(
        (path.relative_to(root).as_posix(), path.stat().st_size)
        for path in root.rglob("*")
        if path.suffix.lower() in wanted
    )
