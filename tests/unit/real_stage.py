"""A node that can really be trained in a second or two: 24 pictures of 32 px, a small ResNet."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from sscdl.images.vouched import describe_list
from sscdl.recipe import fingerprint
from sscdl.stages.node import Stage
from sscdl.stages.stage import read_pointer
from sscdl.study.trie import FINAL_TASKS
from tests.unit.task_helpers import pictures

OPTIONS = {
    "moco": {"queue": 8, "dimension": 16},
    "swav": {"queue": 16, "prototypes": 8, "dimension": 16, "local_crops": 1, "queue_start": 0.0},
}
ROWS = 24


def write_images(folder: Path, rows: int = ROWS, side: int = 36) -> None:
    """Write a packed array and the list of its images: two thirds train, the rest validates."""
    array = pictures(rows, side, own=0.6)[:, 0].numpy()
    np.save(folder / "pack.npy", array)
    unit = array.reshape(rows, -1) / 255
    description = {
        "ids": [f"i{row:02}" for row in range(rows)],
        "sums": unit.sum(axis=1).tolist(),
        "squares": (unit**2).sum(axis=1).tolist(),
        "crops": None,
        "size": side,
        "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
    }
    (folder / "pack.json").write_text(json.dumps(description))
    with open(folder / "images.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "patient_id", "label", "split", "cohort", "mask"])
        for row in range(rows):
            split = "train" if row < rows * 2 // 3 else "val"
            writer.writerow([f"i{row:02}", f"p{row}", "ab"[row % 2], split, "main", ""])
    describe_list(folder / "images.csv", split={}, source="")


def real_stage(folder: Path, task: str = "rotation", **change: Any) -> Stage:
    """Return a node over the pictures in ``folder`` (written if need be), on the CPU.

    ``change`` replaces fields of the stage; settings of the task go into ``settings``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "pack.json").exists():
        write_images(folder)
    settings = {
        "batch_size": 8, "optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-4,
        "search_epochs": 2, "final_epochs": 2, "decay": "cosine", "options": OPTIONS.get(task, {}),
    }  # fmt: skip
    settings |= change.pop("settings", {})
    data = {"train": "train", "validate": "val", "normalise": "train", "masked": False}
    if task in FINAL_TASKS:
        data["findings" if task == "findings" else "classes"] = ["a", "b"]
    recipe = {
        "task": task, "settings": settings, "seed": change.pop("seed", 0), "root": "scratch",
        "backbone": {"name": "resnet18", "last_stage": 2}, "image_size": 32, "data": data,
        "batch_statistics": "by their present source",
    }  # fmt: skip
    stage = Stage(
        name=task, task=task, variant="full", recipe=recipe, learning_rates=(0.01, 0.03),
        fingerprint="", pointer=Path(), parent=None, root=None, pack=folder / "pack.json",
        images=folder / "images.csv", monitors=folder / "monitors" / task, device="cpu", devices=1,
        side_by_side=1, threads=1, precision="float32",
    )  # fmt: skip
    store = change.pop("store", folder / "store")
    stage = replace(stage, **change)
    identity = fingerprint([recipe, stage.learning_rates])
    pointer = store / "recipes" / f"{task}.{identity}.json"
    return replace(stage, fingerprint=identity, pointer=pointer)


def weights(stage: Stage) -> dict[str, torch.Tensor]:
    """Return the final weights of a node that was trained."""
    found = read_pointer(stage.pointer)["object"]
    return load_file(stage.store / "objects" / found / "weights.safetensors")


def same_weights(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    """Return whether two sets of weights are equal bit for bit."""
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def untimed(value: Any) -> Any:
    """Return ``value`` (of JSON) without what a clock has measured."""
    if isinstance(value, dict):
        timed = ("seconds", "images_per_second", "input_share")
        return {key: untimed(one) for key, one in value.items() if key not in timed}
    return [untimed(one) for one in value] if isinstance(value, list) else value
