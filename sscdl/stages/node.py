"""A node of the trie as its process is given it: what to train, and where everything lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Stage:
    """What a node's process is given: its recipe and where its inputs and outputs lie."""

    name: str
    task: str
    variant: str
    recipe: dict[str, Any]
    learning_rates: tuple[float, ...]
    fingerprint: str
    pointer: Path
    parent: Path | None  # pointer of the parent node
    root: Path | None  # weights that the curriculum starts from, where it has no parent
    pack: Path
    images: Path  # images.csv of the study
    monitors: Path | None  # folder for what can be watched while the node trains
    device: str
    devices: int
    side_by_side: int
    threads: int
    precision: str

    @property
    def store(self) -> Path:
        """Return the store, which holds the pointer in its folder ``recipes``."""
        return self.pointer.parent.parent

    @property
    def settings(self) -> dict[str, Any]:
        """Return the task's settings (batch size, epochs, optimiser, options)."""
        return self.recipe["settings"]

    @property
    def averaged(self) -> bool:
        """Return whether the node's candidates are compared by averages of their weights."""
        return "averaged_weights" in self.recipe
