"""What holds for every task."""

from __future__ import annotations

import copy
import importlib

import pytest
import torch

from sscdl.errors import InputError
from sscdl.source import TASK_MODULES
from sscdl.tasks import DEFAULTS, build_task, complete_options
from sscdl.tasks.base import Task
from tests.unit.task_helpers import BATCH, IMAGES, draws_for, make_task, pictures, step

PATIENTS = torch.arange(IMAGES) // 2
FAST = {
    "moco": {"queue": 16},
    "swav": {"local_crops": 1, "queue": 16, "queue_start": 0.0},
    "dino": {"local_crops": 1, "hidden": 32, "prototypes": 16},
}


def make(name: str, seed: int = 0) -> Task:
    return make_task(name, seed, patients=PATIENTS, **FAST.get(name, {}))


def update(task: Task, number: int) -> float:
    """One plain gradient step on batch ``number``; the loss before it."""
    task.zero_grad()
    loss = step(task, pictures(), number, epoch=1, epochs=4).loss
    loss.backward()
    task.after_backward(1, 4)
    with torch.no_grad():
        for parameter in task.parameters():
            if parameter.grad is not None:
                parameter.sub_(parameter.grad, alpha=0.02)
    task.after_step(2, 4)
    return loss.item()


@pytest.mark.parametrize("name", DEFAULTS)
def test_interface(name):
    task = make(name)
    assert task.name == name
    assert task.metric in {"loss", "accuracy", "balanced_accuracy", "mean_auc"}
    assert task.higher_is_better == (task.metric != "loss")
    assert task.chance_loss > 0
    result = step(task, pictures())
    assert result.loss.shape == ()
    assert result.count == BATCH
    assert (result.correct is None) == (result.of == 0)
    assert task.backbone.state_dict().keys() == {
        key.removeprefix("backbone.") for key in task.state_dict() if key.startswith("backbone.")
    }


@pytest.mark.parametrize("name", DEFAULTS)
def test_evaluation_changes_no_state_and_takes_smaller_batches(name):
    task, images = make(name), pictures()
    for number in range(3):
        update(task, number)
    before = copy.deepcopy(task.state_dict())
    task.eval()
    with torch.no_grad():
        first = step(task, images, 4).loss
        again = step(task, images, 4).loss
        few = task(task.views(images[:3], draws_for(task, 3)), torch.arange(3), 0, 1)
    assert torch.equal(first, again)
    assert torch.isfinite(few.loss)
    assert few.count == 3
    after = task.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("name", DEFAULTS)
def test_resuming_from_the_state_dict_changes_nothing(name):
    straight = make(name)
    for number in range(3):
        update(straight, number)
    resumed = make(name, seed=1)
    resumed.load_state_dict(copy.deepcopy(straight.state_dict()))
    # Another state of torch's generator: no task may draw from it.
    torch.manual_seed(1234)
    a = [update(straight, number) for number in (3, 4)]
    torch.manual_seed(99)
    assert a == [update(resumed, number) for number in (3, 4)]
    for key, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key


@pytest.mark.parametrize("name", DEFAULTS)
def test_runs_in_bfloat16_autocast(name):
    task = make(name)
    for number in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = step(task, pictures(), number, epoch=1)
    assert result.loss.dtype == torch.float32
    result.loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in task.backbone.parameters())


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("moco", "info_nce"), ("swav", "sinkhorn"), ("simclr", "nt_xent"),
        ("barlowtwins", "cross_correlation"),
    ],
)  # fmt: skip
def test_similarities_are_not_computed_in_16_bits(name, function, monkeypatch):
    module = importlib.import_module(TASK_MODULES[name])
    original, autocast = getattr(module, function), []

    def watched(*args):
        autocast.append(torch.is_autocast_enabled("cpu"))
        assert args[0].dtype == torch.float32
        return original(*args)

    monkeypatch.setattr(module, function, watched)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        step(make(name), pictures())
    assert set(autocast) == {False}


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_learnt_parameter_gets_a_gradient(name):
    task = make(name)
    update(task, 0)
    update(task, 1)
    missing = [k for k, p in task.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []


@pytest.mark.parametrize("name", DEFAULTS)
def test_small_patches_and_crops_are_as_large_as_a_densenet_needs(name):
    task = make_task(name, backbone=("densenet121", 4))
    assert step(task, pictures()).loss.isfinite()


def test_patches_that_a_densenet_cannot_take_are_refused():
    with pytest.raises(InputError, match="patches of 24 px are too small for densenet121"):
        make_task("relloc", backbone=("densenet121", 4), patch_size=24)


def test_options_are_completed_and_checked():
    complete = complete_options("moco", {"temperature": 0.1})
    assert complete == {**DEFAULTS["moco"], "temperature": 0.1}
    assert DEFAULTS["moco"]["temperature"] == 0.2
    with pytest.raises(InputError, match="temprature.*temperature"):
        complete_options("moco", {"temprature": 0.1})
    with pytest.raises(InputError, match="jigsaw.*relloc"):
        build_task("jigsaw", None, options={}, image_size=32, images=8, mean=0.5, std=0.2,
                   batch_size=8)  # fmt: skip
