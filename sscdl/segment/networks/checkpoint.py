"""Files of trained segmenters: our safetensors, and state dicts in the authors' style."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from sscdl.errors import InputError
from sscdl.files import atomic_path
from sscdl.segment.networks.compact import CompactUNet
from sscdl.segment.networks.uvae import UVAE
from sscdl.segment.processing.preprocess import default_border
from sscdl.weight_files import SAFETENSORS, read_tensors, weights_format

FORMAT = "sscdl-lung-segmenter"
PUBLISHED_FIELD = (640, 512)


@dataclass(frozen=True)
class Architecture:
    """What is needed to build a segmenter and to feed it.

    ``per_image`` says whose statistics normalise: each image's own, or the stored ones. ``border``
    is the zero margin of the field in pixels.
    """

    latent: int
    channels: int
    height: int
    width: int
    unet: bool
    per_image: bool
    border: int

    refinement: ClassVar[int] = 1  # how much finer than the field masks are post-processed

    def build(self) -> UVAE:
        """Return a network with random weights from torch's global generator."""
        return UVAE(
            self.latent,
            self.channels,
            self.height,
            self.width,
            self.unet,
            per_image=self.per_image,
        )


@dataclass(frozen=True)
class CompactArchitecture:
    """The same for :class:`sscdl.segment.networks.compact.CompactUNet`."""

    channels: int
    height: int
    width: int
    border: int

    # Cut out at its own size, the outline of a small field would show as steps in a large image.
    refinement: ClassVar[int] = 4

    def build(self) -> CompactUNet:
        """Return a network with random weights from torch's global generator."""
        return CompactUNet(self.channels, self.height, self.width)


ARCHITECTURES = {"lungvae": Architecture, "compact": CompactArchitecture}


def save_checkpoint(
    path: Path,
    network: nn.Module,
    architecture: Architecture | CompactArchitecture,
    mask_convention: str,
) -> None:
    """Write the weights to ``path`` (.safetensors), atomically, with what loading them needs."""
    names = {kind: name for name, kind in ARCHITECTURES.items()}
    about = {
        "network": names[type(architecture)],
        "architecture": asdict(architecture),
        "mask_convention": mask_convention,
    }
    # One entry only: safetensors writes several in an order that changes from run to run.
    metadata = {FORMAT: json.dumps(about, sort_keys=True)}
    state = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    with atomic_path(path) as temporary:
        save_file(state, temporary, metadata=metadata)


def load_checkpoint(
    path: Path, field: tuple[int, int] = PUBLISHED_FIELD
) -> tuple[UVAE | CompactUNet, Architecture | CompactArchitecture, str]:
    """Return the network (on the CPU, eval mode), its architecture and its mask convention.

    Args:
        path: a ``.safetensors`` written by :func:`save_checkpoint`, or else a torch state dict of
            the lungVAE authors' network (any serialisation, tensors of any device).
        field: height and width that an authors' state dict was trained at; ours states its own.

    Raises InputError if the file is missing, damaged, or of another network.
    """
    if not path.is_file():
        raise InputError(f"segmenter {path}: no such file; give the path of a trained segmenter")
    state = read_tensors(path)
    if weights_format(path) == SAFETENSORS:
        architecture, convention = _described(path)
    else:
        architecture = infer_architecture(state, path, field)
        # The masks that the published model learnt from leave the heart out.
        convention = "lungvae"
    try:
        network = architecture.build()
        network.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"segmenter {path}: weights do not fit their network ({error}); "
            "give a segmenter of this project or a lungVAE checkpoint"
        ) from error
    return network.eval(), architecture, convention


def infer_architecture(
    state: dict[str, torch.Tensor], path: Path, field: tuple[int, int] = PUBLISHED_FIELD
) -> Architecture:
    """Read the architecture off the shapes of an authors' state dict.

    Raises InputError if keys are missing or the bottleneck belongs to another field size.
    """
    height, width = field
    try:
        channels = state["uEnc11.weight"].shape[0]
        unet = "enc11.weight" not in state
        latent = 0 if unet else state["bot21.weight"].shape[1]
        positions = None if unet else state["bot12.weight"].shape[1]
    except (KeyError, IndexError) as error:
        raise InputError(
            f"segmenter {path}: no lungVAE state dict ({error} is missing); "
            "give the authors' lungVAE.pt or a segmenter of this project"
        ) from error
    if positions is not None and positions * 256 != height * width:
        raise InputError(
            f"segmenter {path}: made for a field of {positions * 256} pixels, not for "
            f"{height} x {width}; give the field that it was trained at"
        )
    return Architecture(
        latent=latent,
        channels=channels,
        height=height,
        width=width,
        unet=unet,
        per_image=True,
        border=default_border(height),
    )


def _described(path: Path) -> tuple[Architecture | CompactArchitecture, str]:
    """Return what our own file tells of its network, and its mask convention."""
    with safe_open(path, framework="pt", device="cpu") as handle:
        metadata = handle.metadata() or {}
    if FORMAT not in metadata:
        raise InputError(
            f"segmenter {path}: a safetensors file, but of no lung segmenter of this project; "
            "give the file that training a segmenter wrote"
        )
    about = json.loads(metadata[FORMAT])
    return ARCHITECTURES[about["network"]](**about["architecture"]), about["mask_convention"]
