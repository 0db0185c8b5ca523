"""Predictions and attention of a finished classifier on images that it was not trained on."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from sscdl.evaluation.attention import class_activation_map
from sscdl.evaluation.attention_scores import score_maps
from sscdl.files import atomic_path
from sscdl.images import variants
from sscdl.images.held_out import check_trained_with, held_out, prediction_columns, read_images
from sscdl.images.imagelist import write_csv
from sscdl.images.rows import select_rows
from sscdl.store.store import Store, read_pointer
from sscdl.training.augment import center_resize
from sscdl.training.backbones import build_backbone, read_weights
from sscdl.training.batch_statistics import settle, spread, wanted
from sscdl.training.device import lease

LOGGER = logging.getLogger("sscdl.evaluate")
BATCH = 64
_LARGEST_HALF = float(np.finfo(np.float16).max)


class Pictures(NamedTuple):
    """Descriptions of the packed pictures of a variant and of the lung masks that belong to it."""

    pack: Path
    lungs: Path


class Classifier:
    """A finished classifier with the preprocessing that its lineage prescribes."""

    def __init__(self, pointer: Path, device: torch.device) -> None:
        store = Store(pointer.parent.parent)
        named = read_pointer(pointer)
        weights = read_weights(store.weights(named))
        self.lineage = store.lineage(named)
        recipe = self.lineage["recipe"]
        head = {k: weights.pop(k) for k in list(weights) if k.startswith(("fc.", "classifier."))}
        self.weight, self.bias = (
            next(tensor.to(device) for name, tensor in head.items() if name.endswith(part))
            for part in (".weight", ".bias")
        )
        self.classes: list[str] = recipe["data"]["classes"]
        self.size: int = recipe["image_size"]
        self.mean, self.std = self.lineage["data"]["mean"], self.lineage["data"]["std"]
        self.backbone = build_backbone(**recipe["backbone"])
        self.backbone.load_state_dict(weights)
        self.backbone.to(device, memory_format=torch.channels_last).eval()
        self.device = device

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (B, K) and maps of the predicted class (B, h, w).

        ``images`` is uint8 (B, S, S).
        """
        chances, maps = self.explain(images)
        return chances, of_predicted(chances, maps)

    @torch.no_grad()
    def explain(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (B, K) and maps of every class (B, K, h, w).

        ``images`` is uint8 (B, S, S). The map is Zhou's class activation map: the last features
        weighted by the class's row of the linear layer.
        """
        x = self._normalise(center_resize(images.to(self.device)[:, None], self.size))
        features = self.backbone.features(x)
        logits = features.mean(dim=(2, 3)) @ self.weight.T + self.bias
        maps = [class_activation_map(features, row.expand(len(x), -1)) for row in self.weight]
        return logits.softmax(dim=1), torch.stack(maps, dim=1)

    def _normalise(self, images: Tensor) -> Tensor:
        """Return images (B, 1, h, w) in [0, 1] as the network's input, (B, 3, h, w)."""
        x = ((images - self.mean) / self.std).expand(-1, 3, -1, -1)
        return x.contiguous(memory_format=torch.channels_last)

    def untrained(self, seed: int, images: Tensor) -> Self:
        """Return the same network with random weights, those that ``seed`` gives on any device.

        Where its attention falls tells what architecture and pictures bring about by themselves
        (Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018). Where this network has
        statistics of its own weights, so has that one, over training ``images``, uint8 (N, S, S);
        otherwise its normalisation layers are as they begin, and change nothing.
        """
        twin = copy.copy(self)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            twin.backbone = build_backbone(self.backbone.name, self.backbone.last_stage)
            head = torch.nn.Linear(twin.backbone.channels, len(self.classes))
        twin.backbone.to(self.device, memory_format=torch.channels_last).eval()
        if wanted(self.lineage["recipe"]):
            settle(twin.backbone, self._normalise, images, self.size)
        twin.weight, twin.bias = (part.detach().to(self.device) for part in head.parameters())
        return twin


def of_predicted(chances: Tensor, class_maps: Tensor) -> Tensor:
    """Return of each image's maps (B, K, h, w) that of its most probable class, (B, h, w)."""
    return class_maps[torch.arange(len(chances), device=chances.device), chances.argmax(dim=1)]


def predict(
    pointer: Path,
    pack: Path,
    lung_pack: Path,
    images_csv: Path,
    out: Path,
    maps_out: Path,
    *,
    variant: str,
    curriculum: str,
    seed: int,
    device: str,
    threads: int,
) -> None:
    """Write one line per labelled image outside the training split: probabilities and attention.

    ``maps_out`` (.npz) holds ``maps``, the class activation maps of the predicted classes (float32,
    N, h, w), ``class_maps``, those of all classes (float16, N, K, h, w), and the image ``ids``.
    :func:`sscdl.evaluation.attention_scores.score_maps` says what the columns about attention are.
    """
    names = {"variant": variant, "curriculum": curriculum, "seed": seed}
    with _opened(pointer, pack, images_csv, seed, device, threads) as (model, untrained, frame):
        result, maps, class_maps = _predict(
            model, untrained, Pictures(pack, lung_pack), frame, names
        )
    write_csv(result, out)
    with atomic_path(maps_out) as temporary:
        np.savez_compressed(
            temporary,
            maps=maps.astype(np.float32),
            # An overflow would become infinite, which no figure can be scaled to.
            class_maps=class_maps.clip(-_LARGEST_HALF, _LARGEST_HALF).astype(np.float16),
            ids=frame["image_id"].to_numpy(str),
        )
    _report(result, f"{variant} {curriculum}")


def predict_shown(
    pointer: Path,
    pack: Path,
    images_csv: Path,
    out: Path,
    shown: dict[str, Pictures],
    *,
    variant: str,
    curriculum: str,
    seed: int,
    device: str,
    threads: int,
) -> None:
    """Write what a model predicts when it is shown the pictures of other variants than its own.

    The lines are those of :func:`predict` for every variant in ``shown``, one after the other, with
    its name in the column ``shown``. The model is used as it would be elsewhere: it normalises what
    it sees as in its training. ``pack`` describes the pictures of its own variant, which prove that
    it was trained with this list of images.
    """
    parts = []
    with _opened(pointer, pack, images_csv, seed, device, threads) as (model, untrained, frame):
        for other, pictures in shown.items():
            names = {"variant": variant, "curriculum": curriculum, "shown": other, "seed": seed}
            parts.append(_predict(model, untrained, pictures, frame, names)[0])
            _report(parts[-1], f"{variant} {curriculum} shown {other}")
    write_csv(pd.concat(parts, ignore_index=True), out)


@contextmanager
def _opened(
    pointer: Path, pack: Path, images_csv: Path, seed: int, device: str, threads: int
) -> Iterator[tuple[Classifier, Classifier, pd.DataFrame]]:
    """Yield a classifier, the untrained one of ``seed``, and the images to test them on.

    Both are on a device that is theirs meanwhile. ``pack`` describes the pictures that the first
    was trained on; InputError if that was with another list of images.
    """
    torch.set_num_threads(threads)
    with lease(device, 1) as (name,):
        model = Classifier(pointer, torch.device(name))
        array, described = variants.read_pack(pack)
        check_trained_with(images_csv, described, model.lineage, pointer.name)
        trained = select_rows(images_csv, described, model.lineage["recipe"]["data"]).train
        untrained = model.untrained(seed, torch.from_numpy(array[spread(trained)]))
        yield model, untrained, held_out(read_images(images_csv), model.classes)


def _predict(
    model: Classifier,
    untrained: Classifier,
    pictures: Pictures,
    frame: pd.DataFrame,
    names: dict[str, str | int],
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return the predictions of the images in ``frame``, and their maps.

    These are the maps of the predicted class, float32 (N, h, w), and of all, (N, K, h, w).
    ``names`` are the first columns; ``untrained`` is what attention is compared with.
    """
    array, lungs, described = variants.read_with_masks(*pictures)
    row_of = {image_id: row for row, image_id in enumerate(described["ids"])}
    rows = [row_of[image_id] for image_id in frame["image_id"]]
    crops = described["crops"] or [variants.WHOLE] * len(array)
    probabilities, maps, all_maps, scores = [], [], [], []
    for begin in range(0, len(rows), BATCH):
        part = rows[begin : begin + BATCH]
        images = torch.from_numpy(array[part])
        chances, class_maps = model.explain(images)
        predicted = of_predicted(chances, class_maps).cpu()
        probabilities.append(chances.cpu().numpy())
        maps.append(predicted.numpy())
        all_maps.append(class_maps.cpu().numpy())
        score = score_maps(
            predicted,
            class_maps.cpu(),
            untrained(images)[1].cpu(),
            torch.from_numpy(lungs[part] > 127),
            frame.iloc[begin : begin + BATCH],
            [crops[row] for row in part],
            model.classes,
        )
        scores.append(score)
    found = np.concatenate(probabilities)
    result = prediction_columns(frame, found, model.classes)
    for place, (column, value) in enumerate(names.items()):
        result.insert(place, column, value)
    result = pd.concat([result, pd.concat(scores, ignore_index=True).round(6)], axis=1)
    return result, np.concatenate(maps), np.concatenate(all_maps)


def _report(result: pd.DataFrame, name: str) -> None:
    correct = (result["label"] == result["predicted"]).groupby(result["split"]).mean()
    for split, share in correct.items():
        LOGGER.info("%s: %.1f %% of %s right", name, 100 * share, split)
