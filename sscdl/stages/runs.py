"""The runs of one node: each looked up in the store first and trained if it is missing."""

from __future__ import annotations

import importlib
import logging
import platform
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

from sscdl.errors import DamagedFile, InputError, LostState
from sscdl.files import write_json
from sscdl.images.rows import select_rows
from sscdl.images.vouched import check_list
from sscdl.recipe import fingerprint
from sscdl.records import LINEAGE, PACK, read_record, set_aside
from sscdl.stages.node import Stage
from sscdl.stages.search import at_epoch, with_averages
from sscdl.store.store import LINEAGE_FILE, METRICS_FILE, Store
from sscdl.tasks.options import SHARES_OF_ALL_EPOCHS
from sscdl.training.network_names import by_timm
from sscdl.training.schedule import depends_on_all_epochs

LOGGER = logging.getLogger("sscdl.stage")


def content_digest(stage: Stage) -> str:
    """Return the digest of the images, labels and patients that the stage would train on now.

    Raises InputError if the list of images is not the one that was made of the packed images.
    """
    pack, data = read_record(stage.pack, PACK), stage.recipe["data"]
    check_list(stage.images, pack, data)
    return select_rows(stage.images, pack, data).digest


def object_key(recipe: dict[str, Any], rate: float, phase: str) -> str:
    """Return the key of the object that a run makes.

    ``recipe`` is that of the node, but for its "root": the key of the object that it starts from.
    ``phase`` is "search" or "final".
    """
    # How candidates are compared changes none of them.
    recipe = {name: one for name, one in recipe.items() if name != "averaged_weights"}
    settings = dict(recipe["settings"])
    settings.pop("search", None)
    last = settings.pop("final_epochs")
    if phase == "search" and not (
        depends_on_all_epochs(settings) or recipe["task"] in SHARES_OF_ALL_EPOCHS
    ):
        last = None  # the search is the same run however long the best goes on
    return fingerprint([{**recipe, "settings": settings}, rate, phase, last])


class Runs:
    """The runs of one node; use it in a ``with`` block, which ends the processes that it starts."""

    def __init__(
        self, stage: Stage, store: Store, start: str, before: dict[str, Any] | None
    ) -> None:
        self.stage, self.store, self.start, self.before = stage, store, start, before
        self._content: str | None = None
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

    def _would_train_on(self) -> str:
        """Return the digest of what the node would train on, after checking it once."""
        if self._content is None:
            self._content = content_digest(self.stage)
        return self._content

    def opened(self) -> Any:
        """Return the session of this process, in which images are loaded and runs are trained."""
        if self._session is None:
            # What is needed at the end, too: hours of training must not end in a damaged file.
            self._would_train_on(), self._earlier
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
        missing = [rate for rate in rates if not self._searched(rate, epochs)]
        trained = self._helpers().candidates(missing, epochs) if missing else []
        by_rate = {found["learning_rate"]: found for found in trained}
        return [by_rate.get(rate) or self._candidate(rate, epochs) for rate in rates]

    def _searched(self, rate: float, epochs: int) -> dict[str, Any] | None:
        """Return the metrics of a search run that is there, with all that it is compared by."""
        found = self._found(self._key(rate, "search"), epochs)
        if found is None or (self.stage.averaged and not with_averages(found)):
            return None
        # Nodes that compare in other ways share the run.
        shared = {key: one for key, one in found.items() if key != "averaged"}
        shared |= {"averaged": True} if self.stage.averaged else {}
        return at_epoch(shared, found["epochs"])

    def _candidate(self, rate: float, epochs: int) -> dict[str, Any]:
        key = self._key(rate, "search")
        # Nodes with other lists of learning rates share this run, so it has a lock of its own.
        with self.store.lock(key):
            return self._searched(rate, epochs) or self._train(key, rate, 0, epochs, None)

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
            self._write_missing_lineage(result)
            self.store.discard(key, "state.pt")
        return result

    def _trained_otherwise(self) -> list[Path]:
        """Return the folders of the node's runs that were trained on other images."""
        keys = [self._key(r, p) for r in self.stage.learning_rates for p in ("search", "final")]
        found = {key: self.store.metrics(key) for key in keys}
        return [
            self.store.object(key)
            for key, metrics in found.items()
            if metrics is not None and metrics["data"] != self._would_train_on()
        ]

    def _key(self, rate: float, phase: str) -> str:
        return object_key({**self.stage.recipe, "root": self.start}, rate, phase)

    def _found(self, key: str, epochs: int) -> dict[str, Any] | None:
        """Return the metrics of a run that has reached ``epochs`` epochs, or diverged before."""
        found = self.store.metrics(key)
        if found is None or (found["epochs"] < epochs and found["history"][-1]["finite"]):
            return None
        if found["data"] != self._would_train_on():
            others = " ".join(map(str, self._trained_otherwise()))
            raise InputError(
                f"{self.store.object(key)}: was trained on other images than {self.stage.pack} and "
                f"{self.stage.images} hold, although the recipes are the same; these belong to "
                "each other and are whole, so what was trained is wrong: delete these folders and "
                f"run the same command again: {others}"
            )
        LOGGER.info("%s: learning rate %g found", self.stage.name, found["learning_rate"])
        return found

    def _train(
        self, key: str, rate: float, start: int, stop: int, previous: str | None
    ) -> dict[str, Any]:
        folder = self.store.object(key)
        self.store.set_aside_damaged(key)
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
        if previous is None and self.stage.averaged:
            metrics["averaged"] = True
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
        there = self.store.metrics(key)
        # The same run, trained again for its state: nodes that compare by averages need theirs.
        alone = previous is None and not self.stage.averaged
        richer = there is not None and alone and with_averages(there) and there["epochs"] >= stop
        if not richer:
            write_json(folder / METRICS_FILE, metrics)
        return metrics

    @cached_property
    def _earlier(self) -> dict[str, Any] | None:
        """Return the lineage of the weights that the node starts from, None for a root's."""
        return self.store.lineage(self.before) if self.before is not None else None

    def _write_missing_lineage(self, metrics: dict[str, Any]) -> None:
        """Write the lineage of whole weights again if it is gone, but for the machine's part."""
        path = self.store.object(metrics["key"]) / LINEAGE_FILE
        try:
            if path.exists():
                read_record(path, LINEAGE)
                return
        except DamagedFile:
            set_aside(path)
        LOGGER.warning("%s is missing or damaged; written again", path)
        pack = read_record(self.stage.pack, PACK)
        rows = select_rows(self.stage.images, pack, self.stage.recipe["data"])
        # Only now: imports what packs arrays.
        variants = importlib.import_module("sscdl.images.variants")
        mean, std = variants.mean_std(pack, {pack["ids"][row] for row in rows.normalise})
        data = {"rows": rows.digest, "images": len(rows.train), "mean": mean, "std": std}
        write_json(path, self._lineage(metrics, {"data": data}))

    def _lineage(self, metrics: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
        """Return where the weights come from: this stage and, inside it, all stages before."""
        trained = {
            "devices": self.stage.devices,
            "threads": self.stage.threads,
            "python": platform.python_version(),
        }
        known: dict[str, Any] = {key: facts[key] for key in ("device", "torch") if key in facts}
        if known and by_timm(self.stage.recipe["backbone"]["name"]):
            known["timm"] = metadata.version("timm")
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
            "machine": trained | known if known else {},
            "before": self._earlier,
        }
