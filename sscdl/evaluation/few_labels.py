"""What the classifiers of a model predict that learnt from few labels, beside the one from all."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from sscdl.evaluation.classifier import BATCH
from sscdl.evaluation.predict import opened
from sscdl.finding_labels import POSITIVE
from sscdl.images import variants
from sscdl.images.held_out import prediction_columns
from sscdl.images.imagelist import write_csv
from sscdl.images.rows import Rows, select_rows
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
    the finding, that has fewest. Shares whose draws are those of a larger one are left out, and the
    log says so: they would be shown as if draws made no difference.
    """
    array, described = variants.read_pack(pack)
    row_of = {image_id: row for row, image_id in enumerate(described["ids"])}
    parts: dict[tuple[float, int], pd.DataFrame] = {}
    learnt: dict[tuple[float, int], list[int]] = {}  # the training rows of each share and draw
    for pointer in pointers:
        with opened(pointer, pack, images_csv, device, threads) as (model, tested):
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
            one = (labels["share"], labels["draw"])
            chosen = select_rows(images_csv, described, data)
            learnt[one] = chosen.train
            used = {"share": one[0], "draw": one[1], "n_labels": len(chosen.train)}
            parts[one] = part.assign(**used, n_fewest=_fewest(chosen, data))
            LOGGER.info(
                "%s %s: %s, draw %d",
                *(variant, curriculum, many(used["n_labels"], "training image"), one[1]),
            )
    for share, larger in repeated(learnt).items():
        LOGGER.warning(
            "few_labels.shares: %g is left out: it has the same images as %g, as there are so few",
            *(share, larger),
        )
        parts = {one: part for one, part in parts.items() if one[0] != share}
    result = pd.concat(parts.values(), ignore_index=True)
    names: dict[str, str | int] = {"variant": variant, "curriculum": curriculum, "seed": seed}
    for place, (column, value) in enumerate(names.items()):
        result.insert(place, column, value)
    write_csv(result, out)


def repeated(learnt: Mapping[tuple[float, int], list[int]]) -> dict[float, float]:
    """Return the shares all of whose draws are those of a larger share, with that share.

    ``learnt`` has the training rows of each (share, draw), and of (1, 0) those with all labels.
    """
    found: dict[float, float] = {}
    shares = sorted({share for share, _ in learnt}, reverse=True)
    larger = shares[0]
    for share in shares[1:]:
        draws = [draw for one, draw in learnt if one == share]
        own = [learnt[share, draw] for draw in draws]
        others = [learnt[larger, 0 if larger == 1 else draw] for draw in draws]
        if own == others:
            found[share] = larger
        else:
            larger = share
    return found


def _fewest(chosen: Rows, data: dict[str, Any]) -> int:
    """Return the training patients of the class, or with the finding, that has fewest."""
    several = "findings" in data
    patients: list[set[int]] = [set() for _ in data["findings" if several else "classes"]]
    for row in chosen.train:
        label: Any = chosen.labels[row]
        for place, own in enumerate(patients):
            if (label[place] == POSITIVE) if several else (label == place):
                own.add(chosen.patients[row])
    return min(map(len, patients))
