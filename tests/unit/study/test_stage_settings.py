"""Settings of a stage that contradict each other, and the blocks that a task declares."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sscdl.errors import InputError
from sscdl.study.config import check_config, load_schema
from sscdl.study.stage_settings import _MOMENTUM
from sscdl.tasks.options import DECLARATIONS, DEFAULTS, LATER_SETTINGS
from tests.conftest import ROOT
from tests.unit.study.test_config import SCHEMA, SMALL, merged


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"warmup_epochs": 30}, "stages.moco.warmup_epochs: 30 of the 30 epochs that"),
        ({"warmup_epochs": -1}, "stages.moco.warmup_epochs: -1 is less than the minimum"),
        ({"lars": {"decay": "all"}}, "stages.moco.lars: goes with optimizer lars; remove it"),
        ({"lars": {"adapt": "bias"}}, "stages.moco.lars.adapt: 'bias' is not one of weights, all"),
        ({"last_batch": "keep"}, "stages.moco.last_batch: 'keep' is not one of drop, fill"),
        ({"adam": {"decay": "all"}}, "stages.moco.adam: goes with optimizer adam or adamw; remove"),
        ({"adam": {"betas": [0.9]}}, "stages.moco.adam.betas: [0.9] is too short"),
        ({"adam": {"betas": [0.9, 1]}}, "stages.moco.adam.betas.1: 1 is greater than or equal"),
        (
            {"optimizer": "adam", "lars": {"decay": "all"}},
            "stages.moco.lars: goes with optimizer lars",
        ),
        ({"optimizer": "adamw", "momentum": 0.5}, "stages.moco.momentum: adamw has betas in its"),
        (
            {"optimizer": "rmsprop"},
            "stages.moco.optimizer: 'rmsprop' is not one of sgd, lars, adam",
        ),
        (
            {"decay": "cosine", "milestones": {"at": [0.5]}},
            "stages.moco.milestones: goes with decay milestones; remove it, as cosine has no",
        ),
        (
            {"decay": "milestones", "milestones": {"at": [0.8, 0.6]}},
            "stages.moco.milestones.at: [0.8, 0.6] does not rise",
        ),
        (
            {"decay": "milestones", "milestones": {"at": [0.5, 0.5]}},
            "stages.moco.milestones.at: [0.5, 0.5] does not rise",
        ),
        (
            {"decay": "milestones", "milestones": {"at": [0.1]}, "warmup_epochs": 4},
            "stages.moco.milestones.at: 0.1 of 30 epochs is within the 4 of warmup_epochs",
        ),
        (
            {"milestones": {"at": [0.5, 1]}},
            "stages.moco.milestones.at.1: 1 is greater than or equal",
        ),
        (
            {"milestones": {"factor": 1}},
            "stages.moco.milestones.factor: 1 is greater than or equal",
        ),
        (
            {"clip_gradients": 0},
            "stages.moco.clip_gradients: 0 is less than or equal to the minimum",
        ),
    ],
)
def test_settings_of_the_schedule_that_cannot_be_are_named(settings, message):
    with pytest.raises(InputError) as caught:
        check_config(merged(SMALL, {"stages": {"moco": settings}}), SCHEMA)
    assert message in str(caught.value)


def test_every_stage_has_the_later_settings_as_they_were_before():
    stages = check_config(SMALL, SCHEMA)["stages"]
    for task in DEFAULTS:
        assert {name: stages[task][name] for name in LATER_SETTINGS} == LATER_SETTINGS
    lars = {"optimizer": "lars", "warmup_epochs": 29.5, "lars": {"adapt": "all"}}
    changed = check_config(merged(SMALL, {"stages": {"moco": lars}}), SCHEMA)["stages"]["moco"]
    assert changed["lars"] == {"adapt": "all", "decay": "weights"}
    adam = {"optimizer": "adamw", "adam": {"decay": "all"}, "clip_gradients": "3"}
    changed = check_config(merged(SMALL, {"stages": {"moco": adam}}), SCHEMA)["stages"]["moco"]
    assert changed["adam"] == {"betas": [0.9, 0.999], "decay": "all"}
    assert changed["clip_gradients"] == 3.0


def test_a_task_may_declare_blocks_of_settings(monkeypatch):
    """A user who changes one key of a block has the task's others, and may choose otherwise."""
    own = {"optimizer": "adam", "adam": {"betas": [0.8, 0.95]}, "momentum": 0.5,
           "decay": "milestones", "milestones": {"at": [0.6, 0.9], "factor": 0.2}}  # fmt: skip
    declared = replace(DECLARATIONS["rotation"], settings=own)
    monkeypatch.setitem(DECLARATIONS, "rotation", declared)
    schema = load_schema(ROOT / "workflow/schemas/config.schema.yaml")

    def stage(**settings):
        config = merged(SMALL, {"stages": {"rotation": settings}})
        return check_config(config, schema)["stages"]["rotation"]

    assert stage(adam={"decay": "all"})["adam"] == {"betas": [0.8, 0.95], "decay": "all"}
    assert stage(milestones={"at": [0.3]})["milestones"] == {"at": [0.3], "factor": 0.2}
    assert stage(optimizer="sgd", decay="cosine")["adam"]["betas"] == [0.8, 0.95]
    assert check_config(SMALL, schema)["stages"]["moco"]["adam"] == LATER_SETTINGS["adam"]


def test_the_momentum_that_nobody_gave_is_known():
    stage = SCHEMA["$defs"]["moco"]["properties"]
    assert stage["momentum"]["default"] == _MOMENTUM
