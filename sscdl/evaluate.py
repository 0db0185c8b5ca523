"""Predictions and attention of a finished classifier on images that it was not trained on."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sscdl import variants
from sscdl.attention import attention_share, class_activation_map, region_share, resize_map
from sscdl.augment import center_resize
from sscdl.backbones import build_backbone, read_weights
from sscdl.cohorts import NOT_REPORTED
from sscdl.data import select_rows
from sscdl.device import choose_device
from sscdl.errors import InputError
from sscdl.files import atomic_path, read_json
from sscdl.imagelist import write_csv
from sscdl.store import Store, read_pointer

LOGGER = logging.getLogger("sscdl.evaluate")
BATCH = 64


class Classifier:
    """A finished classifier with the preprocessing that its lineage prescribes."""

    def __init__(self, pointer: Path, device: torch.device) -> None:
        store = Store(pointer.parent.parent)
        named = read_pointer(pointer)
        weights = read_weights(store.weights(named))
        folder = store.object(named["object"])
        self.lineage = read_json(folder / "lineage.json")
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

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return probabilities (B, K) and maps of the predicted class (B, h, w).

        ``images`` is uint8 (B, S, S). The map is Zhou's class activation map: the last features
        weighted by the predicted class's row of the linear layer.
        """
        x = center_resize(images.to(self.device)[:, None], self.size)
        x = ((x - self.mean) / self.std).expand(-1, 3, -1, -1)
        features = self.backbone.features(x.contiguous(memory_format=torch.channels_last))
        logits = features.mean(dim=(2, 3)) @ self.weight.T + self.bias
        maps = class_activation_map(features, self.weight[logits.argmax(dim=1)])
        return logits.softmax(dim=1), maps


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

    ``maps_out`` (.npz) holds the class activation maps (N, h, w) and the image ids.
    """
    torch.set_num_threads(threads)
    model = Classifier(pointer, choose_device(device))
    array, lungs, described = variants.read_with_masks(pack, lung_pack)
    trained_on = select_rows(images_csv, described, model.lineage["recipe"]["data"]).digest
    if trained_on != model.lineage["data"]["rows"]:
        raise InputError(
            f"{images_csv}: is not the list of images that {pointer.name} was trained with: test "
            "images may have been trained on; delete the pointer and run again"
        )
    kept = {"patient_id": str, "image_id": str}
    frame = pd.read_csv(images_csv, dtype=kept, keep_default_na=False)
    held_out = ~frame["split"].isin(NOT_REPORTED) & (frame["mask"] != "")
    frame = frame[held_out & frame["label"].isin(model.classes)].reset_index(drop=True)
    if frame.empty:
        raise InputError(f"{images_csv}: no labelled image outside the training split to test on")
    row_of = {image_id: row for row, image_id in enumerate(described["ids"])}
    rows = [row_of[image_id] for image_id in frame["image_id"]]
    crops = described["crops"] or [variants.WHOLE] * len(array)
    probabilities, maps, scores = [], [], []
    for begin in range(0, len(rows), BATCH):
        part = rows[begin : begin + BATCH]
        chance, attention = model(torch.from_numpy(array[part]))
        probabilities.append(chance.cpu().numpy())
        maps.append(attention.cpu().numpy())
        lines = frame.iloc[begin : begin + BATCH]
        regions, shown = torch.from_numpy(lungs[part] > 127), [crops[row] for row in part]
        scores.append(_attention(attention.cpu(), regions, lines, shown))
    chances = np.concatenate(probabilities)
    result = pd.DataFrame(
        {
            "variant": variant,
            "curriculum": curriculum,
            "seed": seed,
            **{key: frame[key] for key in ("image_id", "patient_id", "split", "label")},
            "predicted": [model.classes[k] for k in chances.argmax(axis=1)],
            **{f"prob_{name}": chances[:, k].round(6) for k, name in enumerate(model.classes)},
            "view": frame["view"],
        }
    )
    result = pd.concat([result, pd.concat(scores, ignore_index=True).round(6)], axis=1)
    write_csv(result, out)
    with atomic_path(maps_out) as temporary:
        np.savez_compressed(
            temporary,
            maps=np.concatenate(maps).astype(np.float32),
            ids=frame["image_id"].to_numpy(str),
        )
    correct = (result["label"] == result["predicted"]).groupby(result["split"]).mean()
    for name, share in correct.items():
        LOGGER.info("%s %s: %.1f %% of %s right", variant, curriculum, 100 * share, name)


def _attention(
    maps: torch.Tensor, lungs: torch.Tensor, lines: pd.DataFrame, crops: list[variants.Box]
) -> pd.DataFrame:
    """Return the share of attention, and of the picture, inside lungs, planted mark and boxes.

    ``maps`` (B, h, w) and ``lungs`` (B, S, S) belong to pictures that show the parts ``crops`` of
    the images; mark and boxes in ``lines`` are fractions of the whole images. Those that a picture
    does not show have no share.
    """
    size = lungs.shape[-1]
    large = resize_map(maps, size)
    found: dict[str, Any] = {
        "ail": attention_share(large, lungs),
        "lung_share": region_share(lungs),
    }
    for name, column in (("mark", "mark"), ("box", "boxes")):
        region = torch.stack(
            [
                _boxes(text, size, column == "mark", crop)
                for text, crop in zip(lines[column], crops, strict=True)
            ]
        )
        known = region.flatten(1).any(dim=1)
        for key, share in (
            (f"{name}_attention", attention_share(large, region)),
            (f"{name}_share", region_share(region)),
        ):
            found[key] = torch.where(known, share, torch.nan)
    return pd.DataFrame({key: value.numpy() for key, value in found.items()})


def _boxes(text: str, size: int, single: bool, crop: variants.Box) -> torch.Tensor:
    """Return the pixels (size, size) inside boxes, for a picture of the part ``crop`` of an image.

    The boxes are JSON lists of fractions of the image; ``single`` says that there is but one.
    """
    region = torch.zeros(size, size, dtype=torch.bool)
    boxes = json.loads(text) if text else []
    left, top, right, bottom = crop
    for x0, y0, x1, y1 in [boxes] if single and boxes else boxes:
        rows = _pixels((y0 - top) / (bottom - top), (y1 - top) / (bottom - top), size)
        columns = _pixels((x0 - left) / (right - left), (x1 - left) / (right - left), size)
        region[rows, columns] = True
    return region


def _pixels(start: float, stop: float, size: int) -> slice:
    """Return the pixels between two fractions of a picture's side; none if they lie beside it.

    At least one pixel, however close they are.
    """
    if start >= 1 or (start < 0 and stop <= 0):
        return slice(0, 0)
    first = int(max(start, 0.0) * size)
    return slice(first, max(round(min(stop, 1.0) * size), first + 1))
