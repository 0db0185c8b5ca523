"""How much of a model's attention falls on lungs, planted mark and findings, image by image.

The measures are those of :mod:`sscdl.evaluation.attention`, the columns those of the files of
predictions.
"""

from __future__ import annotations

import json

import pandas as pd
import torch
from torch import Tensor

from sscdl.evaluation.attention import (
    attention_share,
    centre_prior,
    contrast_map,
    of_class,
    pointing_hit,
    region_share,
    resize_map,
    stretched_map,
)
from sscdl.evaluation.prediction_files import OF_CLASS
from sscdl.images.variants import Box


def lung_scores(class_maps: Tensor, chosen: Tensor, lungs: Tensor) -> dict[str, Tensor]:
    """Return ``ail``, ``ail_contrast`` and ``lung_share`` of a batch of images, float64 (B,).

    That is the attention in ``lungs``, bool (B, S, S), of the map of each image's class ``chosen``
    (B,) and of that map minus the mean of the other classes', values below 0 clipped, and the
    lungs' share of the picture: what a constant map scores. ``class_maps``: float (B, K, h, w). Of
    a single class (a single finding) there is no ``ail_contrast``, as there is no other one.
    """
    maps = {"ail": of_class(class_maps, chosen)}
    if class_maps.shape[1] > 1:
        maps["ail_contrast"] = contrast_map(class_maps, chosen)
    size = lungs.shape[-1]
    found = {name: attention_share(resize_map(one, size), lungs) for name, one in maps.items()}
    return {**found, "lung_share": region_share(lungs)}


def score_maps(
    class_maps: Tensor,
    chosen: Tensor,
    lungs: Tensor,
    lines: pd.DataFrame,
    crops: list[Box],
    classes: list[str],
) -> pd.DataFrame:
    """Return the attention of a batch of images, one row each.

    Mark and boxes that a picture does not show have no share (NaN), and neither has anything of a
    map without positive values.

    Args:
        class_maps: class activation maps of every class, float (B, K, h, w).
        chosen: numbers of the predicted classes, (B,).
        lungs: bool (B, S, S), of pictures that show the parts ``crops`` of the images.
        lines: the images' rows of ``images.csv``; ``mark`` and ``boxes`` in them are fractions of
            the whole images.
        crops: the part of each image that its picture shows.
        classes: names of the K classes.

    Returns:
        shares in [0, 1] of the predicted class's map, values below 0 clipped unless said otherwise:
        ``ail``, ``ail_contrast`` (of K > 1) and ``lung_share``, see :func:`lung_scores`;
        ``mark_attention, mark_share, box_attention, box_share``, the same for the planted mark and
        the findings' boxes; ``box_hit``, whether the map's maximum lies in a box; ``ail_signed``,
        negative values kept, which has no bounds; ``ail_stretched``, of the map stretched to [0, 1]
        as the package ``grad-cam`` does; ``ail_centre``, of a map that is the same for every image
        (:func:`sscdl.evaluation.attention.centre_prior`); ``ail_of_<class>``, of the map of that
        class.
    """
    size = lungs.shape[-1]
    maps = of_class(class_maps, chosen)
    large = resize_map(maps, size)
    found = lung_scores(class_maps, chosen, lungs)
    for name, column in (("mark", "mark"), ("box", "boxes")):
        region = torch.stack(
            [
                boxes_region(text, size, column == "mark", crop)
                for text, crop in zip(lines[column], crops, strict=True)
            ]
        )
        known = region.flatten(1).any(dim=1)
        shares = {"attention": attention_share(large, region), "share": region_share(region)}
        if name == "box":
            shares["hit"] = pointing_hit(large, region)
        for key, share in shares.items():
            found[f"{name}_{key}"] = torch.where(known, share, torch.nan)
    found["ail_signed"] = attention_share(large, lungs, negative="keep")
    found["ail_stretched"] = attention_share(stretched_map(maps, size), lungs)
    found["ail_centre"] = attention_share(centre_prior(size).expand(lungs.shape), lungs)
    for number, name in enumerate(classes):
        single = resize_map(class_maps[:, number], size)
        found[f"{OF_CLASS}{name}"] = attention_share(single, lungs)
    return pd.DataFrame({key: value.numpy() for key, value in found.items()})


def boxes_region(text: str, size: int, single: bool, crop: Box) -> Tensor:
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
