"""Pretext tasks, and what ends a curriculum, such as classification: one file and one class each.

``docs/adding-a-task.md`` adds one. Task files are imported on demand, so that the list of tasks
costs no import of torch, and a task's source code does not include that of the others.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sscdl.errors import InputError
from sscdl.source import TASK_MODULES
from sscdl.tasks.options import DEFAULTS

if TYPE_CHECKING:
    from torch import Tensor

    from sscdl.tasks.base import Task
    from sscdl.training.backbones import Backbone


def complete_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return ``options`` over the defaults of task ``name``; InputError if one is unknown."""
    if name not in DEFAULTS:
        raise InputError(f"task: unknown name {name!r}; choose one of {', '.join(DEFAULTS)}")
    unknown = sorted(set(options) - set(DEFAULTS[name]))
    if unknown:
        known = ", ".join(DEFAULTS[name])
        raise InputError(f"{name}: unknown option {', '.join(unknown)}; choose from {known}")
    return {**DEFAULTS[name], **options}


def stand_in_labels(name: str, rows: Tensor, number: int) -> Tensor:
    """Return labels of ``number`` classes in turn for ``rows``, (N,), in the form of task ``name``.

    For measurements that need no real ones.
    """
    labels = rows % number
    if name != "findings":
        return labels
    return (labels[:, None] == labels.new_tensor(range(number))).long()


def build_task(name: str, backbone: Backbone, *, options: dict[str, Any], **setup: Any) -> Task:
    """Return task ``name`` around ``backbone``, with fresh heads from torch's global generator.

    ``options`` override ``DEFAULTS[name]``; the other arguments are the fields of
    ``sscdl.tasks.base.Setup``. Raises InputError for an unknown task or option, or for options
    that cannot work.
    """
    complete = complete_options(name, options)
    base = importlib.import_module("sscdl.tasks.base")
    own = vars(importlib.import_module(TASK_MODULES[name])).values()
    (task,) = [
        one
        for one in own
        if isinstance(one, type) and issubclass(one, base.Task) and vars(one).get("name") == name
    ]
    return task(backbone, base.Setup(options=complete, **setup))
