"""What the JSON files of a store must hold, made up; a test changes what it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sscdl.files import write_json
from sscdl.recipe import file_hash

# What manifests say of each row besides its file.
OF_ROWS = {
    "images": {"cohort": "main", "patient_id": "p", "label": ""},
    "masks": {"area": 0.4, "faults": [], "empty": False},
}


def write_manifest(path: Path, kind: str, rows: list[dict[str, Any]]) -> Path:
    """Write a manifest of "images" or "masks" whose files lie in ``png`` beside it."""
    listed = []
    for row in rows:
        digest = file_hash(path.parent / "png" / row["png"]) if row["png"] else None
        listed.append({**OF_ROWS[kind], "sha256": digest, **row})
    rest = {} if kind == "masks" else {"rejected": [], "failed": [], "problems": []}
    write_json(path, {kind: listed, **rest})
    return path


def run(**change: Any) -> dict[str, Any]:
    """Return the record of a run."""
    return {
        "key": "k", "learning_rate": 0.1, "metric": "accuracy", "higher_is_better": True,
        "epochs": 2, "value": 0.5, "history": [{"epoch": 2, "finite": True}], "data": "rows",
    } | change  # fmt: skip


def pointer(**change: Any) -> dict[str, Any]:
    """Return what a stage's pointer holds."""
    return {
        "node": "moco", "variant": "full", "seed": 0, "task": "moco", "fingerprint": "f",
        "object": "k", "learning_rate": 0.1, "metric": "accuracy", "candidates": [],
        "final": run(weights={"bytes": 1, "sha256": ""}), "parent": None,
    } | change  # fmt: skip


def lineage(**change: Any) -> dict[str, Any]:
    """Return what the lineage of trained weights holds."""
    recipe = {
        "task": "moco", "seed": 0, "root": "scratch", "settings": {}, "backbone": {},
        "image_size": 32, "data": {"train": "all"},
    }  # fmt: skip
    return {
        "node": "moco", "variant": "full", "object": "k", "learning_rate": 0.1, "value": 0.5,
        "metric": "accuracy", "recipe": recipe | change.pop("recipe", {}), "machine": {},
        "data": {"rows": "rows", "mean": 0.5, "std": 0.1}, "before": None,
    } | change  # fmt: skip
