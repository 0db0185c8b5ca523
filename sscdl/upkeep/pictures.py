"""Checking the pictures of a store: packed arrays, PNGs of images and masks, by their hashes."""

from __future__ import annotations

import hashlib
import logging
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sscdl.errors import InputError
from sscdl.recipe import file_hash
from sscdl.records import PACK, Kind
from sscdl.upkeep.findings import GO_ON, Finding, read_or_damage
from sscdl.words import many

LOGGER = logging.getLogger("sscdl.store")
SHARD = re.compile(r"shard-(\d+)-of-(\d+)\.json")


def packs(store: Path) -> Iterator[Finding]:
    """Check each packed array against the hash in its description."""
    folder = store / "packs"
    for path in sorted(folder.glob("[!.]*.json")):
        described, faults = read_or_damage(path, PACK)
        yield from faults
        if described is None:
            continue
        array = path.with_suffix(".npy")
        both = f"delete it and {path.name}, and run the study again"
        try:
            pixels = np.load(array)
        except (OSError, ValueError, EOFError):
            yield Finding("damaged", array, "missing or not a whole array", both)
            continue
        data: Any = np.ascontiguousarray(pixels)  # has a buffer
        if hashlib.sha256(data).hexdigest() != described["sha256"]:
            yield Finding("damaged", array, f"not the array that {path.name} describes", both)
    for array in sorted(folder.glob("[!.]*.npy")):
        if not array.with_suffix(".json").exists():
            yield Finding("leftover", array, "has no description yet", GO_ON)


def shards(store: Path, name: str, kind: Kind) -> Iterator[Finding]:
    """Check the PNGs of images or masks against the hashes in their manifests."""
    for folder in sorted((store / name).glob("[!.]*")):
        shards = {path: SHARD.fullmatch(path.name) for path in sorted(folder.glob("shard-*.json"))}
        known, whole, damaged = set(), set(), False
        for path, match in shards.items():
            value, faults = read_or_damage(path, kind)
            yield from faults
            damaged = damaged or value is None
            if match:
                whole.add(int(match[2]))
            for row in value[name] if value else []:
                known |= {row["png"], row.get("raw_png")}
                yield from _picture(folder, path, row)
        # Studies may divide the same images into other numbers of shards.
        if not any(
            all((folder / f"shard-{k}-of-{n}.json").exists() for k in range(n)) for n in whole
        ):
            yield Finding("leftover", folder, "not all of its shards are there", GO_ON)
        elif not damaged:  # its pictures would be called unknown
            for path in sorted((folder / "png").glob("[!.]*")):
                if path.name not in known:
                    yield Finding("note", path, "no manifest lists it", "delete it if you like")
        LOGGER.info("checked %s: %s", folder, many(len(known - {None}), "file"))


def _picture(folder: Path, manifest: Path, row: dict[str, Any]) -> Iterator[Finding]:
    """Check the PNGs of one entry; a mask that was not given has none."""
    advice = (
        f"delete {manifest} and run the study again: the pictures of this shard alone are made "
        "again"
    )
    if row["png"] is None:
        return
    path = folder / "png" / row["png"]
    try:
        if file_hash(path) != row["sha256"]:
            yield Finding("damaged", path, f"not the file that {manifest.name} lists", advice)
    except InputError:
        yield Finding("damaged", path, "missing, or cannot be read", advice)
    raw = row.get("raw_png")
    if raw and not (folder / "png" / raw).is_file():
        yield Finding("damaged", folder / "png" / raw, "missing", advice)
    elif raw and not _whole_png(folder / "png" / raw):
        # The list has no hash of it.
        fault = "not a whole PNG file, or cannot be read"
        yield Finding("damaged", folder / "png" / raw, fault, advice)


def _whole_png(path: Path) -> bool:
    """Return whether a PNG file has all its chunks, with the check sums that they name."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return False
    place, kind = 8, b""
    while kind != b"IEND":
        (length,) = struct.unpack(">I", content[place : place + 4].rjust(4, b"\xff"))
        kind, end = content[place + 4 : place + 8], place + 8 + length
        check = content[end : end + 4]
        if len(check) < 4 or zlib.crc32(content[place + 4 : end]) != struct.unpack(">I", check)[0]:
            return False
        place = end + 4
    return True
