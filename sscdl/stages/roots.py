"""Weights that a curriculum starts from, brought into the store under one name and format."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from sscdl.errors import InputError
from sscdl.files import atomic_path
from sscdl.training.backbones import Backbone, build_backbone, fit, imagenet_weights
from sscdl.training.network_names import by_timm
from sscdl.weight_files import check_finite, read_tensors

LOGGER = logging.getLogger("sscdl.roots")
STAND_IN_SEED = 1
# Where checkpoints keep the weights themselves, beside averages and optimisers.
_WRAPPERS = ("state_dict", "model")
# Networks that follow the one that is trained, beside it in checkpoints of MoCo and its like:
# encoder_k, momentum_encoder, backbone_momentum, ema, target_encoder. A teacher is none: it may be
# the one that is meant.
_FOLLOWERS = re.compile(r"(^|_)(k|momentum|ema|target)(_|$)")
# What stands on top of a backbone: classifiers, and SwAV's projection and prototypes.
_HEADS = ("fc", "classifier", "projection_head", "prototypes")


def fetch_root(
    root: str, file: Path | None, out: Path, *, stand_in: bool, backbone: dict[str, Any]
) -> None:
    """Write the weights of ``root`` for the network ``backbone`` to ``out`` as safetensors.

    A ``stand_in`` is random weights, the same ones each time; others come from ``load_named``.
    """
    torch.manual_seed(STAND_IN_SEED)
    network = build_backbone(**backbone)
    if stand_in:
        LOGGER.warning("%s: random weights stand in for it", root)
    else:
        load_named(network, root, file)
    with atomic_path(out) as temporary:
        save_file(_contiguous(network.state_dict()), temporary, metadata={"format": "pt"})
        os.chmod(temporary, 0o664)
    LOGGER.info("%s: weights for %s stored", root, network.name)


def load_named(backbone: Backbone, root: str, file: str | Path | None) -> None:
    """Load the weights of ``root`` into ``backbone``, in place.

    ``file`` is a checkpoint (see ``load_given``); without one, ``imagenet`` takes torchvision's
    weights, or timm's, which are downloaded on first use. Raises InputError if the weights cannot
    be had or do not fit.
    """
    if root == "imagenet" and file is None and by_timm(backbone.name):
        backbone.load_published()
        return
    # Roots other than imagenet are files.
    weights = imagenet_weights(backbone.name, file) if root == "imagenet" else Path(file)  # type: ignore[arg-type]
    load_given(backbone, weights)


def load_given(backbone: Backbone, path: Path) -> None:
    """Load a checkpoint that somebody gives into ``backbone``, in place.

    It is a file of safetensors or torch, whatever its name, that holds the network under
    the names of its library, at any depth and behind any prefix (``state_dict``, ``module.``,
    ``encoder_q.``, ...). Classifiers, heads and what is beside the network are passed over. Raises
    InputError if the file is none, numbers are not finite, several networks are meant alike, or
    weights are missing, unknown or of another shape.
    """
    tensors = _network(read_tensors(path), next(iter(backbone.state_dict())), path)
    check_finite(path, tensors)
    fit(backbone, tensors, path)


def _contiguous(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors as files take them, whatever memory format they are in."""
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def _network(tensors: dict[str, Tensor], first: str, path: Path) -> dict[str, Tensor]:
    """Return the tensors of the one network among ``tensors`` that has the weight ``first``."""
    found = [
        name.removesuffix(first) for name in tensors if name == first or name.endswith(f".{first}")
    ]
    # Blocks of a network may have weights of such a name, too: the outermost is meant.
    prefixes = [
        one for one in found if not any(one != outer and one.startswith(outer) for outer in found)
    ]
    for wrapper in _WRAPPERS:
        wrapped = [one for one in prefixes if one.partition(".")[0] == wrapper]
        prefixes = wrapped or prefixes
    leading = [one for one in prefixes if not any(map(_FOLLOWERS.search, one.split(".")))]
    if len(leading) > 1:
        raise InputError(
            f"weights: {path} holds several networks, {' and '.join(leading[:3])}; save the one "
            "that is meant alone, with torch.save(model.state_dict(), ...)"
        )
    prefix = leading[0] if leading else ""
    inside = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    parts = {name: name.partition(".")[0] for name in inside}
    return {
        name: one
        for name, one in inside.items()
        if parts[name] not in _HEADS and not _FOLLOWERS.search(parts[name])
    }
