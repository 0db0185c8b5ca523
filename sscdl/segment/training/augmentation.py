"""Augmentation for training a segmenter: exposure, geometry, hidden lung and noise.

Hiding lung from the image but not from the mask is the data imputation of Selvan et al. (arXiv
2005.10052): the network learns to fill in what an opacity covers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional as F

GAMMA, CONTRAST, UNEVENNESS = 1.8, 0.3, 0.25
ROTATION_DEGREES, ZOOM, STRETCH, SHEAR, SHIFT = 15.0, 1.25, 1.15, 0.08, 0.1
MIRROR_PROBABILITY = 0.5
# Displacements of a coarse grid in units of half the field, and how often they are applied.
BEND, BEND_KNOTS, BEND_PROBABILITY = 0.03, 7, 0.7
BLOCK_SIDE = (0.15, 0.5)
OPACITY_GAIN, OPACITY_OFFSET = 0.6, -0.1
NOISE, NOISE_PROBABILITY = 0.06, 0.5
BLUR, BLUR_PROBABILITY = (0.003, 0.012), 0.3


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
    pairs = list(zip(images, generators, strict=True))
    images = torch.stack([_expose(image, rng) for image, rng in pairs])
    grid = torch.stack([_grid(rng, *images.shape[-2:]) for rng in generators]).to(images)
    images = F.grid_sample(images, grid, mode="bilinear", align_corners=False)
    masks = (F.grid_sample(masks, grid, mode="bilinear", align_corners=False) > 0.5).to(masks.dtype)
    changed = []
    for image, rng in zip(images, generators, strict=True):
        pixels = image[0].cpu().numpy()
        if rng.random() < imputation:
            pixels = _impute(pixels, rng)
        changed.append(torch.from_numpy(_degrade(pixels, rng)))
    return torch.stack(changed).unsqueeze(1).to(images), masks


class Patches(NamedTuple):
    """Fewest and most discs of an opacity, their radii and their blur as shares of the height."""

    number: tuple[int, int]
    radius: tuple[float, float]
    blur: float


PATCHES = Patches((5, 15), (0.03, 0.08), 0.025)


def diffuse_opacity(
    height: int, width: int, rng: np.random.Generator, patches: Patches = PATCHES
) -> NDArray[np.float32]:
    """Return blurred discs (height, width) in [0, 1], like patches of consolidation."""
    rows, columns = np.mgrid[:height, :width]
    discs = np.zeros((height, width), dtype=np.float32)
    for _ in range(rng.integers(patches.number[0], patches.number[1] + 1)):
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        radius = rng.uniform(*patches.radius) * height
        discs[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = 1.0
    return gaussian_filter(discs, sigma=patches.blur * height)


def _expose(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Return ``image`` (1, H, W) with other gamma, contrast and shading; zero stays zero."""
    gamma = math.exp(rng.uniform(-1.0, 1.0) * math.log(GAMMA))
    contrast = math.exp(rng.uniform(-CONTRAST, CONTRAST))
    coarse = torch.from_numpy(rng.uniform(-UNEVENNESS, UNEVENNESS, (1, 1, 4, 4))).to(image)
    shade = F.interpolate(coarse, size=image.shape[-2:], mode="bicubic", align_corners=True)[0]
    changed = (image**gamma - 0.5) * contrast + 0.5 + shade
    return torch.where(image > 0, changed.clamp(0.0, 1.0), 0.0)


def _grid(rng: np.random.Generator, height: int, width: int) -> Tensor:
    """Draw where each output pixel is read: (H, W, 2), both coordinates from -1 to 1."""
    angle = math.radians(rng.uniform(-ROTATION_DEGREES, ROTATION_DEGREES))
    mirror = -1.0 if rng.random() < MIRROR_PROBABILITY else 1.0
    zoom = math.exp(rng.uniform(-1.0, 1.0) * math.log(ZOOM))
    stretch = math.exp(rng.uniform(-1.0, 1.0) * math.log(STRETCH))
    shear = rng.uniform(-SHEAR, SHEAR)
    right, down = rng.uniform(-SHIFT, SHIFT, size=2)
    cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
    # The aspect makes it a rotation in pixels, also where the field is no square.
    aspect = width / height
    across = [mirror * cosine * stretch, mirror * (shear - sine) / aspect, right]
    matrix = torch.tensor([across, [sine * aspect, cosine / stretch, down]])
    grid = F.affine_grid(matrix.unsqueeze(0), [1, 1, height, width], align_corners=False)
    if rng.random() < BEND_PROBABILITY:
        knots = torch.from_numpy(rng.normal(0.0, BEND, (1, 2, BEND_KNOTS, BEND_KNOTS))).float()
        bend = F.interpolate(knots, size=(height, width), mode="bicubic", align_corners=True)
        grid = grid + bend.permute(0, 2, 3, 1)
    return grid[0]


def _impute(pixels: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return ``pixels`` (H, W) with a block of one gray value, or with opacities strewn over."""
    height, width = pixels.shape
    if rng.random() < 0.5:
        # float32, as the pixels are.
        return pixels + OPACITY_GAIN * diffuse_opacity(height, width, rng) + OPACITY_OFFSET  # type: ignore[return-value]
    tall, wide = rng.uniform(*BLOCK_SIDE, size=2)
    top, left = int(rng.uniform(0, 1 - tall) * height), int(rng.uniform(0, 1 - wide) * width)
    covered = pixels.copy()
    covered[top : top + int(tall * height), left : left + int(wide * width)] = rng.uniform(0, 1)
    return covered


def _degrade(pixels: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return ``pixels`` (H, W) with noise or blur, or both, clipped to [0, 1]."""
    if rng.random() < NOISE_PROBABILITY:
        deviation = rng.uniform(0, NOISE)
        pixels = pixels + deviation * rng.standard_normal(pixels.shape, dtype=np.float32)
    if rng.random() < BLUR_PROBABILITY:
        # float32, as the pixels are.
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(*BLUR) * len(pixels))  # type: ignore[assignment]
    return np.clip(pixels, 0.0, 1.0).astype(np.float32)
