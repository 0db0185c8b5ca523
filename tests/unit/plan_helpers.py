"""Nodes of small curricula, and a store in which some of them are trained in no time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sscdl.planning.plan import plan
from sscdl.stages.node import Stage
from sscdl.stages.stage import run_stage
from sscdl.study.trie import Node, Trie
from sscdl.tasks.options import DEFAULTS

SPLIT = {"by": "patient", "val": 0.2, "test": 0.2, "seed": 0}
TRAINING = {"device": "cpu", "devices": 1, "side_by_side": 1, "threads": 1}
STAGE = {
    "optimizer": "sgd",
    "learning_rates": [0.1, 0.2],
    "batch_size": 8,
    "search_epochs": 2,
    "final_epochs": 3,
    "decay": "cosine",
    "options": {},
}


def data_recipes(**change: Any) -> dict[str, Any]:
    """Return the data recipes of a strict study, with some keys of both changed."""
    common = {"pack": "a" * 12, "masked": False, "source": "b" * 12, "split": SPLIT}
    common |= {"train": "train", "normalise": "train", "validate": "val", **change}
    return {"pretext": common, "final": {**common, "classes": ["x", "y"]}}


def make_nodes(
    *curricula: str,
    stages: dict[str, dict[str, Any]] | None = None,
    variants: tuple[str, ...] = ("full",),
    seeds: tuple[int, ...] = (0,),
    data: dict[str, Any] | None = None,
    roots: dict[str, str] | None = None,
    averaged: bool = False,
    **common: Any,
) -> list[Node]:
    """Return the nodes of some curricula, parents first; ``stages`` changes settings of tasks."""
    tasks = tuple(DEFAULTS)
    settings = {task: {**STAGE, **(stages or {}).get(task, {})} for task in tasks}
    given = {
        "backbone": {"name": "resnet18", "last_stage": 2}, "image_size": 32, "precision": "float32",
    }  # fmt: skip
    trie = Trie(
        list(curricula), stages=settings, rules=[], common=given | common,
        roots={"imagenet": "weights"} | (roots or {}), averaged=averaged,
    )  # fmt: skip
    for variant in variants:
        for seed in seeds:
            for name in curricula:
                trie.add(name, variant, seed, data or data_recipes())
    return list(trie.nodes.values())


def train(folder: Path, nodes: list[Node]) -> None:
    """Train nodes into the store ``folder``, with the stand-in of the fixture ``small_store``."""
    pointers = {node.fingerprint: folder / "recipes" / node.pointer for node in nodes}
    for node in nodes:
        run_stage(
            Stage(
                name=node.name,
                task=node.task,
                variant=node.variant,
                recipe=node.recipe,
                learning_rates=node.learning_rates,
                fingerprint=node.fingerprint,
                pointer=pointers[node.fingerprint],
                parent=pointers[node.parent] if node.parent else None,
                root=None,
                pack=Path("pack"),
                images=Path("images"),
                monitors=None,
                device="cpu",
                devices=1,
                side_by_side=1,
                threads=1,
                precision="float32",
            )  # fmt: skip
        )


def at_speed(monkeypatch: Any, speeds: list[float], device: str = "cpu") -> None:
    """Let the stand-in for the training record these images per second, epoch by epoch."""
    session = sys.modules["sscdl.stages.session"]

    class Timed(session.Session):
        def run(self, folder, key, rate, **run):
            history, facts = super().run(folder, key, rate, **run)
            extra = [{**history[-1], "images_per_second": speed} for speed in speeds]
            return extra, {**facts, "device": device}

    monkeypatch.setattr(session, "Session", Timed)


def make_plan(folder: Path, nodes: list[Node], **change: Any) -> str:
    """Return the text of the plan of ``nodes``, whose table lies beside the store ``folder``."""
    names = [node.name.removesuffix("classify").removesuffix("+") or "scratch" for node in nodes]
    ends = [name for name, node in zip(names, nodes, strict=True) if node.task == "classify"]
    given = {
        "store": folder, "images_csv": folder.parent / "images.csv", "image_files": 100,
        "split": SPLIT, "training": TRAINING, "roots": {},
        "curricula": list(dict.fromkeys(ends)), "sources": ["packs", "split"],
        "identities": [], "table": folder.parent / "plan.csv",
    }  # fmt: skip
    return plan(nodes, **given | change)
