"""Clearing out a store: what no pointer reaches, what a crash left, and what is asked for.

Deleted is only what lies in the store's own folders, found by listing them. Links are never
followed nor deleted, and neither are lock files: another process may be about to lock one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sscdl.errors import InputError
from sscdl.store.choice import select
from sscdl.store.nodes import (
    Trained,
    below,
    held_locks,
    parents,
    read_nodes,
    size,
    temporaries,
)
from sscdl.store.store import TASK_STATE
from sscdl.words import many

DAY = 86400.0  # seconds


class Item(NamedTuple):
    """A file or folder that can go, why, and its size in bytes."""

    path: Path
    reason: str
    bytes: int
    lock: str | None  # held by whom writes there


class Plan(NamedTuple):
    """What can go, in the order of deletion, and what was left out, with the reason."""

    items: list[Item]
    kept: list[str]


def plan(
    store: Path, names: Iterable[str] = (), days: float = 1.0, task_state: bool = False
) -> Plan:
    """Return what can be deleted: leftovers older than ``days``, and the nodes that are named.

    With ``task_state``, also the heads and queues of all pretext stages. ``names`` are names or
    beginnings of fingerprints. Raises InputError if one is unknown or ambiguous, if a node was
    trained on a named one and is not named itself, and if nodes are named while a stage trains in
    the store or a pointer is damaged.
    """
    nodes, damaged = read_nodes(store)
    named = _named(store, nodes, names)
    before = time.time() - days * DAY
    kept: list[str] = []
    # Images are ingested and segmented without locks: younger files may be in the making.
    items = [
        Item(path, "a file that was not finished", size(path), _owner(store, path))
        for path in temporaries(store)
        if _may_go(store, path, min(before, time.time() - DAY), kept)
    ]
    reason = ""
    held = held_locks(store)
    if held:
        # Until a node's pointer is written nobody can tell which objects it is going to name, nor
        # on which node it trains.
        one = next(iter(held))
        reason = f"{one} is locked by {held[one]}; try again when that has finished"
    elif damaged:
        path = min(damaged)
        reason = f"{path}: {damaged[path]}, so what it leads to cannot be told; see verify"
    if reason:
        if named:
            raise InputError(f"--node: nothing was deleted: {reason}")
        return Plan(items, [*kept, f"all objects: {reason}"])
    items += [Item(node.path, f"named: {node.title}", size(node.path), None) for node in named]
    items += _objects(store, nodes, named, before, kept)
    if task_state:
        going = {item.path for item in items}
        items += [
            Item(path, "heads and queues, which no stage needs", size(path), path.parent.name)
            for path in sorted((store / "objects").glob(f"[!.]*/{TASK_STATE}"))
            if path.parent not in going and _may_go(store, path, float("inf"), kept)
        ]
    return Plan(items, kept)


def _named(store: Path, nodes: list[Trained], names: Iterable[str]) -> list[Trained]:
    """Return the nodes of these names, descendants first; InputError if another needs one."""
    named = {node.fingerprint: node for node in (select(nodes, name) for name in names)}
    before = parents(store, nodes)
    for node in named.values():
        left = [one for one in below(node, before, nodes) if one.fingerprint not in named]
        if left:
            listed = "\n".join(f"  --node {one.fingerprint}  {one.title}" for one in left)
            raise InputError(
                f"--node {node.fingerprint}: {many(len(left), 'node was', 'nodes were')} trained "
                f"on it; name {'that' if len(left) == 1 else 'them'}, too, or keep it:\n{listed}"
            )
        if node.path.is_symlink():
            raise InputError(f"--node {node.fingerprint}: {node.path} is a link; remove it by hand")
    return sorted(named.values(), key=lambda node: -node.name.count("+"))


def _objects(
    store: Path, nodes: list[Trained], named: list[Trained], before: float, kept: list[str]
) -> Iterator[Item]:
    """Yield what can go of the objects: those that nothing reaches, and leftovers in the others."""
    gone = {node.fingerprint for node in named}
    reached = _reached(node for node in nodes if node.fingerprint not in gone)
    freed = _reached(named) - reached
    for folder in sorted((store / "objects").glob("[!.]*")):
        key = folder.name
        if key in freed:
            if _may_go(store, folder, float("inf"), kept):
                yield Item(folder, "of a named node alone", size(folder), key)
        elif key not in reached:
            if _may_go(store, folder, before, kept):
                reason = "no pointer leads to it"
                if (folder / "state.pt").exists():
                    reason += " (a run that was stopped; its study could go on with it)"
                yield Item(folder, reason, size(folder), key)
        else:
            for path in [*folder.glob("state.pt"), *folder.glob("*.damaged")]:
                if _may_go(store, path, before, kept):
                    reason = "of a run that has ended" if path.name == "state.pt" else "set aside"
                    yield Item(path, reason, size(path), key)


def _owner(store: Path, path: Path) -> str | None:
    """Return the key of the object that ``path`` lies in, None elsewhere."""
    return path.parent.name if path.parent.parent == store / "objects" else None


def _reached(nodes: Iterable[Trained]) -> set[str]:
    return {key for node in nodes for key in node.reaches()}


def _may_go(store: Path, path: Path, before: float, kept: list[str]) -> bool:
    """Return whether ``path`` is old enough and truly in the store; say in ``kept`` if a link."""
    if path.is_symlink() or store.resolve() not in path.resolve().parents:
        kept.append(f"{path}: a link, or reached through one; remove it by hand")
        return False
    try:
        newest = max(_times(path))
    except FileNotFoundError:
        return False  # another process has just removed it
    if newest > before:
        kept.append(f"{path}: changed within the time that --days gives; a study may go on with it")
        return False
    return True


def _times(path: Path) -> Iterator[float]:
    """Yield when a file, or a folder and each file below it, was changed (seconds)."""
    yield path.lstat().st_mtime
    if path.is_dir() and not path.is_symlink():
        for entry in os.scandir(path):
            yield from _times(Path(entry.path))


def delete(
    store: Path, wanted: Plan, names: Iterable[str], days: float, task_state: bool = False
) -> tuple[int, list[str]]:
    """Delete the items of a plan that can still go; return the bytes and what could not go.

    The user may have thought about the plan for long: whatever was locked, reached or changed
    since then stays. Pointers go before what they lead to, so that a crash leaves orphans at most.
    """
    still = {item.path for item in plan(store, names, days, task_state).items}
    freed, failed = 0, []
    for item in wanted.items:
        if item.path not in still:
            failed.append(f"{item.path}: in use or changed by now")
            continue
        try:
            with _locked(store, item.lock) as free:
                if not free:
                    failed.append(f"{item.path}: locked by another process")
                    continue
                if item.path.is_dir():
                    shutil.rmtree(item.path)  # refuses links, and follows none inside
                else:
                    item.path.unlink(missing_ok=True)
        except OSError as error:
            failed.append(f"{item.path}: cannot be deleted ({error.strerror or error})")
            if item.path.parent == store / "recipes":
                break  # a pointer that stays must not lose its object
        else:
            freed += item.bytes
    return freed, failed


@contextmanager
def _locked(store: Path, name: str | None) -> Iterator[bool]:
    """Hold a lock of the store if nobody else does; give whether it is held. No name, no lock."""
    if name is None:
        yield True
        return
    path = store / "locks" / f"{name}.lock"
    path.parent.mkdir(exist_ok=True)
    with open(path, "a+", encoding="utf-8") as file:
        if os.fstat(file.fileno()).st_uid == os.getuid():
            path.chmod(0o664)  # as the store's own: others of the group train here, too
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()}, which prunes the store\n")
        file.flush()
        yield True
