"""The disk that a node takes. Imports no torch: sizes of networks are known without it.

Tests compare them with the real networks and tasks.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sscdl.planning.estimates import search_epochs
from sscdl.study.trie import FINAL_TASKS, Node
from sscdl.tasks.declaration import Size
from sscdl.tasks.options import DECLARATIONS, DEFAULTS, whole
from sscdl.training.network_facts import known_facts

RECORD = 300  # bytes of an epoch's record, which object and pointer both have


def _network(node: Node, store: Path) -> tuple[int, int]:
    """Return the bytes of a node's backbone and its channels; 0 where they are not known yet."""
    found = known_facts(node.recipe["backbone"], node.recipe["image_size"], store)
    return (found.bytes, found.channels) if found else (0, 0)


def weights_bytes(node: Node, store: Path) -> int:
    """Return the bytes of the weights that a node keeps.

    0 for a network that nobody has looked at yet: ``store`` keeps what was found of timm's.
    """
    size, channels = _network(node, store)
    data = node.recipe["data"]
    outputs = len(data.get("classes") or data.get("findings", []))
    return size + 4 * outputs * (channels + 1)


def records_bytes(node: Node) -> int:
    """Return about how many bytes the metrics of a node take, those of losing candidates too."""
    settings = node.recipe["settings"]
    search = search_epochs(len(node.learning_rates), settings)
    return 2 * RECORD * (search + settings["search_epochs"] + settings["final_epochs"])


def state_bytes(node: Node, images: int, store: Path) -> int:
    """Return about how many bytes the states of all candidates take while a node trains.

    Each has the weights, what else the task has, and, for what it trains, the optimiser's buffers
    and maybe averages. ``images``: number of training images.
    """
    weights, own = weights_bytes(node, store), _of_task(node, images, store)
    trained = weights + own.trained
    copies = 2 if node.recipe["settings"]["optimizer"] in ("adam", "adamw") else 1
    copies += "averaged_weights" in node.recipe
    return (trained + own.followed + copies * trained) * len(node.learning_rates)


def task_state_bytes(node: Node, images: int, store: Path) -> int:
    """Return the bytes of what a node's task keeps beside its backbone: heads and queues.

    ``images``: number of training images. 0 for a classifier, and for an unknown backbone.
    """
    return sum(_of_task(node, images, store))


class _Own(NamedTuple):
    trained: int
    followed: int


def _of_task(node: Node, images: int, store: Path) -> _Own:
    """Return the bytes that a node's task declares."""
    size, channels = _network(node, store)
    if not size or node.task in FINAL_TASKS:
        return _Own(0, 0)
    settings = whole(node.task, node.recipe["settings"])
    options = {**DEFAULTS[node.task], **settings["options"]}
    sizes = Size(channels, size, images, settings["batch_size"])
    declared = DECLARATIONS[node.task]
    return _Own(declared.trained_bytes(sizes, options), declared.followed_bytes(sizes, options))
