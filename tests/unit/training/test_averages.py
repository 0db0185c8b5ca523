"""Averages of weights: their values, and that training does not know of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sscdl.training import loop
from sscdl.training.averages import KEPT, Averages
from sscdl.training.loop import train
from tests.unit.training.test_loop import images as images
from tests.unit.training.test_loop import make, same


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 3))


def steps(module: nn.Module, number: int):
    generator = torch.Generator().manual_seed(1)
    for _ in range(number):
        with torch.no_grad():
            for one in module.parameters():
                one.add_(torch.randn(one.shape, generator=generator))
        yield


def test_late_averages_are_those_of_torch():
    module = network()
    averages = Averages(module)
    for _ in steps(module, 600):  # the share is constant by then
        averages.update()
    other = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(KEPT))
    other.n_averaged.fill_(1)
    with averages.applied(), torch.no_grad():
        for mine, theirs in zip(module.parameters(), other.module.parameters(), strict=True):
            theirs.copy_(mine)
    for _ in steps(module, 20):
        averages.update()
        other.update_parameters(module)
    with averages.applied():
        for mine, theirs in zip(module.parameters(), other.module.parameters(), strict=True):
            assert torch.allclose(mine, theirs, rtol=1e-5, atol=1e-5)


def test_early_averages_reach_back_over_a_tenth_of_the_steps():
    module = nn.Linear(1, 1, bias=False)
    averages = Averages(module)
    seen = []
    for step in range(30):
        with torch.no_grad():
            module.weight.fill_(float(step + 1))
        averages.update()
        with averages.applied():
            seen.append(step + 1 - module.weight.item())
    # An average of 1, 2, ..., k with weights that grow as the ninth power is k / 11 behind.
    assert seen[29] == pytest.approx(30 / 11, abs=0.3)
    assert seen[0] < 0.2


def test_the_weights_of_training_come_back_bit_for_bit_whatever_happens_in_the_block():
    module = network()
    averages = Averages(module)
    next(steps(module, 1))
    averages.update()
    before = {name: one.clone() for name, one in module.state_dict().items()}
    places = [one.data_ptr() for one in module.parameters()]
    with averages.applied():
        assert not torch.equal(module[0].weight, before["0.weight"])
    with pytest.raises(RuntimeError, match="planned"), averages.applied():
        raise RuntimeError("planned")
    assert all(torch.equal(one, before[name]) for name, one in module.state_dict().items())
    assert [one.data_ptr() for one in module.parameters()] == places


def test_what_has_no_gradient_is_not_averaged():
    module = network()
    module[2].requires_grad_(False)
    averages = Averages(module)
    for _ in steps(module, 3):
        averages.update()
    kept = module[2].weight.clone(), module[1].running_mean.clone()
    with averages.applied():
        assert torch.equal(module[2].weight, kept[0])
        assert torch.equal(module[1].running_mean, kept[1])


def test_averages_of_other_weights_are_refused():
    with pytest.raises(ValueError, match="other weights"):
        Averages(network()).load_state_dict(Averages(nn.Linear(2, 2)).state_dict())


def run(task, schedule, images, state, *, stop=3, averaged=True):
    return train(
        task, images, schedule, start=0, stop=stop, seed=1, state=state, fingerprint="key",
        averaged=averaged,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["moco", "swav", "rotation", "classify"])
def test_training_does_not_know_of_averages(tmp_path, images, name):
    plain, schedule = make(name)
    run(plain, schedule, images, tmp_path / "plain.pt", averaged=False)
    watched, _ = make(name)
    history = run(watched, schedule, images, tmp_path / "watched.pt")
    assert same(plain, watched)
    for record in history:
        assert record["averaged_val_loss"] != record["val_loss"]
    assert "averaged_val_balanced_accuracy" in history[0] or name != "classify"


def test_every_step_of_a_training_is_in_the_averages(tmp_path, images, monkeypatch):
    seen, kept = [], []

    class Watched(Averages):
        def __init__(self, module):
            super().__init__(module)
            kept.append(self)

    monkeypatch.setattr(loop, "Averages", Watched)
    task, schedule = make("rotation")
    first = next(task.parameters())
    seen.append(first.detach().clone())
    task.after_step = lambda done, epochs: seen.append(first.detach().clone())
    run(task, schedule, images, tmp_path / "state.pt")
    assert len(seen) == 1 + 3 * 4  # steps of three epochs
    expected = seen[0]
    for step, weight in enumerate(seen[1:]):
        share = (1 + step) / (10 + step)
        expected = share * expected + (1 - share) * weight
    with kept[0].applied():
        assert torch.allclose(first, expected, rtol=1e-5, atol=1e-7)
        assert not torch.equal(first, seen[-1])


def test_averages_go_on_where_they_stopped(tmp_path, images):
    whole, schedule = make("rotation")
    expected = run(whole, schedule, images, tmp_path / "whole.pt")
    run(make("rotation")[0], schedule, images, tmp_path / "parts.pt", stop=1)
    found = run(make("rotation")[0], schedule, images, tmp_path / "parts.pt")
    assert [one["averaged_val_loss"] for one in found] == [
        one["averaged_val_loss"] for one in expected
    ]
