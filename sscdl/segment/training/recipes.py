"""The ways to train a lung segmenter, by name: what the workflow's rule runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sscdl.segment.networks.default import convention
from sscdl.segment.training.compact import train_segmenter
from sscdl.segment.training.pairs import pairs_from_folder
from sscdl.segment.training.phantom_pairs import phantom_pairs
from sscdl.segment.training.published import train_published

CHANNELS = {"compact": 16, "lungvae": 16, "unet": 24}
EPOCHS = {"compact": 120, "lungvae": 200, "unet": 200}


def train(
    settings: dict[str, Any], out: Path, scratch: Path, *, threads: int, device: str
) -> dict[str, Any]:
    """Train the segmenter that ``settings`` describe (``lungs.train`` of the configuration).

    Args:
        settings: all keys of the block, with values.
        out: the ``.safetensors``; ``<out>.json`` beside it gets what is returned.
        scratch: an empty folder for the pictures of phantoms.
        threads, device: of torch.

    Returns what the recipe's function does. Raises InputError as it does.
    """
    network, folder = settings["network"], settings["folder"]
    compact = network == "compact"
    pairs = pairs_from_folder(Path(folder), validation=settings["validation"]) if folder else []
    phantoms = []
    if settings["phantoms"] and (compact or not pairs):
        phantoms = phantom_pairs(
            scratch,
            settings["phantoms"],
            settings["seed"],
            behind_heart=settings["behind_heart"],
        )
    height, width = settings["field"]
    common = {
        "height": height,
        "width": width,
        "channels": settings["channels"] or CHANNELS[network],
        "epochs": settings["epochs"] or EPOCHS[network],
        "seed": settings["seed"],
        "threads": threads,
        "device": device,
        "mask_convention": convention(settings["behind_heart"]),
    }
    if compact:
        return train_segmenter(
            pairs, phantoms, out, phantom_epochs=settings["phantom_epochs"], **common
        )
    unet = network == "unet"
    return train_published(pairs or phantoms, out, latent=settings["latent"], unet=unet, **common)
