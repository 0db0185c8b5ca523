"""What a model says of pictures: the cells of their lines in the table, and the maps to draw."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sscdl.evaluation.attention import attention_share, region_share, resize_map
from sscdl.evaluation.prediction_files import CALLED, OF_CLASS
from sscdl.figures.attention import AttentionItem
from sscdl.images.held_out import as_written
from sscdl.model.folder import Model


class Answer(NamedTuple):
    """What a model says of one picture: cells by column, and rows of maps by what they are of."""

    cells: dict[str, Any]
    maps: dict[str, list[AttentionItem]]


def columns_of(model: Model) -> list[str]:
    """Return the columns of what a model says, in order.

    ``prob_<class>``, ``predicted`` and its ``ail``; of findings ``prob_<finding>``,
    ``called_<finding>``, 1 if the probability that is written is the threshold or more, 0 if not,
    empty without a threshold, and ``ail_of_<finding>``. Then ``lung_share``, of what the variant
    shows. All that is about lungs is empty without them.
    """
    names = model.classes
    chances = [f"prob_{name}" for name in names]
    if not model.several:
        return [*chances, "predicted", "ail", "lung_share"]
    called = [f"{CALLED}{name}" for name in names]
    return [*chances, *called, *(f"{OF_CLASS}{name}" for name in names), "lung_share"]


def answers(
    model: Model, pictures: NDArray[np.uint8], lungs: NDArray[np.bool_], usable: list[bool]
) -> list[Answer]:
    """Return what a model says of each of ``pictures`` (N, S, S), of its variant.

    ``lungs`` (N, S, S) are in them what a lung mask marks; ``usable`` (N,) says whether there is
    such a mask.
    """
    chances, maps = (one.cpu() for one in model.explain(torch.from_numpy(pictures)))
    regions = torch.from_numpy(lungs)
    large = torch.stack([resize_map(one, lungs.shape[-1]) for one in maps.unbind(1)], dim=1)
    inside = torch.stack([attention_share(one, regions) for one in large.unbind(1)], dim=1)
    inside[~torch.tensor(usable)] = torch.nan
    shares = region_share(regions)
    said = _findings if model.several else _class
    found = []
    for row, has_lungs in enumerate(usable):
        cells, drawn = said(model, chances[row].numpy(), inside[row].round(decimals=6).tolist())
        if has_lungs:
            cells["lung_share"] = round(float(shares[row]), 6)
        items = {}
        for title, (number, text) in drawn.items():
            heat, ail = large[row, number].numpy(), float(inside[row, number])
            items[title] = [AttentionItem(pictures[row], heat, lungs[row], ail, text, "")]
        found.append(Answer(cells, items))
    return found


# The cells, and the number of the class whose map is drawn and what is said of it, by its title.
_Said = tuple[dict[str, Any], dict[str, tuple[int, str]]]


def _class(model: Model, chances: NDArray[Any], inside: list[float]) -> _Said:
    """Return what is said of a picture that is of one class; ``inside`` (K,) is AIL by class."""
    cells: dict[str, Any] = {
        f"prob_{name}": round(float(value), 6)
        for name, value in zip(model.classes, chances, strict=True)
    }
    number = int(chances.argmax())
    predicted = model.classes[number]
    return cells | {"predicted": predicted, "ail": inside[number]}, {"": (number, predicted)}


def _findings(model: Model, chances: NDArray[Any], inside: list[float]) -> _Said:
    """Return what is said of a picture of which each finding is told by itself.

    What is drawn are the findings that are called, or the likeliest if none is.
    """
    written = as_written(chances)
    cells: dict[str, Any] = {}
    drawn = {}
    for number, (name, chance) in enumerate(zip(model.classes, written.tolist(), strict=True)):
        # What is written is compared, as thresholds were chosen among what was written.
        threshold = model.thresholds[name]
        called = threshold is not None and chance >= threshold
        cells[f"prob_{name}"] = chance
        cells[f"{CALLED}{name}"] = "" if threshold is None else str(int(called))
        cells[f"{OF_CLASS}{name}"] = inside[number]
        if called:
            drawn[name] = number, f"p {chance:.2g}"
    if not drawn:
        number = int(written.argmax())
        drawn[f"{model.classes[number]}\n(not called)"] = number, f"p {written[number]:.2g}"
    return cells, drawn
