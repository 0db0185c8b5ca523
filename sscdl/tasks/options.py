"""All tasks as they are declared: their default options, and what of them a recipe holds.

Imports nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import Any

from sscdl.source import TASK_MODULES
from sscdl.tasks.declaration import ABSENT, Declaration

DECLARATIONS: dict[str, Declaration] = {
    task: importlib.import_module(f"{module}_declaration").DECLARATION
    for task, module in TASK_MODULES.items()
}
DEFAULTS: dict[str, dict[str, Any]] = {
    task: {name: option.default for name, option in declared.options.items()}
    for task, declared in DECLARATIONS.items()
}
# For these, a longer training starts differently.
SHARES_OF_ALL_EPOCHS = frozenset(
    task for task, declared in DECLARATIONS.items() if declared.shares_of_epochs
)
# By task, options that came when stages of it had been trained: see ``Option.before``.
LATER: dict[str, dict[str, Any]] = {
    task: {
        name: option.before
        for name, option in declared.options.items()
        if option.before is not ABSENT
    }
    for task, declared in DECLARATIONS.items()
}
# The same for settings that the stages of every task have.
LATER_SETTINGS: dict[str, Any] = {
    "warmup_epochs": 0,
    "lars": {"adapt": "weights", "decay": "weights"},
    "last_batch": "drop",
    "adam": {"betas": [0.9, 0.999], "decay": "weights"},
    "milestones": {"at": [0.6, 0.8], "factor": 0.1},
    "clip_gradients": None,
}


def lasting(task: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return ``settings`` of a stage of ``task`` as they stand in a recipe.

    What came later is left out where it means what was done before.
    """
    found = _differing(settings, LATER_SETTINGS)
    if "options" in settings:
        found["options"] = _differing(settings["options"], LATER.get(task, {}))
    return found


def _differing(values: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    return {key: one for key, one in values.items() if key not in later or one != later[key]}


def whole(task: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return all settings of a stage of ``task`` from those in its recipe: ``lasting`` undone."""
    options = {**LATER.get(task, {}), **settings.get("options", {})}
    return {**LATER_SETTINGS, **settings, "options": options}
