"""The disk that a node takes. Imports no torch: sizes of networks are in a table.

Tests compare them with the real networks and tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sscdl.planning.estimates import search_epochs
from sscdl.study.trie import CLASSIFY, Node
from sscdl.tasks.options import DEFAULTS, whole
from sscdl.tasks.queues import queue_length

# Bytes of the weights of a backbone without its classifier, and the length of its feature.
BACKBONES = {
    ("resnet18", 2): (2740048, 128),
    ("resnet18", 3): (11149176, 256),
    ("resnet18", 4): (44744608, 512),
    ("resnet50", 2): (5820352, 512),
    ("resnet50", 3): (34295896, 1024),
    ("resnet50", 4): (94245032, 2048),
    ("densenet121", 4): (28150984, 1024),
}
RECORD = 300  # bytes of an epoch's record, which object and pointer both have


def weights_bytes(node: Node) -> int:
    """Return the bytes of the weights that a node keeps; 0 for an unknown backbone."""
    backbone = node.recipe["backbone"]
    size, channels = BACKBONES.get((backbone["name"], backbone.get("last_stage", 4)), (0, 0))
    classes = len(node.recipe["data"].get("classes", [])) if node.task == CLASSIFY else 0
    return size + 4 * classes * (channels + 1)


def records_bytes(node: Node) -> int:
    """Return about how many bytes the metrics of a node take, those of losing candidates too."""
    settings = node.recipe["settings"]
    search = search_epochs(len(node.learning_rates), settings)
    return 2 * RECORD * (search + settings["search_epochs"] + settings["final_epochs"])


def state_bytes(node: Node, images: int) -> int:
    """Return about how many bytes the states of all candidates take while a node trains.

    Each has the weights, what else the task has, and the optimiser's buffers for what it trains.
    ``images``: number of training images.
    """
    own = task_state_bytes(node, images)
    one = 2 * weights_bytes(node) + (own if node.task == "moco" else 2 * own)
    return one * len(node.learning_rates)


def task_state_bytes(node: Node, images: int) -> int:
    """Return the bytes of what a node's task keeps beside its backbone: heads and queues.

    ``images``: number of training images. 0 for a classifier, and for an unknown backbone.
    """
    backbone = node.recipe["backbone"]
    size, channels = BACKBONES.get((backbone["name"], backbone.get("last_stage", 4)), (0, 0))
    if not size or node.task == CLASSIFY:
        return 0
    settings = whole(node.task, node.recipe["settings"])
    options = {**DEFAULTS[node.task], **settings["options"]}
    if node.task == "moco":
        length = queue_length(options["queue"], images, settings["batch_size"])
        options = {**options, "queue": length}
    return _OWN[node.task](channels, options) + (size if node.task == "moco" else 0)


def _linear(inputs: int, outputs: int) -> int:
    return 4 * outputs * (inputs + 1)


def _normalisation(channels: int) -> int:
    return 16 * channels + 8  # and the number of batches that it has seen


def _moco(width: int, options: dict[str, Any]) -> int:
    """Return the bytes of both heads and of the queue, the key network apart."""
    dimension = options["dimension"]
    heads = 2 * (_linear(width, width) + _linear(width, dimension))
    return heads + options["queue"] * (4 * dimension + 8) + 8


def _swav(width: int, options: dict[str, Any]) -> int:
    dimension = options["dimension"]
    head = _linear(width, width) + _normalisation(width) + _linear(width, dimension)
    return head + 4 * dimension * (options["prototypes"] + 2 * options["queue"]) + 16


def _relloc(width: int, options: dict[str, Any]) -> int:
    hidden = 2 * width if options["hidden"] == "auto" else options["hidden"]
    return _linear(2 * width, hidden) + _normalisation(hidden) + _linear(hidden, 8)


def _rotation(width: int, options: dict[str, Any]) -> int:
    return _linear(width, 4)


# By task; the first argument is the length of the backbone's feature.
_OWN: dict[str, Callable[[int, dict[str, Any]], int]] = {
    "moco": _moco,
    "swav": _swav,
    "relloc": _relloc,
    "rotation": _rotation,
}
