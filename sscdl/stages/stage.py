"""Train one node of the trie: every learning rate, the best one on to the end, then the pointer.

Objects that exist are found before torch is imported, so that a hit costs a look-up and no more.
"""

from __future__ import annotations

import logging
from typing import Any

from sscdl.equivalence import group_hash
from sscdl.errors import InputError
from sscdl.files import write_json
from sscdl.records import set_aside
from sscdl.source import group_modules, module_hashes
from sscdl.stages.node import Stage
from sscdl.stages.runs import Runs
from sscdl.stages.search import GRID, ranked, run_search
from sscdl.store.nodes import comparison
from sscdl.store.store import Store, read_pointer
from sscdl.weight_files import check_finite, read_tensors

LOGGER = logging.getLogger("sscdl.stage")


def run_stage(stage: Stage) -> None:
    """Train what the store does not have of the node and write its pointer last."""
    store = Store(stage.store)
    with store.lock(stage.fingerprint):
        if store.finished(stage.pointer):
            LOGGER.info("%s: finished by another process", stage.name)
            return
        if stage.pointer.exists():
            LOGGER.warning("%s is damaged, or leads to what is gone; written again", stage.pointer)
            if stage.pointer.is_dir():
                set_aside(stage.pointer)  # nothing can be written over a folder
        before = read_pointer(stage.parent) if stage.parent else None
        start = before["object"] if before else stage.recipe["root"]
        with Runs(stage, store, start, before) as runs:
            candidates = run_search(
                runs.candidates,
                stage.learning_rates,
                stage.settings["search_epochs"],
                stage.settings.get("search", GRID),
            )
            best = _best(candidates, stage)
            final = runs.final(best)
        for candidate in candidates:
            with store.lock(candidate["key"]):
                store.discard(candidate["key"], "state.pt")
        write_json(
            stage.pointer,
            {
                "node": stage.name,
                "variant": stage.variant,
                "seed": stage.recipe["seed"],
                "task": stage.task,
                "fingerprint": stage.fingerprint,
                "object": final["key"],
                "learning_rate": best["learning_rate"],
                "metric": best["metric"],
                "candidates": candidates,
                "final": final,
                "parent": before["object"] if before else None,
                "sources": _sources(stage),
                "compared": comparison(stage.recipe),
            },
        )


def _sources(stage: Stage) -> dict[str, str] | None:
    """Return a hash of each module that has trained the node, None if one was edited meanwhile."""
    unchanged = group_hash(stage.task) == stage.recipe.get("source")
    return module_hashes(*group_modules(stage.task)) if unchanged else None


def _best(candidates: list[dict[str, Any]], stage: Stage) -> dict[str, Any]:
    """Return the best of the candidates that were trained for all search epochs."""
    whole = [c for c in candidates if c["epochs"] == stage.settings["search_epochs"]]
    if not ranked(whole):
        if stage.root:
            # Weights that were given may be at fault, which no learning rate mends.
            check_finite(stage.root, read_tensors(stage.root))
        raise InputError(
            f"{stage.name} ({stage.variant}): the loss became infinite at every learning rate of "
            f"{list(stage.learning_rates)} that went on to the end; give "
            f"stages.{stage.task}.learning_rates lower ones"
        )
    return ranked(whole)[0]
