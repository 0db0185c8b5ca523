"""Checking a store: every hash that it keeps, every file that another one names. Changes nothing.

The key of an object must come out of its lineage, and its weights must be finite numbers.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from sscdl.errors import InputError
from sscdl.files import read_json
from sscdl.recipe import file_hash
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
from sscdl.store.store import WEIGHTS

LOGGER = logging.getLogger("sscdl.store")
SHARD = re.compile(r"shard-(\d+)-of-(\d+)\.json")
AGAIN = "delete it and run the study again"
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
    for check in (_pointers, _objects, _packs, _phantoms, _weights, _identities):
        LOGGER.info("checking %s", check.__name__.strip("_"))
        found += check(store)
    for kind, key in (("images", "images"), ("masks", "masks")):
        found += _shards(store, kind, key)
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


def _read(path: Path, *keys: str) -> tuple[Any, list[Finding]]:
    """Return the object that a JSON file holds, with at least ``keys``, or None and the damage."""
    try:
        value = read_json(path)
    except OSError as error:
        fault = f"cannot be read ({error.strerror})"
        return None, [Finding("damaged", path, fault, "restore it, or correct its permissions")]
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None, [Finding("damaged", path, "not JSON, or only a part of it", AGAIN)]
    if not isinstance(value, dict) or (missing := [key for key in keys if key not in value]):
        fault = "not what such a file holds"
        if isinstance(value, dict):
            fault = f"{', '.join(missing)} missing in it"
        return None, [Finding("damaged", path, fault, AGAIN)]
    return value, []


def _locks(store: Path, held: dict[str, str]) -> Iterator[Finding]:
    for name, holder in held.items():
        path = store / "locks" / f"{name}.lock"
        yield Finding("note", path, f"held by {holder}", "nothing: it is at work there")


def _pointers(store: Path) -> Iterator[Finding]:
    """Check that each pointer is readable, itself, and points to what is there."""
    nodes, damaged = read_nodes(store)
    for path, fault in damaged.items():
        yield Finding("damaged", path, fault, AGAIN)
    before = parents(store, nodes)
    for node in nodes:
        if node.path.name != f"{node.name}.{node.fingerprint}.json":
            fault = f"holds {node.name}.{node.fingerprint}"
            yield Finding("damaged", node.path, fault, AGAIN)
            continue
        folder = store / "objects" / node.object
        for name in (WEIGHTS, "lineage.json", "metrics.json"):
            if not (folder / name).is_file():
                fault = f"points to {node.object}, which has no {name}"
                advice = f"delete it and {folder}, and run the study again"
                yield Finding("damaged", node.path, fault, advice)
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
    for folder in sorted((store / "objects").glob("[!.]*")):
        value = None
        if (folder / "metrics.json").exists():
            value, faults = _read(folder / "metrics.json", "key", "learning_rate")
            yield from faults
            if value and value["key"] != folder.name:
                fault = f"is that of {value['key']}"
                yield Finding("damaged", folder / "metrics.json", fault, AGAIN)
        if (folder / "lineage.json").exists():
            _, faults = _read(folder / "lineage.json")
            yield from faults
            if not faults and key_of(lineage(store, folder.name)) != folder.name:
                fault = "the key of the object does not come out of it"
                yield Finding("damaged", folder / "lineage.json", fault, f"delete {folder}")
        weights = folder / WEIGHTS
        if weights.exists():
            written = value.get("weights") if value else None
            if written and file_hash(weights) != written["sha256"]:
                yield Finding("damaged", weights, "not what was written", AGAIN)
            else:
                yield from _tensors(weights)
        if (folder / "state.pt").exists():
            advice = PRUNE if folder.name in reached else f"{GO_ON}; {PRUNE}"
            yield Finding("leftover", folder / "state.pt", "a run that was interrupted", advice)
        for path in folder.glob("*.damaged"):
            yield Finding("leftover", path, "was damaged and made again", PRUNE)
        # What a damaged pointer leads to cannot be told.
        if folder.name not in reached and not damaged:
            fault = "no pointer leads to it"
            yield Finding("leftover", folder, fault, f"{GO_ON} if it was stopped; {PRUNE}")


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
        described, faults = _read(path, "ids", "sha256")
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
        yield from _read(folder / "done.json")[1]
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
            yield from _read(path)[1]
    published = store / "segmenters" / "lungVAE.pt"
    if published.exists() and git_blob(published.read_bytes()) != GIT_BLOB:
        yield Finding("damaged", published, "not the file that was published", AGAIN)


def _identities(store: Path) -> Iterator[Finding]:
    """Check the records of images and masks that are used under an earlier identity."""
    for path in sorted((store / "identities").glob("[!.]*.json")):
        value, faults = _read(path, "same_as")
        yield from faults
        used = path.name.split(".")[0], value["same_as"] if value else ""
        if value and not (store / used[0] / used[1]).is_dir():
            yield Finding("damaged", path, f"names {'/'.join(used)}, which is gone", AGAIN)


def _shards(store: Path, kind: str, key: str) -> Iterator[Finding]:
    """Check the PNGs of images or masks against the hashes in their manifests."""
    for folder in sorted((store / kind).glob("[!.]*")):
        shards = {path: SHARD.fullmatch(path.name) for path in sorted(folder.glob("shard-*.json"))}
        known, whole = set(), set()
        for path, match in shards.items():
            value, faults = _read(path, key)
            yield from faults
            if match:
                whole.add(int(match[2]))
            for row in value[key] if value else []:
                known |= {row["png"], row.get("raw_png")}
                yield from _picture(folder, path, row)
        # Studies may divide the same images into other numbers of shards.
        if not any(
            all((folder / f"shard-{k}-of-{n}.json").exists() for k in range(n)) for n in whole
        ):
            yield Finding("leftover", folder, "not all of its shards are there", GO_ON)
        else:
            for path in sorted((folder / "png").glob("[!.]*")):
                if path.name not in known:
                    yield Finding("note", path, "no manifest lists it", "delete it if you like")
        LOGGER.info("checked %s: %d files", folder, len(known - {None}))


def _picture(folder: Path, manifest: Path, row: dict[str, Any]) -> Iterator[Finding]:
    """Check the PNGs of one entry; a mask that was not given has none."""
    advice = f"delete it and {manifest.name} beside its folder, and run the study again"
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
