"""Weights that a curriculum starts from, brought into the store under one name and format."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import torch
from safetensors.torch import save_file

from sscdl.files import atomic_path
from sscdl.training.backbones import build_backbone, imagenet_weights, load_root

LOGGER = logging.getLogger("sscdl.roots")
STAND_IN_SEED = 1


def fetch_root(
    root: str, file: Path | None, out: Path, *, stand_in: bool, name: str, last_stage: int
) -> None:
    """Write the backbone's weights of ``root`` to ``out`` as safetensors.

    ``file`` is a checkpoint; without one, ``imagenet`` takes torchvision's weights, which are
    downloaded on first use. A ``stand_in`` is random weights, the same ones each time. Raises
    InputError if the weights cannot be had or do not fit.
    """
    torch.manual_seed(STAND_IN_SEED)
    backbone = build_backbone(name, last_stage)
    if stand_in:
        LOGGER.warning("%s: random weights stand in for it", root)
    else:
        load_root(backbone, imagenet_weights(name, file) if root == "imagenet" else file)
    with atomic_path(out) as temporary:
        save_file(dict(backbone.state_dict()), temporary, metadata={"format": "pt"})
        os.chmod(temporary, 0o664)
    LOGGER.info("%s: weights for %s stored", root, name)
