"""Table 3.1: the size of the networks, measured from the networks themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from sscdl._torchvision import torchvision
from sscdl.errors import InputError
from sscdl.tables.overview import NAN, read_thesis
from sscdl.training.backbones import build_backbone
from sscdl.training.network_names import by_timm

SIZE = 224  # height and width of the image whose training step is measured


def _saved_bytes(network: nn.Module) -> int:
    """Return the memory that one image's forward pass keeps for its backward pass.

    Counts every stretch of memory once, weights left out.
    """
    own = {p.untyped_storage().data_ptr() for p in (*network.parameters(), *network.buffers())}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            # Held until the end, as memory that is given back may be handed out again.
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = network(torch.zeros(1, 3, SIZE, SIZE))
    del result
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def _training_mb(name: str, last_stage: int) -> float:
    """Return the memory of a training step, NaN for a network of timm that takes no such image."""
    try:
        return _saved_bytes(build_backbone(name, last_stage, SIZE)) / 1e6
    except InputError:
        return NAN


def measure(name: str, last_stage: int, image_size: int = SIZE) -> dict[str, Any]:
    """Return what a network is made of.

    ``image_size``: side, in pixels, of the images that one of timm is made for.

    Returns:
        ``parameters`` without and ``with_classifier`` with the ImageNet classifier of 1,000
        classes (empty for a network that ends early), ``layers`` with weights (convolutions and
        linear layers; normalisation not counted), ``size_mb`` of its file of weights, and
        ``training_mb``, the memory that training keeps for one image of 224 x 224, all in
        megabytes of float32.
    """
    backbone = build_backbone(name, last_stage, image_size)
    parameters = sum(p.numel() for p in backbone.parameters())
    whole = backbone.last_stage == 4
    stored = sum(t.numel() * t.element_size() for t in backbone.state_dict().values())
    return {
        "parameters": parameters,
        "with_classifier": parameters + 1000 * (backbone.channels + 1) if whole else NAN,
        "layers": sum(isinstance(m, nn.Conv2d | nn.Linear) for m in backbone.modules()),
        "size_mb": stored / 1e6,
        "training_mb": _training_mb(name, last_stage),
    }


def backbones(
    name: str, last_stage: int, image_size: int = SIZE, *, thesis_dir: Path
) -> pd.DataFrame:
    """Return table 3.1: the thesis's two networks and the study's own, as far as it is used.

    Args:
        name: the study's network.
        last_stage: the last stage of it that is used.
        image_size: side, in pixels, of the images that it is made for, where it is one of timm.
        thesis_dir: folder of the thesis's tables.

    Returns:
        ``backbone, parameters_millions`` (without classifier) ``, imagenet_accuracy`` (percent, as
        torchvision publishes it for the weights that ``imagenet`` stands for; not measured here,
        and empty for networks of timm),
        the last two with ``_thesis``, then what ``measure`` returns, and ``last_stage``.
    """
    printed = read_thesis(thesis_dir, "3.1_backbones.csv").set_index("backbone")
    wanted = {(known, 4): SIZE for known in printed.index}
    wanted.setdefault((name, last_stage), image_size)
    lines = []
    for (network, stage), size in wanted.items():
        measured = measure(network, stage, size)
        published = NAN
        if not by_timm(network):
            weights = torchvision.models.get_model_weights(network)["IMAGENET1K_V1"]
            published = weights.meta["_metrics"]["ImageNet-1K"]["acc@1"]
        line = {
            "backbone": network,
            "parameters_millions": measured["parameters"] / 1e6,
            "imagenet_accuracy": published if stage == 4 else NAN,
        }
        known = printed.loc[network] if network in printed.index and stage == 4 else {}
        for column in printed.columns:
            line[f"{column}_thesis"] = known.get(column, NAN)
        lines.append({**line, **measured, "last_stage": stage})
    return pd.DataFrame(lines)
