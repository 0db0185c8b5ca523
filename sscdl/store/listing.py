"""What a store holds, as lines of text: an overview of its nodes, and the history of one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sscdl.store.nodes import (
    KINDS,
    Trained,
    below,
    lineage,
    parents,
    read_nodes,
    recipe_of,
    shown_size,
    size,
)
from sscdl.store.nodes import users as find_users
from sscdl.words import many

COLUMNS = (
    "node", "task", "variant", "seed", "rate", "metric", "object", "size", "date", "fingerprint",
    "stages below",
)  # fmt: skip


def listing(store: Path, results: Iterable[Path] = ()) -> list[str]:
    """Return a line for each node and for each kind of content, and what could not be read.

    With ``results`` (see :func:`sscdl.store.nodes.users`) each node's line ends with the studies
    that use it. Raises InputError if one of those folders is no study's.
    """
    nodes, damaged = read_nodes(store)
    before, results = parents(store, nodes), list(results)
    rows: list[tuple[str, ...]] = [(*COLUMNS, "studies") if results else COLUMNS]
    used = find_users(store, results)
    for node in nodes:
        row = (
            node.called, node.task, node.variant, str(node.seed), f"{node.learning_rate:g}",
            f"{node.metric} {_number(node.value)}", node.object,
            shown_size(size(store / "objects" / node.object)), _date(node.path), node.fingerprint,
            str(len(below(node, before, nodes))),
        )  # fmt: skip
        studies = ", ".join(sorted(used.get(node.fingerprint, ()))) or "-"
        rows.append((*row, studies) if results else row)
    lines = _aligned(rows) if nodes else ["no trained node"]
    lines += [f"damaged: {path}: {fault}; see verify" for path, fault in damaged.items()]
    return [*lines, "", *_aligned([("kind", "number", "size"), *_totals(store)])]


# What is counted of a kind where that is not everything.
COUNTED = {"packs": "*.npy", "recipes": "*.json", "digests": "*.bin"}


def _totals(store: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the name of each kind of content, how many there are, and their size."""
    whole = 0
    for kind in KINDS:
        folder = store / kind
        entries = [one for one in folder.glob(COUNTED.get(kind, "*")) if one.name[0] != "."]
        if kind == "segmenters":  # weights, and a description beside each
            entries = [one for one in entries if one.suffix != ".json"]
        number = f"{len(entries)}"
        if kind in ("images", "masks"):
            number += f" ({sum(1 for _ in folder.glob('*/png/[!.]*.png'))} PNGs)"
        used = sum(map(size, folder.iterdir())) if folder.is_dir() else 0
        whole += used
        yield kind, number, shown_size(used)
    yield "all", "", shown_size(whole)


def history(store: Path, nodes: list[Trained], node: Trained) -> list[str]:
    """Return how the weights of ``node`` came about: its stages from the root on.

    Each has its learning rates with what they reached, the loss against chance, its data, settings,
    source hashes, machine and versions. A stage whose pointer is gone is told from the lineage of
    those after it.
    """
    before = parents(store, nodes)
    stages: list[tuple[dict[str, Any] | None, Trained | None]] = []
    one: Trained | None
    about, one = lineage(store, node.object), node
    while about is not None or one is not None:
        stages.append((about, one))
        about = about["before"] if about else None
        own = before[one.fingerprint] if one else []
        one = own[0] if own else None
    first = stages[-1][0]
    root = first["recipe"]["root"] if first else "unknown (its lineage is missing or damaged)"
    lines = [node.title, f"{node.path}", f"{store / 'objects' / node.object}", "", f"root: {root}"]
    for number, (about, one) in enumerate(reversed(stages), start=1):
        lines += ["", *_stage(number, about, one)]
    return lines


def _stage(number: int, about: dict[str, Any] | None, node: Trained | None) -> Iterator[str]:
    """Yield the lines about one stage, from its lineage and its pointer as far as there are any."""
    told = about or {}  # not empty without a node
    name = node.title if node else f"{told['node']} ({told['variant']}), its pointer is gone"
    yield f"{number}. {name}"
    key = node.object if node else told["object"]
    yield f"   object {key}" + (f", {_date(node.path)}" if node else "")
    if node:
        for one in sorted(node.candidates, key=lambda c: c["learning_rate"]):
            chosen = "  chosen" if one["learning_rate"] == node.learning_rate else ""
            epochs = f" after {many(one['epochs'], 'epoch')}" if "epochs" in one else ""
            metric = one.get("metric", node.metric)
            metric = f"{metric} of averaged weights" if one.get("averaged") else metric
            yield (
                f"   rate {one['learning_rate']:g}: {metric} {_number(one['value'])}{epochs}"
                f"{_losses(one)}{chosen}"
            )
        epochs = f" after {many(node.final['epochs'], 'epoch')}" if "epochs" in node.final else ""
        yield f"   final: {node.metric} {_number(node.value)}{epochs}{_losses(node.final)}"
    elif about:
        yield f"   rate {about['learning_rate']:g}: {about['metric']} {_number(about['value'])}"
    if about is None:
        yield "   lineage missing or damaged; see verify"
        return
    recipe = recipe_of(about, node) if node else about["recipe"]
    data = recipe.get("data", {})
    yield f"   data {_plain({k: v for k, v in data.items() if k != 'source'})}"
    if "data" in about:
        yield f"   trained on {_plain(about['data'])}"
    yield f"   settings {_plain(recipe['settings'])}"
    rest = {key: recipe[key] for key in ("backbone", "image_size", "precision") if key in recipe}
    yield f"   network {_plain(rest)}"
    yield f"   source {recipe.get('source', '-')}, of the data {data.get('source', '-')}"
    yield f"   machine {_plain(about.get('machine', {}))}"


def _losses(run: dict[str, Any]) -> str:
    """Return the last loss of a run against chance, where the run has a history."""
    last = (run.get("history") or [{}])[-1]
    if "loss" not in last:
        return ""
    floor = "" if last.get("floor") is None else f", floor {_number(last['floor'])}"
    return f", loss {_number(last['loss'])} (chance {_number(last.get('chance'))}{floor})"


def _plain(value: dict[str, Any]) -> str:
    """Return a recipe on one line, without the quotation marks and braces of JSON."""
    inside = (
        f"{key} {item if isinstance(item, str) else json.dumps(item)}"
        for key, item in sorted(value.items())
    )
    return ", ".join(inside).replace('"', "")


def _number(value: float | None) -> str:
    """Return three decimals; a run whose loss became infinite has no value."""
    return "infinite" if value is None else f"{value:.3f}"


def _date(path: Path) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime))


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
