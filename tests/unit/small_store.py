"""A small store, written by the project's own code with a stand-in for the training itself."""

from __future__ import annotations

import hashlib
import os
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.numpy import save_file

from sscdl.files import atomic_path, write_json
from sscdl.recipe import file_hash, fingerprint
from sscdl.stages import runs
from sscdl.stages import stage as stages
from tests.unit import records

PACK = "aaaaaaaaaaaa"
TREES = ("images", "masks", "packs", "phantom", "segmenters", "roots", "recipes", "objects")


class Session:
    """What :mod:`sscdl.stages.session` does, but for the training: the same files in order."""

    def __init__(self, stage, before, store, device):
        self.task, self.averaged = stage.task, stage.averaged

    def run(self, folder, key, rate, *, start, stop, previous):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / "state.pt") as temporary:
            temporary.write_bytes(key.encode())
        self.rate = rate
        record = {"epoch": stop, "finite": True, "accuracy": 0.5 + rate, "loss": rate, "chance": 1}
        if self.averaged and previous is None:
            record["averaged_val_accuracy"] = 0.4 + rate
        facts = {
            "metric": "accuracy",
            "higher_is_better": True,
            "device": "cpu",
            "torch": "0",
            "data": {"rows": "rows", "images": 2, "mean": 0.5, "std": 0.1},
        }
        return [record], facts

    def keep(self, folder, lineage):
        with atomic_path(folder / "weights.safetensors") as temporary:
            save_file({"conv1.weight": np.full((4, 4), self.rate, np.float32)}, temporary)
        write_json(folder / "lineage.json", lineage)
        path = folder / "weights.safetensors"
        return {"bytes": path.stat().st_size, "sha256": file_hash(path)}

    def keep_task_state(self, folder):
        if self.task == "classify":
            return None
        path = folder / "task.safetensors"
        with atomic_path(path) as temporary:
            save_file({"head.weight": np.full((4, 2), self.rate, np.float32)}, temporary)
        return {"bytes": path.stat().st_size, "sha256": file_hash(path)}


class SmallStore:
    """A folder of the layout of a store, and a method to train a stage in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes: dict[str, stages.Stage] = {}

    def train(self, name, *, on=None, rates=(0.1, 0.2), seed=0):
        """Train a stage on the stage ``on`` (a :class:`sscdl.stages.stage.Stage`) and return it."""
        task = name.split("+")[-1]
        recipe = {
            "task": task,
            "seed": seed,
            "root": on.fingerprint if on else "scratch",
            "data": {"pack": PACK, "source": "bbbbbbbbbbbb", "train": "all"},
            "source": "cccccccccccc",
            "backbone": {"name": "resnet18"},
            "image_size": 32,
            "settings": {"search_epochs": 2, "final_epochs": 2, "decay": "cosine"},
        }
        identity = fingerprint([recipe, rates])
        stage = stages.Stage(
            name=name, task=task, variant="full", recipe=recipe, learning_rates=rates,
            fingerprint=identity, pointer=self.folder / "recipes" / f"{name}.{identity}.json",
            parent=on.pointer if on else None, root=None, pack=Path("pack"), images=Path("images"),
            monitors=None, device="cpu", devices=1, side_by_side=1, threads=1, precision="float32",
        )  # fmt: skip
        stages.run_stage(stage)
        return stage

    def object(self, stage) -> Path:
        """Return the folder of a stage's final weights."""
        return self.folder / "objects" / stages.read_pointer(stage.pointer)["object"]

    def orphan(self, key="0123456789ab", days=3.0) -> Path:
        """Make an object that no pointer names, as an interrupted stage leaves it."""
        folder = self.folder / "objects" / key
        write_json(folder / "metrics.json", records.run(key=key))
        with atomic_path(folder / "state.pt") as temporary:
            temporary.write_bytes(b"state" * 100)
        return age(folder, days)

    def surroundings(self) -> None:
        """Add images, masks, a pack, an archive, a segmenter and a root, all whole."""
        for kind in ("images", "masks"):
            rows = []
            for number in range(2):
                path = self.folder / kind / "dddddddddddd" / "png" / f"{number}.png"
                with atomic_path(path) as temporary:
                    picture = np.full((9, 9), number, np.uint8)
                    temporary.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
                rows.append({"image_id": f"{number}", "png": path.name})
                if kind == "masks":
                    rows[-1]["raw_png"] = path.name
            if kind == "masks":
                rows.append({"image_id": "2", "png": None, "raw_png": None})
            records.write_manifest(path.parents[1] / "shard-0-of-1.json", kind, rows)
        array = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
        pack = self.folder / "packs" / f"full.{PACK}.json"
        with atomic_path(pack.with_suffix(".npy")) as temporary:
            np.save(temporary, array)
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        sums = {"sums": [1.0, 2.0], "squares": [1.0, 2.0], "size": 2, "crops": None}
        write_json(pack, {"ids": ["0", "1"], "sha256": digest, **sums})
        archive = self.folder / "phantom" / "eeeeeeeeeeee" / "archive"
        (archive / "train").mkdir(parents=True)
        for name in ("train_study_level.csv", "train_image_level.csv"):
            (archive / name).write_text("id\n")
        write_json(archive.parent / "done.json", {})
        for name in ("segmenters/ffffffffffff", "roots/imagenet.ffffffffffff"):
            with atomic_path(self.folder / f"{name}.safetensors") as temporary:
                save_file({"w": np.ones(3, np.float32)}, temporary)
        write_json(self.folder / "segmenters" / "ffffffffffff.safetensors.json", {})

    def contents(self) -> dict[str, bytes]:
        """Return the files of the store but for its locks."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file() and path.parent.name != "locks"
        }


def age(path: Path, days: float) -> Path:
    """Set the times of a file, or of a folder and all in it, to so many days ago."""
    inside = sorted(path.rglob("*"), reverse=True) if path.is_dir() else []
    for one in [*inside, path]:
        when = os.stat(one, follow_symlinks=False).st_mtime - days * 86400
        os.utime(one, (when, when), follow_symlinks=False)
    return path


@pytest.fixture
def small_store(tmp_path, monkeypatch) -> SmallStore:
    """Return an empty store whose stages train in no time and without torch."""
    fake = types.ModuleType("sscdl.stages.session")
    fake.Session = Session
    monkeypatch.setitem(sys.modules, "sscdl.stages.session", fake)
    monkeypatch.setattr(runs, "content_digest", lambda stage: "rows")
    folder = tmp_path / "store"
    for kind in TREES:
        (folder / kind).mkdir(parents=True)
    return SmallStore(folder)
