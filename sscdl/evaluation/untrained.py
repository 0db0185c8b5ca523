"""Where networks look that were never trained: what attention is compared with.

It tells what architecture, masks and pictures bring about by themselves (Adebayo et al., "Sanity
Checks for Saliency Maps", NeurIPS 2018). One such network says little, as another looks elsewhere.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from sscdl.evaluation.attention_scores import lung_scores
from sscdl.evaluation.classifier import BATCH, CamNetwork
from sscdl.images import variants
from sscdl.images.held_out import held_out, read_images
from sscdl.images.imagelist import write_csv
from sscdl.images.rows import select_rows
from sscdl.images.vouched import check_list
from sscdl.training.backbones import Backbone, build_backbone
from sscdl.training.batch_statistics import settle, spread
from sscdl.training.device import lease
from sscdl.training.order import mixed_seed

LOGGER = logging.getLogger("sscdl.evaluate")


def random_network(
    number: int, backbone: dict[str, Any], classes: int
) -> tuple[Backbone, nn.Linear]:
    """Return the random network ``number``, a backbone and its linear layer, on the CPU.

    Its weights are a function of number and architecture alone: the same in every study, and in
    what is compared with its attention and with its features.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mixed_seed("untrained", number))
        network = build_backbone(**backbone)
        return network, nn.Linear(network.channels, classes)


def untrained(
    number: int,
    backbone: dict[str, Any],
    settled_by: Tensor | None,
    **preprocessing: Any,
) -> CamNetwork:
    """Return the random network ``number`` with the ``preprocessing`` of :class:`CamNetwork`.

    ``settled_by``: training images, uint8 (N, S, S), over which its normalisation layers take their
    statistics, as those of trained networks do; None leaves the layers as they begin, in which
    state they change nothing.
    """
    network, head = random_network(number, backbone, len(preprocessing["classes"]))
    weight, bias = (part.detach() for part in (head.weight, head.bias))
    model = CamNetwork(network, weight, bias, **preprocessing)
    if settled_by is not None:
        settle(model.backbone, model.normalise, settled_by, model.size)
    return model


def predict_untrained(
    pack: Path,
    lung_pack: Path,
    images_csv: Path,
    out: Path,
    *,
    variant: str,
    networks: int,
    data: dict[str, Any],
    backbone: dict[str, Any],
    image_size: int,
    batch_statistics: str,
    device: str,
    threads: int,
) -> None:
    """Write the attention of ``networks`` random networks on the images that classifiers predict.

    One line per network and image: ``variant, network`` (from 0), ``image_id, patient_id, split,
    label`` and what :func:`sscdl.evaluation.attention_scores.lung_scores` says of the maps of the
    class that the network predicts; of findings, each of which has a map of its own, of the first,
    as the rows of a random layer are alike. ``data`` is the classifier's data recipe: by its
    training images the networks are normalised, and settled where ``batch_statistics`` is
    ``estimated``.
    """
    several = "findings" in data
    classes = data["findings"] if several else data["classes"]
    torch.set_num_threads(threads)
    array, lungs, described = variants.read_with_masks(pack, lung_pack)
    check_list(images_csv, described, data)
    chosen = select_rows(images_csv, described, data)
    ids = {described["ids"][row] for row in chosen.normalise}
    mean, std = variants.mean_std(described, ids)
    sample = torch.from_numpy(array[spread(chosen.train)])
    tested = held_out(read_images(images_csv), classes, several=several)
    row_of = {image_id: row for row, image_id in enumerate(described["ids"])}
    rows = [row_of[image_id] for image_id in tested["image_id"]]
    named = tested[["image_id", "patient_id", "split", "label"]]
    parts = []
    with lease(device, 1) as (name,):
        for number in range(networks):
            model = untrained(
                number, backbone, sample if batch_statistics == "estimated" else None,
                classes=classes, size=image_size, mean=mean, std=std, several=several,
                device=torch.device(name),
            )  # fmt: skip
            scores = []
            for begin in range(0, len(rows), BATCH):
                part = rows[begin : begin + BATCH]
                chances, maps = model.explain(torch.from_numpy(array[part]))
                inside = torch.from_numpy(lungs[part] > 127)
                shown = torch.zeros(len(part), dtype=torch.long)
                if not several:
                    shown = chances.argmax(dim=1).cpu()
                found = lung_scores(maps.cpu(), shown, inside)
                scores.append(pd.DataFrame({key: value.numpy() for key, value in found.items()}))
            scored = pd.concat(scores, ignore_index=True).round(6)
            parts.append(pd.concat([named.assign(network=number), scored], axis=1))
            LOGGER.info(
                "%s random network %d: %.1f %% of its attention inside the lungs",
                *(variant, number, 100 * scored["ail"].mean()),
            )
    result = pd.concat(parts, ignore_index=True)
    result.insert(0, "network", result.pop("network"))
    result.insert(0, "variant", variant)
    write_csv(result, out)
