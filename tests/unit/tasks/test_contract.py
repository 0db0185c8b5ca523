"""What every task that is declared keeps to, asked of the registry: nothing of it names a task.

Elsewhere: two ranks at half the batch train as one process (``tests/unit/training/test_ranks.py``),
no step waits for the device (``tests/unit/test_accelerator.py``), evaluation changes no state
(``test_tasks.py``), each option is described (``test_declarations.py``).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from sscdl.errors import InputError
from sscdl.phantom.radiograph import render
from sscdl.study.config import check_config, load_schema
from sscdl.study.reference import SCHEMA
from sscdl.tasks.declaration import ABSENT
from sscdl.tasks.options import DECLARATIONS, DEFAULTS, SHARES_OF_ALL_EPOCHS
from sscdl.training.backbones import ResNetBackbone
from sscdl.training.loop import Images
from tests.unit.task_helpers import follow_on_one_batch, make_task, pictures
from tests.unit.training import test_loop
from tests.unit.training.test_loop import make, run, same

ROWS = 24
LABELS = ("negative", "typical")
CONFIG = {"study": "x", "dataset": {"layout": "phantom"}, "curricula": ["scratch"]}
WHOLE = load_schema(SCHEMA)


def small(name, **settings):
    """Return a task with options that are fast, and its schedule."""
    options = DECLARATIONS[name].options.items()
    return make(
        name, **{key: one.small for key, one in options if one.small is not ABSENT}, **settings
    )


@pytest.fixture(scope="module")
def phantoms():
    """Return 16 synthetic radiographs to train on; their classes alternate as ``make``'s do."""
    drawn = [render(seed, LABELS[seed % 2], 48, contrast=3.0).pixels for seed in range(ROWS)]
    pixels = torch.from_numpy((np.stack(drawn) * 255).astype(np.uint8))
    return Images(pixels, torch.arange(16), None)


class Blind(ResNetBackbone):
    """A network that has one feature for all images: nothing."""

    def features(self, x: Tensor) -> Tensor:
        found = super().features(x)
        return 0 * found


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_run_goes_on_from_any_epoch_to_the_same_weights(tmp_path, phantoms, name):
    whole, schedule = small(name)
    history = run(whole, schedule, phantoms, tmp_path / "whole.pt")
    for epoch in range(1, 5):  # each goes on from the state of the one before
        parts, _ = small(name)
        resumed = run(parts, schedule, phantoms, tmp_path / "parts.pt", stop=epoch)
    assert same(whole, parts)
    assert [record["loss"] for record in resumed] == [record["loss"] for record in history]


@pytest.mark.parametrize("name", DEFAULTS)
def test_training_changes_nothing_that_is_not_in_the_state(tmp_path, phantoms, name):
    """Besides, the labels and patients of the images, which do not change, are on the device."""
    task, schedule = small(name)
    before = {key: tensor.clone() for key, tensor in task.named_buffers()}
    run(task, schedule, phantoms, tmp_path / "state.pt", stop=1)
    kept = task.state_dict()
    for key, tensor in task.named_buffers():
        assert key in kept or torch.equal(tensor, before[key]), key
    assert set(dict(task.named_parameters())) <= set(kept)
    for part in task.modules():
        assert not [key for key, value in vars(part).items() if isinstance(value, Tensor)]


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_depends_on_the_epochs_that_follow_is_declared(tmp_path, phantoms, name):
    """Searches under a constant rate are shared between continuations of other lengths."""
    tasks = []
    for epochs in (2, 9):
        task, schedule = small(name, decay="constant", epochs=epochs)
        run(task, schedule, phantoms, tmp_path / f"{epochs}.pt", stop=2)
        tasks.append(task)
    assert same(*tasks) or name in SHARES_OF_ALL_EPOCHS


COLLAPSING = [name for name, declared in DECLARATIONS.items() if declared.collapses]


@pytest.mark.parametrize("name", [name for name in DEFAULTS if name not in COLLAPSING])
def test_the_loss_falls_on_phantoms(tmp_path, phantoms, name):
    """Of the second half of the epochs beside that of the first, at a rate that suits them all."""
    task, schedule = small(name, epochs=12, decay="constant")
    schedule = replace(schedule, optimizer="adamw", learning_rate=5e-4)
    losses = [r["loss"] for r in run(task, schedule, phantoms, tmp_path / "s.pt", stop=12)]
    assert sum(losses[6:]) < 0.99 * sum(losses[:6]), losses


@pytest.mark.parametrize("name", COLLAPSING)
def test_a_loss_that_collapse_makes_lowest_falls_below_its_floor(name):
    """On one batch: it is of the images that a network learns, and not one embedding for all."""
    options = DECLARATIONS[name].options.items()
    settings = {key: one.small for key, one in options if one.small is not ABSENT}
    # A teacher that follows within these steps.
    settings |= {key: one.other for key, one in options if key == "momentum"}
    task, images = make_task(name, **settings), pictures()
    assert task.metric != "loss"
    found = follow_on_one_batch(task, images)
    below = [(one.floor - one.loss).item() / task.chance_loss for one in found]
    assert sum(below[-6:]) > 2 * sum(below[:6])
    assert sum(below[-6:]) / 6 > 0.005


@pytest.mark.parametrize("name", DEFAULTS)
def test_a_network_that_knows_nothing_has_the_loss_of_chance(tmp_path, phantoms, name, monkeypatch):
    """As near as the task declares, with default options, and why it is no nearer."""
    monkeypatch.setattr(test_loop, "build_backbone", Blind)
    task, schedule = make(name, rate=1e-12, decay="constant")
    record = run(task, schedule, phantoms, tmp_path / "state.pt", stop=1)[-1]
    declared = DECLARATIONS[name]
    assert record["loss"] == pytest.approx(record["chance"], rel=declared.near_chance)
    assert declared.near_chance <= 0.02 or declared.near_because.endswith(".")


def _beyond(limits):
    """Yield values that are just out of the ``limits`` of an option."""
    for one in (limits, *limits.get("anyOf", [])):
        if one.get("type") == "array":
            yield from ([inner] * one["minItems"] for inner in _beyond(one["items"]))
        for key, past in (("minimum", -1), ("maximum", 1), ("exclusiveMinimum", 0),
                          ("exclusiveMaximum", 0)):  # fmt: skip
            if key in one:
                yield one[key] + past
        if "enum" in one:
            yield "no such word"


@pytest.mark.parametrize("name", DEFAULTS)
def test_values_out_of_range_are_refused_by_key(name):
    refused = 0
    for option, declared in DECLARATIONS[name].options.items():
        for value in _beyond(declared.limits):
            refused += 1
            config = {**CONFIG, "stages": {name: {"options": {option: value}}}}
            with pytest.raises(InputError, match=rf"stages\.{name}\.options\.{option}\b"):
                check_config(config, WHOLE)
    assert refused
