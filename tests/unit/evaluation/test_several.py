"""Probabilities of a network whose classes are findings: each by itself."""

from __future__ import annotations

import pytest
import torch

from sscdl.evaluation.classifier import CamNetwork
from sscdl.training.backbones import build_backbone


@pytest.mark.parametrize("bias", [0.0, -40.0])
def test_each_finding_has_a_probability_of_its_own_in_double_precision(bias):
    """Log odds of sigmoids differ as the logarithms of a softmax do, and only their sum is free."""
    torch.manual_seed(0)
    backbone = build_backbone("resnet18", 2)
    weight, constant = torch.randn(3, backbone.channels), torch.full((3,), bias)
    images = torch.randint(0, 256, (4, 36, 36), dtype=torch.uint8)
    several, one = (
        CamNetwork(
            backbone, weight, constant, classes=["A", "B", "C"], size=32, mean=0.5, std=0.25,
            device=torch.device("cpu"), several=several,
        )(images)[0]
        for several in (True, False)
    )  # fmt: skip
    assert several.dtype == torch.float64
    assert (several.sum(dim=1) - 1).abs().min() > 1e-3
    odds = torch.log(several) - torch.log1p(-several)
    torch.testing.assert_close(
        odds[:, :1] - odds[:, 1:], torch.log(one[:, :1] / one[:, 1:]).double(), rtol=1e-3, atol=1e-3
    )
