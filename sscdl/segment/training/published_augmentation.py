"""The augmentation that lungVAE was trained with (Selvan et al., arXiv 2005.10052).

Everything about an item follows from four uniform numbers, and the number of an opacity where one
is needed, so that the recipe can be compared with recordings of the original. With P = 0.9 an event
takes place where its number is above 1 - P:

- flips about both axes, only where nothing is hidden from the images at all;
- rotation by 15 degrees times its number, clockwise above P / 2, by the nearest pixel;
- imputation, on the image only: a half of it becomes 0.85 (``block``), or a diffuse opacity lies
  over it (``blur``). With ``both`` it is a block below P / 2, else an opacity. Which half follows
  from the same number: the range up to P (P / 2 with ``both``) is cut into four equal parts for the
  upper, right, left and lower half, and what is above P is the lower one's too. The first part lies
  mostly below 1 - P, so that with ``both`` the upper half is almost never taken; the original has
  it so.

Images leave [0, 1] under an opacity: they are not clipped.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sscdl.segment.training.augmentation import Patches, diffuse_opacity

Kind = Literal["none", "block", "blur", "both"]
PROBABILITY = 0.9
ROTATION_DEGREES = 15.0
BLOCK_VALUE = 0.85
OPACITY_GAIN, OPACITY_OFFSET = 0.6, 0.1
PATCHES = Patches((8, 16), (0.06, 0.12), 0.04)


class Draws(NamedTuple):
    """Random numbers of an item: uniform in [0, 1), and the number of an opacity or None."""

    mirror: float
    upend: float
    rotation: float
    imputation: float
    opacity: int | None


def draw(rng: np.random.Generator, kind: Kind, opacities: int) -> Draws:
    """Draw what :func:`apply` needs; ``opacities`` is how many there are to choose from."""
    uniform = [float(number) for number in rng.random(4)]
    needs_opacity = kind in ("blur", "both") and _happens(uniform[3])
    # These are four.
    return Draws(*uniform, int(rng.integers(opacities)) if needs_opacity else None)  # type: ignore[call-arg, arg-type]


def apply(
    image: NDArray[np.float32],
    mask: NDArray[np.float32],
    draws: Draws,
    kind: Kind,
    opacities: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return an augmented image and its mask, both float32 (H, W).

    Args:
        image: (H, W), in [0, 1].
        mask: (H, W), 0 or 1.
        draws: see :func:`draw`.
        kind: what is hidden from images: ``none``, ``block``, ``blur`` or ``both``.
        opacities: (N, H, W), in [0, 1]; not used by ``none`` and ``block``.
    """
    image, mask = (_moved(values, draws, flips=kind == "none") for values in (image, mask))
    if kind == "none" or not _happens(draws.imputation):
        return image, mask
    if kind == "blur" or (kind == "both" and draws.imputation >= PROBABILITY / 2):
        # float32, as the pixels are.
        return image + OPACITY_GAIN * opacities[draws.opacity] - OPACITY_OFFSET, mask  # type: ignore[return-value]
    height, width = image.shape
    halves = (
        image[: height // 2],
        image[:, width // 2 :],
        image[:, : width // 2],
        image[height // 2 :],
    )
    part = (PROBABILITY / 2 if kind == "both" else PROBABILITY) / len(halves)
    halves[min(int(draws.imputation / part), len(halves) - 1)][:] = BLOCK_VALUE
    return image, mask


def augment_published(
    images: Tensor,
    masks: Tensor,
    generators: list[np.random.Generator],
    kind: Kind,
    opacities: NDArray[np.float32],
) -> tuple[Tensor, Tensor]:
    """Return augmented copies of a batch, on its device.

    Args:
        images, masks: float (B, 1, H, W); see :func:`apply`.
        generators: one for each image, so that its draws do not depend on the batch.
        kind, opacities: see :func:`apply`.
    """
    pairs = [
        apply(image[0].cpu().numpy(), mask[0].cpu().numpy(), draws, kind, opacities)
        for image, mask, draws in zip(
            images, masks, (draw(rng, kind, len(opacities)) for rng in generators), strict=True
        )
    ]
    moved_images, moved_masks = (
        torch.from_numpy(np.stack([pair[part] for pair in pairs])).unsqueeze(1).to(images)
        for part in (0, 1)
    )
    return moved_images, moved_masks


def opacity_set(number: int, height: int, width: int, seed: int) -> NDArray[np.float32]:
    """Return ``number`` diffuse opacities (number, height, width) in [0, 1].

    They are blurred discs, of sizes and softness like those of the authors' examples.
    """
    drawn = [
        diffuse_opacity(height, width, np.random.default_rng([seed, index]), PATCHES)
        for index in range(number)
    ]
    return np.stack(drawn)


def _happens(number: float) -> bool:
    return number > 1.0 - PROBABILITY


def _moved(values: NDArray[np.float32], draws: Draws, *, flips: bool) -> NDArray[np.float32]:
    """Return ``values`` flipped and rotated, as an array of its own; what comes in is 0."""
    if flips and _happens(draws.mirror):
        values = values[:, ::-1]
    if flips and _happens(draws.upend):
        values = values[::-1]
    angle = 0.0
    if _happens(draws.rotation):
        angle = ROTATION_DEGREES * draws.rotation
        angle = -angle if draws.rotation > PROBABILITY / 2 else angle
    picture = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.array(picture.rotate(angle, Image.Resampling.NEAREST))
