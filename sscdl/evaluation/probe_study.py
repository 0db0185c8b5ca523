"""Linear probes of a study's frozen networks, with all of its labels and with few of them.

A classifier that is fine-tuned changes the network that it starts from, and its accuracy says as
much about learning rates as about what pretraining has learnt. A linear probe leaves the network
as it is (Alain & Bengio 2017, arXiv:1610.01644), and with a small share of the labels it tells how
many of them pretraining saves (Chen et al. 2020, arXiv:2002.05709).
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from sscdl.errors import InputError
from sscdl.evaluation.probe import extract_features, fit_probe
from sscdl.images import variants
from sscdl.images.held_out import check_trained_with, held_out, prediction_columns, read_images
from sscdl.images.imagelist import write_csv
from sscdl.images.rows import select_rows
from sscdl.images.vouched import check_list
from sscdl.store.store import Store, read_pointer
from sscdl.study.trie import CLASSIFY
from sscdl.training.backbones import Backbone, build_backbone, load_root
from sscdl.training.batch_statistics import settle, spread
from sscdl.training.device import lease
from sscdl.training.order import mixed_seed

LOGGER = logging.getLogger("sscdl.probe")
BATCH = 64
READ = 1024  # images that are read from the packed array at a time


@dataclass(frozen=True)
class Network:
    """A frozen network: a pretext stage, or what a curriculum starts from."""

    name: str
    pointer: Path | None = None  # of a pretext stage
    root: Path | None = None  # weights of a root; without either, the network is random


class Draw(NamedTuple):
    """A random choice of labelled training images."""

    share: float  # of the patients of each class
    number: int  # from 0, of the draws of this share
    rows: NDArray[np.int64]  # places in the list of the labelled training images


class Frozen:
    """A network with the preprocessing that it was trained with."""

    def __init__(
        self,
        network: Network,
        images_csv: Path,
        described: dict[str, Any],
        *,
        seed: int,
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
            self.backbone = root_network(backbone, seed, network.root)
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

    def features(self, array: NDArray, rows: Sequence[int], device: torch.device) -> NDArray:
        """Return features (N, C) of the ``rows`` of a packed array, without augmentation."""
        self.backbone.to(device, memory_format=torch.channels_last)
        parts = [
            extract_features(
                *(self.backbone, torch.from_numpy(array[list(rows[begin : begin + READ])])),
                *(self.mean, self.std, self.size, BATCH),
            )
            for begin in range(0, len(rows), READ)
        ]
        self.backbone.cpu()  # whoever has the device next needs its memory
        return torch.cat(parts).numpy()


def root_network(backbone: dict[str, Any], seed: int, weights: Path | None) -> Backbone:
    """Return the network that a curriculum starts from.

    Without ``weights`` it is the random one of ``seed`` that the classifier of ``scratch`` starts
    from. (Each task's random network is another one; they differ by chance alone.)
    """
    torch.manual_seed(mixed_seed(seed, "weights", CLASSIFY))
    network = build_backbone(**backbone)
    if weights is not None:
        load_root(network, weights)
    return network


def label_draws(
    labels: Sequence[str], patients: Sequence[str], shares: Sequence[float], number: int, seed: int
) -> Iterator[Draw]:
    """Yield ``number`` random draws for each share of the labels, one for all of them.

    A draw takes that share of the patients of each class, rounded up, and at least two, so that
    every class has the two that cross-validation needs. A patient who has images of several classes
    counts in each of them by itself. Patients come in the order of a hash of seed, draw and
    id: the draw of a smaller share is a part of the same draw of a larger one, and nobody changes
    places because others come or go.

    Shares below 1 that take everybody, or as many of each class as a larger share, are left out
    (all labels take their place if no share remains), and so are classes of one patient; the log
    says so. Raises InputError if fewer than two classes are left.

    Args:
        labels: class of each training image, (N,).
        patients: patient of each training image, (N,).
        shares: in (0, 1].
        number: of draws of each share below 1.
        seed: of the training whose networks are probed.
    """
    frame = pd.DataFrame({"label": labels, "patient": patients})
    counts = frame.groupby("label")["patient"].nunique()
    for name in sorted(counts.index[counts < 2]):
        LOGGER.warning("class %s has one training patient: no probe can learn it", name)
    classes = sorted(counts.index[counts >= 2])
    if len(classes) < 2:
        raise InputError(
            "linear probe: fewer than two classes have two patients with labels to train on; give "
            "results.label_shares an empty list to leave the probes out"
        )
    own = {name: frame.loc[frame["label"] == name, "patient"].unique() for name in classes}
    for share, sizes in _sizes({name: len(them) for name, them in own.items()}, shares).items():
        for draw in range(1 if share == 1 else number):
            kept = np.zeros(len(frame), dtype=bool)
            for name, size in sizes.items():
                first = sorted(own[name], key=lambda patient: _place(seed, draw, patient))[:size]
                kept |= (frame["label"] == name) & frame["patient"].isin(first)
            yield Draw(share, draw, np.flatnonzero(kept))


def _sizes(patients: dict[str, int], shares: Sequence[float]) -> dict[float, dict[str, int]]:
    """Return how many patients of each class a draw takes, by share, the smallest share first."""
    found: dict[float, dict[str, int]] = {}
    larger = None
    for share in sorted(set(shares), reverse=True):
        # Less a little: 0.1 of 30 patients is 3, although 0.1 * 30 is more.
        wanted = {name: math.ceil(share * count - 1e-9) for name, count in patients.items()}
        sizes = {name: min(patients[name], max(2, size)) for name, size in wanted.items()}
        if share < 1 and sizes == patients:
            LOGGER.warning("share %g of the labels is left out: a draw would take all", share)
            continue
        if sizes == larger:
            LOGGER.warning("share %g of the labels is left out: no fewer than the next", share)
            continue
        for name in (name for name in sizes if sizes[name] > wanted[name]):
            LOGGER.warning("share %g: two patients of class %s, the fewest possible", share, name)
        found[share] = larger = sizes
    if not found:
        LOGGER.warning("all labels are used instead")
        found = {1.0: patients}
    return dict(reversed(found.items()))


def _place(seed: int, draw: int, patient: str) -> bytes:
    return hashlib.blake2b(f"{seed}:{draw}:{patient}".encode()).digest()


def probe_networks(
    networks: Sequence[Network],
    pack: Path,
    images_csv: Path,
    out: Path,
    *,
    variant: str,
    seed: int,
    data: dict[str, Any],
    backbone: dict[str, Any],
    image_size: int,
    batch_statistics: str,
    shares: Sequence[float],
    draws: int,
    device: str,
    threads: int,
) -> None:
    """Write what linear probes of ``networks`` say of the images that classifiers are tested on.

    One line per network, draw of labels and image, in the format of predictions (see
    :mod:`sscdl.tables.overview`), with ``share``, ``draw`` and ``n_labels``, the number of training
    images of the draw. ``data`` is the classifier's data recipe. Networks that were not trained
    here are normalised as ``batch_statistics`` says, as those that were.
    """
    torch.set_num_threads(threads)
    array, described = variants.read_pack(pack)
    check_list(images_csv, described, data)
    chosen = select_rows(images_csv, described, data)
    classes: list[str] = data["classes"]
    images = read_images(images_csv)
    train_ids = [described["ids"][row] for row in chosen.train]
    train = images.set_index("image_id").loc[train_ids]
    test = held_out(images, classes)
    if test["image_id"].isin(train_ids).any():
        raise InputError(f"{images_csv}: the probes would be tested on images that train them")
    shared = test["patient_id"].isin(train["patient_id"]).sum()
    if shared:
        LOGGER.info("%d of %d images to test on are of patients who train", shared, len(test))
    row_of = {image_id: row for row, image_id in enumerate(described["ids"])}
    rows = [*chosen.train, *(row_of[image_id] for image_id in test["image_id"])]
    number = len(chosen.train)
    drawn = list(label_draws(list(train["label"]), list(train["patient_id"]), shares, draws, seed))
    whose = train["patient_id"].to_numpy()
    truth = np.array([classes.index(label) for label in train["label"]])
    parts = []
    for network in networks:
        frozen = Frozen(
            network, images_csv, described,
            seed=seed, data=data, backbone=backbone, image_size=image_size,
        )  # fmt: skip
        if network.pointer is None and batch_statistics == "estimated":
            frozen.settle(torch.from_numpy(array[spread(chosen.train)]))
        with lease(device, 1) as (name,):
            features = frozen.features(array, rows, torch.device(name))
        for draw in drawn:
            fitted = fit_probe(features[draw.rows], truth[draw.rows], whose[draw.rows], seed)
            chances = np.zeros((len(test), len(classes)))
            chances[:, fitted.classes] = fitted.probabilities(features[number:])
            part = prediction_columns(test, chances, classes)
            part.insert(0, "seed", seed)
            part.insert(0, "curriculum", network.name)
            parts.append(part.assign(share=draw.share, draw=draw.number, n_labels=len(draw.rows)))
        right = (parts[-1]["label"] == parts[-1]["predicted"]).groupby(parts[-1]["split"]).mean()
        told = ", ".join(f"{100 * share:.1f} % of {name} right" for name, share in right.items())
        LOGGER.info("%s %s, %d labels: %s", variant, network.name, len(drawn[-1].rows), told)
    result = pd.concat(parts, ignore_index=True)
    result.insert(0, "variant", variant)
    write_csv(result, out)
