"""Averages of weights over the last steps, by which candidates of a search are compared.

In the middle of a schedule a high learning rate moves the weights about from step to step, and what
they will come to shows only when it falls. Their average is ahead in that (Polyak & Juditsky 1992;
Izmailov et al. 2018, arXiv:1803.05407). Training itself does not know of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

KEPT = 0.98  # share of an average that a step leaves: it reaches back over about 50 steps


class Averages:
    """Exponential averages of all parameters of ``module`` that require a gradient.

    Step k, from 0, leaves a share of min(``KEPT``, (1 + k) / (10 + k)): early averages reach back
    over a tenth of the steps so far, and not to the random weights of the beginning. Buffers and
    parameters that only follow (a momentum encoder, a queue) are not averaged.
    """

    def __init__(self, module: nn.Module) -> None:
        self._parameters: list[Tensor] = [one for one in module.parameters() if one.requires_grad]
        self._averages = [one.detach().clone() for one in self._parameters]
        self._steps = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are after a step."""
        kept = min(KEPT, (1 + self._steps) / (10 + self._steps))
        torch._foreach_lerp_(self._averages, self._parameters, 1 - kept)
        self._steps += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the module have the averages as its weights for the time of the block."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for place, parameter in enumerate(self._parameters):
            parameter.data, self._averages[place] = self._averages[place], parameter.data

    def state_dict(self) -> dict[str, Any]:
        """Return what ``load_state_dict`` takes."""
        return {"steps": self._steps, "averages": list(self._averages)}

    def check(self, state: Mapping[str, Any]) -> None:
        """Raise ValueError if ``state`` is that of another module."""
        found: list[Tensor] = state["averages"]
        if [one.shape for one in found] != [one.shape for one in self._averages]:
            raise ValueError("averages of other weights")

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``; see ``check``."""
        self.check(state)
        found: list[Tensor] = state["averages"]
        torch._foreach_copy_(self._averages, found)
        self._steps = state["steps"]
