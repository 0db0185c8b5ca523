"""Linear probes of a study's frozen networks, with all of its labels and with few of them.

A classifier that is fine-tuned changes the network that it starts from, and its accuracy says as
much about learning rates as about what pretraining has learnt. A linear probe leaves the network
as it is (Alain & Bengio 2017, arXiv:1610.01644), and with a small share of the labels it tells how
many of them pretraining saves (Chen et al. 2020, arXiv:2002.05709).

What it is compared with are networks with random weights. They differ among themselves by more than
many a pretraining gains, so that there are several, and each is probed with the same draws of
labels as the study's own networks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from sscdl.errors import InputError
from sscdl.evaluation.label_draws import Draw, label_draws
from sscdl.evaluation.prediction_files import NETWORK
from sscdl.evaluation.probe import extract_features, fit_probe
from sscdl.evaluation.untrained import random_network
from sscdl.images import variants
from sscdl.images.held_out import check_trained_with, held_out, prediction_columns, read_images
from sscdl.images.imagelist import write_csv
from sscdl.images.rows import select_rows
from sscdl.images.vouched import check_list
from sscdl.store.store import Store, read_pointer
from sscdl.study.trie import SCRATCH
from sscdl.training.backbones import build_backbone, load_root
from sscdl.training.batch_statistics import settle, spread
from sscdl.training.device import lease
from sscdl.words import many

LOGGER = logging.getLogger("sscdl.probe")
BATCH = 64
READ = 1024  # images that are read from the packed array at a time


@dataclass(frozen=True)
class Network:
    """A frozen network: a pretext stage, what a curriculum starts from, or a random network."""

    name: str
    pointer: Path | None = None  # of a pretext stage
    root: Path | None = None  # weights of a root
    number: int = 0  # of a random network, which has neither


class Frozen:
    """A network with the preprocessing that it was trained with."""

    def __init__(
        self,
        network: Network,
        images_csv: Path,
        described: dict[str, Any],
        *,
        data: dict[str, Any],
        backbone: dict[str, Any],
        image_size: int,
    ) -> None:
        """Build ``network``; those without a lineage take ``data``, ``backbone``, ``image_size``.

        Raises InputError if a pretext stage was trained with another list of images than
        ``images_csv``, as its training images may then be those of the test.
        """
        if network.pointer is None:
            rows = select_rows(images_csv, described, data).normalise
            self.mean, self.std = variants.mean_std(described, {described["ids"][r] for r in rows})
            self.size = image_size
            if network.root is None:
                self.backbone = random_network(network.number, backbone, len(data["classes"]))[0]
            else:
                self.backbone = build_backbone(**backbone)
                load_root(self.backbone, network.root)
            return
        store, named = Store(network.pointer.parent.parent), read_pointer(network.pointer)
        lineage = store.lineage(named)
        recipe = lineage["recipe"]
        check_trained_with(images_csv, described, lineage, network.pointer.name)
        self.mean, self.std = lineage["data"]["mean"], lineage["data"]["std"]
        self.size = recipe["image_size"]
        self.backbone = build_backbone(**recipe["backbone"])
        load_root(self.backbone, store.weights(named))

    def settle(self, images: Tensor) -> None:
        """Normalise by statistics over training ``images``, uint8 (N, S, S)."""

        def normalise(unit: Tensor) -> Tensor:
            return ((unit - self.mean) / self.std).expand(-1, 3, -1, -1)

        settle(self.backbone, normalise, images, self.size)

    def features(
        self, array: NDArray[Any], rows: Sequence[int], device: torch.device
    ) -> NDArray[Any]:
        """Return features (N, C) of the ``rows`` of a packed array, without augmentation."""
        # torch takes both, its types do not say so.
        self.backbone.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        parts = [
            extract_features(
                self.backbone,
                torch.from_numpy(array[list(rows[begin : begin + READ])]),
                self.mean,
                self.std,
                self.size,
                BATCH,
            )
            for begin in range(0, len(rows), READ)
        ]
        self.backbone.cpu()  # whoever has the device next needs its memory
        return torch.cat(parts).numpy()


class Probed:
    """The images of a variant that probes learn from and are tested on."""

    def __init__(
        self,
        pack: Path,
        images_csv: Path,
        *,
        variant: str,
        data: dict[str, Any],
        backbone: dict[str, Any],
        image_size: int,
        batch_statistics: str,
    ) -> None:
        """Take the packed pictures of ``variant`` and the classifier's data recipe ``data``.

        ``backbone``, ``image_size`` and ``batch_statistics`` are those of networks that were not
        trained here: these are normalised as those that were. Raises InputError where images to
        test on are among those that train.
        """
        self.array, self.described = variants.read_pack(pack)
        check_list(images_csv, self.described, data)
        self.images_csv, self.variant = images_csv, variant
        self.settings: dict[str, Any] = {
            "data": data,
            "backbone": backbone,
            "image_size": image_size,
        }
        self.estimated = batch_statistics == "estimated"
        self.train_rows = select_rows(images_csv, self.described, data).train
        self.classes: list[str] = data["classes"]
        images = read_images(images_csv)
        train_ids = [self.described["ids"][row] for row in self.train_rows]
        self.train = images.set_index("image_id").loc[train_ids]
        self.test = held_out(images, self.classes)
        if self.test["image_id"].isin(train_ids).any():
            raise InputError(f"{images_csv}: the probes would be tested on images that train them")
        shared = self.test["patient_id"].isin(self.train["patient_id"]).sum()
        if shared:
            LOGGER.info(
                "to test on are %s, of which %d of patients who train",
                many(len(self.test), "image"), shared,
            )  # fmt: skip

    def draws(self, shares: Sequence[float], number: int, seed: int) -> list[Draw]:
        """Return the draws of labels of a ``seed``: see :func:`label_draws`."""
        labels, patients = list(self.train["label"]), list(self.train["patient_id"])
        return list(label_draws(labels, patients, shares, number, seed))

    def features(self, network: Network, device: str) -> NDArray[Any]:
        """Return a network's features (N, C): of the training images, then of those to test on."""
        frozen = Frozen(network, self.images_csv, self.described, **self.settings)
        if network.pointer is None and self.estimated:
            frozen.settle(torch.from_numpy(self.array[spread(self.train_rows)]))
        row_of = {image_id: row for row, image_id in enumerate(self.described["ids"])}
        rows = [*self.train_rows, *(row_of[image_id] for image_id in self.test["image_id"])]
        with lease(device, 1) as (name,):
            return frozen.features(self.array, rows, torch.device(name))

    def predictions(
        self, name: str, features: NDArray[Any], draws: Iterable[Draw], seed: int
    ) -> pd.DataFrame:
        """Return what probes of a network's ``features`` predict, one line a draw and image."""
        whose, number = self.train["patient_id"].to_numpy(), len(self.train)
        truth = np.array([self.classes.index(label) for label in self.train["label"]])
        parts = []
        for draw in draws:
            fitted = fit_probe(features[draw.rows], truth[draw.rows], whose[draw.rows], seed)
            chances = np.zeros((len(self.test), len(self.classes)))
            chances[:, fitted.classes] = fitted.probabilities(features[number:])
            part = prediction_columns(self.test, chances, self.classes)
            part.insert(0, "seed", seed)
            part.insert(0, "curriculum", name)
            part.insert(0, "variant", self.variant)
            parts.append(part.assign(share=draw.share, draw=draw.number, n_labels=len(draw.rows)))
        right = (parts[-1]["label"] == parts[-1]["predicted"]).groupby(parts[-1]["split"]).mean()
        told = ", ".join(f"{100 * share:.1f} % of {name} right" for name, share in right.items())
        labels = many(parts[-1]["n_labels"].iloc[0], "label")
        LOGGER.info("%s %s, %s: %s", self.variant, name, labels, told)
        return pd.concat(parts, ignore_index=True)


def probe_networks(
    networks: Sequence[Network],
    pack: Path,
    images_csv: Path,
    out: Path,
    *,
    seed: int,
    shares: Sequence[float],
    draws: int,
    device: str,
    threads: int,
    **settings: Any,
) -> None:
    """Write what linear probes of ``networks`` predict, for each draw of a share of the labels.

    One line per network, draw of labels and image, in the format of predictions (see
    :mod:`sscdl.tables.overview`), with ``share``, ``draw`` and ``n_labels``, the number of training
    images of the draw. ``settings`` are those of :class:`Probed`.
    """
    torch.set_num_threads(threads)
    probed = Probed(pack, images_csv, **settings)
    drawn = probed.draws(shares, draws, seed)
    parts = [
        probed.predictions(network.name, probed.features(network, device), drawn, seed)
        for network in networks
    ]
    write_csv(pd.concat(parts, ignore_index=True), out)


def probe_random(
    networks: int,
    pack: Path,
    images_csv: Path,
    out: Path,
    *,
    seeds: Sequence[int],
    shares: Sequence[float],
    draws: int,
    device: str,
    threads: int,
    **settings: Any,
) -> None:
    """Write what linear probes of random networks predict, with the draws of labels of ``seeds``.

    The lines are those of :func:`probe_networks` for ``networks`` random networks, all under the
    curriculum ``scratch``, with ``network``, their number from 0. The networks do not depend on the
    seeds, which only say which labels are drawn: each network meets every draw of the study's own.
    """
    torch.set_num_threads(threads)
    probed = Probed(pack, images_csv, **settings)
    drawn = {seed: probed.draws(shares, draws, seed) for seed in seeds}
    parts = []
    for number in range(networks):
        features = probed.features(Network(SCRATCH, number=number), device)
        for seed, of_seed in drawn.items():
            found = probed.predictions(SCRATCH, features, of_seed, seed)
            parts.append(found.assign(**{NETWORK: number}))
    write_csv(pd.concat(parts, ignore_index=True), out)
