"""The cases that train stages: chains of them, each on a few made-up pictures."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from benchmarks.same_weights import digests
from benchmarks.same_weights.stage_cases import SETTINGS
from sscdl.errors import InputError
from sscdl.files import read_json
from sscdl.progress import job_log
from sscdl.recipe import fingerprint
from sscdl.stages.runs import Runs
from sscdl.stages.stage import Stage, run_stage
from sscdl.store.store import Store, read_pointer
from sscdl.tasks import options
from sscdl.tasks.clusters.swav import SwAV
from sscdl.tasks.prediction.relloc import RelativeLocation
from sscdl.tasks.prediction.rotation import Rotation
from sscdl.tasks.supervised.classify import Classify
from sscdl.tasks.views.moco import MoCo
from sscdl.training.backbones import build_backbone
from sscdl.training.pixels import batches

ROWS, SIDE = 32, 36
# Imported here, so that what their modules run once counts for every case.
TASKS = (Classify, MoCo, RelativeLocation, Rotation, SwAV)
CLASSES = ["a", "b"]


class Training:
    """Trains stages in the folder ``work``, on pictures that all of them share."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.pictures = work / "shared" / "pictures"

    def stage(self, folder: Path, settings: dict[str, Any]) -> dict[str, str]:
        """Train a chain of stages, each from the weights of the one before."""
        if not (self.pictures / "pack.json").exists():
            write_pictures(self.pictures)
        if settings.get("streamed"):
            return self._streamed()
        found: dict[str, str] = {}
        parent: Stage | None = None
        for number, link in enumerate(settings["links"]):
            stage = self._stage(folder, link, parent)
            if link["search_only"]:
                return self._searched(folder, stage)
            with job_log(folder / "log.txt", stage.name):
                if link["stop_after"]:
                    self._begin(stage, link["stop_after"])
                run_stage(stage)
            found |= {f"{number} {what}": one for what, one in self._digests(stage).items()}
            parent = stage
        return found

    def _stage(self, folder: Path, link: dict[str, Any], parent: Stage | None) -> Stage:
        task = link["task"]
        _refuse_unknown(link["settings"])
        data = {
            "train": "train", "validate": "val", "normalise": "train", "masked": False,
            **link["data"],
        }  # fmt: skip
        if task in ("classify", "findings"):
            data["findings" if task == "findings" else "classes"] = CLASSES
        recipe = {
            "task": task, "settings": link["settings"], "seed": link["seed"], "data": data,
            "root": parent.fingerprint if parent else "a root" if link["root"] else "scratch",
            "backbone": link["backbone"], "image_size": link["image_size"],
            "precision": link["precision"], **link["recipe"],
        }  # fmt: skip
        identity = fingerprint([recipe, link["rates"]])
        return Stage(
            name=task, task=task, variant="full", recipe=recipe,
            learning_rates=tuple(link["rates"]), fingerprint=identity,
            pointer=folder / "store" / "recipes" / f"{task}.{identity}.json",
            parent=parent.pointer if parent else None,
            root=self._root(folder, link["backbone"]) if link["root"] else None,
            pack=self.pictures / "pack.json", images=self.pictures / "images.csv", monitors=None,
            device="cpu", devices=link["devices"], side_by_side=link["side_by_side"], threads=1,
            precision=link["precision"],
        )  # fmt: skip

    def _root(self, folder: Path, backbone: dict[str, Any]) -> Path:
        """Write random weights of a whole network, to begin with."""
        torch.manual_seed(99)
        path = folder / "root.safetensors"
        folder.mkdir(parents=True, exist_ok=True)
        state = build_backbone(**backbone).state_dict()
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
        return path

    def _searched(self, folder: Path, stage: Stage) -> dict[str, str]:
        """Train the candidates alone and return the digests of their records and states."""
        store = Store(stage.store)
        with (
            job_log(folder / "log.txt", stage.name),
            Runs(stage, store, stage.recipe["root"], None) as runs,
        ):
            records = runs.candidates(stage.learning_rates, stage.settings["search_epochs"])
        found = {"records": digests.of_value(records, self.work)}
        for record in records:
            state = torch.load(store.object(record["key"]) / "state.pt", weights_only=True)
            found[f"state at {record['learning_rate']}"] = digests.of_tensors(state["task"])
        return found

    def _begin(self, stage: Stage, epochs: int) -> None:
        """Train the candidates for some of their epochs, as a run that was stopped has."""
        with Runs(stage, Store(stage.store), stage.recipe["root"], None) as runs:
            runs.candidates(stage.learning_rates, epochs)

    def _digests(self, stage: Stage) -> dict[str, str]:
        pointer = read_pointer(stage.pointer)
        kept = stage.store / "objects" / pointer["object"]
        lineage = read_json(kept / "lineage.json")
        lineage.pop("machine")
        if lineage["before"] is not None:
            lineage["before"].pop("machine")
            lineage["before"].pop("before")
        pointer.pop("sources")  # hashes of the modules, which are what may differ
        pointer.pop("compared", None)  # by a key that holds such a hash, too
        keys = sorted(path.name for path in (stage.store / "objects").iterdir())
        return {
            "weights": digests.of_tensors(load_file(kept / "weights.safetensors")),
            "records": digests.of_value(pointer, self.work),
            "lineage": digests.of_value(lineage, self.work),
            "rate": repr(pointer["learning_rate"]),
            "keys": digests.of_value(keys, self.work),
        }

    def _streamed(self) -> dict[str, str]:
        """Read images as batches that lie elsewhere than on the device that trains."""
        array = np.load(self.pictures / "pack.npy", mmap_mode="c")
        parts = list(torch.randperm(ROWS, generator=torch.Generator().manual_seed(1)).split(5))
        found = {}
        # With a number, the device counts as another one than that of the images.
        for name, device in (("resident", torch.device("cpu")), ("read", torch.device("cpu", 0))):
            read = list(batches(torch.from_numpy(array), parts, device))
            tensors = {
                f"{number:02} {what}": tensor
                for number, pair in enumerate(read)
                for what, tensor in zip(("rows", "images"), pair, strict=True)
            }
            found[name] = digests.of_tensors(tensors)
        if found["resident"] != found["read"]:
            raise RuntimeError("streamed images are not those that are resident")
        return found


def _refuse_unknown(settings: dict[str, Any]) -> None:
    """Raise InputError for a setting that this revision would pass over, as it came later."""
    known = {*SETTINGS, "options", "search", *getattr(options, "LATER_SETTINGS", {})}
    if unknown := sorted(settings.keys() - known):
        raise InputError(f"unknown setting {', '.join(unknown)}")


def write_pictures(folder: Path) -> None:
    """Write a packed array of 32 pictures and the list of them, with all that it may say."""
    folder.mkdir(parents=True)
    array = _pictures()
    np.save(folder / "pack.npy", array)
    unit = array.reshape(ROWS, -1) / 255
    description = {
        "ids": [f"i{row:02}" for row in range(ROWS)],
        "sums": unit.sum(axis=1).tolist(),
        "squares": (unit**2).sum(axis=1).tolist(),
        "crops": None,
        "size": SIDE,
        "variant": "full",
        "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
    }
    (folder / "pack.json").write_text(json.dumps(description), encoding="utf-8")
    with (folder / "images.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "patient_id", "label", "split", "cohort", "mask"])
        for row in range(ROWS):
            split, cohort = "train" if row < 20 else "val", "main"
            if row >= 28:
                split = cohort = "more"
            if row == 27:
                split = "duplicate"
            mask = "" if row in (5, 21) else f"m{row}.png"
            patient = f"p{row // 2}" if row < 29 else "p11"
            label = "aabbab"[row % 6] if row % 8 else ("c" if row % 16 else "")
            if row == 31:  # counts for nothing, as one that the list does not have did before
                patient, label, split = "i31", "", "duplicate"
            writer.writerow([f"i{row:02}", patient, label, split, cohort, mask])
    # What later revisions want beside the list.
    listed = hashlib.sha256((folder / "images.csv").read_bytes()).hexdigest()
    about = {"sha256": listed, "split": {}, "source": ""}
    (folder / "images.json").write_text(json.dumps(about), encoding="utf-8")


def _pictures() -> np.ndarray:
    """Return uint8 (32, 36, 36): a layout that all share and blobs of each picture's own."""
    generator = torch.Generator().manual_seed(0)
    line = torch.linspace(-1, 1, SIDE)
    y, x = torch.meshgrid(line, line, indexing="ij")
    layout = 0.35 + 0.25 * y + 0.3 * torch.exp(-((x - 0.4) ** 2 + (y - 0.2) ** 2) / 0.1)
    coarse = torch.rand(ROWS, 1, 6, 6, generator=generator) - 0.5
    blobs = F.interpolate(coarse, (SIDE, SIDE), mode="bicubic")[:, 0]
    return ((layout + 0.7 * blobs).clamp(0, 1) * 255).to(torch.uint8).numpy()
