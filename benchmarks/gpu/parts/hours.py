"""How long the study of the thesis would take at the rates that were measured. Imports no torch."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from benchmarks.gpu.record import done
from benchmarks.gpu.sizes import NotHere, Sizes, thesis, thesis_batch
from sscdl.planning.estimates import ImageCounts, epoch_images, search_epochs
from sscdl.study.trie import Node, Trie, preset_curricula

IMAGES = 6334  # radiographs of the archive
SPLIT = {"val": 0.0, "test": 0.2}
DATA = {"pretext": {"train": "all"}, "final": {"train": "train"}}


def cases(sizes: Sizes) -> list[str]:
    """Return the name of the grid."""
    return ["thesis"]


def nodes(config: dict[str, Any]) -> list[Node]:
    """Return what a study such as the thesis's trains, each node once."""
    stages = {task: {"learning_rates": [], **one} for task, one in config["stages"].items()}
    trie = Trie(
        preset_curricula(config["curricula"]), stages=stages, rules=config["learning_rate_rules"],
        common={}, roots={"imagenet": "imagenet"},
    )  # fmt: skip
    for variant in config["variants"]:
        for curriculum in trie.paths:
            # Variants are other images: their nodes are not the same ones.
            data = {kind: {**one, "pack": variant} for kind, one in DATA.items()}
            trie.add(curriculum, variant, 0, data)
    return list(trie.nodes.values())


def images_shown(config: dict[str, Any]) -> dict[str, int]:
    """Return how many images all epochs of a grid show, by task."""
    counts = ImageCounts("", IMAGES, SPLIT)
    found: dict[str, int] = defaultdict(int)
    for node in nodes(config):
        settings = node.recipe["settings"]
        epochs = search_epochs(len(node.learning_rates), settings) + settings["final_epochs"]
        images = counts.of(node.recipe["data"])
        found[node.task] += epochs * epoch_images(node, images)
    return dict(found)


def run(case: str, sizes: Sizes, known: list[dict[str, Any]]) -> dict[str, Any]:
    """Return hours by task and in all, one run after the other and several at a time."""
    network = sizes.networks[0]["name"]
    rates, config = done(known, "speed"), thesis()
    seconds, missing = {}, []
    for task, images in images_shown(config).items():
        batch = sizes.batches(task)[0] if sizes.tiny else thesis_batch(task)
        found = rates.get(f"{network} {task} {batch}")
        if found is None:
            missing.append(task)
        else:
            seconds[task] = images / found["images_per_second"]
    if not seconds:
        raise NotHere("no task was timed at the thesis's batch")
    hours = {task: round(one / 3600, 2) for task, one in seconds.items()}
    total = sum(seconds.values()) / 3600
    beside = {number: one["images_per_second"] for number, one in done(known, "side").items()}
    alone = beside.get("1")
    gains = {number: rate / alone for number, rate in beside.items()} if alone else {}
    return {
        "hours": hours,
        "total": round(total, 2),
        # As if all tasks gained what the one that was measured does.
        "total_at_a_time": {number: round(total / gain, 2) for number, gain in gains.items()},
        "not_timed": missing,
        "nodes": len(nodes(config)),
    }
