"""What is wrong between settings of a stage that are each right by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sscdl.tasks.options import LATER_SETTINGS
from sscdl.words import many

_ADAMS = ("adam", "adamw")
_MOMENTUM = 0.9  # as the schema has it
# By block, the setting that it goes with, that setting's values, and what others do.
_GOES_WITH = {
    "lars": ("optimizer", ("lars",), "adapts no rate"),
    "adam": ("optimizer", _ADAMS, "has no betas"),
    "milestones": ("decay", ("milestones",), "has no milestones"),
}


def wrong_in_stage(stage: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong between settings of a ``stage`` that its optimiser or its epochs rule.

    ``defaults``: those that its task declares. Each text begins with the key that is to be changed.
    """
    epochs = stage["search_epochs"] + stage["final_epochs"]
    if stage["warmup_epochs"] >= epochs:
        yield (
            f"warmup_epochs: {stage['warmup_epochs']:g} of the {many(epochs, 'epoch')} that "
            "search_epochs and final_epochs give leave none; lower it"
        )
    for block, (setting, values, others) in _GOES_WITH.items():
        # Not all of them are the user's: a task may declare a block and be trained without it.
        usual = {**LATER_SETTINGS[block], **defaults.get(block, {})}
        if stage[setting] not in values and stage[block] != usual:
            yield (
                f"{block}: goes with {setting} {' or '.join(values)}; remove it, as "
                f"{stage[setting]} {others}"
            )
    usual = defaults.get("momentum", _MOMENTUM)
    if stage["optimizer"] in _ADAMS and stage["momentum"] != usual:
        yield f"momentum: {stage['optimizer']} has betas in its place; remove it, give adam.betas"
    if stage["decay"] == "milestones":
        yield from _milestones(stage, epochs)


def _milestones(stage: Mapping[str, Any], epochs: int) -> Iterator[str]:
    """Yield what is wrong with the milestones of a stage of ``epochs``."""
    at = stage["milestones"]["at"]
    if any(one >= other for one, other in zip(at, at[1:], strict=False)):
        yield f"milestones.at: {at} does not rise; give earlier shares of the epochs first"
    elif at[0] * epochs < stage["warmup_epochs"]:
        yield (
            f"milestones.at: {at[0]:g} of {many(epochs, 'epoch')} is within the "
            f"{stage['warmup_epochs']:g} of warmup_epochs, in which the rate rises; give a larger "
            "share"
        )
