"""Backbones (torchvision's ResNets and DenseNet-121, and timm's) and the weights they start from.

State dicts have torchvision's keys, so every trained backbone loads strictly into torchvision's own
network once its classifier, and any stage that was left out, is ``torch.nn.Identity``. What is not
torchvision's is built by ``sscdl.training.timm_backbones``, imported where it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from sscdl._torchvision import torchvision
from sscdl.errors import InputError
from sscdl.training.network_names import RESNETS, TORCHVISION, torchvision_map_side
from sscdl.weight_files import read_tensors

if TYPE_CHECKING:
    from torchvision import models as _models

    from sscdl.training.timm_backbones import TimmBackbone
else:
    _models = torchvision.models
_RESNETS = {
    "resnet18": (_models.resnet.BasicBlock, (2, 2, 2, 2)),
    "resnet34": (_models.resnet.BasicBlock, (3, 4, 6, 3)),
    "resnet50": (_models.resnet.Bottleneck, (3, 4, 6, 3)),
}
# The first published ImageNet weights: those that the literature means by "ImageNet pretrained".
_IMAGENET = {
    "resnet18": _models.ResNet18_Weights.IMAGENET1K_V1,
    "resnet34": _models.ResNet34_Weights.IMAGENET1K_V1,
    "resnet50": _models.ResNet50_Weights.IMAGENET1K_V1,
    "densenet121": _models.DenseNet121_Weights.IMAGENET1K_V1,
}


class ResNetBackbone(_models.ResNet):  # type: ignore[misc]  # torchvision has no types
    """A torchvision ResNet without classifier that may end before its last stage.

    ``features`` maps normalised images (B, 3, h, w) to the last feature map (B, C, h', w');
    calling the module returns its global average, (B, C). ``channels`` is C, ``head_name`` what the
    network calls its classifier.
    """

    library, head_name = "torchvision", "fc"

    def __init__(self, name: str, last_stage: int) -> None:
        block, layers = _RESNETS[name]
        super().__init__(block, list(layers))
        self.name = name
        self.last_stage = last_stage
        self.channels = 64 * 2 ** (last_stage - 1) * block.expansion
        self.fc = nn.Identity()
        for stage in range(last_stage + 1, 5):
            setattr(self, f"layer{stage}", nn.Identity())

    def features(self, x: Tensor) -> Tensor:
        """Return the last feature map (B, channels, h', w') of normalised images (B, 3, h, w)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))

    def forward(self, x: Tensor) -> Tensor:
        return self.avgpool(self.features(x)).flatten(1)

    def map_size(self, side: int) -> int:
        """Return the side, in cells, of the last feature map of pictures of ``side`` px."""
        return torchvision_map_side(self.name, self.last_stage, side)

    def adapted(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return weights without the classifier, and without stages that are not used."""
        later = tuple(f"layer{stage}." for stage in range(self.last_stage + 1, 5))
        return {k: v for k, v in tensors.items() if not k.startswith(("fc.", *later))}


class DenseNetBackbone(_models.DenseNet):  # type: ignore[misc]  # torchvision has no types
    """torchvision's DenseNet-121 without classifier; the interface of ``ResNetBackbone``."""

    library, head_name = "torchvision", "classifier"

    def __init__(self) -> None:
        super().__init__(growth_rate=32, block_config=(6, 12, 24, 16), num_init_features=64)
        self.name = "densenet121"
        self.last_stage = 4
        self.channels = self.classifier.in_features  # type: ignore[has-type]  # torchvision's
        self.classifier = nn.Identity()
        # torchvision applies the last ReLU outside of its feature extractor. It has no weights.
        self.features.add_module("relu5", nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x).mean(dim=(2, 3))

    def map_size(self, side: int) -> int:
        """Return the side, in cells, of the last feature map of pictures of ``side`` px."""
        return torchvision_map_side(self.name, self.last_stage, side)

    def adapted(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return weights without the classifier, under the present names.

        torchvision's own file predates these: norm.1 is norm1 today.
        """
        old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
        kept = {k: v for k, v in tensors.items() if not k.startswith("classifier.")}
        return {old.sub(r"\1\2.", k): v for k, v in kept.items()}


Backbone: TypeAlias = "ResNetBackbone | DenseNetBackbone | TimmBackbone"


def build_backbone(name: str, last_stage: int = 4, image_size: int = 224) -> Backbone:
    """Return a randomly initialised backbone (torch's global generator decides the weights).

    ``name`` is one of ``TORCHVISION``, or a model of timm. ``last_stage`` 2 or 3 ends a ResNet of
    torchvision early, for images so small that its last map would have no spatial extent.
    ``image_size``: side, in pixels, of the images that a network of timm is made for; others take
    any. Raises InputError for anything else.
    """
    if last_stage not in (2, 3, 4):
        raise InputError(f"backbone: last_stage is {last_stage!r}; choose 2, 3 or 4")
    if name in RESNETS:
        return ResNetBackbone(name, last_stage)
    if last_stage != 4:
        raise InputError(f"backbone: {name} cannot end early; set last_stage to 4")
    if name in TORCHVISION:
        return DenseNetBackbone()
    from sscdl.training import timm_backbones

    return timm_backbones.build(name, image_size)


def load_root(backbone: Backbone, source: str | Path) -> None:
    """Load a file of weights (see ``read_tensors``) into ``backbone``, in place.

    For what else it takes, and refuses, see ``fit``.
    """
    fit(backbone, read_tensors(Path(source)), source)


def fit(backbone: Backbone, tensors: Mapping[str, Tensor], source: str | Path) -> None:
    """Load the weights ``tensors``, which come from ``source``, into ``backbone``, in place.

    Their names are the network's own; a classifier and the stages after ``backbone.last_stage`` are
    ignored. Raises InputError, naming keys, if anything is missing, unknown or of another shape.
    """
    state = backbone.adapted(tensors)
    own = backbone.state_dict()
    # Files older than this counter lack it, and nothing here reads it.
    state = {k: v for k, v in own.items() if k.endswith("num_batches_tracked")} | state
    problems = {
        "missing": [k for k in own if k not in state],
        "unknown": [k for k in state if k not in own],
        "of another shape": [k for k in own if k in state and own[k].shape != state[k].shape],
    }
    found = "; ".join(
        f"{len(keys)} {what}: {', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''}"
        for what, keys in problems.items()
        if keys
    )
    if found:
        raise InputError(
            f"weights: {source} does not fit {backbone.name} up to stage {backbone.last_stage} "
            f"({found}); give a file of this network with {backbone.library}'s keys"
        )
    backbone.load_state_dict(state)


def imagenet_weights(name: str, file: str | Path | None) -> Path:
    """Return the path of ImageNet weights for the backbone ``name``.

    That is ``file`` if one is given; otherwise torchvision's published weights, downloaded once
    into torch's cache (``TORCH_HOME``). Raises InputError if neither is to be had.
    """
    if file is not None:
        if not Path(file).is_file():
            raise InputError(f"roots.imagenet: {file} does not exist; give a weights file")
        return Path(file)
    url = _IMAGENET[name].url
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
    if cached.is_file():
        return cached
    digest = cached.stem.rpartition("-")[2]
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(cached), hash_prefix=digest, progress=False)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"roots.imagenet: {url} could not be downloaded ({error}); give roots.imagenet a "
            "weights file, run once on a machine with internet access and the same TORCH_HOME, "
            "or drop imagenet from the curricula"
        ) from error
    return cached
