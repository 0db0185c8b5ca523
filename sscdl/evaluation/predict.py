"""Predictions and attention of a finished classifier on images that it was not trained on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from sscdl.evaluation.attention import of_class
from sscdl.evaluation.attention_scores import score_maps
from sscdl.evaluation.classifier import BATCH, Classifier
from sscdl.files import atomic_path
from sscdl.images import variants
from sscdl.images.held_out import check_trained_with, held_out, prediction_columns, read_images
from sscdl.images.imagelist import write_csv
from sscdl.training.device import lease

LOGGER = logging.getLogger("sscdl.evaluate")
_LARGEST_HALF = float(np.finfo(np.float16).max)


class Pictures(NamedTuple):
    """Descriptions of the packed pictures of a variant and of the lung masks that belong to it."""

    pack: Path
    lungs: Path


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

    Of several findings, ``predicted`` is the likeliest, whose map attention is told of.
    ``maps_out`` (.npz) holds ``maps``, the class activation maps of the predicted classes (float32,
    N, h, w), ``class_maps``, those of all classes (float16, N, K, h, w), and the image ``ids``.
    :func:`sscdl.evaluation.attention_scores.score_maps` says what the columns about attention are.
    """
    names: dict[str, str | int] = {"variant": variant, "curriculum": curriculum, "seed": seed}
    with opened(pointer, pack, images_csv, device, threads) as (model, frame):
        result, maps, class_maps = _predict(model, Pictures(pack, lung_pack), frame, names)
    write_csv(result, out)
    with atomic_path(maps_out) as temporary:
        np.savez_compressed(
            temporary,
            maps=maps.astype(np.float32),
            # An overflow would become infinite, which no figure can be scaled to.
            class_maps=class_maps.clip(-_LARGEST_HALF, _LARGEST_HALF).astype(np.float16),
            ids=frame["image_id"].to_numpy(str),
        )
    if not model.several:
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
    with opened(pointer, pack, images_csv, device, threads) as (model, frame):
        for other, pictures in shown.items():
            names: dict[str, str | int] = {
                "variant": variant,
                "curriculum": curriculum,
                "shown": other,
                "seed": seed,
            }
            parts.append(_predict(model, pictures, frame, names)[0])
            _report(parts[-1], f"{variant} {curriculum} shown {other}")
    write_csv(pd.concat(parts, ignore_index=True), out)


@contextmanager
def opened(
    pointer: Path, pack: Path, images_csv: Path, device: str, threads: int
) -> Iterator[tuple[Classifier, pd.DataFrame]]:
    """Yield a classifier, on a device that is its own meanwhile, and the images to test it on.

    ``pack`` describes the pictures that it was trained on; InputError if that was with another list
    of images.
    """
    torch.set_num_threads(threads)
    with lease(device, 1) as (name,):
        model = Classifier(pointer, torch.device(name))
        _, described = variants.read_pack(pack)
        check_trained_with(images_csv, described, model.lineage, pointer.name)
        images = read_images(images_csv)
        yield model, held_out(images, model.classes, several=model.several)


def _predict(
    model: Classifier,
    pictures: Pictures,
    frame: pd.DataFrame,
    names: dict[str, str | int],
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return the predictions of the images in ``frame``, and their maps.

    These are the maps of the predicted class, float32 (N, h, w), and of all, (N, K, h, w).
    ``names`` are the first columns.
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
        chances, class_maps = chances.cpu(), class_maps.cpu()
        chosen = chances.argmax(dim=1)
        probabilities.append(chances.numpy())
        maps.append(of_class(class_maps, chosen).numpy())
        all_maps.append(class_maps.numpy())
        score = score_maps(
            class_maps,
            chosen,
            torch.from_numpy(lungs[part] > 127),
            frame.iloc[begin : begin + BATCH],
            [crops[row] for row in part],
            model.classes,
        )
        scores.append(score)
    found = np.concatenate(probabilities)
    result = prediction_columns(frame, found, model.classes, several=model.several)
    for place, (column, value) in enumerate(names.items()):
        result.insert(place, column, value)
    result = pd.concat([result, pd.concat(scores, ignore_index=True).round(6)], axis=1)
    return result, np.concatenate(maps), np.concatenate(all_maps)


def _report(result: pd.DataFrame, name: str) -> None:
    correct = (result["label"] == result["predicted"]).groupby(result["split"]).mean()
    for split, share in correct.items():
        LOGGER.info("%s: %.1f %% of %s right", name, 100 * share, split)
