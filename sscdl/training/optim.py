"""Optimisers: SGD with momentum, and LARS for the tasks that were published with it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sscdl.errors import InputError


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
    def step(self, closure: None = None) -> None:
        """Take one step from the gradients; parameters without a gradient are left alone."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if parameters:
                self._update(parameters, group)

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        # One call for all tensors at a time: a loop over them would take ten calls for each.
        decay = group["weight_decay"]
        gradients = [p.grad for p in parameters]
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
) -> torch.optim.Optimizer:
    """Return an optimiser over the parameters of ``module`` that require a gradient.

    ``kind`` is ``sgd`` (decay on every parameter, as in the papers whose recipes use it) or
    ``lars``. For that, ``adapted`` and ``decayed`` say which parameters get rates of their own and
    decay: the ``weights`` alone, or ``all``, with biases and parameters of normalisation, that is,
    tensors with at most one dimension. Papers differ: SimCLR and BYOL leave these out of both, SwAV
    out of neither. Raises InputError for another kind.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    if kind == "sgd":
        optimizer = torch.optim.SGD(
            parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True
        )
        if momentum:
            for parameter in parameters:
                # Fused, it cannot begin with some of them later (SwAV's prototypes are frozen at
                # first). From zero, the first step is the same as without a buffer.
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return optimizer
    if kind == "lars":
        others = {
            "weight_decay": weight_decay if decayed == "all" else 0.0,
            "adapt": adapted == "all",
        }
        groups = [
            {"params": [p for p in parameters if p.ndim > 1]},
            {"params": [p for p in parameters if p.ndim <= 1], **others},
        ]
        groups = [group for group in groups if group["params"]]
        return LARS(groups, lr=lr, momentum=momentum, weight_decay=weight_decay)
    raise InputError(f"optimizer: unknown kind {kind!r}; choose sgd or lars")
