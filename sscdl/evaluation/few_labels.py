"""What the classifiers of a model predict that learnt from few labels, beside the one from all."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from sscdl.evaluation.classifier import BATCH, Classifier
from sscdl.images import variants
from sscdl.images.held_out import check_trained_with, held_out, prediction_columns, read_images
from sscdl.images.imagelist import write_csv
from sscdl.images.rows import select_rows
from sscdl.training.device import lease
from sscdl.words import many

LOGGER = logging.getLogger("sscdl.evaluate")


def predict_few(
    pointers: Sequence[Path],
    pack: Path,
    images_csv: Path,
    out: Path,
    *,
    variant: str,
    curriculum: str,
    seed: int,
    device: str,
    threads: int,
) -> None:
    """Write what the trainings of one model predict, by share and draw of the labels.

    One line per training and labelled image outside the training split, in the format of
    predictions, with ``share`` and ``draw`` (1 and 0 of the training with all labels),
    ``n_labels``, the training images, and ``n_fewest``, the training patients of the class, or with
    the finding, that has fewest.
    """
    torch.set_num_threads(threads)
    array, described = variants.read_pack(pack)
    row_of = {image_id: row for row, image_id in enumerate(described["ids"])}
    images, parts = read_images(images_csv), []
    with lease(device, 1) as (name,):
        for pointer in pointers:
            model = Classifier(pointer, torch.device(name))
            check_trained_with(images_csv, described, model.lineage, pointer.name)
            tested = held_out(images, model.classes, several=model.several)
            rows = [row_of[image_id] for image_id in tested["image_id"]]
            chances = torch.cat(
                [
                    model.explain(torch.from_numpy(array[rows[begin : begin + BATCH]]))[0].cpu()
                    for begin in range(0, len(rows), BATCH)
                ]
            )
            part = prediction_columns(tested, chances.numpy(), model.classes, several=model.several)
            data = model.lineage["recipe"]["data"]
            labels = {"share": 1.0, "draw": 0} | data.get("labels", {})
            used = {key: labels[key] for key in ("share", "draw")}
            used |= _numbers(images_csv, described, data)
            parts.append(part.assign(**used))
            LOGGER.info(
                "%s %s: %s, draw %d",
                *(variant, curriculum, many(used["n_labels"], "training image"), used["draw"]),
            )
    result = pd.concat(parts, ignore_index=True)
    names: dict[str, str | int] = {"variant": variant, "curriculum": curriculum, "seed": seed}
    for place, (column, value) in enumerate(names.items()):
        result.insert(place, column, value)
    write_csv(result, out)


def _numbers(images_csv: Path, described: dict[str, Any], data: dict[str, Any]) -> dict[str, int]:
    """Return how many images a recipe trains on, and the patients of the rarest class in them."""
    chosen = select_rows(images_csv, described, data)
    several = "findings" in data
    patients: list[set[int]] = [set() for _ in data["findings" if several else "classes"]]
    for row in chosen.train:
        label: Any = chosen.labels[row]
        for place, own in enumerate(patients):
            if (label[place] == 1) if several else (label == place):
                own.add(chosen.patients[row])
    return {"n_labels": len(chosen.train), "n_fewest": min(map(len, patients))}
