"""Whether a network of timm can be a backbone, and what must be known of it before it is trained.

Looked at without memory wherever that tells; what it draws and which pixels it sees only a pass of
the network itself does. Nothing here changes what is trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sscdl.training.ranks import SHARED_NORMS
from sscdl.training.timm_backbones import (
    TimmBackbone,
    arguments_of,
    build,
    map_side,
    plain,
    seen,
    unfit,
)

import timm  # isort: skip  needs what torchvision's import prepares

SMALLEST_MAP = 2  # cells on a side; a map of one cell says nothing of places


def inspect(name: str, image_size: int) -> dict[str, Any]:
    """Return what must be known of a network before it is trained.

    Returns:
        ``map_side``: cells on a side of its last map, at images of ``image_size`` px;
        ``channels``: of the map; ``bytes``: of its weights; ``other_sizes``: whether it takes
        crops of other sizes too, down to one cell; ``shared_norms``: whether several devices can
        share its batch normalisation, which they cannot where a layer does more than that.

    Raises InputError, with the reason, for a network that cannot be a backbone: without a map, with
    a map of less than 2 x 2 cells, with layers that the map's average does not depend on, so that
    they would not be trained, with rows or columns of its input that it does not see, with random
    numbers that it draws while it trains, or with a classifier that timm's own model does not take.
    """
    patch = _patch(name, arguments_of(name, image_size))
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
    for reason in (*_faults(name, image_size), *_misfits(network, image_size)):
        raise unfit(name, image_size, reason)
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
            type(module) in SHARED_NORMS
            for module in network.modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)
        ),
    }


def _faults(name: str, image_size: int) -> Iterable[str]:
    """Yield what a pass of the network as it trains, in float32, says against it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build(name, image_size).train()
        images = torch.randn(2, 3, image_size, image_size, requires_grad=True)
        weights = torch.randn(2, network.channels)
        before = torch.get_rng_state()
        found = network(images)
        # Weights of their own for each image: what normalises has sums that depend on nothing.
        (found * weights).sum().backward()
        with torch.no_grad():
            again = network(images)
        drawn = not torch.equal(before, torch.get_rng_state())
    # Where a map is cut out of tokens, what has made the others has a gradient of zeros.
    cut = getattr(network.network, "num_prefix_tokens", 0)
    idle = [
        key
        for key, one in network.network.named_parameters()
        if one.grad is None or (cut and not one.grad.any())
    ]
    if idle:
        yield (
            f"what it classifies by is no average of its map: {', '.join(idle[:3])} "
            f"({len(idle)} in all) have no part in that"
        )
    # Two passes over the same may differ in their last digits on some processors.
    if drawn or not torch.allclose(found, again, rtol=1e-3, atol=1e-4, equal_nan=True):
        yield "it draws random numbers while it trains, which seeds here do not rule"
    # There is a gradient: it was asked for, and backward has run.
    if unseen := _unseen_edges(images.grad):  # type: ignore[arg-type]
        yield f"it does not see {' and '.join(unseen)} of a picture"


def _unseen_edges(gradient: Tensor) -> list[str]:
    """Return which rows and columns at the edges of images (B, 3, h, w) have no gradient."""
    seen_pixels = gradient.ne(0).any(dim=0).any(dim=0)
    found = []
    for what, axis in (("rows", 1), ("columns", 0)):
        used = seen_pixels.any(dim=axis).nonzero().flatten().tolist() or [len(seen_pixels)]
        for which, number in (("first", used[0]), ("last", len(seen_pixels) - 1 - used[-1])):
            if number > 0:
                found.append(f"the {which} {number} {what}")
    return found


def _misfits(backbone: TimmBackbone, image_size: int) -> Iterable[str]:
    """Yield why timm's own model would not take the weights of a classifier that is trained."""
    name, head = backbone.name, backbone.head_name
    try:
        with torch.device("meta"):
            arguments = timm_arguments(name, image_size)
            theirs = timm.create_model(name, num_classes=2, **arguments).state_dict()
    except Exception as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        yield f"timm makes no classifier of it that takes the average of its map ({said})"
        return
    expected = {key: tuple(one.shape) for key, one in theirs.items()}
    # As ``Classify.classifier_state`` names them.
    ours = {key: tuple(one.shape) for key, one in backbone.state_dict().items()}
    ours |= {f"{head}.weight": (2, backbone.channels), f"{head}.bias": (2,)}
    wrong = [key for key in ours | expected if ours.get(key) != expected.get(key)]
    if wrong:
        yield (
            f"timm's own classifier is not one linear layer on that average, so that it would not "
            f"take the weights: {', '.join(wrong[:3])} ({len(wrong)} in all)"
        )


def _patch(name: str, arguments: Mapping[str, Any]) -> int:
    """Return the side in pixels of the patches that a network cuts images into, 1 for none."""
    with torch.device("meta"):
        network = plain(name, **arguments)
    size = getattr(getattr(network, "patch_embed", None), "patch_size", None) or 1
    return int(size if isinstance(size, int) else size[0])


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
