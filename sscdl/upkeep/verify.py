"""Checking a store: every hash that it keeps, every file that another one names. Changes nothing.

The key of an object must come out of its lineage, and its weights must be finite numbers.
"""

from __future__ import annotations

import hashlib
import logging
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from sscdl.errors import InputError
from sscdl.recipe import file_hash
from sscdl.records import (
    ANY_DESCRIPTION,
    IDENTITY,
    IMAGE_MANIFEST,
    LINEAGE,
    MASK_MANIFEST,
    METRICS,
    NEAR_DUPLICATES,
    PACK,
    Kind,
    read_record,
)
from sscdl.segment.networks.published import GIT_BLOB, git_blob
from sscdl.stages.runs import object_key
from sscdl.store.nodes import (
    Trained,
    held_locks,
    identity,
    lineage,
    parents,
    read_nodes,
    temporaries,
)
from sscdl.store.store import LINEAGE_FILE, METRICS_FILE, TASK_STATE, WEIGHTS

LOGGER = logging.getLogger("sscdl.store")
SHARD = re.compile(r"shard-(\d+)-of-(\d+)\.json")
AGAIN = "delete it and run the study again"
NOT_NEEDED = "delete it: no stage needs it"
BY_ITSELF = "run the study again"
GO_ON = "run the study again to go on with it"
PRUNE = "prune deletes it once it is a day old"


class Finding(NamedTuple):
    """Something in the store that is ``damaged``, a ``leftover``, or a ``note`` to know."""

    kind: str
    path: Path
    fault: str
    advice: str


def verify(store: Path) -> list[Finding]:
    """Return all findings, damage first."""
    held = held_locks(store)
    found = list(_locks(store, held))
    for check in (_pointers, _objects, _packs, _phantoms, _weights, _identities, _pairs):
        LOGGER.info("checking %s", check.__name__.strip("_"))
        found += check(store)
    for name, kind in (("images", IMAGE_MANIFEST), ("masks", MASK_MANIFEST)):
        found += _shards(store, name, kind)
    found += [
        Finding("leftover", path, "a file that was not finished", PRUNE)
        for path in temporaries(store)
    ]
    # Another process is at work there: what it has not written yet is not missing.
    at_work = {store / "objects" / key for key in held}
    found = [one for one in found if not at_work & {one.path, one.path.parent}]
    if held:
        # A node's pointer comes last: until then its objects look as if it had been stopped.
        found = [
            one._replace(advice="wait: it may belong to a stage that is training now")
            if one.kind == "leftover" and (store / "objects") in one.path.parents
            else one
            for one in found
        ]
    order = ("damaged", "leftover", "note")
    return sorted(set(found), key=lambda one: (order.index(one.kind), str(one.path)))


def _read(path: Path, kind: Kind) -> tuple[Any, list[Finding]]:
    """Return what a JSON file of this kind holds, or None and the damage."""
    try:
        return read_record(path, kind), []
    except InputError as error:
        fault, _, advice = str(error).removeprefix(f"{path}: ").partition("; ")
        return None, [Finding("damaged", path, fault, advice)]


def _locks(store: Path, held: dict[str, str]) -> Iterator[Finding]:
    for name, holder in held.items():
        path = store / "locks" / f"{name}.lock"
        yield Finding("note", path, f"held by {holder}", "nothing: it is at work there")


def _pointers(store: Path) -> Iterator[Finding]:
    """Check that each pointer is readable, itself, and points to what is there."""
    nodes, damaged = read_nodes(store)
    for path, fault in damaged.items():
        yield Finding("damaged", path, fault, f"{BY_ITSELF}: it is written again")
    before = parents(store, nodes)
    for node in nodes:
        folder = store / "objects" / node.object
        for name, again in ((WEIGHTS, "trained"), (LINEAGE_FILE, "written")):
            if not (folder / name).is_file():
                fault = f"points to {node.object}, which has no {name}"
                yield Finding("damaged", node.path, fault, f"{BY_ITSELF}: that is {again} again")
        for key in sorted({node.object, *(one["key"] for one in node.candidates)}):
            one = store / "objects" / key
            if (one.is_dir() or key == node.object) and not (one / METRICS_FILE).is_file():
                fault = f"points to {key}, which has no {METRICS_FILE}"
                yield Finding("note", node.path, fault, "nothing: the pointer has the same record")
        yield from _node(store, node, before[node.fingerprint])


def _node(store: Path, node: Trained, before: list[Trained]) -> Iterator[Finding]:
    """Check a node against its lineage."""
    about = lineage(store, node.object)
    if node.parent and not before:
        fault = f"no pointer leads to {node.parent}, on which it was trained"
        yield Finding("note", node.path, fault, "nothing: its weights do not need it")
    elif about is not None and not any(
        identity(about, node, parent) == node.fingerprint for parent in before or [None]
    ):
        fault = "its fingerprint does not come out of the lineage of its object"
        yield Finding("damaged", node.path, fault, AGAIN)


def _objects(store: Path) -> Iterator[Finding]:
    """Check the files of each object, and its key against its lineage."""
    nodes, damaged = read_nodes(store)
    reached = {key for node in nodes for key in node.reaches()}
    kept = {node.object for node in nodes}
    for folder in sorted((store / "objects").glob("[!.]*")):
        value = None
        if (folder / METRICS_FILE).exists():
            value, faults = _read(folder / METRICS_FILE, METRICS)
            if value and value["key"] != folder.name:
                fault = f"is that of {value['key']}"
                faults = [Finding("damaged", folder / METRICS_FILE, fault, AGAIN)]
            has = "delete it: the pointer of the stage has the same record"
            yield from (one._replace(advice=has) if folder.name in kept else one for one in faults)
        if (folder / LINEAGE_FILE).exists():
            about, faults = _read(folder / LINEAGE_FILE, LINEAGE)
            yield from faults
            if about and key_of(about) != folder.name:
                fault = "the key of the object does not come out of it"
                again = f"{AGAIN}: it is written again, and nothing is trained"
                yield Finding("damaged", folder / LINEAGE_FILE, fault, again)
        yield from _kept(folder / WEIGHTS, value and value.get("weights"), AGAIN)
        yield from _kept(folder / TASK_STATE, value and value.get("task_state"), NOT_NEEDED)
        if (folder / "state.pt").exists():
            advice = PRUNE if folder.name in reached else f"{GO_ON}; {PRUNE}"
            yield Finding("leftover", folder / "state.pt", "a run that was interrupted", advice)
        for path in folder.glob("*.damaged"):
            yield Finding("leftover", path, "was damaged and made again", PRUNE)
        # What a damaged pointer leads to cannot be told.
        if folder.name not in reached and not damaged:
            fault = "no pointer leads to it"
            yield Finding("leftover", folder, fault, f"{GO_ON} if it was stopped; {PRUNE}")


def _kept(path: Path, written: dict[str, Any] | None, advice: str) -> Iterator[Finding]:
    """Check tensors of an object, if they are there, against what its metrics say of them."""
    if not path.exists():
        return
    if path.is_file() and written and file_hash(path) != written["sha256"]:
        yield Finding("damaged", path, "not what was written", advice)
    else:
        yield from _tensors(path)


def key_of(about: dict[str, Any] | None) -> str | None:
    """Return the key of a final run that its lineage implies; None without one.

    It is the key that the run was given: recipe, weights it starts from, learning rate.
    """
    if about is None:
        return None
    try:
        start = about["before"]["object"] if about["before"] else about["recipe"]["root"]
        return object_key({**about["recipe"], "root": start}, about["learning_rate"], "final")
    except (KeyError, TypeError):
        return None


def _tensors(path: Path) -> Iterator[Finding]:
    """Check that a safetensors file is whole and holds finite numbers."""
    if path.is_dir():
        yield Finding("damaged", path, "is a folder", AGAIN)
        return
    try:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118  not a dictionary
                try:
                    finite = np.isfinite(file.get_tensor(name)).all()
                except TypeError:
                    continue  # bfloat16 and the like, which numpy does not have
                if not finite:
                    fault = f"{name} is not finite"
                    yield Finding("damaged", path, fault, f"delete {path.parent}, run again")
    except SafetensorError as error:
        yield Finding("damaged", path, f"not whole ({error})", AGAIN)
    except OSError as error:
        yield Finding("damaged", path, f"cannot be read ({error.strerror or error})", AGAIN)


def _packs(store: Path) -> Iterator[Finding]:
    """Check each packed array against the hash in its description."""
    folder = store / "packs"
    for path in sorted(folder.glob("[!.]*.json")):
        described, faults = _read(path, PACK)
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
        if hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest() != described["sha256"]:
            yield Finding("damaged", array, f"not the array that {path.name} describes", both)
    for array in sorted(folder.glob("[!.]*.npy")):
        if not array.with_suffix(".json").exists():
            yield Finding("leftover", array, "has no description yet", GO_ON)


def _phantoms(store: Path) -> Iterator[Finding]:
    """Check that each synthetic archive is complete; its files have no hashes."""
    for folder in sorted((store / "phantom").glob("[!.]*")):
        if not (folder / "done.json").exists():
            yield Finding("leftover", folder, "an archive that was not finished", GO_ON)
            continue
        yield from _read(folder / "done.json", ANY_DESCRIPTION)[1]
        for name in ("train", "train_study_level.csv", "train_image_level.csv"):
            if not (folder / "archive" / name).exists():
                path = folder / "archive" / name
                yield Finding("damaged", path, "missing", f"delete {folder}, run the study again")


def _weights(store: Path) -> Iterator[Finding]:
    """Check the segmenters and the weights that curricula start from."""
    for kind in ("roots", "segmenters"):
        for path in sorted((store / kind).glob("[!.]*.safetensors")):
            yield from _tensors(path)
        for path in sorted((store / kind).glob("[!.]*.json")):
            yield from _read(path, ANY_DESCRIPTION)[1]
    published = store / "segmenters" / "lungVAE.pt"
    if published.is_dir():
        yield Finding("damaged", published, "is a folder", AGAIN)
    elif published.exists() and git_blob(published.read_bytes()) != GIT_BLOB:
        yield Finding("damaged", published, "not the file that was published", AGAIN)


def _identities(store: Path) -> Iterator[Finding]:
    """Check the records of images and masks that are used under an earlier identity."""
    for path in sorted((store / "identities").glob("[!.]*.json")):
        value, faults = _read(path, IDENTITY)
        yield from faults
        used = path.name.split(".")[0], value["same_as"] if value else ""
        if value and not (store / used[0] / used[1]).is_dir():
            yield Finding("damaged", path, f"names {'/'.join(used)}, which is gone", AGAIN)


def _pairs(store: Path) -> Iterator[Finding]:
    """Check the lists of near-duplicates."""
    for path in sorted((store / "near_duplicates").glob("[!.]*.json")):
        yield from _read(path, NEAR_DUPLICATES)[1]


def _shards(store: Path, name: str, kind: Kind) -> Iterator[Finding]:
    """Check the PNGs of images or masks against the hashes in their manifests."""
    for folder in sorted((store / name).glob("[!.]*")):
        shards = {path: SHARD.fullmatch(path.name) for path in sorted(folder.glob("shard-*.json"))}
        known, whole, damaged = set(), set(), False
        for path, match in shards.items():
            value, faults = _read(path, kind)
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
        LOGGER.info("checked %s: %d files", folder, len(known - {None}))


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
