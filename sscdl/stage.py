"""Train one node of the trie: every learning rate, the best one on to the end, then the pointer.

Objects that exist are found before torch is imported, so that a hit costs a look-up and no more.
"""

from __future__ import annotations

import importlib
import logging
import math
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sscdl.data import select_rows
from sscdl.errors import InputError, LostState
from sscdl.files import read_json, write_json
from sscdl.recipe import fingerprint
from sscdl.store import Store, read_pointer
from sscdl.tasks.options import SHARES_OF_ALL_EPOCHS

LOGGER = logging.getLogger("sscdl.stage")


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
    device: str
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


def run_stage(stage: Stage) -> None:
    """Train what the store does not have of the node and write its pointer last."""
    store = Store(stage.store)
    with store.lock(stage.fingerprint):
        if store.finished(stage.pointer):
            LOGGER.info("%s: finished by another process", stage.name)
            return
        before = read_pointer(stage.parent) if stage.parent else None
        start = before["object"] if before else stage.recipe["root"]
        trained = _Trained(stage, store, start, before)
        candidates = [trained.candidate(rate) for rate in stage.learning_rates]
        best = _select(candidates, stage)
        final = trained.final(best)
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
            },
        )


def content_digest(stage: Stage) -> str:
    """Return the digest of the images, labels and patients that the stage would train on now."""
    return select_rows(stage.images, read_json(stage.pack), stage.recipe["data"]).digest


def _select(candidates: list[dict[str, Any]], stage: Stage) -> dict[str, Any]:
    """Return the best candidate: highest accuracy or lowest loss, the lower rate on a tie."""
    usable = [c for c in candidates if c["value"] is not None and math.isfinite(c["value"])]
    if not usable:
        raise InputError(
            f"{stage.name} ({stage.variant}): the loss became infinite at every learning rate "
            f"{list(stage.learning_rates)}; give stages.{stage.task}.learning_rates lower ones"
        )
    sign = -1 if usable[0]["higher_is_better"] else 1
    return min(usable, key=lambda c: (sign * c["value"], c["learning_rate"]))


class _Trained:
    """The runs of one node, each looked up first and trained if it is missing."""

    def __init__(
        self, stage: Stage, store: Store, start: str, before: dict[str, Any] | None
    ) -> None:
        self.stage, self.store, self.start, self.before = stage, store, start, before
        self._session: Any = None

    def _key(self, rate: float, phase: str) -> str:
        settings = dict(self.stage.settings)
        last = settings.pop("final_epochs")
        # Under a constant rate the search is the same run however long the best goes on.
        constant = settings["decay"] == "constant" and self.stage.task not in SHARES_OF_ALL_EPOCHS
        if phase == "search" and constant:
            last = None
        recipe = {**self.stage.recipe, "root": self.start, "settings": settings}
        return fingerprint([recipe, rate, phase, last])

    def candidate(self, rate: float) -> dict[str, Any]:
        """Return the metrics of the search run at ``rate``."""
        key = self._key(rate, "search")
        # Nodes with other lists of learning rates share this run, so it has a lock of its own.
        with self.store.lock(key):
            found = self._found(key)
            return found or self._train(key, rate, 0, self.stage.settings["search_epochs"], None)

    def final(self, best: dict[str, Any]) -> dict[str, Any]:
        """Return the metrics of the best run after its continuation; its weights are kept."""
        rate, first = best["learning_rate"], self.stage.settings["search_epochs"]
        key, search = self._key(rate, "final"), best["key"]
        stop = first + self.stage.settings["final_epochs"]
        with self.store.lock(search), self.store.lock(key):
            result = self._found(key)
            if not (result and self.store.has_weights(key)):
                if not (self.store.object(search) / "state.pt").exists():
                    # A loser of an earlier search kept its metrics, not its weights.
                    self._train(search, rate, 0, first, None)
                try:
                    result = self._train(key, rate, first, stop, search)
                except LostState as error:
                    LOGGER.warning("%s; the search run is trained again", error)
                    self.store.discard(search, "state.pt")
                    self._train(search, rate, 0, first, None)
                    result = self._train(key, rate, first, stop, search)
            self.store.discard(key, "state.pt")
        return result

    def _found(self, key: str) -> dict[str, Any] | None:
        found = self.store.metrics(key)
        if found is None:
            return None
        if found["data"] != content_digest(self.stage):
            raise InputError(
                f"{self.store.object(key)}: was trained on other images than {self.stage.pack} and "
                f"{self.stage.images} hold now, although their recipes are the same; the archive "
                "or the store was changed by hand. Delete that folder to train again"
            )
        LOGGER.info("%s: learning rate %g found", self.stage.name, found["learning_rate"])
        return found

    def _train(
        self, key: str, rate: float, start: int, stop: int, previous: str | None
    ) -> dict[str, Any]:
        if self._session is None:
            # Only now: importing torch costs seconds and a look-up does not need it.
            session = importlib.import_module("sscdl.session")
            self._session = session.Session(self.stage, self.before, self.store)
        began = time.time()
        folder = self.store.object(key)
        history, facts = self._session.run(
            folder, key, rate, start=start, stop=stop, previous=previous
        )
        name = facts["metric"]
        last = history[-1]
        value = last.get(f"val_{name}", last.get(name)) if last["finite"] else None
        metrics = {
            "key": key,
            "learning_rate": rate,
            "metric": name,
            "higher_is_better": facts["higher_is_better"],
            "value": value,
            "epochs": last["epoch"],
            "history": history,
            "seconds": round(time.time() - began, 1),
            "data": facts["data"]["rows"],
        }
        if previous is not None:
            if not last["finite"]:
                raise InputError(
                    f"{self.stage.name}: learning rate {rate} was the best of the search but its "
                    f"loss became infinite later; remove it from stages.{self.stage.task}"
                )
            self._session.keep(folder, self._lineage(metrics, facts))
        write_json(folder / "metrics.json", metrics)
        return metrics

    def _lineage(self, metrics: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
        """Return where the weights come from: this stage and, inside it, all stages before."""
        earlier = None
        if self.before is not None:
            path = self.store.object(self.before["object"]) / "lineage.json"
            earlier = read_json(path)
        return {
            "node": self.stage.name,
            "variant": self.stage.variant,
            "object": metrics["key"],
            "learning_rate": metrics["learning_rate"],
            "value": metrics["value"],
            "metric": metrics["metric"],
            "epochs": metrics["epochs"],
            "recipe": self.stage.recipe,
            "data": facts["data"],
            "machine": {
                "device": facts["device"],
                "threads": self.stage.threads,
                "torch": facts["torch"],
                "python": platform.python_version(),
            },
            "before": earlier,
        }
