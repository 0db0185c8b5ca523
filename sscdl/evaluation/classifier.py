"""Networks that classify and show where they look: their probabilities and activation maps."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from sscdl.evaluation.attention import class_activation_map, of_class
from sscdl.store.store import Store, read_pointer
from sscdl.training.augment import center_resize
from sscdl.training.backbones import Backbone, build_backbone
from sscdl.weight_files import read_tensors

BATCH = 64


def load_classifier(backbone: Backbone, tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Load a classifier's ``tensors`` into ``backbone``; return its last layer's weight and bias.

    These are (K, C) and (K,). Raises RuntimeError for weights of another network.
    """
    head = {part: f"{backbone.head_name}.{part}" for part in ("weight", "bias")}
    if missing := [name for name in head.values() if name not in tensors]:
        raise RuntimeError(f"it has no {' and no '.join(missing)}")
    own = {name: one for name, one in tensors.items() if name not in head.values()}
    backbone.load_state_dict(own)
    return tensors[head["weight"]], tensors[head["bias"]]


class CamNetwork:
    """A backbone with a linear layer on its pooled features, and the preprocessing of its input."""

    def __init__(
        self,
        backbone: Backbone,
        weight: Tensor,
        bias: Tensor,
        *,
        classes: list[str],
        size: int,
        mean: float,
        std: float,
        device: torch.device,
        several: bool = False,
    ) -> None:
        """Put the network on ``device``, for evaluation.

        ``weight`` (K, C) and ``bias`` (K,) are the linear layer's, for the K ``classes``; ``size``
        is the side of its input in pixels; ``mean`` and ``std`` normalise gray values in [0, 1].
        ``several``: an image may have any number of the classes, which are findings then.
        """
        self.several = several
        self.classes, self.size, self.mean, self.std = classes, size, mean, std
        self.weight, self.bias = weight.to(device), bias.to(device)
        # torch takes both, its types do not say so.
        self.backbone = backbone.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.device = device

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (B, K) and maps of the predicted class (B, h, w).

        ``images`` is uint8 (B, S, S).
        """
        chances, maps = self.explain(images)
        return chances, of_class(maps, chances.argmax(dim=1))

    @torch.no_grad()
    def explain(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (B, K) and maps of every class (B, K, h, w).

        ``images`` is uint8 (B, S, S). The map is Zhou's class activation map: the last features
        weighted by the class's row of the linear layer.
        """
        x = self.normalise(center_resize(images.to(self.device)[:, None], self.size))
        features = self.backbone.features(x)
        logits = features.mean(dim=(2, 3)) @ self.weight.T + self.bias
        maps = [class_activation_map(features, row.expand(len(x), -1)) for row in self.weight]
        # In double precision, in which rare findings are not all of the probability 0, or 1.
        chances = logits.double().sigmoid() if self.several else logits.softmax(dim=1)
        return chances, torch.stack(maps, dim=1)

    def normalise(self, images: Tensor) -> Tensor:
        """Return images (B, 1, h, w) in [0, 1] as the network's input, (B, 3, h, w)."""
        x = ((images - self.mean) / self.std).expand(-1, 3, -1, -1)
        return x.contiguous(memory_format=torch.channels_last)


class Classifier(CamNetwork):
    """A finished classifier with the preprocessing that its lineage prescribes."""

    def __init__(self, pointer: Path, device: torch.device) -> None:
        store = Store(pointer.parent.parent)
        named = read_pointer(pointer)
        self.lineage = store.lineage(named)
        recipe, data = self.lineage["recipe"], self.lineage["data"]
        backbone = build_backbone(**recipe["backbone"])
        weight, bias = load_classifier(backbone, read_tensors(store.weights(named)))
        super().__init__(
            backbone, weight, bias,
            classes=recipe["data"].get("findings") or recipe["data"]["classes"],
            size=recipe["image_size"], mean=data["mean"], std=data["std"], device=device,
            several="findings" in recipe["data"],
        )  # fmt: skip
