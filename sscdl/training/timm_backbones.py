"""Networks of timm as backbones: any that ends in a map, or in tokens of patches, and its average.

A state dict has timm's keys, so that every trained backbone loads strictly into
``timm.create_model(name, num_classes=0)``, with ``img_size`` where the model takes it.

A class activation map is exact where the feature is the global average of a map. So a transformer's
feature is here the average of its patches' tokens after the final norm, on their grid, also where
timm itself would take the class token; that token still takes part in all layers below. Networks
that normalise only what they have pooled (ConvNeXt) have their map normalised by the statistics of
its average: the average of that map is timm's own feature.

Random numbers are a function of seed, epoch and image (``sscdl.training.order``): dropout and
stochastic depth, which some models of timm have by default, are off.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

# isort: split
from sscdl._torchvision import torchvision  # noqa: F401  first, as timm imports it

# isort: split
import timm

from sscdl.errors import InputError
from sscdl.training.timm_published import check_imagenet, check_name, not_to_be_had
from sscdl.weight_files import check_finite

_INPUT_SIZES: tuple[dict[str, bool], ...] = (
    # Transformers of one size that take others all the same: positions are interpolated, and what
    # is no multiple of a patch is filled up with zeros, the mean gray.
    {"dynamic_img_size": True, "dynamic_img_pad": True},
    {"strict_img_size": False},
    {},
)


class TimmBackbone(nn.Module):
    """A network of timm without classifier; the interface of ``ResNetBackbone``.

    ``network`` is timm's model; the state dict has its keys, without that prefix. ``head_name`` is
    what timm calls the layer that classifies.
    """

    library, last_stage = "timm", 4

    network: Any  # timm's models differ in what they have

    def __init__(self, name: str, network: Any, image_size: int) -> None:
        super().__init__()
        self.name, self.network = name, network
        self.channels: int = network.num_features
        # Deit's distilled models have two; the first is that of the labels.
        head = network.pretrained_cfg.get("classifier") or "head"
        self.head_name: str = head if isinstance(head, str) else head[0]
        self._image_size = image_size
        self._cell = 0
        # The function is torch's, and has no types.
        self.register_load_state_dict_pre_hook(_with_prefix)  # type: ignore[no-untyped-call]

    def features(self, x: Tensor) -> Tensor:
        """Return the last feature map (B, channels, h', w') of normalised images (B, 3, h, w).

        ``h`` and ``w`` are equal.
        """
        found = as_map(self.network, self.network.forward_features(x))
        return _normalised(found, _norm_after_pooling(self.network))

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x).mean(dim=(2, 3))

    def map_size(self, side: int) -> int:
        """Return the side, in whole cells, of the last feature map of pictures of ``side`` px."""
        if not self._cell:
            self._cell = self._image_size // map_side(self.name, self._image_size)
        return side // self._cell

    def adapted(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return weights without the classifier, as timm brings them to this size and its names.

        Position embeddings are interpolated as timm does where it loads its published ones. Weights
        that fit are left as they are.
        """
        own = self.network.state_dict()
        kept = _without_head(tensors, own, self.head_name)
        if {k: v.shape for k, v in kept.items()} == {k: v.shape for k, v in own.items()}:
            return kept
        change = getattr(sys.modules[type(self.network).__module__], "checkpoint_filter_fn", None)
        if change is not None:
            # What it cannot read is named by whoever compares it with the network.
            with contextlib.suppress(Exception):
                kept = _without_head(change(dict(kept), self.network), own, self.head_name)
        return kept

    def load_published(self) -> None:
        """Load ImageNet's weights that timm publishes for the name, downloaded if need be.

        Raises InputError if there are none, they are not to be had, or numbers are not finite.
        """
        check_imagenet(self.name)
        try:
            published = create(self.name, self._image_size, pretrained=True)
        except Exception as error:  # of the hub's client, of its own or of the network's library
            raise not_to_be_had(self.name, error) from error
        weights = published.state_dict()
        check_finite(Path(f"timm's {self.name}"), weights)
        self.network.load_state_dict(weights)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.network.state_dict(*args, **kwargs)


def _with_prefix(module: nn.Module, state: dict[str, Any], prefix: str, *_: object) -> None:
    """Give the keys of a state dict, which are those of timm's model, the name of the attribute."""
    for key in [key for key in state if key.startswith(prefix)]:
        state[f"{prefix}network.{key.removeprefix(prefix)}"] = state.pop(key)


def _without_head(
    tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], head: str
) -> dict[str, Tensor]:
    """Return ``tensors`` without those of a classifier: ``head``, and what is called like it."""
    first = head.partition(".")[0]
    return {
        key: value
        for key, value in tensors.items()
        if key in own or not (key.startswith(f"{head}.") or key.partition("_")[0] == first)
    }


def as_map(network: nn.Module, found: Tensor) -> Tensor:
    """Return what the layers of ``network`` end in as a map (B, C, h, w).

    ``found``: a map, channels first or last, or tokens (B, n, C), row by row. Raises InputError
    for anything else.
    """
    if found.ndim == 4:
        last = getattr(network, "output_fmt", "NCHW") == "NHWC"
        return found.permute(0, 3, 1, 2) if last else found
    if found.ndim == 3:
        tokens = found[:, getattr(network, "num_prefix_tokens", 0) :]
        side = math.isqrt(tokens.shape[1])
        if side * side == tokens.shape[1]:
            return tokens.transpose(1, 2).unflatten(2, (side, side))
    raise InputError(f"it ends in {tuple(found.shape)}, which is no square map")


def _norm_after_pooling(network: nn.Module) -> nn.LayerNorm | None:
    """Return the norm that timm applies to the pooled feature, None for none."""
    for norm in (
        getattr(network, "fc_norm", None),
        getattr(getattr(network, "head", None), "norm", None),
    ):
        if isinstance(norm, nn.LayerNorm):
            return norm
    return None


def _normalised(found: Tensor, norm: nn.LayerNorm | None) -> Tensor:
    """Return a map (B, C, h, w) whose average is ``norm`` of the average of ``found``.

    Every cell is shifted and scaled as the average is.
    """
    if norm is None:
        return found
    pooled = found.float().mean(dim=(2, 3), keepdim=True)
    variance, mean = torch.var_mean(pooled, dim=1, correction=0, keepdim=True)
    found = (found.float() - mean) * (variance + norm.eps).rsqrt()
    if norm.weight is not None:
        found = found * norm.weight[:, None, None]
    return found if norm.bias is None else found + norm.bias[:, None, None]


def create(name: str, image_size: int, **more: Any) -> nn.Module:
    """Return timm's model ``name`` without classifier, for images of ``image_size`` px.

    ``more``: further arguments of ``timm.create_model``. Raises InputError for a name that timm
    does not know, and for a size that the model does not take.
    """
    network = plain(name, **arguments_of(name, image_size), **more)
    for module in network.modules():
        if isinstance(module, (nn.Dropout, nn.Dropout2d)):
            module.p = 0.0
        elif isinstance(module, timm.layers.DropPath):  # type: ignore[attr-defined]  # is there
            module.drop_prob = 0.0
    return network


def plain(name: str, **arguments: Any) -> nn.Module:
    """Return timm's own network without classifier."""
    return timm.create_model(name, num_classes=0, **arguments)


@cache
def arguments_of(name: str, image_size: int) -> dict[str, Any]:
    """Return what tells a model the size of its images; nothing where it takes any.

    Tried out on a device without memory, as timm does not say who takes what.
    """
    check_name(name)
    tried = [{"img_size": image_size, **more} for more in _INPUT_SIZES] + [{}]
    for arguments in tried:
        try:
            with torch.device("meta"):
                plain(name, **arguments)
        except TypeError as error:  # an argument that this model does not have
            if "argument" in str(error):
                continue
            raise unfit(name, image_size, error) from error
        except Exception as error:
            raise unfit(name, image_size, error) from error
        return arguments
    raise unfit(name, image_size, "it cannot be built")


def unfit(name: str, image_size: int, reason: object) -> InputError:
    """Return what refuses a network, with the ``reason``: a text, or what it has raised."""
    said = (str(reason).strip() or type(reason).__name__).splitlines()[0].rstrip(".")
    return InputError(
        f"backbone.name: {name} cannot be used for images of {image_size} px: {said}; give another "
        "network, or another image.size"
    )


def build(name: str, image_size: int) -> TimmBackbone:
    """Return a randomly initialised backbone (torch's global generator decides the weights).

    Raises InputError for a name that timm does not know, and for a size that it does not take.
    """
    return TimmBackbone(name, create(name, image_size), image_size)


@cache
def map_side(name: str, image_size: int) -> int:
    """Return the cells on a side of a network's last map; InputError if it has no such map."""
    with torch.device("meta"):
        network = build(name, image_size)
    try:
        found = seen(network, image_size)
    except Exception as error:
        raise unfit(name, image_size, error) from error
    if found.shape[1] != network.channels or found.shape[2] != found.shape[3]:
        raise unfit(name, image_size, f"it ends in {tuple(found.shape[1:])}, which is no map")
    return found.shape[2]


def seen(network: TimmBackbone, side: int) -> Tensor:
    """Return the map of two images without contents: one is too few for some norms."""
    return network.features(torch.zeros(2, 3, side, side, device="meta"))
