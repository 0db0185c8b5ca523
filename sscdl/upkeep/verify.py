"""Checking a store: every hash that it keeps, every file that another one names. Changes nothing.

The key of an object must come out of its lineage, and its weights must be finite numbers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from sscdl.recipe import file_hash
from sscdl.records import (
    ANY_DESCRIPTION,
    IDENTITY,
    IMAGE_MANIFEST,
    LINEAGE,
    MASK_MANIFEST,
    METRICS,
    NEAR_DUPLICATES,
    NETWORK,
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
from sscdl.upkeep import pictures
from sscdl.upkeep.findings import AGAIN, GO_ON, Finding, read_or_damage

LOGGER = logging.getLogger("sscdl.store")
NOT_NEEDED = "delete it: no stage needs it"
BY_ITSELF = "run the study again"
PRUNE = "prune deletes it once it is a day old"


def verify(store: Path) -> list[Finding]:
    """Return all findings, damage first."""
    held = held_locks(store)
    found = list(_locks(store, held))
    for check in (
        _pointers,
        _objects,
        pictures.packs,
        _phantoms,
        _weights,
        _identities,
        _pairs,
        _networks,
    ):
        LOGGER.info("checking %s", check.__name__.strip("_"))
        found += check(store)
    for name, kind in (("images", IMAGE_MANIFEST), ("masks", MASK_MANIFEST)):
        found += pictures.shards(store, name, kind)
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
        identity(about, node, parent) == node.fingerprint for parent in before or (None,)
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
            value, faults = read_or_damage(folder / METRICS_FILE, METRICS)
            if value and value["key"] != folder.name:
                fault = f"is that of {value['key']}"
                faults = [Finding("damaged", folder / METRICS_FILE, fault, AGAIN)]
            has = "delete it: the pointer of the stage has the same record"
            yield from (one._replace(advice=has) if folder.name in kept else one for one in faults)
        if (folder / LINEAGE_FILE).exists():
            about, faults = read_or_damage(folder / LINEAGE_FILE, LINEAGE)
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


def _phantoms(store: Path) -> Iterator[Finding]:
    """Check that each synthetic archive is complete; its files have no hashes."""
    for folder in sorted((store / "phantom").glob("[!.]*")):
        if not (folder / "done.json").exists():
            yield Finding("leftover", folder, "an archive that was not finished", GO_ON)
            continue
        yield from read_or_damage(folder / "done.json", ANY_DESCRIPTION)[1]
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
            yield from read_or_damage(path, ANY_DESCRIPTION)[1]
    published = store / "segmenters" / "lungVAE.pt"
    if published.is_dir():
        yield Finding("damaged", published, "is a folder", AGAIN)
    elif published.exists() and git_blob(published.read_bytes()) != GIT_BLOB:
        yield Finding("damaged", published, "not the file that was published", AGAIN)


def _identities(store: Path) -> Iterator[Finding]:
    """Check the records of images and masks that are used under an earlier identity."""
    for path in sorted((store / "identities").glob("[!.]*.json")):
        value, faults = read_or_damage(path, IDENTITY)
        yield from faults
        used = path.name.split(".")[0], value["same_as"] if value else ""
        if value and not (store / used[0] / used[1]).is_dir():
            yield Finding("damaged", path, f"names {'/'.join(used)}, which is gone", AGAIN)


def _networks(store: Path) -> Iterator[Finding]:
    """Check what is known of networks."""
    for path in sorted((store / "networks").glob("[!.]*.json")):
        yield from read_or_damage(path, NETWORK)[1]


def _pairs(store: Path) -> Iterator[Finding]:
    """Check the lists of near-duplicates."""
    for path in sorted((store / "near_duplicates").glob("[!.]*.json")):
        yield from read_or_damage(path, NEAR_DUPLICATES)[1]
