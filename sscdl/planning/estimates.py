"""What training a node takes: epochs, images, and hours at measured rates.

Imports no torch: rates come from the records of earlier runs.
"""

from __future__ import annotations

import csv
import logging
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from sscdl.errors import DamagedFile, InputError
from sscdl.images.rows import read_images, select_rows
from sscdl.planning.reasons import Stored
from sscdl.records import MEASURED_RATES, read_record
from sscdl.stages.runs import object_key
from sscdl.stages.search import GRID, at_epoch, ranked, rungs, with_averages
from sscdl.store.store import Store
from sscdl.study.trie import Node
from sscdl.tasks.options import whole
from sscdl.training.schedule import even_batches, steps
from sscdl.words import draw_of, many

LOGGER = logging.getLogger("sscdl.plan")
RATES = "rates.json"  # in the store: what `python -m sscdl rate` has measured

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Work:
    """What is left to train of a node, at most: what is found changes the rest."""

    found: list[float]  # learning rates whose search run is in the store
    epochs: int
    whole: bool = False  # nothing but the pointer is missing


@dataclass(frozen=True)
class Rate:
    """Training images per second, and where that number comes from."""

    images_per_second: float
    origin: str


def search_epochs(candidates: int, settings: dict[str, Any]) -> int:
    """Return the epochs that a search over so many learning rates takes in all."""
    search, total, before, going = settings.get("search", GRID), 0, 0, candidates
    for epoch in rungs(settings["search_epochs"], search):
        total += going * (epoch - before)
        before = epoch
        if epoch < settings["search_epochs"]:
            going = max(1, math.ceil(search["keep"] * going))
    return total


def work(node: Node, store: Store, start: str | None) -> Work:
    """Return what is left to train of an unfinished node, at most.

    ``start`` is the object of the parent, or the identity of the root; None where the parent is
    not trained itself, so that nobody knows yet which runs can be found.
    """
    settings, recipe = node.recipe["settings"], {**node.recipe, "root": start}
    most = search_epochs(len(node.learning_rates), settings)
    runs, averaged = {}, "averaged_weights" in recipe
    if start is not None:
        for rate in node.learning_rates:
            found = store.metrics(object_key(recipe, rate, "search"))
            if found is not None and (not averaged or with_averages(found)):
                runs[rate] = {**found, "averaged": averaged}
    last = settings["search_epochs"]
    done = [rate for rate, found in runs.items() if _complete(found, last)]
    left = most - sum(min(found["epochs"], last) for found in runs.values())
    left = max(0, left)
    if settings.get("search", GRID) == GRID:
        left = (len(node.learning_rates) - len(done)) * last
    if len(done) < len(node.learning_rates):
        return Work(done, left + settings["final_epochs"])
    best = ranked([at_epoch(found, last) for found in runs.values()])[:1]
    if not best:
        return Work(done, 0)
    final = store.metrics(object_key(recipe, best[0]["learning_rate"], "final"))
    if final is not None and store.has_weights(final):
        return Work(done, 0, whole=True)
    # A loser's state is not kept: a run that is to go on may have to be made again.
    again = 0 if (store.object(best[0]["key"]) / "state.pt").exists() else last
    return Work(done, again + settings["final_epochs"])


def _complete(found: dict[str, Any], epochs: int) -> bool:
    return found["epochs"] >= epochs or not found["history"][-1]["finite"]


def epoch_images(node: Node, images: int) -> int:
    """Return how many images an epoch of ``node`` shows, of ``images`` that it trains on."""
    settings = whole(node.task, node.recipe["settings"])
    batch = settings["batch_size"]
    if node.draw:
        shared = node.recipe["data"]["labels"].get("devices", 1)
        batch = even_batches(images, batch, shared, settings["last_batch"])
    return batch * steps(images, batch, settings["last_batch"])


# What reading another file raises that lies in the place of the list of images.
_NO_LIST = (InputError, KeyError, UnicodeDecodeError, csv.Error)


class ImageCounts:
    """How many images each data recipe trains on: counted where images.csv exists, else guessed."""

    def __init__(
        self,
        images_csv: str | Path,
        files: int | None,
        split: dict[str, Any],
        sides: Mapping[str, int] | None = None,
    ) -> None:
        """Take what is known before images are listed.

        ``files``: image files of the main archive; ``split`` has the shares that are drawn,
        ``sides`` the number of files on each side of a split that is given.
        """
        self.path, self.files, self.split, self.sides = Path(images_csv), files, split, sides
        self.exact = self.path.is_file()
        self._ids = self._listed() if self.exact else []
        self._counts: dict[str, int | None] = {}

    def _listed(self) -> list[str]:
        """Return the ids in images.csv; none where it is something else, which jobs refuse."""
        try:
            return [line["image_id"] for line in read_images(self.path)]
        except _NO_LIST:
            return []

    def of(self, data: dict[str, Any]) -> int | None:
        """Return the training images of a data recipe, None where nobody can tell."""
        key = repr(sorted(data.items(), key=lambda item: item[0]))
        if key not in self._counts:
            self._counts[key] = self._count(data)
        return self._counts[key]

    def _count(self, data: dict[str, Any]) -> int | None:
        if draw_of(data):
            # About, as of each draw all images would have to be looked at once more.
            whole = self.of({key: value for key, value in data.items() if key != "labels"})
            return None if whole is None else max(1, round(whole * data["labels"]["share"]))
        if self.exact:
            try:
                described = {"ids": self._ids, "sha256": ""}
                return len(select_rows(self.path, described, data).train)
            except _NO_LIST:
                return None
        if self.files is None:
            return None
        everything = data["train"] == "all"
        # Of a given split the shares that are drawn are those of its side to train on.
        files = self.files
        if self.sides is not None:
            files = sum(self.sides.values()) if everything else self.sides["train"]
        held_out = self.split.get("val", 0) + self.split.get("test", 0)
        labelled = data.get("labels", {"share": 1.0})["share"]  # of the whole study
        return round(files * (1.0 if everything else 1 - held_out) * labelled)


def rate_key(recipe: dict[str, Any], device: str, threads: int | None) -> Key:
    """Return what a rate belongs to. ``threads`` count on a CPU only."""
    kind = device.split(":")[0]
    backbone = recipe["backbone"]
    return (
        recipe["task"],
        backbone["name"],
        backbone.get("last_stage", 4),
        recipe.get("image_size"),
        recipe["settings"].get("batch_size"),
        recipe.get("precision"),
        kind,
        threads if kind == "cpu" else None,
    )


class Rates:
    """Rates known from the stages in the store and from ``python -m sscdl rate``."""

    def __init__(self, store: Path, stored: Iterable[Stored]) -> None:
        runs: dict[Key, list[float]] = {}
        for one in stored:
            device = one.machine.get("device")
            # Batches of few labels are smaller than asked for.
            if device and not one.node.draw:
                found = _speeds([*one.node.candidates, one.node.final])
                key = rate_key(one.recipe, device, one.machine.get("threads"))
                runs.setdefault(key, []).extend(found)
        self.known: dict[Key, Rate] = {}
        try:
            measured = read_rates(store)
        except DamagedFile as error:
            LOGGER.warning("%s", error)
            measured = []
        for entry in measured:
            value = entry["images_per_second"]
            self.known[entry_key(entry)] = Rate(value, f"measured on {entry['device_name']}")
        for key, values in runs.items():
            if values:
                self.known[key] = Rate(median(values), f"{many(len(values), 'run')} in the store")

    def of(self, node: Node, device: str, threads: int) -> tuple[Rate | None, str]:
        """Return the rate of a node and its device.

        ``device`` is training.device; for "auto", the kind that this machine has is preferred and
        the other one serves where only that was measured.
        """
        kinds = [device.split(":")[0]]
        if device == "auto":
            kinds = ["cuda", "cpu"] if has_gpu() else ["cpu", "cuda"]
        for kind in kinds:
            found = self.known.get(rate_key(node.recipe, kind, threads))
            if found:
                return found, kind
        return None, kinds[0]


def _speeds(runs: list[dict[str, Any]]) -> list[float]:
    """Return the rate of each run, its first epoch apart: that includes setting up the device."""
    found = []
    for run in runs:
        history = run.get("history") or []
        speeds = [r["images_per_second"] for r in history if r.get("images_per_second")]
        if speeds:
            found.append(median(speeds[1:] or speeds))
    return found


def read_rates(store: str | Path) -> list[dict[str, Any]]:
    """Return the measured rates of a store, none without such a file.

    Raises InputError if it is damaged.
    """
    path = Path(store) / RATES
    return read_record(path, MEASURED_RATES) if path.exists() else []


def entry_key(entry: dict[str, Any]) -> Key:
    """Return the key of a measured rate; torch's version and the device's name are not in it."""
    names = ("task", "backbone", "last_stage", "image_size", "batch_size", "precision", "device")
    threads = entry["threads"] if entry["device"] == "cpu" else None
    return (*(entry[name] for name in names), threads)


def has_gpu() -> bool:
    """Return whether this machine shows an NVIDIA GPU; asked without torch."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    return any(path.name[6:].isdecimal() for path in Path("/dev").glob("nvidia*"))
