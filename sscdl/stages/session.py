"""The part of a node's process that needs torch: network, data and runs of one stage."""

from __future__ import annotations

import logging
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sscdl.errors import InputError
from sscdl.files import write_json
from sscdl.images import rows as image_rows
from sscdl.images import variants
from sscdl.stages.task_state import own_state, write_tensors
from sscdl.store.store import TASK_STATE, WEIGHTS, Store
from sscdl.tasks import build_task
from sscdl.tasks.options import whole
from sscdl.training.backbones import build_backbone, load_root
from sscdl.training.batch_statistics import Statistics, sample, wanted
from sscdl.training.loop import Images, train
from sscdl.training.monitor import Monitor
from sscdl.training.order import mixed_seed
from sscdl.training.pixels import place
from sscdl.training.run_state import Previous
from sscdl.training.scalars import Scalars, run_folder
from sscdl.training.schedule import Schedule, even_batches, left_out_sentence

if TYPE_CHECKING:
    from sscdl.stages.node import Stage
    from sscdl.tasks.base import Task

LOGGER = logging.getLogger("sscdl.session")
WATCHED = 256  # training images whose features are looked at after every epoch


class Session:
    """Data and network of one node, set up once and used by all its learning rates."""

    def __init__(
        self, stage: Stage, before: dict[str, Any] | None, store: Store, device: str
    ) -> None:
        torch.set_num_threads(stage.threads)
        self.stage = stage
        self.device = torch.device(device)
        array, described = variants.read_pack(stage.pack)
        self.rows = image_rows.select_rows(stage.images, described, stage.recipe["data"])
        self.settings = whole(stage.task, stage.settings)
        batch = self.settings["batch_size"]
        labels = stage.recipe["data"].get("labels", {})
        if "draw" in labels:
            shared, last = labels.get("devices", 1), self.settings["last_batch"]
            batch = even_batches(len(self.rows.train), batch, shared, last)
            self.settings["batch_size"] = batch
        if len(self.rows.train) < batch:
            raise InputError(
                f"stages.{stage.task}.batch_size: {batch} is more than the {len(self.rows.train)} "
                "training images; make it smaller"
            )
        ids = {described["ids"][row] for row in self.rows.normalise}
        self.mean, self.std = variants.mean_std(described, ids)
        self.pixels = place(torch.from_numpy(array), self.device, stage.side_by_side)
        self.weights: Path | None = stage.root
        if before is not None:
            self.weights = store.weights(before)
        LOGGER.info(
            "%s on %s: %d training images, %d validation images, mean %.4f, std %.4f, %s",
            stage.name, stage.variant, len(self.rows.train), len(self.rows.validate),
            self.mean, self.std, self.device,
        )  # fmt: skip
        doubtful = left_out_sentence(stage.task, len(self.rows.train), self.settings)
        if doubtful and "draw" not in labels:  # whose batches nobody can choose
            LOGGER.warning("%s", doubtful)

    def _task(self) -> Task:
        """Return the task with a freshly initialised head on the weights of the stage before."""
        recipe, settings = self.stage.recipe, self.settings
        if "timm" in recipe and recipe["timm"][1] != (here := metadata.version("timm")):
            raise InputError(
                f"backbone.name: planned with timm {recipe['timm'][1]}, but jobs here have {here}; "
                "install the same version in both environments"
            )
        # One seed for all learning rates: they differ in the rate and in nothing else.
        torch.manual_seed(mixed_seed(recipe["seed"], "weights", self.stage.task))
        backbone = build_backbone(**recipe["backbone"])
        if self.weights is not None:
            load_root(backbone, self.weights)
        task = build_task(
            self.stage.task,
            backbone,
            options=settings["options"],
            image_size=recipe["image_size"],
            images=len(self.rows.train),
            mean=self.mean,
            std=self.std,
            batch_size=settings["batch_size"],
            patients=torch.tensor(self.rows.patients),
            labels=torch.tensor(self.rows.labels),
            classes=len(recipe["data"].get("classes", [])),
            training_rows=torch.tensor(self.rows.train),
        )
        # torch takes both, its types do not say so.
        return task.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(
        self,
        folder: Path,
        key: str,
        rate: float,
        *,
        start: int,
        stop: int,
        previous: str | None,
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Train one run from epoch ``start`` to ``stop``; return its history and facts about it.

        ``previous`` is the key of the run that this one continues.
        """
        before = Previous(folder.parent / previous / "state.pt", previous) if previous else None
        task = self._task()
        self._last, self._statistics = task, self.normalised_by(task)
        validate = torch.tensor(self.rows.validate) if self.rows.validate else None
        history = train(
            task,
            Images(self.pixels, torch.tensor(self.rows.train), validate),
            Schedule.of(self.settings, rate),
            start=start,
            stop=stop,
            seed=mixed_seed(self.stage.recipe["seed"], self.stage.task),
            state=folder / "state.pt",
            fingerprint=key,
            previous=before,
            precision=self.stage.precision,
            title=f"{self.stage.name} {self.stage.variant} lr {rate:g}",
            monitor=self._monitor(rate),
            statistics=self._statistics,
            averaged=before is None and self.stage.averaged,
        )
        facts = {
            "metric": task.metric,
            "higher_is_better": task.higher_is_better,
            "device": str(self.device),
            "torch": torch.__version__,
            "data": {
                "rows": self.rows.digest,
                "images": len(self.rows.train),
                "mean": self.mean,
                "std": self.std,
            },
        }
        return history, facts

    def normalised_by(self, task: Task) -> Statistics:
        """Return what ``task`` is normalised by where it is measured and kept."""
        recipe = self.stage.recipe
        if not wanted(recipe):
            return Statistics(task)
        found = sample(
            self.pixels, torch.tensor(self.rows.train), task.draws,
            batch_size=self.settings["batch_size"],
            seed=mixed_seed(recipe["seed"], self.stage.task), precision=self.stage.precision,
        )  # fmt: skip
        return Statistics(task, found)

    def _monitor(self, rate: float) -> Monitor:
        """Return what writes the files of the run that can be watched."""
        folder = self.stage.monitors and run_folder(self.stage.monitors, rate)
        rows = torch.tensor(self.rows.train)
        seen = torch.Generator().manual_seed(0)
        rows = rows[torch.randperm(len(rows), generator=seen)[:WATCHED]]
        labels, patients = torch.tensor(self.rows.known), torch.tensor(self.rows.patients)
        return Monitor(Scalars(folder), rows, labels, patients, self.stage.recipe["image_size"])

    def keep(self, folder: Path, lineage: dict[str, Any]) -> dict[str, Any]:
        """Write the weights of the last run, in torchvision's names, and their lineage.

        Returns what tells whether the file is whole: its size ("bytes") and "sha256".
        """
        task = self._last
        with self._statistics.of_kept():
            # Tasks that classify have that function.
            tensors = task.classifier_state() if task.classifies else task.backbone.state_dict()  # type: ignore[operator]
            written = write_tensors(folder / WEIGHTS, tensors)
        write_json(folder / "lineage.json", lineage)
        return written

    def keep_task_state(self, folder: Path) -> dict[str, Any] | None:
        """Write what the task of the last run has beside its backbone; the same facts of the file.

        None for a classifier, whose weights include its head.
        """
        if self._last.classifies:
            return None
        return write_tensors(folder / TASK_STATE, own_state(self._last))
