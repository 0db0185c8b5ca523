"""Training lungVAE as its authors did (Selvan et al., arXiv 2005.10052).

Mean binary cross-entropy of the probabilities plus KL / B; Adam at 1e-4 with weight decay 1e-5,
batches of 12, at most 200 epochs, stopped after 20 without a smaller validation loss; lung is
hidden from nine images of ten. Statistics of the batch normalise in training and those of the
single image in prediction, as with the published checkpoint. The validation loss is that of
prediction: single images, latent means, no augmentation.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sscdl.errors import InputError
from sscdl.files import write_json
from sscdl.segment.networks.checkpoint import Architecture, save_checkpoint
from sscdl.segment.networks.uvae import UVAE, ImageNorm
from sscdl.segment.predict import Segmenter
from sscdl.segment.processing.preprocess import default_border
from sscdl.segment.training.compact import load_fields, score
from sscdl.segment.training.pairs import Pair, check_splits
from sscdl.segment.training.published_augmentation import augment_published, opacity_set

logger = logging.getLogger(__name__)

LEARNING_RATE, WEIGHT_DECAY = 1e-4, 1e-5
HIDDEN: Final = "both"
OPACITIES = 64


def train_published(
    pairs: Sequence[Pair],
    out: Path,
    *,
    height: int,
    width: int,
    channels: int,
    latent: int,
    unet: bool,
    epochs: int = 200,
    batch_size: int = 12,
    patience: int = 20,
    seed: int,
    threads: int,
    mask_convention: str,
    device: str = "cpu",
) -> dict[str, Any]:
    """Train a lungVAE, keep the state with the smallest validation loss, and write it.

    Args:
        pairs: (image, mask, split) with split train, val or test; train and val must occur. The
            authors held back a quarter for validation.
        out: the ``.safetensors``; ``<out>.json`` beside it gets what this function returns.
        height, width: field in pixels, multiples of 64 and above 64 x 64; theirs is 640 x 512.
        channels, latent, unet: see :class:`sscdl.segment.networks.uvae.UVAE`; theirs has 16 and 8.
        epochs: the most; training ends ``patience`` epochs after the best one.
        seed: of initial weights, order, augmentation, opacities and latent noise.
        threads: of torch; part of what makes the bits.
        mask_convention: name of what the masks count as lung; kept with the weights.

    Returns a dict with ``dice`` (per split: ``mean``, ``min``, ``n`` at the size of the images,
    after post-processing), ``history`` (per epoch), ``best_epoch``, ``seconds`` and ``recipe``.

    Raises InputError if a picture cannot be read or a split is missing.
    """
    started = time.monotonic()
    torch.set_num_threads(threads)
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
    if not any(split == "val" for _, _, split in pairs):
        raise InputError(
            "segmenter data: no pair has the split val, by which the published recipe ends "
            "training; mark about a quarter of the pairs as val"
        )
    training, validation = (
        load_fields([pair for pair in pairs if pair[2] == split], architecture)
        for split in ("train", "val")
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = architecture.build().to(device)
    best_epoch, history = _fit(
        network,
        training,
        validation,
        epochs=epochs,
        batch_size=batch_size,
        patience=patience,
        seed=seed,
    )
    scores = score(Segmenter(network.eval(), architecture, mask_convention), pairs)
    for split, found in scores.items():
        logger.info("lungVAE %s Dice %.4f (n=%d)", split, found["mean"], found["n"])
    result = {
        "recipe": {
            "name": "lungVAE (arXiv 2005.10052)",
            "height": height,
            "width": width,
            "border": default_border(height),
            "channels": channels,
            "latent": latent,
            "unet": unet,
            "epochs": epochs,
            "batch_size": batch_size,
            "patience": patience,
            "learning_rate": LEARNING_RATE,
            "weight_decay": WEIGHT_DECAY,
            "seed": seed,
            "threads": threads,
            "mask_convention": mask_convention,
        },
        "dice": scores,
        "best_epoch": best_epoch,
        "history": history,
        "seconds": round(time.monotonic() - started, 1),
    }
    write_json(Path(f"{out}.json"), result)
    save_checkpoint(Path(out), network, architecture, mask_convention)
    return result


def make_optimiser(network: UVAE) -> torch.optim.Optimizer:
    """Return the authors' optimiser of all parameters."""
    return torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)


def loss_terms(
    network: UVAE, images: Tensor, masks: Tensor, eps: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return mean binary cross-entropy and KL / B of a batch; the loss is their sum.

    The authors take the entropy of probabilities, not of logits: where a probability rounds to 0 or
    1 it is cut off at 100 and has no gradient. Recorded steps are reproduced only that way.
    """
    logits, kl = network(images, eps)
    return F.binary_cross_entropy(torch.sigmoid(logits), masks), kl / len(images)


def train_step(
    network: UVAE,
    optimiser: torch.optim.Optimizer,
    images: Tensor,
    masks: Tensor,
    eps: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Take one step on a batch and return cross-entropy and KL / B from before it.

    Args:
        images, masks: float (B, 1, H, W).
        eps: standard normal numbers (B, latent); None for the plain U-Net.

    Gradients stay in the parameters until the next step.
    """
    entropy, kl = loss_terms(network, images, masks, eps)
    optimiser.zero_grad()
    (entropy + kl).backward()
    optimiser.step()
    return entropy.detach(), kl.detach()


def _fit(
    network: UVAE,
    training: list[Tensor],
    validation: list[Tensor],
    *,
    epochs: int,
    batch_size: int,
    patience: int,
    seed: int,
) -> tuple[int, list[dict[str, float]]]:
    """Train ``network``, leave the best state in it, and return its epoch and the history."""
    images, masks = training
    device = next(network.parameters()).device
    opacities = opacity_set(OPACITIES, network.height, network.width, seed)
    optimiser = make_optimiser(network)
    history: list[dict[str, float]] = []
    best_epoch, best_loss, best_state = 0, np.inf, network.state_dict()
    started = time.monotonic()
    for epoch in range(1, epochs + 1):
        _normalise_by(network, per_image=False)
        network.train()
        total = 0.0
        order = np.random.default_rng([seed, epoch]).permutation(len(images))
        for start in range(0, len(images), batch_size):
            chosen = order[start : start + batch_size]
            # Random numbers belong to (seed, epoch, image), whatever the batch.
            generators = [np.random.default_rng([seed, epoch, int(i)]) for i in chosen]
            x, y = augment_published(images[chosen], masks[chosen], generators, HIDDEN, opacities)
            eps = None if network.unet else _noise(generators, network.latent, device)
            entropy, kl = train_step(network, optimiser, x.to(device), y.to(device), eps)
            total += float(entropy + kl) * len(chosen)
        loss = _validation_loss(network, *validation)
        history.append({"epoch": epoch, "loss": total / len(images), "val_loss": loss})
        if loss < best_loss:
            best_epoch, best_loss = epoch, loss
            best_state = {name: value.clone() for name, value in network.state_dict().items()}
        elapsed = time.monotonic() - started
        logger.info(
            "lungVAE epoch %d/%d loss %.4f val loss %.4f (best %.4f) %.2f images/s ETA %.0f s",
            epoch,
            epochs,
            total / len(images),
            loss,
            best_loss,
            epoch * len(images) / elapsed,
            elapsed / epoch * (epochs - epoch),
        )
        if epoch - best_epoch >= patience:
            break
    _normalise_by(network, per_image=True)
    network.load_state_dict(best_state)
    return best_epoch, history


@torch.no_grad()
def _validation_loss(network: UVAE, images: Tensor, masks: Tensor) -> float:
    """Return the mean loss of the images (N, 1, H, W), each by its own statistics."""
    _normalise_by(network, per_image=True)
    network.eval()
    device = next(network.parameters()).device
    losses: list[float] = []
    for image, mask in zip(images, masks, strict=True):
        terms = loss_terms(network, image[None].to(device), mask[None].to(device), None)
        losses.append(float(sum(terms)))
    return float(np.mean(losses))


def _normalise_by(network: UVAE, *, per_image: bool) -> None:
    """Let every image's own statistics normalise, or (in training) those of the batch."""
    for module in network.modules():
        if isinstance(module, ImageNorm):
            module.per_image = per_image


def _noise(generators: list[np.random.Generator], latent: int, device: torch.device) -> Tensor:
    """Return standard normal numbers (B, latent), each image's from its own generator."""
    rows: list[NDArray[np.float32]] = [
        rng.standard_normal(latent, dtype=np.float32) for rng in generators
    ]
    return torch.from_numpy(np.stack(rows)).to(device)
