"""Augmentation for training a segmenter: geometry, exposure and data imputation.

Data imputation (Selvan et al., arXiv 2005.10052) hides lung from the image but not from the mask,
so that the network learns to fill in what an opacity covers.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional as F

ROTATION_DEGREES = 15.0
BLOCK_VALUE = 0.85
OPACITY_GAIN, OPACITY_OFFSET = 0.6, -0.1
MIRROR_PROBABILITY = 0.5
ZOOM = 1.15
GAMMA = 1.6
UNEVENNESS = 0.2
SHIFT = 0.08


def augment(
    images: Tensor, masks: Tensor, generators: list[np.random.Generator], imputation: float
) -> tuple[Tensor, Tensor]:
    """Return augmented copies of a batch.

    Args:
        images: float (B, 1, H, W) in [0, 1].
        masks: float (B, 1, H, W), 0 or 1.
        generators: one for each image, so that its draws do not depend on the batch.
        imputation: probability that lung of an image is hidden (the mask stays whole).
    """
    height, width = images.shape[-2:]
    images = torch.stack(
        [_expose(image, rng) for image, rng in zip(images, generators, strict=True)]
    )
    matrices = torch.stack([_transform(generator, height, width) for generator in generators])
    grid = F.affine_grid(matrices.to(images), list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, mode="bilinear", align_corners=False)
    masks = (F.grid_sample(masks, grid, mode="bilinear", align_corners=False) > 0.5).to(masks.dtype)
    for image, generator in zip(images, generators, strict=True):
        if generator.random() < imputation:
            _impute(image[0], generator)
    return images, masks


def diffuse_opacity(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return blurred discs (height, width) in [0, 1], like patches of consolidation."""
    rows, columns = np.mgrid[:height, :width]
    discs = np.zeros((height, width), dtype=np.float32)
    for _ in range(rng.integers(5, 16)):
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        radius = rng.uniform(0.03, 0.08) * height
        discs[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = 1.0
    return gaussian_filter(discs, sigma=0.025 * height)


def _expose(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Return ``image`` (1, H, W) with another gamma and a smooth unevenness; zero stays zero."""
    gamma = math.exp(rng.uniform(-1.0, 1.0) * math.log(GAMMA))
    coarse = torch.from_numpy(rng.uniform(-UNEVENNESS, UNEVENNESS, (1, 1, 4, 4))).to(image)
    shade = F.interpolate(coarse, size=image.shape[-2:], mode="bicubic", align_corners=True)[0]
    return torch.where(image > 0, (image**gamma + shade).clamp(0.0, 1.0), 0.0)


def _impute(image: Tensor, rng: np.random.Generator) -> None:
    """Cover a half of ``image`` (H, W) by a block, or strew opacities over it, in place."""
    height, width = image.shape
    kind = rng.integers(8)
    if kind >= 4:
        opacity = torch.from_numpy(diffuse_opacity(height, width, rng)).to(image)
        image.add_(OPACITY_GAIN * opacity + OPACITY_OFFSET)
        return
    halves = (
        image[: height // 2],
        image[height // 2 :],
        image[:, : width // 2],
        image[:, width // 2 :],
    )
    halves[kind].fill_(BLOCK_VALUE)


def _transform(rng: np.random.Generator, height: int, width: int) -> Tensor:
    """Draw the 2 x 3 matrix that leads from output to input places, both from -1 to 1."""
    angle = math.radians(rng.uniform(-ROTATION_DEGREES, ROTATION_DEGREES))
    mirror = -1.0 if rng.random() < MIRROR_PROBABILITY else 1.0
    zoom = math.exp(rng.uniform(-1.0, 1.0) * math.log(ZOOM))
    right, down = rng.uniform(-SHIFT, SHIFT, size=2)
    cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
    # The aspect makes it a rotation in pixels, also where the field is no square.
    aspect = width / height
    return torch.tensor(
        [[mirror * cosine, -mirror * sine / aspect, right], [sine * aspect, cosine, down]]
    )
