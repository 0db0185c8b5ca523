from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from sscdl.errors import InputError
from sscdl.training.optim import LARS, build_optimizer
from tests.unit.lightly_reference import LARS as ReferenceLARS

KINDS = ["sgd", "lars", "adam", "adamw"]


def gradients(step: int, parameter: nn.Parameter) -> torch.Tensor:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(parameter.shape, generator=generator)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2))


def run(module: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        for parameter in module.parameters():
            parameter.grad = gradients(step, parameter)
        optimizer.step()


def test_lars_matches_an_independent_implementation():
    ours = nn.Linear(5, 4, bias=False)
    theirs = copy.deepcopy(ours)
    settings = {"lr": 0.7, "momentum": 0.9, "weight_decay": 3.0}
    run(ours, LARS(ours.parameters(), trust=0.001, **settings), range(5))
    run(theirs, ReferenceLARS(theirs.parameters(), trust_coefficient=0.001, **settings), range(5))
    torch.testing.assert_close(ours.weight, theirs.weight)


def test_lars_follows_the_paper_formula_without_decay():
    layer = nn.Linear(5, 4, bias=False)
    w = layer.weight.detach().numpy().astype(np.float64)
    v = np.zeros_like(w)
    for step in range(3):
        g = gradients(step, layer.weight).numpy()
        v = 0.9 * v + 0.001 * np.linalg.norm(w) / np.linalg.norm(g) * g
        w = w - 0.5 * v
    run(layer, LARS(layer.parameters(), lr=0.5, momentum=0.9), range(3))
    np.testing.assert_allclose(layer.weight.detach().numpy(), w, rtol=1e-5)


def test_biases_and_norms_take_plain_steps():
    module, plain = network(), network()
    run(module, build_optimizer(module, "lars", lr=0.1, momentum=0.9, weight_decay=0.5), range(3))
    run(plain, torch.optim.SGD(plain.parameters(), lr=0.1, momentum=0.9), range(3))
    for (name, parameter), expected in zip(
        module.named_parameters(), plain.parameters(), strict=True
    ):
        same = torch.allclose(parameter, expected, atol=1e-6)
        assert same == (parameter.ndim == 1), name


@pytest.mark.parametrize("adapted", ["weights", "all"])
@pytest.mark.parametrize("decayed", ["weights", "all"])
def test_what_lars_adapts_and_decays_is_chosen(adapted, decayed):
    """Against the formula in double precision, with and without the small tensors in each."""
    module = network()
    expected = {name: p.detach().double().clone() for name, p in module.named_parameters()}
    buffers = {name: torch.zeros_like(p) for name, p in expected.items()}
    optimizer = build_optimizer(
        module, "lars", lr=0.5, momentum=0.9, weight_decay=0.1, adapted=adapted, decayed=decayed
    )
    run(module, optimizer, range(4))
    for step in range(4):
        for name, parameter in module.named_parameters():
            w, g, small = expected[name], gradients(step, parameter).double(), parameter.ndim == 1
            decay = 0.0 if small and decayed == "weights" else 0.1
            update = g + decay * w
            if not (small and adapted == "weights") and w.norm() > 0:
                update *= 0.001 * w.norm() / (g.norm() + decay * w.norm())
            buffers[name] = 0.9 * buffers[name] + update
            expected[name] = w - 0.5 * buffers[name]
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.double(), expected[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["adam", "adamw"])
@pytest.mark.parametrize("decayed", ["weights", "all"])
def test_adam_follows_the_formulas_of_its_papers(kind, decayed):
    """In double precision: Kingma & Ba 2015, algorithm 1; Loshchilov & Hutter 2019, algorithm 2."""
    module = network()
    expected = {name: p.detach().double().clone() for name, p in module.named_parameters()}
    first, second = ({name: torch.zeros_like(p) for name, p in expected.items()} for _ in "12")
    optimizer = build_optimizer(
        module, kind, lr=0.05, momentum=0.5, weight_decay=0.2, decayed=decayed, betas=(0.7, 0.9)
    )
    run(module, optimizer, range(4))
    for step in range(4):
        for name, parameter in module.named_parameters():
            w, g = expected[name], gradients(step, parameter).double()
            decay = 0.0 if parameter.ndim == 1 and decayed == "weights" else 0.2
            g = g + decay * w if kind == "adam" else g
            first[name] = 0.7 * first[name] + 0.3 * g
            second[name] = 0.9 * second[name] + 0.1 * g * g
            mean, square = (
                first[name] / (1 - 0.7 ** (step + 1)),
                second[name] / (1 - 0.9 ** (step + 1)),
            )
            w = w * (1 - 0.05 * decay) if kind == "adamw" else w
            expected[name] = w - 0.05 * mean / (square.sqrt() + 1e-8)
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.double(), expected[name], rtol=1e-4, atol=1e-5)


def test_all_parameters_adapted_and_decayed_match_an_independent_implementation():
    """As SwAV's authors do; the reference adapts whatever decays."""
    ours = network()
    with torch.no_grad():
        ours[1].bias.fill_(0.3)  # at zero, the two begin differently
    theirs = copy.deepcopy(ours)
    settings = {"lr": 0.7, "momentum": 0.9, "weight_decay": 0.5}
    optimizer = build_optimizer(ours, "lars", adapted="all", decayed="all", **settings)
    run(ours, optimizer, range(5))
    run(theirs, ReferenceLARS(theirs.parameters(), trust_coefficient=0.001, **settings), range(5))
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_zero_weights_and_zero_gradients_do_not_break_lars():
    layer = nn.Linear(3, 3, bias=False)
    nn.init.zeros_(layer.weight)
    optimizer = LARS(layer.parameters(), lr=0.1, momentum=0.0)
    layer.weight.grad = torch.ones(3, 3)
    optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), torch.full((3, 3), -0.1))
    layer.weight.grad = torch.zeros(3, 3)
    optimizer.step()
    torch.testing.assert_close(layer.weight.detach(), torch.full((3, 3), -0.1))


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_gradient_a_parameter_stays(kind):
    layer = nn.Linear(3, 3)
    before = copy.deepcopy(layer.state_dict())
    optimizer = build_optimizer(layer, kind, lr=0.1, momentum=0.9, weight_decay=0.1)
    optimizer.step()
    assert all(torch.equal(before[k], v) for k, v in layer.state_dict().items())


@pytest.mark.parametrize("kind", KINDS)
def test_resuming_from_state_dicts_changes_nothing(kind):
    settings = {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-3}
    straight, stopped = network(), network()
    run(straight, build_optimizer(straight, kind, **settings), range(4))
    first = build_optimizer(stopped, kind, **settings)
    run(stopped, first, range(2))
    resumed = build_optimizer(stopped, kind, **settings)
    resumed.load_state_dict(first.state_dict())
    run(stopped, resumed, range(2, 4))
    for a, b in zip(straight.parameters(), stopped.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_parameters_are_left_out(kind):
    module = network()
    module[0].requires_grad_(False)
    optimizer = build_optimizer(module, kind, lr=0.1, momentum=0.9, weight_decay=0.1)
    held = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(held) == 4
    assert not any(p is q for p in held for q in module[0].parameters())


def test_unknown_kind_is_refused():
    with pytest.raises(InputError, match="'rmsprop'; choose one of sgd, lars, adam, adamw"):
        build_optimizer(network(), "rmsprop", lr=0.1, momentum=0.9, weight_decay=0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_parameter_may_join_later(kind):
    module, alone = network(), network()
    settings = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
    both = build_optimizer(module, kind, **settings)
    run(alone, build_optimizer(alone, kind, **settings), range(2))
    for step in range(2):
        for name, parameter in module.named_parameters():
            parameter.grad = None if name == "3.weight" else gradients(step, parameter)
        both.step()
    kept, moved = network()[3].weight, dict(module.named_parameters())
    assert torch.equal(moved["3.weight"], kept), "without a gradient, not even decay"
    torch.testing.assert_close(moved["0.weight"], alone[0].weight)
    run(module, both, range(2, 3))
    assert not torch.equal(moved["3.weight"], kept)


@pytest.mark.parametrize(("decayed", "shrinks"), [("weights", False), ("all", True)])
def test_what_a_part_names_as_no_weight_does_not_decay(decayed, shrinks):
    """As timm's transformers do with position embeddings, which have several dimensions."""

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.position = nn.Parameter(torch.ones(1, 2, 3))
            self.layer = nn.Linear(3, 3, bias=False)

        def no_weight_decay(self):
            return {"position", "not_there"}

    module = nn.Sequential(Tokens(), nn.Linear(3, 2))
    before = copy.deepcopy(module)
    optimizer = build_optimizer(module, "adamw", 0.1, 0.9, 0.5, decayed=decayed)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.equal(module[0].position, before[0].position) is not shrinks
    torch.testing.assert_close(module[0].layer.weight, 0.95 * before[0].layer.weight)
