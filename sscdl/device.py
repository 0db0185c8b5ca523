"""Which device to compute on."""

from __future__ import annotations

import torch

from sscdl.errors import InputError


def choose_device(wanted: str) -> torch.device:
    """Return the device that ``wanted`` ("auto", "cpu", "cuda") stands for on this machine."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "training.device: 'cuda', but torch sees no GPU here; use 'auto' or 'cpu', or ask the "
            "cluster for one (resources: gpu=1)"
        )
    return torch.device(wanted)
