"""How large everything is that is measured: as in the thesis, or tiny, to try the command itself.

Imports no torch: the process that hands out the work needs none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

from sscdl.files import HOME
from sscdl.tasks.options import DECLARATIONS

TASKS = tuple(DECLARATIONS)
LARGE_BATCH, DEFAULT_BATCH = 256, 32
IMAGES = 2048  # of an epoch that is timed, about
THESIS = HOME / "config/thesis.yaml"


class NotHere(Exception):
    """This machine cannot show it; the text says why."""


def thesis() -> dict[str, Any]:
    """Return the configuration of the thesis's study as it stands in its file."""
    return yaml.safe_load(THESIS.read_text(encoding="utf-8"))


def thesis_batch(task: str) -> int:
    """Return the batch size of ``task`` in the thesis; the task's default if it is not there."""
    settings = {"batch_size": DEFAULT_BATCH, **DECLARATIONS[task].settings}
    return {**settings, **thesis()["stages"].get(task, {})}["batch_size"]


@dataclass(frozen=True)
class Sizes:
    """The device, and whether all is ``tiny``; ``gpus`` is how many torch sees."""

    device: str  # "cuda" or "cpu"
    tiny: bool = False
    gpus: int = 0

    @property
    def networks(self) -> list[dict[str, Any]]:
        """Return the networks whose speed is measured, for ``build_backbone``."""
        if self.tiny:
            return [{"name": "resnet18", "last_stage": 2}]
        return [{"name": "resnet50", "last_stage": 4}]

    @property
    def tasks(self) -> tuple[str, ...]:
        """Return the tasks that are tried one by one."""
        return ("moco", "classify") if self.tiny else TASKS

    @property
    def size(self) -> int:
        """Return the side of the network's input in pixels."""
        return 32 if self.tiny else 224

    @property
    def precision(self) -> str:
        """Return the precision of what is timed."""
        return "float32" if self.tiny else "bf16"

    @property
    def rounds(self) -> int:
        """Return how many epochs are timed."""
        return 1 if self.tiny else 2

    def batches(self, task: str) -> list[int]:
        """Return the batch sizes at which ``task`` is timed."""
        return [4] if self.tiny else list(dict.fromkeys([thesis_batch(task), LARGE_BATCH]))

    def steps(self, batch: int) -> int:
        """Return the steps of an epoch that is timed."""
        return 2 if self.tiny else max(8, min(48, IMAGES // batch))
