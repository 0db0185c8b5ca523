"""Training a lung segmenter on pairs of radiographs and lung masks.

The recipe is that of lungVAE (arXiv 2005.10052): mean binary cross-entropy plus KL / B, Adam,
weight decay 1e-5, data imputation. At reduced size it takes minutes on one CPU core. It differs
where that pays in few epochs: the learning rate falls along a half cosine, augmentation also zooms
and shifts but does not turn images upside down, and every image is normalised by its own statistics
in training too, so that prediction sees what training saw.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sscdl.errors import InputError
from sscdl.files import write_json
from sscdl.segment.augmentation import augment
from sscdl.segment.checkpoint import Architecture, save_checkpoint
from sscdl.segment.maskfiles import read_gray, read_mask
from sscdl.segment.network import UVAE
from sscdl.segment.pairs import SPLITS, Pair, check_splits, pairs_from_folder, pairs_from_phantom
from sscdl.segment.predict import Segmenter
from sscdl.segment.preprocess import default_border, place_mask, preprocess

logger = logging.getLogger(__name__)

__all__ = [
    "Pair",
    "dice",
    "loss_terms",
    "pairs_from_folder",
    "pairs_from_phantom",
    "train_segmenter",
]

WEIGHT_DECAY = 1e-5
FIRST_LOGIT = 1.0


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the Dice coefficient 2 |a & b| / (|a| + |b|) of two masks; 1 if both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / total if total else 1.0


def train_segmenter(
    pairs: Sequence[Pair],
    out: Path,
    *,
    height: int,
    width: int,
    channels: int,
    latent: int,
    unet: bool,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    threads: int,
    imputation: float,
    mask_convention: str,
    device: str = "cpu",
) -> dict[str, Any]:
    """Train a segmenter, keep the state with the best validation Dice, and write it.

    Args:
        pairs: (image, mask, split) with split train, val or test; train and val must occur.
        out: the ``.safetensors``; ``<out>.json`` beside it gets what this function returns.
        height, width: field in pixels, multiples of 64 and above 64 x 64.
        channels, latent, unet: see :class:`sscdl.segment.network.UVAE`.
        learning_rate: of Adam, at the start of the half cosine.
        seed: of initial weights, order, augmentation and latent noise.
        threads: of torch; part of what makes the bits.
        imputation: probability of hiding lung in a training image.
        mask_convention: name of what the masks count as lung; kept with the weights.

    Returns a dict with ``dice`` (per split: ``mean``, ``min``, ``n`` at the size of the images,
    after post-processing), ``history`` (per epoch), ``best_epoch``, ``seconds`` and ``recipe``.

    Raises InputError if a picture cannot be read or a split is missing.
    """
    started = time.monotonic()
    torch.set_num_threads(threads)
    recipe: dict[str, Any] = {
        "height": height,
        "width": width,
        "border": default_border(height),
        "channels": channels,
        "latent": latent,
        "unet": unet,
        "normalisation": "per image",
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "weight_decay": WEIGHT_DECAY,
        "seed": seed,
        "threads": threads,
        "imputation": imputation,
        "mask_convention": mask_convention,
    }
    architecture = Architecture(
        latent=latent,
        channels=channels,
        height=height,
        width=width,
        unet=unet,
        per_image=True,
        border=default_border(height),
    )
    check_splits(pairs)
    training, validation = (
        _load_fields([pair for pair in pairs if pair[2] == split], architecture)
        for split in ("train", "val")
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = architecture.build()
    # "What has features is not lung" is learnt first. From a logit of zero that traps half of the
    # seeds: the channels that speak for lung die, and lung keeps the bias, just below zero.
    torch.nn.init.constant_(network.dec12.bias, FIRST_LOGIT)
    network.to(device)
    best_epoch, history = _fit(
        network,
        [tensor.to(device) for tensor in training],
        [tensor.to(device) for tensor in validation],
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
        imputation=imputation,
    )
    scores = _score(Segmenter(network.eval(), architecture, mask_convention), pairs)
    for split, score in scores.items():
        logger.info("segmenter %s Dice %.4f (n=%d)", split, score["mean"], score["n"])
    result = {
        "recipe": recipe,
        "dice": scores,
        "best_epoch": best_epoch,
        "history": history,
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(Path(f"{out}.json"), result)
    save_checkpoint(Path(out), network, architecture, mask_convention)
    return result


def loss_terms(
    network: UVAE, images: Tensor, masks: Tensor, eps: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits, mean binary cross-entropy and KL / B of a batch; the loss is their sum."""
    logits, kl = network(images, eps)
    return logits, F.binary_cross_entropy_with_logits(logits, masks), kl / len(images)


def _fit(
    network: UVAE,
    training: list[Tensor],
    validation: list[Tensor],
    *,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    imputation: float,
) -> tuple[int, list[dict[str, float]]]:
    """Train ``network``, leave the best state in it, and return its epoch and the history."""
    images, masks = training
    count = len(images)
    steps = math.ceil(count / batch_size) * epochs
    optimiser = torch.optim.Adam(network.parameters(), lr=learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps)
    history: list[dict[str, float]] = []
    best_epoch, best_score, best_state = 0, -1.0, network.state_dict()
    started = time.monotonic()
    for epoch in range(1, epochs + 1):
        network.train()
        total = 0.0
        order = np.random.default_rng([seed, epoch]).permutation(count)
        for start in range(0, count, batch_size):
            chosen = order[start : start + batch_size]
            # Random numbers belong to (seed, epoch, image), whatever the batch.
            generators = [np.random.default_rng([seed, epoch, int(i)]) for i in chosen]
            x, y = augment(images[chosen], masks[chosen], generators, imputation)
            eps = torch.from_numpy(
                np.stack([g.standard_normal(network.latent, dtype=np.float32) for g in generators])
            ).to(x.device)
            _, entropy, kl = loss_terms(network, x, y, eps)
            loss = entropy + kl
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * len(chosen)
        score = _field_dice(network, *validation, batch_size)
        # A mean Dice of a few images has ties late in training; the later state is the better fit.
        if score >= best_score:
            best_epoch, best_score = epoch, score
            best_state = {name: value.clone() for name, value in network.state_dict().items()}
        history.append({"epoch": epoch, "loss": total / count, "val_dice": score})
        elapsed = time.monotonic() - started
        logger.info(
            "segmenter epoch %d/%d loss %.4f val Dice %.4f (best %.4f) %.1f images/s ETA %.0f s",
            epoch,
            epochs,
            total / count,
            score,
            best_score,
            epoch * count / elapsed,
            elapsed / epoch * (epochs - epoch),
        )
    network.load_state_dict(best_state)
    return best_epoch, history


@torch.no_grad()
def _field_dice(network: UVAE, images: Tensor, masks: Tensor, batch_size: int) -> float:
    """Return the mean Dice over the images of the field-sized raw masks."""
    network.eval()
    scores = []
    for start in range(0, len(images), batch_size):
        logits, _ = network(images[start : start + batch_size])
        truth = masks[start : start + batch_size].bool().cpu().numpy()
        predicted = (logits > 0).cpu().numpy()
        scores += [dice(p, t) for p, t in zip(predicted, truth, strict=True)]
    return float(np.mean(scores))


def _score(segmenter: Segmenter, pairs: Sequence[Pair]) -> dict[str, dict[str, Any]]:
    """Return Dice of the post-processed masks at the size of the images, per split."""
    found: dict[str, list[float]] = {}
    for image, mask, split in pairs:
        ((_, post),) = segmenter.predict([read_gray(image)])
        found.setdefault(split, []).append(dice(post, read_mask(mask)))
    return {
        split: {
            "mean": float(np.mean(found[split])),
            "min": min(found[split]),
            "n": len(found[split]),
        }
        for split in SPLITS
        if split in found
    }


def _load_fields(pairs: Sequence[Pair], shape: Architecture) -> list[Tensor]:
    """Return images and masks of ``pairs`` as float (N, 1, height, width)."""
    size = {"height": shape.height, "width": shape.width, "border": shape.border}
    images, masks = [], []
    for image_path, mask_path, _ in pairs:
        image, mask = read_gray(image_path), read_mask(mask_path)
        if image.shape != mask.shape:
            raise InputError(
                f"mask {mask_path}: {mask.shape[1]} x {mask.shape[0]} pixels, its image has "
                f"{image.shape[1]} x {image.shape[0]}; resize the mask"
            )
        images.append(preprocess(image, **size)[0])
        masks.append(place_mask(mask, **size))
    return [
        torch.from_numpy(np.stack(stack).astype(np.float32)).unsqueeze(1)
        for stack in (images, masks)
    ]
