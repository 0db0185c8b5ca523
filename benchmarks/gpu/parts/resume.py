"""Is a stage that is killed (SIGKILL) and started again the stage that it would have been?

A small node of the workflow is trained twice undisturbed, and once while it is killed each time
that it has written some more states. Where the two undisturbed ones differ, the device itself does
not repeat, and the third is compared by how far it is from them.

This process must not touch the GPU: its children are forked, and each has the GPU for itself.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.sizes import TASKS, Sizes
from benchmarks.kills import digest, work
from sscdl.stages.node import Stage
from tests.unit.real_stage import real_stage, weights

FORK = multiprocessing.get_context("fork")
FIRST = ("moco", "swav", "classify")  # with queues and with prototypes, and the last of all


def cases(sizes: Sizes) -> list[str]:
    """Return the tasks, those with most beside their weights first."""
    return ["moco"] if sizes.tiny else [*FIRST, *(task for task in TASKS if task not in FIRST)]


def run(case: str, sizes: Sizes, known: list[dict[str, Any]]) -> dict[str, Any]:
    """Return whether the weights are the same, and how often the stage was killed."""
    kills, epochs = (1, 3) if sizes.tiny else (2, 20)
    torch.set_num_threads(1)  # threads do not survive a fork
    settings = {"search_epochs": epochs, "final_epochs": epochs}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one, two, three = (
            _stage(folder, case, settings=settings, store=folder / store, device=sizes.device)
            for store in ("one", "two", "killed")
        )
        for stage in (one, two):
            process = _begin(stage)
            process.join()
            _check(process.exitcode, stage)
        done = _killed(three, kills)
        first, last = weights(one), weights(three)
        found = {
            "same": digest(one) == digest(three),
            "kills": done,
            # The best rate goes on from its search in any case.
            "went_on": _went_on(three) - _went_on(one),
            "repeats": digest(one) == digest(two),
            "deviation": max(float((first[key] - last[key]).abs().max()) for key in first),
        }
    return found


def _stage(folder: Path, case: str, **change: Any) -> Stage:
    """Return a stage whose candidates are compared by averages, as is usual."""
    stage = real_stage(folder, case, **change)
    return replace(stage, recipe={**stage.recipe, "averaged_weights": "by their present source"})


def _went_on(stage: Stage) -> int:
    """Return how many runs went on from a state, by the log."""
    return (stage.store / "log").read_text(encoding="utf-8").count("going on after epoch")


def _begin(stage: Stage) -> Any:
    process = FORK.Process(target=work, args=(stage, stage.store / "log"))
    process.start()
    return process


def _check(status: int | None, stage: Stage) -> None:
    if status:
        log = stage.store / "log"
        said = log.read_text(encoding="utf-8")[-1500:] if log.exists() else ""
        raise RuntimeError(f"{stage.name}: exit status {status}\n{said}")


def _killed(stage: Stage, kills: int) -> int:
    """Train ``stage`` and kill it whenever it has written a few states; return how often."""
    number = 0
    while True:
        process = _begin(stage)
        if number < kills and _wrote(stage, process, states=2):
            process.kill()
            process.join()
            number += 1
            continue
        process.join()
        _check(process.exitcode, stage)
        return number


def _wrote(stage: Stage, process: Any, states: int) -> bool:
    """Wait until so many states were written; return whether that came before the end."""
    seen: set[tuple[str, int]] = set()
    before = _states(stage)
    while process.is_alive():
        seen |= _states(stage) - before
        if len(seen) >= states:
            return True
        time.sleep(0.002)
    return False


def _states(stage: Stage) -> set[tuple[str, int]]:
    """Return the state files that are there, by name and time."""
    found = set()
    for path in (stage.store / "objects").glob("*/state.pt"):
        try:
            found.add((str(path), path.stat().st_mtime_ns))
        except FileNotFoundError:  # replaced or discarded meanwhile
            continue
    return found
