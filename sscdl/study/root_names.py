"""What the checkpoints are that curricula start from, known before anything runs.

Imports neither torch nor pandas: it is asked each time the workflow is read.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sscdl.errors import InputError, of_key
from sscdl.study.trie import FINAL_TASKS, PRETEXT_TASKS, SCRATCH
from sscdl.training.network_names import by_timm
from sscdl.weight_files import weights_format

_TAKEN = {*PRETEXT_TASKS, *FINAL_TASKS, SCRATCH, "metadata"}


def identities(
    roots: dict[str, Any], network: str, file_hash: Callable[[str], str]
) -> dict[str, str]:
    """Return what identifies the weights of each root; ``imagenet`` is always there.

    ``file_hash`` gives the SHA-256 of a file. Raises InputError for one that is no file of weights.
    """
    published = f"torchvision {network} IMAGENET1K_V1"
    if by_timm(network):
        published = f"timm {network}, its published weights"
    found = {"imagenet": published}
    for root, settings in roots.items():
        if settings.get("stand_in"):
            found[root] = f"random {network} in place of {root}"
        elif settings.get("file"):
            with of_key(f"roots.{root}.file"):
                weights_format(Path(settings["file"]))
                found[root] = file_hash(settings["file"])
    return found


def stand_ins(roots: dict[str, Any]) -> list[str]:
    """Return the roots whose weights are random, in place of those that the name promises."""
    return [root for root, settings in roots.items() if settings.get("stand_in")]


def stand_in_notes(names: list[str]) -> list[str]:
    """Return what tables say of such roots."""
    text = "{0}: random weights stand in for it; the row says nothing of {0}."
    return [text.format(name) for name in names]


def check_roots(roots: dict[str, Any]) -> None:
    """Raise InputError for a name that means something else, or a root without weights."""
    for root, settings in roots.items():
        if root in _TAKEN:
            raise InputError(f"roots.{root}: this name has a meaning of its own; use another")
        if settings.get("stand_in") and settings.get("file"):
            raise InputError(f"roots.{root}: a file and a stand_in exclude each other; give one")
        if root != "imagenet" and not (settings.get("file") or settings.get("stand_in")):
            raise InputError(f"roots.{root}.file: missing; the checkpoint to start from")
