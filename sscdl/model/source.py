"""What an export starts from: a classifier's pointer, and the configuration of its study."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sscdl.errors import InputError
from sscdl.records import LINEAGE, read_record
from sscdl.store.store import LINEAGE_FILE, Store, read_pointer
from sscdl.study.reading import read_config
from sscdl.study.study import Study
from sscdl.study.trie import FINAL_TASKS, SCRATCH
from sscdl.words import many


def find_pointer(source: Path, node: str, variant: str = "") -> Path:
    """Return the pointer that ``source`` is, or the one that ``node`` means in that store.

    ``node`` is a curriculum (``rotation+moco``), the beginning of a pointer's file name, or that of
    a fingerprint; without it, the store must hold a single classifier. ``variant`` narrows the
    choice to models trained on it. One that learnt from few labels is meant by its fingerprint
    alone, where others fit. Raises InputError if none or several fit, and lists what there is.
    """
    if source.is_file():
        if node:
            raise InputError(f"--node {node}: {source} is a pointer already; leave --node out")
        return source
    if not (source / "recipes").is_dir():
        raise InputError(
            f"{source}: is neither a pointer nor a store (no folder recipes); give the store of "
            "the study (key `store`), or one of the files in its folder recipes"
        )
    known = {
        path: path.name.removesuffix(".json").rsplit(".", 1)
        for path in sorted((source / "recipes").glob("*.json"))
    }
    known = {path: names for path, names in known.items() if names[0].split("+")[-1] in FINAL_TASKS}
    # "rotation" is the model of that name, before it is the beginning of others.
    parts = [part for part in node.split("+") if part not in ("", SCRATCH)]
    of_model = parts[:-1] if parts and parts[-1] in FINAL_TASKS else parts
    exact = {"+".join([*of_model, final]) for final in FINAL_TASKS}
    if of_model != parts:
        exact = {"+".join(parts)}
    found = [path for path, names in known.items() if node and names[0] in exact] or [
        path
        for path, names in known.items()
        if path.name.startswith(node) or names[-1].startswith(node)
    ]
    if variant and len(found) > 1:
        found = [path for path in found if _field(path, "variant") == variant] or found
    if len(found) > 1:
        found = [path for path in found if not _few_labels(path)] or found
    if len(found) == 1:
        return found[0]
    listed = "\n".join(f"  {path.name}  ({_told(path)})" for path in (found or list(known))[:20])
    if not known:
        raise InputError(f"{source}: holds no finished classifier; run the workflow first")
    what = f"fits {many(len(found), 'classifier')}" if found else "fits no classifier"
    raise InputError(
        f"--node {node!r} {what} of {source}; give --variant too, or the beginning of the "
        f"fingerprint (the part before .json) of one of\n{listed}"
    )


def _told(pointer: Path) -> str:
    few = _few_labels(pointer)
    return f"{_field(pointer, 'variant')}, seed {_field(pointer, 'seed')}{few and f', {few}'}"


def _few_labels(pointer: Path) -> str:
    """Return which draw of few labels a classifier learnt from, '' for all, or if it is damaged."""
    try:
        kept = Store(pointer.parent.parent).object(read_pointer(pointer)["object"])
        labels = read_record(kept / LINEAGE_FILE, LINEAGE)["recipe"]["data"].get("labels", {})
    except InputError:
        return ""
    if "draw" not in labels:
        return ""
    return f"{100 * labels['share']:g} % of the labels, draw {labels['draw']}"


def _field(pointer: Path, name: str) -> Any:
    try:
        return read_pointer(pointer).get(name)
    except InputError:
        return "damaged"


def read_study(configfiles: list[Path], settings: Iterable[str], store: Path) -> Study:
    """Return the study of a configuration as Snakemake would read it, on the given store."""
    return Study(read_config(configfiles, settings, folders=True, store=str(store)))


def check_same(study: Study, lineage: dict[str, Any], pointer: Path) -> None:
    """Raise InputError unless the study makes its images as those that the model was trained on.

    The fingerprint of a pack covers archive, rendering, masks, variant, sizes and source code.
    """
    for one in study.identities:
        if not one.decided:
            raise InputError(
                f"{pointer.name}: it is not known yet whether its {one.kind} were made of the "
                "files that the configuration names; run the workflow once, which compares them"
            )
    if study.pack_fingerprint(lineage["variant"]) != lineage["recipe"]["data"]["pack"]:
        raise InputError(
            f"{pointer.name}: was trained on images made in another way than this configuration "
            "says. Give the --configfile and --config of its study; if they are these, the archive "
            "or the program has changed since, and --trust-configuration takes them all the same"
        )
