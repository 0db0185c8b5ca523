"""What a stage or a task may ask of its training: Adam, milestones, clipping, ways of its own."""

from __future__ import annotations

import copy

import pytest
import torch

from sscdl.training import loop
from sscdl.training.optim import set_rates
from tests.unit.small_task import EPOCHS, OPTIMIZERS, images_on, optimizer_for, small, train_small
from tests.unit.training.test_loop import same


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_that_stops_after_any_epoch_goes_on_to_the_same_weights(tmp_path, optimizer):
    whole, schedule = small(optimizer)
    begun = copy.deepcopy(whole)
    history = train_small(whole, schedule, tmp_path / "whole.pt")
    assert not any(map(torch.equal, begun.parameters(), whole.parameters()))
    for epoch in range(1, EPOCHS + 1):  # the state of the epoch before is gone on from each time
        parts, _ = small(optimizer)
        resumed = train_small(parts, schedule, tmp_path / "parts.pt", stop=epoch)
    assert same(whole, parts)
    assert [record["loss"] for record in resumed] == [record["loss"] for record in history]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_each_group_has_the_rate_and_momentum_that_were_asked_for(optimizer):
    task, schedule = small(optimizer)
    held = optimizer_for(task, schedule)
    names = {id(parameter): name for name, parameter in task.named_parameters()}
    seen = {}
    for done in (0.25, 1.0, 2.0):
        set_rates(held, schedule, done)
        for group in held.param_groups:
            for parameter in group["params"]:
                kept = group["betas"][0] if "adam" in optimizer else group["momentum"]
                seen[names[id(parameter)], done] = group["lr"] / schedule.learning_rate, kept
    usual = 0.8 if "adam" in optimizer else 0.9
    assert len(seen) == 3 * len([p for p in task.parameters() if p.requires_grad])
    rates = {"head": (1.0, 2.0, 0.4), "predictor": (0.5, 1.0, 1.0), "": (0.5, 1.0, 0.2)}
    for (name, done), (rate, kept) in seen.items():
        part = name.partition(".")[0]
        by_time = dict(zip((0.25, 1.0, 2.0), rates.get(part, rates[""]), strict=True))
        assert rate == pytest.approx(by_time[done]), (name, done)
        assert kept == (0.0 if part == "head" else usual), name


@pytest.mark.parametrize("optimizer", ["lars", "adam", "adamw"])
def test_what_a_network_says_not_to_decay_does_not(optimizer):
    task, schedule = small(optimizer)
    decays = {
        id(parameter): group["weight_decay"]
        for group in optimizer_for(task, schedule).param_groups
        for parameter in group["params"]
    }
    for name, parameter in task.named_parameters():
        if parameter.requires_grad:
            beside = parameter.ndim == 1 or name == "position"
            assert decays[id(parameter)] == (0.0 if beside else 0.01), name


def test_what_follows_the_weights_is_told_of_every_step(tmp_path):
    task, schedule = small("adam")
    told, follow = [], task.after_step
    task.after_step = lambda *given: (told.append(given), follow(*given))
    train_small(task, schedule, tmp_path / "state.pt")
    assert told == [(step / 2, EPOCHS) for step in range(1, 2 * EPOCHS + 1)]
    # At the end it keeps all of itself, however far the rest goes.
    teacher = copy.deepcopy(task.teacher.state_dict())
    torch.nn.init.zeros_(task.predictor.weight)
    follow(EPOCHS, EPOCHS)
    assert torch.equal(task.teacher.weight, teacher["weight"])


def test_gradients_are_shortened_to_the_norm_that_is_given(tmp_path, monkeypatch):
    norms, built = [], loop.build_optimizer

    def watched(*given, **more):
        held = built(*given, **more)
        of_all = [p for group in held.param_groups for p in group["params"]]
        held.register_step_pre_hook(
            lambda *_: norms.append(torch.cat([p.grad.flatten() for p in of_all]).norm().item())
        )
        return held

    monkeypatch.setattr(loop, "build_optimizer", watched)
    weights = {}
    for limit in (None, 1e-3, 1e6):
        task, schedule = small("sgd", clip_gradients=limit)
        train_small(task, schedule, tmp_path / f"{limit}.pt", stop=1)
        weights[limit] = task
    free, short, wide = norms[:2], norms[2:4], norms[4:]
    assert min(free) > 1e-2
    assert short == pytest.approx([1e-3] * 2, rel=1e-2)
    assert wide == free
    assert same(weights[None], weights[1e6])
    assert not same(weights[None], weights[1e-3])


def test_plain_tasks_have_no_groups_but_those_of_the_optimiser():
    """And states none that were written before there were others."""
    module = torch.nn.Linear(3, 2)
    module.trained_otherwise = tuple
    for optimizer, groups in (("sgd", 1), ("lars", 2), ("adamw", 2)):
        held = optimizer_for(module, small(optimizer)[1])
        assert len(held.param_groups) == groups
        assert all({"rate", "falls"}.isdisjoint(group) for group in held.param_groups)


def test_an_epoch_with_all_of_it_has_a_loss():
    task, schedule = small("adamw")
    optimizer = optimizer_for(task, schedule)
    record = loop._train_epoch(
        task, task, optimizer, images_on(), schedule, epoch=0, seed=1, precision="bf16"
    )
    assert record["finite"]
