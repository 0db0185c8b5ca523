"""Backbones (torchvision's ResNets and DenseNet-121) and the weights that they start from.

State dicts have torchvision's keys, so every trained backbone loads strictly into torchvision's own
network once its classifier, and any stage that was left out, is ``torch.nn.Identity``.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from urllib.parse import urlparse

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from sscdl._torchvision import torchvision
from sscdl.errors import InputError

_models = torchvision.models
_RESNETS = {
    "resnet18": (_models.resnet.BasicBlock, (2, 2, 2, 2)),
    "resnet50": (_models.resnet.Bottleneck, (3, 4, 6, 3)),
}
# The first published ImageNet weights: those that the literature means by "ImageNet pretrained".
_IMAGENET = {
    "resnet18": _models.ResNet18_Weights.IMAGENET1K_V1,
    "resnet50": _models.ResNet50_Weights.IMAGENET1K_V1,
    "densenet121": _models.DenseNet121_Weights.IMAGENET1K_V1,
}
NAMES = tuple(_IMAGENET)
_HEADS = ("fc.", "classifier.")


class ResNetBackbone(_models.ResNet):
    """A torchvision ResNet without classifier that may end before its last stage.

    ``features`` maps normalised images (B, 3, h, w) to the last feature map (B, C, h', w');
    calling the module returns its global average, (B, C).
    """

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


class DenseNetBackbone(_models.DenseNet):
    """torchvision's DenseNet-121 without classifier; the interface of ``ResNetBackbone``."""

    def __init__(self) -> None:
        super().__init__(growth_rate=32, block_config=(6, 12, 24, 16), num_init_features=64)
        self.name = "densenet121"
        self.last_stage = 4
        self.channels = self.classifier.in_features
        self.classifier = nn.Identity()
        # torchvision applies the last ReLU outside of its feature extractor. It has no weights.
        self.features.add_module("relu5", nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x).mean(dim=(2, 3))


Backbone = ResNetBackbone | DenseNetBackbone


def build_backbone(name: str, last_stage: int = 4) -> Backbone:
    """Return a randomly initialised backbone (torch's global generator decides the weights).

    ``name`` is one of ``NAMES``. ``last_stage`` 2 or 3 ends a ResNet early, for images so small
    that its last map would have no spatial extent. Raises InputError for anything else.
    """
    if name not in NAMES:
        raise InputError(f"backbone: unknown name {name!r}; choose one of {', '.join(NAMES)}")
    if last_stage not in (2, 3, 4):
        raise InputError(f"backbone: last_stage is {last_stage!r}; choose 2, 3 or 4")
    if name in _RESNETS:
        return ResNetBackbone(name, last_stage)
    if last_stage != 4:
        raise InputError(f"backbone: {name} cannot end early; set last_stage to 4")
    return DenseNetBackbone()


def last_map_size(name: str, last_stage: int, image_size: int) -> int:
    """Return the side, in cells, of the last feature map for square images of ``image_size`` px."""
    if name in _RESNETS:
        return -(-image_size // 2 ** (last_stage + 1))
    # DenseNet pools without padding, which rounds down where a ResNet rounds up.
    return -(-image_size // 4) // 8


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a ``.safetensors`` file, or of a ``.pt``/``.pth`` state dict.

    Raises InputError if the file is missing, has another suffix, or cannot be read as weights only.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"weights: {path} does not exist; give the path of a weights file")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise InputError(f"weights: {path} is not a safetensors file ({error})") from error
    if path.suffix not in {".pt", ".pth"}:
        raise InputError(f"weights: {path} must end in .safetensors, .pt or .pth")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"weights: {path} cannot be read as plain tensors ({reason}); "
            "save the state dict alone with torch.save(model.state_dict(), ...)"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    tensors = {}
    if isinstance(content, dict):
        tensors = {k: v for k, v in content.items() if isinstance(v, Tensor)}
    if not tensors:
        raise InputError(f"weights: {path} holds no state dict; save model.state_dict()")
    return tensors


def _torchvision_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Strip the prefixes that wrappers add, and the classifier, from the keys of ``state``."""
    for prefix in ("module.", "backbone.", "encoder_q."):
        inside = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        state = inside or state
    state = {k: v for k, v in state.items() if not k.startswith(_HEADS)}
    # torchvision's DenseNet file predates its present names: norm.1 is norm1 today.
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
    return {old.sub(r"\1\2.", k): v for k, v in state.items()}


def load_root(backbone: Backbone, source: str | Path) -> None:
    """Load the weights that a curriculum starts from into ``backbone``, in place.

    ``source`` is a weights file (see ``read_weights``) or ``"torchvision"`` for its ImageNet
    weights. Keys may be nested under ``state_dict`` or ``model`` and start with ``module.``,
    ``backbone.`` or ``encoder_q.``; a classifier and the stages after ``backbone.last_stage`` are
    ignored. Raises InputError, naming keys, if anything is missing, unknown or of another shape.
    """
    if str(source) == "torchvision":
        source = imagenet_weights(backbone.name, None)
    state = _torchvision_keys(read_weights(source))
    later = tuple(f"layer{stage}." for stage in range(backbone.last_stage + 1, 5))
    state = {k: v for k, v in state.items() if not (later and k.startswith(later))}
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
            f"({found}); give a file of this network with torchvision's keys"
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
