"""The runs of one node: each looked up in the store first and trained if it is missing."""

from __future__ import annotations

import importlib
import logging
import platform
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from functools import cached_property
from typing import Any

from sscdl.errors import InputError, LostState
from sscdl.files import read_json, write_json
from sscdl.images.rows import select_rows
from sscdl.recipe import fingerprint
from sscdl.stages.node import Stage
from sscdl.stages.search import at_epoch
from sscdl.store.store import Store
from sscdl.tasks.options import SHARES_OF_ALL_EPOCHS

LOGGER = logging.getLogger("sscdl.stage")


def content_digest(stage: Stage) -> str:
    """Return the digest of the images, labels and patients that the stage would train on now."""
    return select_rows(stage.images, read_json(stage.pack), stage.recipe["data"]).digest


def object_key(recipe: dict[str, Any], rate: float, phase: str) -> str:
    """Return the key of the object that a run makes.

    ``recipe`` is that of the node, but for its "root": the key of the object that it starts from.
    ``phase`` is "search" or "final".
    """
    settings = dict(recipe["settings"])
    settings.pop("search", None)  # how candidates are compared changes none of them
    last = settings.pop("final_epochs")
    # Under a constant rate the search is the same run however long the best goes on.
    constant = settings["decay"] == "constant" and recipe["task"] not in SHARES_OF_ALL_EPOCHS
    if phase == "search" and constant:
        last = None
    return fingerprint([{**recipe, "settings": settings}, rate, phase, last])


class Runs:
    """The runs of one node; use it in a ``with`` block, which ends the processes that it starts."""

    def __init__(
        self, stage: Stage, store: Store, start: str, before: dict[str, Any] | None
    ) -> None:
        self.stage, self.store, self.start, self.before = stage, store, start, before
        self._session: Any = None
        self._crew: Any = None
        self._held = ExitStack()

    def __enter__(self) -> Runs:
        return self

    def __exit__(self, *failure: Any) -> None:
        self._held.close()

    @cached_property
    def _devices(self) -> list[str]:
        """Return the devices that train the node, its own until all of its runs have ended."""
        if self.stage.device == "cpu":
            return ["cpu"] * self.stage.devices
        device = importlib.import_module("sscdl.training.device")  # imports torch
        return self._held.enter_context(device.lease(self.stage.device, self.stage.devices))

    def opened(self) -> Any:
        """Return the session of this process, in which images are loaded and runs are trained."""
        if self._session is None:
            # Only now: importing torch costs seconds and a look-up does not need it.
            session = importlib.import_module("sscdl.stages.session")
            self._session = session.Session(self.stage, self.before, self.store, self._devices[0])
        return self._session

    def _helpers(self) -> Any:
        if self._crew is None:
            crew = importlib.import_module("sscdl.stages.crew")
            self._crew = crew.Crew(self.stage, self.start, self.before, self._devices)
            self._held.callback(self._crew.close)
        return self._crew

    def _end_helpers(self) -> None:
        """End the search's processes, which keep their memory on the devices otherwise."""
        if self._crew is not None:
            self._crew.close()

    def candidates(self, rates: Sequence[float], epochs: int) -> list[dict[str, Any]]:
        """Return the metrics of the search runs at ``rates``, trained up to epoch ``epochs``.

        As many at a time as the configuration's ``training.side_by_side`` and ``devices`` say.
        """
        if min(self.stage.side_by_side * self.stage.devices, len(rates)) == 1:
            self._end_helpers()
            return [self._candidate(rate, epochs) for rate in rates]
        missing = [rate for rate in rates if not self._found(self._key(rate, "search"), epochs)]
        trained = self._helpers().candidates(missing, epochs) if missing else []
        by_rate = {found["learning_rate"]: found for found in trained}
        return [by_rate.get(rate) or self._candidate(rate, epochs) for rate in rates]

    def _candidate(self, rate: float, epochs: int) -> dict[str, Any]:
        key = self._key(rate, "search")
        # Nodes with other lists of learning rates share this run, so it has a lock of its own.
        with self.store.lock(key):
            return self._found(key, epochs) or self._train(key, rate, 0, epochs, None)

    def share(self, run: dict[str, Any], rank: int, world: int, address: str) -> None:
        """Train this process's share of ``run`` as number ``rank`` of ``world`` that meet there."""
        from sscdl.training import ranks

        session = self.opened()
        ranks.join(rank, world, address, session.device)
        session.run(self.store.object(run["key"]), **run)
        # Not after a failure: to leave, ranks may wait for each other, and this is to be told.
        ranks.leave()

    def final(self, best: dict[str, Any]) -> dict[str, Any]:
        """Return the metrics of the best run after its continuation; its weights are kept."""
        self._end_helpers()
        rate, first = best["learning_rate"], self.stage.settings["search_epochs"]
        key, search = self._key(rate, "final"), best["key"]
        stop = first + self.stage.settings["final_epochs"]
        with self.store.lock(search), self.store.lock(key):
            result = self._found(key, stop)
            if not (result and self.store.has_weights(result)):
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

    def _key(self, rate: float, phase: str) -> str:
        return object_key({**self.stage.recipe, "root": self.start}, rate, phase)

    def _found(self, key: str, epochs: int) -> dict[str, Any] | None:
        """Return the metrics of a run that has reached ``epochs`` epochs, or diverged before."""
        found = self.store.metrics(key)
        if found is None or (found["epochs"] < epochs and found["history"][-1]["finite"]):
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
        folder = self.store.object(key)
        run = {"key": key, "rate": rate, "start": start, "stop": stop, "previous": previous}
        session = self.opened()
        together = self._helpers().beside(run) if len(self._devices) > 1 else nullcontext()
        with together:
            history, facts = session.run(folder, **run)
        metrics = {
            "key": key,
            "learning_rate": rate,
            "metric": facts["metric"],
            "higher_is_better": facts["higher_is_better"],
            "history": history,
            "data": facts["data"]["rows"],
        }
        metrics = at_epoch(metrics, stop)
        if previous is not None:
            if metrics["value"] is None:
                raise InputError(
                    f"{self.stage.name}: learning rate {rate} was the best of the search but its "
                    f"loss became infinite later; remove it from stages.{self.stage.task}"
                )
            metrics["weights"] = self._session.keep(folder, self._lineage(metrics, facts))
            if (kept := self._session.keep_task_state(folder)) is not None:
                metrics["task_state"] = kept
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
                "devices": self.stage.devices,
                "threads": self.stage.threads,
                "torch": facts["torch"],
                "python": platform.python_version(),
            },
            "before": earlier,
        }
