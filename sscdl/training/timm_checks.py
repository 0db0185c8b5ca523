"""Whether a network of timm can be a backbone, and what must be known of it before it is trained.

Looked at without memory wherever that tells. Nothing here changes what is trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from sscdl.training.timm_backbones import arguments_of, build, map_side, plain, seen, unfit

# Those that ``sscdl.training.ranks`` has a counterpart of, for the batch of all devices.
_SHARED_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
SMALLEST_MAP = 2  # cells on a side; a map of one cell says nothing of places


def inspect(name: str, image_size: int) -> dict[str, Any]:
    """Return what must be known of a network before it is trained.

    Returns:
        ``map_side``: cells on a side of its last map, at images of ``image_size`` px;
        ``channels``: of the map; ``bytes``: of its weights; ``other_sizes``: whether it takes
        crops of other sizes too, down to one cell; ``shared_norms``: whether several devices can
        share its batch normalisation, which they cannot where a layer does more than that.

    Raises InputError, with the reason, for a network that cannot be a backbone: without a map, with
    a map of less than 2 x 2 cells, or with layers that the map's average does not depend on, so
    that they would not be trained.
    """
    arguments = arguments_of(name, image_size)
    patch = _patch(name, arguments) if "dynamic_img_size" in arguments else 1
    if image_size % patch:
        below = image_size // patch * patch
        near = " and ".join(f"{one}" for one in (below, below + patch) if one)
        raise unfit(
            name, image_size,
            f"its patches have {patch} px, and {image_size} is no multiple of that; {near} are",
        )  # fmt: skip
    side = map_side(name, image_size)
    if side < SMALLEST_MAP:
        raise unfit(
            name, image_size, f"its last map has {side} x {side} cells, which tell of no place"
        )
    with torch.device("meta"):
        network = build(name, image_size)
    if idle := _idle(name, image_size):
        raise unfit(
            name, image_size,
            f"what it classifies by is no average of its map: {', '.join(idle[:3])} "
            f"({len(idle)} in all) have no part in that",
        )  # fmt: skip
    others = True
    for other in (image_size // side, 2 * (image_size // side) + 1):
        try:
            others = others and min(seen(network, other).shape[2:]) > 0
        except Exception:
            others = False
    return {
        "map_side": side,
        "channels": network.channels,
        "bytes": sum(one.numel() * one.element_size() for one in network.state_dict().values()),
        "other_sizes": others,
        "shared_norms": all(
            type(module) in _SHARED_NORMS
            for module in network.modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)
        ),
    }


def _idle(name: str, image_size: int) -> list[str]:
    """Return the weights of a network that the average of its map does not depend on.

    Without memory wherever that tells. Where a map is cut out of tokens, what has made the others
    has a gradient of zeros, and only numbers tell.
    """
    with torch.device("meta"):
        network = build(name, image_size)
        images = torch.zeros(2, 3, image_size, image_size)
    if cut := getattr(network.network, "num_prefix_tokens", 0):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network, images = build(name, image_size), torch.randn(images.shape)
    network(images).square().sum().backward()
    return [
        key
        for key, one in network.network.named_parameters()
        if one.grad is None or (cut and not one.grad.any())
    ]


def _patch(name: str, arguments: Mapping[str, Any]) -> int:
    """Return the side of a transformer's patches in pixels."""
    with torch.device("meta"):
        network = plain(name, **arguments)
    return int(network.patch_embed.patch_size[0])


def timm_arguments(name: str, image_size: int) -> dict[str, Any]:
    """Return with which arguments ``timm.create_model`` makes a network that classifies alike.

    Those of the size, and, for a transformer that would classify by its class token, those that
    have it take the average of its patches.
    """
    size = {k: v for k, v in arguments_of(name, image_size).items() if k == "img_size"}
    with torch.device("meta"):
        network = plain(name, **size)
    if getattr(network, "global_pool", None) == "token":
        return {**size, "global_pool": "avg", "fc_norm": False}
    return size
