"""Whether a model needs what its attention map shows: deletion and insertion curves.

Petsiuk, Das & Saenko, "RISE" (BMVC 2018, arXiv:1806.07421): pixels are taken away in the order of
the map, highest first, or given back in that order; the area under the curve of the probability of
the class that was predicted of the whole picture tells how soon the model notices. Share of
attention says where a map lies; this says whether the model would miss it.

What is taken away becomes the picture's own blurred version, in both curves: constant patches have
edges and gray levels that no network has seen in training, and would be noticed as such. The blur
is wide (a tenth of the side), since opacities of a lung survive the narrow one of the paper.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from sscdl.evaluation.attention import centre_prior, contrast_map, of_class, resize_map
from sscdl.evaluation.classifier import BATCH, CamNetwork, Classifier
from sscdl.images import variants
from sscdl.images.held_out import check_trained_with, held_out, read_images
from sscdl.images.imagelist import write_csv
from sscdl.training.device import lease
from sscdl.training.order import mixed_seed
from sscdl.words import many

LOGGER = logging.getLogger("sscdl.evaluate")
MOST = 200  # images of a model
STEPS = 16  # of each curve
BLUR = 0.1  # standard deviation, as a share of the picture's side


def blurred(images: Tensor) -> Tensor:
    """Return images (B, S, S), float, smoothed by a Gaussian of ``BLUR``, reflected at the edge."""
    sigma = BLUR * images.shape[-1]
    reach = min(round(3 * sigma), images.shape[-1] - 1)
    profile = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    profile = (profile / profile.sum()).to(images)
    padded = F.pad(images[:, None], (reach, reach, reach, reach), mode="reflect")
    return F.conv2d(F.conv2d(padded, profile[None, None, None]), profile[None, None, :, None])[:, 0]


def orders(
    class_maps: Tensor, chosen: Tensor, image_ids: list[str], size: int
) -> dict[str, Tensor]:
    """Return by what pixels are ordered, float (B, size, size) each, the highest first.

    ``map``: Zhou's map of the class ``chosen`` (B,); ``contrast``: that map minus the mean of the
    other classes'; ``centre``: from the middle outwards; ``random``: noise on the grid of the maps,
    which is as coarse as they are, from the image's id. ``class_maps``: float (B, K, h, w).
    """
    grids = []
    for image_id in image_ids:
        generator = torch.Generator().manual_seed(mixed_seed("faithfulness", image_id))
        grids.append(torch.rand(class_maps.shape[2:], generator=generator))
    return {
        "map": resize_map(of_class(class_maps, chosen), size),
        "contrast": resize_map(contrast_map(class_maps, chosen), size),
        "centre": centre_prior(size).float().expand(len(image_ids), -1, -1),
        "random": resize_map(torch.stack(grids), size),
    }


def curves(
    model: CamNetwork, image: Tensor, order: Tensor, predicted: int
) -> tuple[Tensor, Tensor]:
    """Return the probability of a class along deletion and along insertion, (STEPS + 1,) each.

    Args:
        model: gives probabilities of pictures.
        image: uint8 (S, S).
        order: float (S, S); the pixels with the highest values go, or come, first. The k-th value
            of a curve is that after k / STEPS of the pixels.
        predicted: number of the class.
    """
    pixels = image.numel()
    rank = torch.empty(pixels, dtype=torch.long)
    rank[order.flatten().argsort(descending=True, stable=True)] = torch.arange(pixels)
    first = rank.view_as(image) < torch.arange(STEPS + 1)[:, None, None] * pixels / STEPS
    whole = image.float()
    soft = blurred(whole[None])[0]
    states = torch.cat([torch.where(first, soft, whole), torch.where(first, whole, soft)])
    states = states.round().clamp(0, 255).to(torch.uint8)
    found = torch.cat([model.explain(part)[0][:, predicted].cpu() for part in states.split(BATCH)])
    deletion, insertion = found.split(STEPS + 1)
    return deletion, insertion


def area(curve: Tensor) -> float:
    """Return the area under a curve over equal steps from 0 to 1, by trapezoids."""
    return float(torch.trapezoid(curve.double(), dx=1 / (len(curve) - 1)))


def sampled(frame: pd.DataFrame) -> pd.DataFrame:
    """Return at most ``MOST`` of the images in ``frame``, the same for every model of a study."""
    place = frame["image_id"].map(lambda image_id: hashlib.blake2b(image_id.encode()).digest())
    return frame.loc[place.sort_values(kind="stable").index[:MOST]].sort_index()


def write_faithfulness(
    pointer: Path,
    pack: Path,
    images_csv: Path,
    out: Path,
    *,
    variant: str,
    curriculum: str,
    seed: int,
    split: str,
    device: str,
    threads: int,
) -> None:
    """Write the areas under a classifier's deletion and insertion curves.

    One line per image of ``split`` (at most ``MOST``, see :func:`sampled`) and ``order`` (see
    :func:`orders`): ``variant, curriculum, seed, image_id, patient_id, split, label, predicted,
    order, deletion, insertion``, the areas in [0, 1]. InputError if the classifier was trained with
    another list of images.
    """
    torch.set_num_threads(threads)
    with lease(device, 1) as (name,):
        model = Classifier(pointer, torch.device(name))
        array, described = variants.read_pack(pack)
        check_trained_with(images_csv, described, model.lineage, pointer.name)
        tested = held_out(read_images(images_csv), model.classes)
        tested = sampled(tested[tested["split"] == split])
        row_of = {image_id: row for row, image_id in enumerate(described["ids"])}
        lines = []
        for begin in range(0, len(tested), BATCH):
            part = tested.iloc[begin : begin + BATCH]
            images = torch.from_numpy(array[[row_of[image_id] for image_id in part["image_id"]]])
            chances, maps = (found.cpu() for found in model.explain(images))
            chosen = chances.argmax(dim=1)
            ordered = orders(maps, chosen, list(part["image_id"]), images.shape[-1])
            for place, (_, image) in enumerate(part.iterrows()):
                predicted = int(chosen[place])
                about = {key: image[key] for key in ("image_id", "patient_id", "split", "label")}
                about["predicted"] = model.classes[predicted]
                for order, values in ordered.items():
                    found = curves(model, images[place], values[place], predicted)
                    areas = zip(("deletion", "insertion"), map(area, found), strict=True)
                    lines.append({**about, "order": order, **dict(areas)})
            LOGGER.info("%s %s: curves of %d of %s", variant, curriculum,
                        begin + len(part), many(len(tested), "image"))  # fmt: skip
    result = pd.DataFrame(lines).round(6)
    about_all: dict[str, Any] = {"variant": variant, "curriculum": curriculum, "seed": seed}
    for place, (column, value) in enumerate(about_all.items()):
        result.insert(place, column, value)
    write_csv(result, out)
