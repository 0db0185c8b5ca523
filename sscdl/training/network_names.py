"""Which networks there are, as far as that is known without torch.

Four are torchvision's; every other name is one of timm's, which timm itself knows
(``sscdl.training.timm_backbones``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RESNETS = ("resnet18", "resnet34", "resnet50")
TORCHVISION = (*RESNETS, "densenet121")


def by_timm(name: str) -> bool:
    """Return whether a network is one of timm's."""
    return name not in TORCHVISION


def network_of(backbone: Mapping[str, Any], image_size: int) -> dict[str, Any]:
    """Return what a network is built from, as it stands in recipes.

    That is the block ``backbone`` of a configuration, and for a network of timm the side of its
    input in pixels as well: position embeddings are as many as it has patches.
    """
    return {**backbone, "image_size": image_size} if by_timm(backbone["name"]) else {**backbone}


def torchvision_map_side(name: str, last_stage: int, image_size: int) -> int:
    """Return the side, in cells, of the last feature map for square images of ``image_size`` px.

    ``name`` is one of ``TORCHVISION``.
    """
    if name in RESNETS:
        return -(-image_size // 2 ** (last_stage + 1))
    # DenseNet pools without padding, which rounds down where a ResNet rounds up.
    return -(-image_size // 4) // 8
