"""What a study would train: one line for each node, by whether the store has it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def print_plan(nodes: Iterable[tuple[str, str, int, tuple[float, ...], str]]) -> None:
    """Print each node (name, variant, seed, learning rates, pointer) and the totals."""
    counts = {"finished": 0, "to train": 0}
    for name, variant, seed, rates, pointer in nodes:
        state = "finished" if Path(pointer).exists() else "to train"
        counts[state] += 1
        listed = ", ".join(f"{rate:g}" for rate in rates)
        print(f"{state:9} {variant:16} seed {seed}  rates {listed}  {name}")
    print(f"{counts['to train']} stages to train, {counts['finished']} finished")
