"""What lies in a store: its trained nodes, how they hang together, and who holds its locks.

Reads only, and imports no torch, so that a look at a store is instant.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sscdl.errors import InputError
from sscdl.files import read_json
from sscdl.recipe import fingerprint
from sscdl.records import LINEAGE, read_record
from sscdl.store.store import LINEAGE_FILE, read_pointer
from sscdl.words import draw_of

KINDS = (
    "images", "masks", "packs", "phantom", "segmenters", "roots", "recipes", "objects", "digests",
    "identities", "near_duplicates", "networks",
)  # fmt: skip
POINTER = re.compile(r"recipes/[^/]+\.([0-9a-f]{12})\.json$")
STAGE_LOG = re.compile(r"\.([0-9a-f]{12})\.log$")
# How candidates are compared, in the settings of a recipe and beside them.
COMPARING = ("search", "averaged_weights")
# What sscdl.files, the phantom archive and the renderer of images call what is not finished yet.
TEMPORARY = re.compile(r"\..+\.([a-z0-9_]{8}(\.[A-Za-z0-9]+)?|[0-9]+\.part)")


@dataclass(frozen=True)
class Trained:
    """A trained node: its pointer file and what that says."""

    path: Path
    name: str
    task: str
    variant: str
    seed: int
    fingerprint: str
    object: str
    learning_rate: float
    metric: str
    value: float | None  # of the final run
    candidates: list[dict[str, Any]]
    final: dict[str, Any]
    parent: str | None  # object of the stage before
    compared: dict[str, Any] | None  # ``comparison`` of its recipe; None in old pointers
    draw: str  # of few labels; '' for all of them

    @property
    def title(self) -> str:
        """Return name, draw of labels, variant, seed and fingerprint on one line."""
        return f"{self.called} ({self.variant}, seed {self.seed}) {self.fingerprint}"

    @property
    def called(self) -> str:
        """Return its name, and the draw of few labels that it learnt from."""
        return f"{self.name} {self.draw}".rstrip()

    def reaches(self) -> set[str]:
        """Return the keys of all objects that the pointer names, losing candidates too."""
        found = {self.object, self.final["key"], *(one["key"] for one in self.candidates)}
        return found | ({self.parent} if self.parent else set())


def open_store(folder: str | Path) -> Path:
    """Return the store's folder; InputError if there is no store at ``folder``."""
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{folder}: no such folder; give the store, which the key store names")
    if not any((root / kind).is_dir() for kind in KINDS):
        raise InputError(f"{folder}: not a store (it has none of {', '.join(KINDS)})")
    return root


def read_nodes(store: Path) -> tuple[list[Trained], dict[Path, str]]:
    """Return the trained nodes, by name, and what is wrong with the pointers that are damaged."""
    nodes, damaged = [], {}
    for path in sorted((store / "recipes").glob("[!.]*.json")):
        try:
            value = read_pointer(path)
            about = lineage(store, value["object"])
            node = Trained(
                path=path,
                name=value["node"],
                value=value["final"]["value"],
                compared=value.get("compared"),
                draw=draw_of(about["recipe"]["data"]) if about else "",
                **{
                    key: value[key]
                    for key in (
                        "task", "variant", "seed", "fingerprint", "object", "learning_rate",
                        "metric", "candidates", "final", "parent",
                    )
                },
            )  # fmt: skip
        except InputError as error:
            damaged[path] = str(error).removeprefix(f"{path}: ").split(";")[0]
        else:
            nodes.append(node)
    return sorted(nodes, key=lambda n: (n.name, n.variant, n.seed, n.draw, n.fingerprint)), damaged


def lineage(store: Path, key: str) -> dict[str, Any] | None:
    """Return how the object ``key`` came about, or None if that is missing or damaged."""
    try:
        return read_record(store / "objects" / key / LINEAGE_FILE, LINEAGE)
    except InputError:
        return None


def parents(store: Path, nodes: list[Trained]) -> dict[str, list[Trained]]:
    """Return the nodes that each node (by fingerprint) was trained on; empty lists for the first.

    Several nodes can share an object. The one that a node names as its parent is the one with which
    its fingerprint comes out; where none does, all that have the object count.
    """
    found = {}
    for node in nodes:
        owners = [other for other in nodes if node.parent and other.object == node.parent]
        about = lineage(store, node.object)
        exact = [one for one in owners if about and identity(about, node, one) == node.fingerprint]
        found[node.fingerprint] = exact or owners
    return found


def comparison(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return how the candidates of a recipe are compared: what changes none of their weights."""
    parts = {**recipe, **recipe["settings"]}
    return {key: parts[key] for key in COMPARING if key in parts}


def recipe_of(about: dict[str, Any], node: Trained) -> dict[str, Any]:
    """Return the recipe in the lineage of a node's object, with how that node compared.

    Nodes that come to one rate in different ways share its object, which has one lineage.
    """
    recipe = {**about["recipe"]}
    if node.compared is not None:
        recipe["settings"] = {**recipe["settings"]}
        for key in COMPARING:
            where = recipe["settings"] if key == "search" else recipe
            where.pop(key, None)
            where.update({key: node.compared[key]} if key in node.compared else {})
    return recipe


def identity(about: dict[str, Any], node: Trained, parent: Trained | None) -> str:
    """Return the fingerprint that ``node`` must have, by its lineage, on ``parent``."""

    def of(one: Trained) -> str:
        recipe = recipe_of(about, one)
        if parent is not None:
            recipe["root"] = parent.fingerprint
        return fingerprint([recipe, [run["learning_rate"] for run in one.candidates]])

    if node.compared is None:
        # An old pointer compared by grid and last weights, whoever has written the lineage since.
        usual = of(replace(node, compared={}))
        if usual == node.fingerprint:
            return usual
    return of(node)


def below(node: Trained, before: dict[str, list[Trained]], nodes: list[Trained]) -> list[Trained]:
    """Return all nodes that were trained on ``node``, directly or through others."""
    found = {node.fingerprint}
    while True:
        more = {
            other.fingerprint
            for other in nodes
            if any(parent.fingerprint in found for parent in before[other.fingerprint])
        }
        if more <= found:
            return [one for one in nodes if one.fingerprint in found - {node.fingerprint}]
        found |= more


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; links count as themselves."""
    try:
        if path.is_symlink() or not path.is_dir():
            return path.lstat().st_size
        return sum(size(Path(entry.path)) for entry in os.scandir(path))
    except FileNotFoundError:
        return 0  # another process has just removed it


def shown_size(count: float) -> str:
    """Return a number of bytes as people write it: 512 B, 1.4 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def held_locks(store: Path) -> dict[str, str]:
    """Return who holds each lock (a node's fingerprint or an object's key) that is held now.

    A lock file in itself says nothing: its lock ends with its process. A file that may not be
    opened counts as held, as nobody can tell.
    """
    held = {}
    for path in sorted((store / "locks").glob("*.lock")):
        try:
            with open(path, encoding="utf-8") as file:
                try:
                    # Shared, and for an instant: who wants the lock tries again by itself.
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    held[path.stem] = file.read().strip() or "another process"
        except FileNotFoundError:
            continue
        except OSError as error:
            held[path.stem] = f"unknown ({path} cannot be opened: {error.strerror})"
    return held


def temporaries(store: Path) -> Iterator[Path]:
    """Yield unfinished files and folders, as a crash leaves them, also in use ones.

    Neither links are followed nor archives of images entered.
    """
    for kind in KINDS:
        todo = [store / kind]
        while todo:
            folder = todo.pop()
            if not folder.is_dir() or folder.is_symlink():
                continue
            for entry in sorted(folder.iterdir()):
                if TEMPORARY.fullmatch(entry.name):
                    yield entry
                elif kind != "phantom" or folder == store / kind:
                    todo.append(entry)


def users(store: Path, folders: Iterable[Path]) -> dict[str, set[str]]:
    """Return the names of the studies that say that they used each fingerprint.

    A store keeps no list of its users. ``folders`` are studies' results (``results/demo``) or hold
    several (``results``); what names fingerprints there are the logs of the stages that a study
    trained, its report, and Snakemake's record of what each result was made from. Raises
    InputError if a folder is no study's and holds none.
    """
    known = {node.fingerprint: node for node in read_nodes(store)[0]}
    found: dict[str, set[str]] = {}
    for given in folders:
        for study in _studies(Path(given)):
            for one in _named_by(study, set(known)) & set(known):
                found.setdefault(one, set()).add(study.resolve().name)
    # Who uses a node uses all that it was trained on.
    before = parents(store, list(known.values()))
    for one in sorted(known, key=lambda f: -known[f].name.count("+")):
        for parent in before[one]:
            found.setdefault(parent.fingerprint, set()).update(found.get(one, set()))
    return found


def _studies(folder: Path) -> list[Path]:
    if (folder / "logs").is_dir():
        return [folder]
    inside = [one for one in sorted(folder.glob("*")) if (one / "logs").is_dir()]
    if not inside:
        raise InputError(
            f"--results {folder}: no results of a study; give results/<study>, or results"
        )
    return inside


def _named_by(study: Path, known: set[str]) -> set[str]:
    """Return the fingerprints that the outputs of a study name."""
    logs = (match for path in study.glob("logs/*/*.log") if (match := STAGE_LOG.search(path.name)))
    found = {match[1] for match in logs}
    for report in study.glob("*.zip"):
        try:
            with zipfile.ZipFile(report) as archive:
                pages = [name for name in archive.namelist() if name.endswith(".html")]
                texts = [archive.read(name).decode("utf-8", "replace") for name in pages]
        except (OSError, zipfile.BadZipFile):
            continue
        found |= {one for one in known if any(one in text for text in texts)}
    # Snakemake's folder lies where it was run, and names outputs relative to that.
    records = study.resolve().parents[1] / ".snakemake" / "metadata"
    for path in records.rglob("*"):
        try:
            # Long names are split into folders whose names begin with @.
            parts = path.relative_to(records).parts
            encoded = "".join(part.removeprefix("@") for part in parts)
            output = base64.urlsafe_b64decode(encoded).decode()
            if not path.is_file() or not output.startswith(f"results/{study.resolve().name}/"):
                continue
            inputs = read_json(path).get("input") or []
        except (OSError, ValueError, AttributeError, binascii.Error):
            continue
        found |= {match[1] for one in inputs if (match := POINTER.search(str(one)))}
    return found
