"""The cases that train: every task with every option, and with every way of training."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from sscdl.tasks.declaration import ABSENT
from sscdl.tasks.options import DECLARATIONS, DEFAULTS

Found = tuple[str, list[str], dict[str, Any]]


def _values(kind: str) -> dict[str, dict[str, Any]]:
    """Return by task what its options say of themselves that is of a ``kind``."""
    return {
        task: {
            name: getattr(option, kind)
            for name, option in declared.options.items()
            if getattr(option, kind) is not ABSENT
        }
        for task, declared in DECLARATIONS.items()
    }


# What every case of a task is made with besides the option that it is about; for every option a
# value that is neither what a stage without it has, nor that; and values that switch a part of the
# code off, where the other leaves it on.
SMALL, ALTERNATIVES, SWITCHED_OFF = map(_values, ("small", "other", "off"))

# One link of a chain of stages; the next one starts from its weights.
LINK: dict[str, Any] = {
    "rates": [0.02], "seed": 0, "backbone": {"name": "resnet18", "last_stage": 2},
    "image_size": 32, "precision": "float32", "devices": 1, "side_by_side": 1, "root": False,
    "stop_after": 0, "search_only": False, "settings": {}, "data": {}, "recipe": {},
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "batch_size": 8, "optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-4, "search_epochs": 1,
    "final_epochs": 1, "decay": "cosine",
}  # fmt: skip
LARS = {
    "optimizer": "lars", "decay": "constant", "momentum": 0.8, "weight_decay": 1e-3,
    "search_epochs": 3, "final_epochs": 1,
    "search": {"method": "halving", "first": 0.3, "keep": 0.5},
}  # fmt: skip
ADAM = {
    "optimizer": "adam", "adam": {"betas": [0.8, 0.95], "decay": "all"}, "decay": "milestones",
    "milestones": {"at": [0.4, 0.7], "factor": 0.3}, "clip_gradients": 0.5,
}  # fmt: skip
EVERYTHING = {"train": "all", "normalise": "all", "masked": "drop"}


def link(task: str, options: dict[str, Any] | None = None, **change: Any) -> dict[str, Any]:
    """Return one stage of ``task``; ``change`` replaces values of ``LINK`` and ``SETTINGS``."""
    settings = SETTINGS | change.pop("settings", {})
    settings["options"] = SMALL.get(task, {}) | (options or {})
    return LINK | change | {"task": task, "settings": settings}


def stage_cases() -> list[Found]:
    """Return name, groups and settings of every case."""
    found: list[Found] = []
    for task in DEFAULTS:
        chains = {**_options(task), **_ways(task)}
        found += [(f"{task}: {name}", [task], {"links": [stage]}) for name, stage in chains.items()]
        found.append((f"{task}: streamed", [task], {"streamed": True}))
    every = list(DEFAULTS)
    # What starts further processes is the same for all tasks.
    beside = link("rotation", rates=[0.01, 0.05], side_by_side=2)
    found.append(("two rates side by side", every, {"links": [beside]}))
    ranks = link("rotation", rates=[0.01, 0.05], devices=2)
    found.append(("two rates, then two ranks", every, {"links": [ranks]}))
    curriculum = ["rotation", "moco", "swav", "relloc", "classify"]
    found.append(("curriculum", curriculum, {"links": [link(task, seed=7) for task in curriculum]}))
    for task in every:
        for way in ({}, {"devices": 2}, {"precision": "bf16"}):
            one = link(task, **way, recipe={"batch_statistics": "by any source"})
            told = ", ".join(f"{key} {value}" for key, value in way.items()) or "alone"
            found.append(
                (f"batch statistics: {task}, {told}", ["batch statistics"], {"links": [one]})
            )
    for task in every:
        two = link(task, rates=[0.02, 0.05], recipe={"averaged_weights": "by any source"})
        told = {"links": [two], "needs": ["sscdl/training/averages.py"]}
        found.append((f"averaged weights: {task}", ["averaged weights"], told))
    for name in ("test_vit", "test_convnext"):  # timm's own for tests, of some 100,000 weights
        network = {"name": name, "last_stage": 4, "image_size": 64}
        built = {"timm": ["by any source", metadata.version("timm")]}
        one = link("rotation", image_size=64, backbone=network, recipe=built)
        told = {"links": [one], "needs": ["sscdl/training/timm_backbones.py"]}
        found.append((f"timm networks: {name}", ["timm networks"], told))
    return found


def _options(task: str) -> dict[str, dict[str, Any]]:
    """Return a stage for each option away from its default, and one with the defaults."""
    whole = link(task)
    # The default queue is longer than these few images fill in an epoch.
    whole["settings"] = whole["settings"] | {"options": {}}
    stages = {"defaults": whole}
    for values in (ALTERNATIVES[task], SWITCHED_OFF.get(task, {})):
        for option, value in values.items():
            stages[f"{option} {value}"] = link(task, {option: value})
    return stages


def _ways(task: str) -> dict[str, dict[str, Any]]:
    """Return a stage of ``task`` for each way of training that all tasks have."""
    classifies = task in ("classify", "findings")
    share = {"labels": {"share": 0.5, "seed": 3}} if task == "classify" else {"also": "more"}
    thesis = EVERYTHING | {"validate": "val" if classifies else None}
    return {
        "lars, constant, halving, stopped": link(
            task, settings=LARS, rates=[0.3, 0.1, 1.0], stop_after=1
        ),
        "resnet50": link(
            task, settings={"final_epochs": 0}, backbone={"name": "resnet50", "last_stage": 3}
        ),
        "no momentum, root, densenet, seed 5": link(
            task, settings={"momentum": 0.0, "weight_decay": 0.0, "final_epochs": 0}, root=True,
            seed=5, backbone={"name": "densenet121", "last_stage": 4},
        ),
        "whole resnet": link(
            task, settings={"final_epochs": 0}, backbone={"name": "resnet18", "last_stage": 4}
        ),
        "bf16, root": link(
            task, settings={"final_epochs": 0}, root=True, precision="bf16"
        ),
        "all images": link(task, data=thesis),
        "masks, part of the images": link(task, data={"masked": "keep", **share}),
        "two ranks": link(task, devices=2, settings={"optimizer": "lars"}, search_only=True),
        "lars of all, warm-up": link(
            task, settings=LARS | {"warmup_epochs": 1.5, "lars": {"adapt": "all", "decay": "all"}}
        ),
        "adam of all, milestones, clipped": link(
            task, rates=[0.001], settings=ADAM | {"search_epochs": 2, "warmup_epochs": 0.5}
        ),
        "adamw, stopped, two ranks": link(
            task, rates=[0.001], devices=2, stop_after=1,
            settings={"optimizer": "adamw", "search_epochs": 2, "weight_decay": 0.05},
        ),
        "last batch filled": link(task, settings={"last_batch": "fill", "final_epochs": 0}),
        "rate too high": link(task, rates=[1e30, 0.01], settings={"search_epochs": 2}),
    }  # fmt: skip
