"""Projectors and predictors: what stands between a backbone and the loss."""

from __future__ import annotations

from torch import nn


def mlp(*widths: int, last_bias: bool = True) -> nn.Sequential:
    """Return linear layers from ``widths[0]`` to ``widths[-1]`` numbers, (B, D) to (B, D').

    Between two of them, batch normalisation and a ReLU; after the last, nothing.
    """
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False), start=2):
        last = number == len(widths)
        layers.append(nn.Linear(inputs, outputs, bias=last_bias or not last))
        if not last:
            layers += [nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
