"""What the project's training is compared with: a floor, and the recipe of another library.

``Floor`` is the fastest plain loop that trains the same network on as many pixels: tensors that
are there already, no augmentation, cross-entropy on a head of the same size, a fused optimiser, and
nothing that makes the host wait. ``Recipe`` is what one writes with lightly and torchvision: PNG
files, PIL, a DataLoader with one worker for each core, and lightly's losses and heads. From the
project both take the network's definition alone.
"""

from __future__ import annotations

import copy
import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

# lightly imports torchvision, which may need the shim to load: hence this order.
from sscdl._torchvision import torchvision
from sscdl.training.backbones import build_backbone

TASKS = ("moco", "swav", "relloc", "rotation", "classify")
FLOORS = (*TASKS, "vicreg")  # those that have a floor; the recipes are of the others
CLASSES = 3
LOCAL_CROPS, LOCAL_SIZE = 4, 0.43
PATCH, SMALLEST_PATCH = 0.87 / 3 * 0.75, 24  # as a share of the image's side; pixels
PROTOTYPES, DIMENSION, EXPANDED = 60, 128, 512
GRID = [(k % 3, k // 3) for k in range(9)]
NEIGHBOURS = [0, 1, 2, 3, 5, 6, 7, 8]


@dataclass(frozen=True)
class Views:
    """Square network inputs of one side that a step makes of every image of the batch."""

    number: int
    side: int  # pixels
    gradient: bool = True


def views_of(task: str, size: int) -> list[Views]:
    """Return what ``task`` passes through the network for each image of ``size`` px."""
    local = max(1, round(LOCAL_SIZE * size))
    return {
        "moco": [Views(1, size), Views(1, size, gradient=False)],
        "vicreg": [Views(2, size)],
        "swav": [Views(2, size), Views(LOCAL_CROPS, local)],
        "relloc": [Views(9, max(SMALLEST_PATCH, round(PATCH * size)))],
        "rotation": [Views(4, size)],
        "classify": [Views(1, size)],
    }[task]


def _hidden(incoming: int, outgoing: int) -> list[nn.Module]:
    return [nn.Linear(incoming, outgoing), nn.BatchNorm1d(outgoing), nn.ReLU()]


def head_of(task: str, width: int) -> nn.Sequential:
    """Return a head as large as that of ``task`` on features of ``width`` channels."""
    if task == "moco":
        return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, DIMENSION))
    if task == "swav":
        last = [nn.Linear(width, DIMENSION), nn.Linear(DIMENSION, PROTOTYPES, bias=False)]
        return nn.Sequential(*_hidden(width, width), *last)
    if task == "vicreg":
        hidden = [*_hidden(width, EXPANDED), *_hidden(EXPANDED, EXPANDED)]
        return nn.Sequential(*hidden, nn.Linear(EXPANDED, EXPANDED, bias=False))
    if task == "relloc":
        return nn.Sequential(*_hidden(2 * width, 2 * width), nn.Linear(2 * width, 8))
    return nn.Sequential(nn.Linear(width, 4 if task == "rotation" else CLASSES))


def joined_neighbours(features: Tensor) -> Tensor:
    """Return (8B, 2C): the centre's feature beside each neighbour's, of patches (9B, C)."""
    cells = features.unflatten(0, (-1, 9))
    neighbours = cells[:, NEIGHBOURS]
    return torch.cat([cells[:, 4:5].expand_as(neighbours), neighbours], dim=2).flatten(0, 1)


class Floor:
    """Network, head, resident input and optimiser; ``step`` trains on the whole input once."""

    def __init__(
        self, task: str, network: dict[str, Any], size: int, batch: int, device: torch.device,
        precision: str = "float32",
    ) -> None:  # fmt: skip
        self.task, self.device, self.precision = task, device, precision

        def build() -> nn.Module:
            backbone = build_backbone(**network)
            model = nn.ModuleDict({"backbone": backbone, "head": head_of(task, backbone.channels)})
            return model.to(device, memory_format=torch.channels_last)

        self.model = build()
        self.slow = build().requires_grad_(False) if task == "moco" else None
        self.inputs = [
            (torch.rand(v.number * batch, 3, v.side, v.side, device=device), v.gradient)
            for v in views_of(task, size)
        ]
        self.inputs = [(x.to(memory_format=torch.channels_last), g) for x, g in self.inputs]
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, fused=True
        )
        self.truth: Tensor | None = None

    def step(self) -> Tensor:
        """Take one step; returns the loss, on the device."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            features = []
            for pixels, gradient in self.inputs:
                if gradient:
                    features.append(self.model["backbone"](pixels))
                else:
                    self._embed_slowly(pixels)
            joined = torch.cat(features) if len(features) > 1 else features[0]
            if self.task == "relloc":
                joined = joined_neighbours(joined)
            scores = self.model["head"](joined)
            if self.truth is None:
                self.truth = torch.randint(scores.shape[1], (len(scores),), device=self.device)
            loss = F.cross_entropy(scores, self.truth)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    @torch.no_grad()
    def _embed_slowly(self, pixels: Tensor) -> None:
        slow, fast = list(self.slow.parameters()), list(self.model.parameters())
        torch._foreach_lerp_(slow, fast, 0.01)
        self.slow["head"](self.slow["backbone"](pixels))


def write_pngs(pixels: np.ndarray, folder: Path) -> list[Path]:
    """Write images, uint8 (N, S, S), as gray PNG files and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{number}.png" for number in range(len(pixels))]
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray(image).save(file)
    return files


class Files(torch.utils.data.Dataset):
    """Pictures in files, as the network's input: PIL's image, in colour, through ``transform``."""

    def __init__(self, files: list[Path], transform: Any) -> None:
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> tuple[Any, int]:
        return self.transform(Image.open(self.files[row]).convert("RGB")), row % CLASSES


class Patches:
    """Nine jittered patches of a 3 x 3 grid at a random place, mirrored or not, (9, 3, p, p)."""

    def __init__(self, size: int, finish: Any) -> None:
        self.size, self.finish = size, finish

    def __call__(self, image: Image.Image) -> Tensor:
        u = torch.rand(3 + 2 * len(GRID)).tolist()
        if u[0] < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        cell, patch = image.width * 0.87 / 3, image.width * PATCH
        patches = []
        for number, (column, row) in enumerate(GRID):
            left, top = (
                u[1 + axis] * (image.width - 3 * cell)
                + cell * (place + 0.05 + 0.15 * u[3 + 2 * number + axis])
                for axis, place in enumerate((column, row))
            )
            box = (left, top, left + patch, top + patch)
            patch_image = image.resize((self.size,) * 2, Image.Resampling.BILINEAR, box)
            patches.append(self.finish(patch_image))
        return torch.stack(patches)


def recipe_transform(task: str, size: int) -> Any:
    """Return the transform of a picture (PIL) to the network's inputs for ``task``.

    lightly's and torchvision's own, with the strengths of the project's defaults: no colour, no
    blur, so that neither side does work that the other leaves out.
    """
    transforms = importlib.import_module(f"{torchvision.__name__}.transforms.v2")
    own = importlib.import_module("lightly.transforms")
    first, second = views_of(task, size)[0], views_of(task, size)[-1]
    shared = {
        "cj_prob": 1.0, "cj_bright": 0.2, "cj_contrast": 0.2, "cj_sat": 0.0, "cj_hue": 0.0,
        "random_gray_scale": 0.0, "gaussian_blur": 0.0, "rr_prob": 1.0, "rr_degrees": 10,
    }  # fmt: skip
    if task == "moco":
        return own.MoCoV2Transform(input_size=size, min_scale=0.2, **shared)
    if task == "swav":
        return own.SwaVTransform(
            crop_sizes=(first.side, second.side), crop_counts=(first.number, second.number),
            crop_min_scales=(0.4, 0.2), crop_max_scales=(1.0, 0.4), **shared,
        )  # fmt: skip
    finish = [
        transforms.ToImage(),
        transforms.ToDtype(torch.float32, scale=True),
        transforms.Normalize([0.5] * 3, [0.25] * 3),
    ]
    if task == "relloc":
        jitter = transforms.ColorJitter(brightness=0.2, contrast=0.2)
        return Patches(first.side, transforms.Compose([jitter, *finish]))
    crop = transforms.RandomResizedCrop(size, scale=(0.5 if task == "classify" else 0.2, 1.0))
    return transforms.Compose([crop, transforms.RandomHorizontalFlip(), *finish])


class Recipe:
    """The loop of lightly's examples (or torchvision's) for one task on PNG files."""

    def __init__(
        self, task: str, network: dict[str, Any], size: int, batch: int, device: torch.device,
        precision: str, files: list[Path],
    ) -> None:  # fmt: skip
        self.task, self.device, self.precision = task, device, precision
        self.lightly = importlib.import_module("lightly.models.utils")
        losses = importlib.import_module("lightly.loss")
        heads = importlib.import_module("lightly.models.modules")
        backbone = build_backbone(**network)
        width = backbone.channels
        if task == "moco":
            head = heads.MoCoProjectionHead(width, width, DIMENSION)
            queue = max(1, len(files) // 5 // batch) * batch
            self.loss = losses.NTXentLoss(temperature=0.2, memory_bank_size=(queue, DIMENSION))
        elif task == "swav":
            head = heads.SwaVProjectionHead(width, width, DIMENSION)
            self.loss = losses.SwaVLoss()
        else:
            head, self.loss = head_of(task, width), nn.CrossEntropyLoss()
        self.loss.to(device)
        self.model = nn.ModuleDict({"backbone": backbone, "head": head})
        if task == "swav":
            self.model["prototypes"] = heads.SwaVPrototypes(DIMENSION, PROTOTYPES)
        self.model.to(device, memory_format=torch.channels_last)
        self.slow = None
        if task == "moco":
            self.slow = copy.deepcopy(self.model)
            self.lightly.deactivate_requires_grad(self.slow)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4
        )
        self.loader = torch.utils.data.DataLoader(
            Files(files, recipe_transform(task, size)), batch, shuffle=True, drop_last=True,
            num_workers=os.cpu_count() or 1, pin_memory=device.type == "cuda",
            # CPU time counts workers once they have ended; on a GPU it is wall time that counts.
            persistent_workers=device.type == "cuda",
        )  # fmt: skip

    def epoch(self) -> None:
        """Train on every file once; on the CPU, the workers have ended when this returns."""
        for views, labels in self.loader:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                loss = self._loss(views, labels.to(self.device, non_blocking=True))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def _loss(self, views: Any, labels: Tensor) -> Tensor:
        views = views if isinstance(views, (list, tuple)) else [views]
        views = [view.to(self.device, non_blocking=True) for view in views]
        backbone, head = self.model["backbone"], self.model["head"]
        if self.task == "moco":
            self.lightly.update_momentum(self.model, self.slow, 0.99)
            query = head(backbone(views[0]))
            with torch.no_grad():
                key = self.slow["head"](self.slow["backbone"](views[1]))
            return self.loss(query, key)
        if self.task == "swav":
            return self._swapped(views)
        if self.task == "relloc":
            labels = torch.arange(8, device=self.device).repeat(len(labels))
            return self.loss(head(joined_neighbours(backbone(views[0].flatten(0, 1)))), labels)
        if self.task == "rotation":
            pixels = torch.cat([torch.rot90(views[0], turn, (2, 3)) for turn in range(4)])
            turns = torch.arange(4, device=self.device).repeat_interleave(len(views[0]))
            return self.loss(head(backbone(pixels)), turns)
        return self.loss(head(backbone(views[0])), labels)

    def _swapped(self, views: list[Tensor]) -> Tensor:
        prototypes = self.model["prototypes"]
        prototypes.normalize()
        scores = []
        for crops in (views[:2], views[2:]):
            features = self.model["backbone"](torch.cat(crops))
            embeddings = F.normalize(self.model["head"](features), dim=1)
            scores += prototypes(embeddings).chunk(len(crops))
        return self.loss(scores[:2], scores[2:])
