"""Optimisers: SGD with momentum, LARS and Adam for the tasks that were published with them.

A task may train some of its parameters in a way of their own (``Own``). No step waits for the
device, and all that a step depends on is in the optimiser's state or set before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sscdl.errors import InputError
from sscdl.training.schedule import Schedule

# Adam (Kingma & Ba 2015, arXiv:1412.6980) adds decay to the gradients, AdamW (Loshchilov & Hutter
# 2019, arXiv:1711.05101) takes it from the weights, times the rate.
ADAMS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


@dataclass(frozen=True)
class Own:
    """Parameters that a task trains in a way of their own: those of a head, of a predictor.

    ``rate``: what the stage's learning rate is multiplied by, above 0. ``momentum``: in [0, 1), in
    the place of the stage's, or of Adam's first beta; None for the same (DeepCluster's head has
    none: Caron et al. 2018, arXiv:1807.05520). ``falls``: whether the rate falls with the stage's;
    if not, it is constant after the warm-up (SimSiam's predictor: Chen & He 2021,
    arXiv:2011.10566). Those without a gradient may be among the ``parameters``.
    """

    parameters: Sequence[nn.Parameter]
    rate: float = 1.0
    momentum: float | None = None
    falls: bool = True


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling (You, Gitman & Ginsburg 2017, arXiv:1708.03888).

    Each tensor's step ``g + weight_decay * w`` is multiplied by its own rate
    ``trust * |w| / (|g| + weight_decay * |w|)``, then goes into the momentum buffer; the learning
    rate multiplies the buffer, as in torch's SGD. Where either norm is zero the factor is 1.
    Groups with ``adapt=False`` take plain momentum steps.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
        adapt: bool = True,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust": trust,
            "adapt": adapt,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # takes no closure
        """Take one step from the gradients; parameters without a gradient are left alone."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                self._update(parameters, group)

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        # One call for all tensors at a time: a loop over them would take ten calls for each.
        decay = group["weight_decay"]
        gradients: list[Any] = [p.grad for p in parameters]
        updates = torch._foreach_add(gradients, parameters, alpha=decay)
        if group["adapt"]:
            weight, gradient = (
                torch.stack(torch._foreach_norm(tensors)) for tensors in (parameters, gradients)
            )
            rates = group["trust"] * weight / (gradient + decay * weight)
            # torch.where and not an if: comparing on the host would stall an accelerator.
            rates = torch.where((weight > 0) & (gradient > 0), rates, 1.0)
            torch._foreach_mul_(updates, list(rates.unbind()))
        for parameter in parameters:
            if "momentum_buffer" not in self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        buffers = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, updates)
        torch._foreach_add_(parameters, buffers, alpha=-group["lr"])


def build_optimizer(
    module: nn.Module,
    kind: str,
    lr: float,
    momentum: float,
    weight_decay: float,
    *,
    adapted: str = "weights",
    decayed: str = "weights",
    betas: tuple[float, float] = (0.9, 0.999),
    own: Sequence[Own] = (),
) -> torch.optim.Optimizer:
    """Return an optimiser over the parameters of ``module`` that require a gradient.

    ``kind`` is ``sgd`` (decay on every parameter, as in the papers whose recipes use it), ``lars``,
    ``adam`` or ``adamw``; the last two take ``betas`` and no ``momentum``. For LARS, ``adapted``
    says which parameters get rates of their own, and for all but SGD ``decayed`` which decay: the
    ``weights`` alone, or ``all``, with what ``_beside_weights`` finds. Papers differ: SimCLR and
    BYOL leave these out of both, SwAV out of neither; MAE lets them be without decay. ``own`` are
    parameters with ways of their own. Raises InputError for another kind.
    """
    if kind not in ("sgd", "lars", *ADAMS):
        known = ", ".join(("sgd", "lars", *ADAMS))
        raise InputError(f"optimizer: unknown kind {kind!r}; choose one of {known}")
    others: dict[str, Any] = {}  # for what is beside weights
    if kind != "sgd" and decayed == "weights":
        others["weight_decay"] = 0.0
    if kind == "lars":
        others["adapt"] = adapted == "all"
    taken = {id(parameter) for one in own for parameter in one.parameters}
    rest = Own([parameter for parameter in module.parameters() if id(parameter) not in taken])
    beside = _beside_weights(module) if others else set()
    groups = []
    for one in (rest, *own):
        ways = _ways(one, kind, betas)
        trained = [parameter for parameter in one.parameters if parameter.requires_grad]
        weights = [parameter for parameter in trained if id(parameter) not in beside]
        small = [parameter for parameter in trained if id(parameter) in beside]
        groups += [{"params": weights, **ways}] if weights else []
        groups += [{"params": small, **ways, **others}] if small else []
    if kind == "lars":
        return LARS(groups, lr=lr, momentum=momentum, weight_decay=weight_decay)
    if kind in ADAMS:
        # Fused, it counts its steps on the device.
        return ADAMS[kind](groups, lr=lr, betas=betas, weight_decay=weight_decay, fused=True)
    optimizer = torch.optim.SGD(
        groups, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True
    )
    for group in optimizer.param_groups:
        for parameter in group["params"] if group["momentum"] else []:
            # Fused, it cannot begin with some of them later (SwAV's prototypes are frozen at
            # first). From zero, the first step is the same as without a buffer.
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def set_rates(optimizer: torch.optim.Optimizer, schedule: Schedule, done: float) -> None:
    """Give all parameters their learning rates of the step that comes after ``done`` epochs."""
    for group in optimizer.param_groups:
        # Only parameters with ways of their own have these, also in states of earlier versions.
        rate = schedule.rate(done, falls=group.get("falls", True))
        group["lr"] = group.get("rate", 1.0) * rate


def _beside_weights(module: nn.Module) -> set[int]:
    """Return the ids of the parameters of ``module`` that are no weights.

    These are biases and parameters of normalisation, that is, tensors with at most one dimension;
    and those whose names a part of it returns from a method ``no_weight_decay``, as timm's vision
    transformers do with their position embeddings and class tokens.
    """
    found = {id(parameter) for parameter in module.parameters() if parameter.ndim <= 1}
    part: Any
    for part in module.modules():
        if hasattr(part, "no_weight_decay"):
            named = dict(part.named_parameters())
            found |= {id(named[name]) for name in part.no_weight_decay() if name in named}
    return found


def _ways(own: Own, kind: str, betas: tuple[float, float]) -> dict[str, Any]:
    """Return what the group of ``own`` parameters has that others have not."""
    found: dict[str, Any] = {}
    if own.momentum is not None:
        adam = kind in ADAMS
        found |= {"betas": (own.momentum, betas[1])} if adam else {"momentum": own.momentum}
    if own.rate != 1.0:
        found["rate"] = own.rate
    if not own.falls:
        found["falls"] = False
    return found
