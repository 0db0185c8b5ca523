"""Training the compact lung segmenter on pairs of radiographs and lung masks.

First on synthetic radiographs, whose lungs are known, then on pairs that people drew, if there are
any. Loss: mean binary cross-entropy plus soft Dice (Milletari et al. 2016, arXiv:1606.04797).
Optimiser: AdamW, the rate rising over the first tenth and falling to zero (OneCycleLR). What is
kept is the exponential moving average of the weights after the last epoch; no epoch is chosen, so
that validation pairs stay unseen.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from sscdl.errors import InputError
from sscdl.files import write_json
from sscdl.segment.maskcodes import read_given_mask
from sscdl.segment.maskfiles import read_gray, refuse_empty
from sscdl.segment.networks.checkpoint import Architecture, CompactArchitecture, save_checkpoint
from sscdl.segment.predict import Segmenter
from sscdl.segment.processing.preprocess import default_border, place_mask, preprocess
from sscdl.segment.training.augmentation import augment
from sscdl.segment.training.pairs import SPLITS, Pair, check_splits

logger = logging.getLogger(__name__)

BATCH_SIZE = 4
LEARNING_RATE = 2e-3  # at its highest
WEIGHT_DECAY = 1e-4
IMPUTATION = 0.4  # how often lung of an image is hidden
WARM_UP = 0.1
AVERAGING = 0.99
CLIP = 1.0
SMOOTHING = 1.0  # of the soft Dice loss, in pixels


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the Dice coefficient 2 |a & b| / (|a| + |b|) of two masks; 1 if both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / total if total else 1.0


def train_segmenter(
    pairs: Sequence[Pair],
    phantoms: Sequence[Pair],
    out: Path,
    *,
    height: int,
    width: int,
    channels: int,
    epochs: int,
    phantom_epochs: int,
    seed: int,
    threads: int,
    mask_convention: str,
    device: str = "cpu",
) -> dict[str, Any]:
    """Train a compact segmenter and write it.

    Args:
        pairs: (image, mask, split) with split train, perhaps val, and test, which is not used; may
            be empty.
        phantoms: the same, rendered; trained on first where ``pairs`` are given too.
        out: the ``.safetensors``; ``<out>.json`` beside it gets what this function returns.
        height, width: field in pixels, multiples of 32.
        channels: see :class:`sscdl.segment.networks.compact.CompactUNet`.
        epochs, phantom_epochs: passes over the training pairs and over the training phantoms.
        seed: of initial weights, order and augmentation.
        threads: of torch; part of what makes the bits.
        mask_convention: name of what the masks count as lung; kept with the weights.

    Returns a dict with ``dice`` (for ``pairs``, or for ``phantoms`` where there are no pairs, per
    split: ``mean``, ``min``, ``n`` at the size of the images, after post-processing), ``history``
    (per phase and epoch), ``seconds`` and ``recipe``.

    Raises InputError if a picture cannot be read or there is nothing to train on.
    """
    started = time.monotonic()
    torch.set_num_threads(threads)
    recipe: dict[str, Any] = {
        "network": "compact",
        "height": height,
        "width": width,
        "border": default_border(height),
        "channels": channels,
        "epochs": epochs if pairs else 0,
        "phantoms": len(phantoms),
        "phantom_epochs": phantom_epochs,
        "batch_size": BATCH_SIZE,
        "learning_rate": LEARNING_RATE,
        "weight_decay": WEIGHT_DECAY,
        "averaging": AVERAGING,
        "imputation": IMPUTATION,
        "seed": seed,
        "threads": threads,
        "mask_convention": mask_convention,
    }
    architecture = CompactArchitecture(channels, height, width, default_border(height))
    for found in (phantoms, pairs):
        if found:
            check_splits(found)
    if not pairs and not phantoms:
        raise InputError("segmenter: neither pairs nor phantoms to train on")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = architecture.build().to(device)
    history = []
    for phase, found, passes in (("phantoms", phantoms, phantom_epochs), ("pairs", pairs, epochs)):
        if not found:
            continue
        fields = {
            split: [
                tensor.to(device)
                for tensor in load_fields([p for p in found if p[2] == split], architecture)
            ]
            for split in ("train", "val")
        }
        history += _fit(network, fields["train"], fields["val"], passes, phase, seed)
    scores = score(Segmenter(network.eval(), architecture, mask_convention), pairs or phantoms)
    for split, reached in scores.items():
        logger.info("segmenter %s Dice %.4f (n=%d)", split, reached["mean"], reached["n"])
    result = {
        "recipe": recipe,
        "dice": scores,
        "history": history,
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(Path(f"{out}.json"), result)
    save_checkpoint(Path(out), network, architecture, mask_convention)
    return result


def segmentation_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Return mean binary cross-entropy plus the mean over the images of 1 - soft Dice.

    ``logits``, ``masks``: float (B, 1, H, W), masks 0 or 1.
    """
    probability = torch.sigmoid(logits)
    both = (probability * masks).sum(dim=(1, 2, 3))
    total = probability.sum(dim=(1, 2, 3)) + masks.sum(dim=(1, 2, 3))
    overlap = (2.0 * both + SMOOTHING) / (total + SMOOTHING)
    return F.binary_cross_entropy_with_logits(logits, masks) + (1.0 - overlap).mean()


def _fit(
    network: nn.Module,
    training: list[Tensor],
    validation: list[Tensor],
    epochs: int,
    phase: str,
    seed: int,
) -> list[dict[str, Any]]:
    """Train ``network`` in place and leave the average of its weights in it; return the history."""
    images, masks = training
    count = len(images)
    steps = math.ceil(count / BATCH_SIZE) * epochs
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, total_steps=max(steps, 1), pct_start=WARM_UP
    )
    average = copy.deepcopy(network).requires_grad_(False)
    history: list[dict[str, Any]] = []
    started, step = time.monotonic(), 0
    for epoch in range(1, epochs + 1):
        network.train()
        total = 0.0
        order = np.random.default_rng([seed, epoch]).permutation(count)
        for start in range(0, count, BATCH_SIZE):
            chosen = order[start : start + BATCH_SIZE]
            # Random numbers belong to (seed, epoch, image), whatever the batch.
            generators = [np.random.default_rng([seed, epoch, int(i)]) for i in chosen]
            x, y = augment(images[chosen], masks[chosen], generators, IMPUTATION)
            loss = segmentation_loss(network(x)[0], y)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
            optimiser.step()
            schedule.step()
            step += 1
            _average(average, network, min(AVERAGING, (1 + step) / (10 + step)))
            total += loss.item() * len(chosen)
        line = {"phase": phase, "epoch": epoch, "loss": total / count}
        if len(validation[0]):
            # These are two, images and masks.
            line["val_dice"] = field_dice(average, *validation, BATCH_SIZE)  # type: ignore[call-arg, arg-type]
        history.append(line)
        elapsed = time.monotonic() - started
        logger.info(
            "segmenter %s epoch %d/%d loss %.4f%s %.1f images/s ETA %.0f s",
            phase,
            epoch,
            epochs,
            total / count,
            f" val Dice {line['val_dice']:.4f}" if "val_dice" in line else "",
            epoch * count / elapsed,
            elapsed / epoch * (epochs - epoch),
        )
    network.load_state_dict(average.state_dict())
    return history


@torch.no_grad()
def _average(average: nn.Module, network: nn.Module, kept: float) -> None:
    """Move ``average`` towards ``network``; nothing in it but parameters."""
    for slow, fast in zip(average.parameters(), network.parameters(), strict=True):
        slow.lerp_(fast, 1.0 - kept)


@torch.no_grad()
def field_dice(network: nn.Module, images: Tensor, masks: Tensor, batch_size: int) -> float:
    """Return the mean Dice of the raw masks of fields, both float (N, 1, H, W), at their size."""
    network.eval()
    scores = []
    for start in range(0, len(images), batch_size):
        logits, _ = network(images[start : start + batch_size])
        truth = masks[start : start + batch_size].bool().cpu().numpy()
        predicted = (logits > 0).cpu().numpy()
        scores += [dice(p, t) for p, t in zip(predicted, truth, strict=True)]
    return float(np.mean(scores))


def score(segmenter: Segmenter, pairs: Sequence[Pair]) -> dict[str, dict[str, Any]]:
    """Return Dice of the post-processed masks at the size of the images, for train and val.

    Test pairs are not looked at: they are for whoever reports a finished network.
    """
    found: dict[str, list[float]] = {}
    for image, mask, split in pairs:
        if split == "test":
            continue
        ((_, post),) = segmenter.predict([read_gray(image)])
        found.setdefault(split, []).append(dice(post, read_given_mask(mask)))
    return {
        split: {
            "mean": float(np.mean(found[split])),
            "min": min(found[split]),
            "n": len(found[split]),
        }
        for split in SPLITS
        if split in found
    }


def load_fields(pairs: Sequence[Pair], shape: Architecture | CompactArchitecture) -> list[Tensor]:
    """Return images and masks of ``pairs`` as float (N, 1, height, width)."""
    size: dict[str, Any] = {"height": shape.height, "width": shape.width, "border": shape.border}
    images, masks, empty = [], [], 0
    for image_path, mask_path, _ in pairs:
        image, mask = read_gray(image_path), read_given_mask(mask_path)
        if image.shape != mask.shape:
            raise InputError(
                f"mask {mask_path}: {mask.shape[1]} x {mask.shape[0]} pixels, its image has "
                f"{image.shape[1]} x {image.shape[0]}; resize the mask"
            )
        images.append(preprocess(image, **size)[0])
        masks.append(place_mask(mask, **size))
        empty += not mask.any()
    if pairs:
        refuse_empty(empty, len(pairs), f"segmenter data {pairs[0][1].parent}")
    shape_of_stack = (-1, 1, shape.height, shape.width)
    return [
        torch.from_numpy(np.array(stack, dtype=np.float32).reshape(shape_of_stack))
        for stack in (images, masks)
    ]
