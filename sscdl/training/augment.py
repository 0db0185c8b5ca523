"""Batched augmentation on the device that holds the images.

Every random choice is a function of uniform numbers that the caller passes, row by row, so an
image's view depends on its own row only: not on the batch, its order, or torch's generators.
There is no hue, saturation or gray jitter, because radiographs have one channel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from sscdl.errors import InputError


def to_unit(images: Tensor) -> Tensor:
    """Return uint8 images as float32 in [0, 1], same shape."""
    return images.float() / 255


def symmetric(draws: Tensor, limit: float) -> Tensor:
    """Map uniform numbers in [0, 1) to [-limit, limit)."""
    return (2 * draws - 1) * limit


def sample_boxes(
    images: Tensor, centre: Tensor, axis_x: Tensor, axis_y: Tensor, size: int, step: float
) -> Tensor:
    """Cut boxes, which may be rotated, mirrored or stretched, out of images.

    ``images``: float (B, 1, H, W). ``centre``, ``axis_x``, ``axis_y``: (B, P, 2) as (x, y) in
    pixels, where (0, 0) is the outer corner of the first pixel: the middle of each of an image's P
    boxes, and the vectors that span its width and its height. Returns (B, P, size, size): bilinear
    readings, and the nearest edge pixel outside of the image. ``step`` bounds the distance, in
    pixels, of neighbouring output pixels; where it exceeds 1, each output pixel averages enough
    readings that no input pixel is skipped, which prevents aliasing. It must not depend on the
    draws, or an image's view would depend on its batch.
    """
    batch, _, height, width = images.shape
    boxes = centre.shape[1]
    # A bilinear reading covers two pixels, so readings a little over one apart still miss none,
    # and the common 256 to 224 px stays at one reading instead of four.
    fold = max(1, math.ceil(step - 0.25))
    count = size * fold
    place = ((torch.arange(count, device=images.device) + 0.5) / count - 0.5).float()
    along, down = place.view(1, 1, 1, count), place.view(1, 1, count, 1)

    def positions(component: int, extent: int) -> Tensor:
        # grid_sample's coordinates: the image's edges are at -1 and 1.
        scaled = (2 / extent * v[..., component] for v in (centre - extent / 2, axis_x, axis_y))
        c, x, y = (v.float()[..., None, None] for v in scaled)
        return c + x * along + y * down

    grid = torch.stack([positions(0, width), positions(1, height)], dim=-1)
    cut = F.grid_sample(
        images,
        grid.view(batch, boxes * count, count, 2),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    cut = cut.view(batch, boxes, count, count)
    return F.avg_pool2d(cut, fold) if fold > 1 else cut


def centre_square(images: Tensor) -> Tensor:
    """Return the largest central square of images (B, C, H, W)."""
    height, width = images.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[..., top : top + side, left : left + side]


@torch.no_grad()
def center_resize(images: Tensor, size: int) -> Tensor:
    """Return uint8 images (B, 1, H, W) as float32 (B, 1, size, size) in [0, 1], for evaluation.

    Takes the central square, and resizes it with an antialiased bilinear filter.
    """
    square = to_unit(centre_square(images))
    if square.shape[-1] == size:
        return square.contiguous()
    return F.interpolate(
        square, (size, size), mode="bilinear", align_corners=False, antialias=True
    ).clamp(0, 1)


def gaussian_blur(images: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Blur float images (B, 1, H, W), each with its own ``sigma`` (B,) in pixels, 0 for none.

    ``largest`` bounds sigma and sets the extent of the filter (three of it to either side).
    """
    reach = math.ceil(3 * largest)
    taps = torch.arange(-reach, reach + 1, device=images.device, dtype=torch.float64)
    spread = sigma.double().clamp(min=1e-3)[:, None]
    weights = torch.exp(-0.5 * (taps / spread) ** 2)
    weights = (weights / weights.sum(dim=1, keepdim=True)).float()
    height, width = images.shape[-2:]
    # Shifted sums and not a grouped convolution, whose algorithm depends on the batch size.
    across = F.pad(images, (reach, reach, 0, 0), mode="replicate")
    images = sum(  # type: ignore[assignment]  # of some taps
        weights[:, i, None, None, None] * across[..., i : i + width] for i in range(len(taps))
    )
    down = F.pad(images, (0, 0, reach, reach), mode="replicate")
    return sum(  # type: ignore[return-value]  # of some taps
        weights[:, i, None, None, None] * down[..., i : i + height, :] for i in range(len(taps))
    )


@dataclass(frozen=True)
class Augmentation:
    """One random view of each image: crop, flip, rotation, intensity, blur.

    ``size``: side of the view, pixels. ``crop``: range of the cropped share of the image's area;
    the crop's aspect ratio is log-uniform in 3/4 to 4/3, as far as the image allows. ``flip``:
    mirror left and right with probability 1/2. ``rotation``: largest angle, degrees, to either
    side. ``brightness``, ``contrast``: largest relative change (contrast is about the image's mean
    gray value). ``gamma``: largest change of the exponent's logarithm. ``blur``: half of the views
    are blurred with a sigma up to this many pixels of the view.

    Calling it maps uint8 images (B, 1, H, W) and uniform numbers (B, ``Augmentation.draws``) to
    float32 (B, 1, size, size) in [0, 1].
    """

    draws: ClassVar[int] = 10
    aspect: ClassVar[tuple[float, float]] = (3 / 4, 4 / 3)

    size: int
    crop: tuple[float, float] = (1.0, 1.0)
    flip: bool = False
    rotation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0
    blur: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.crop[0] <= self.crop[1] <= 1:
            raise InputError(
                f"crop: {list(self.crop)} must be two shares with 0 < low <= high <= 1"
            )
        for name in ("brightness", "contrast"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}: {getattr(self, name)} must be at least 0 and below 1")
        for name in ("rotation", "gamma", "blur"):
            if getattr(self, name) < 0:
                raise InputError(f"{name}: {getattr(self, name)} must not be negative")

    @torch.no_grad()
    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        u = draws.double().unbind(dim=1)
        view = self._geometry(to_unit(images), u[0], u[1], u[2], u[3], u[4], u[5])
        view = self._intensity(view, images, u[6], u[7], u[8])
        if self.blur > 0:
            view = gaussian_blur(view, (2 * u[9] - 1).clamp(min=0) * self.blur, self.blur)
        return view

    def _geometry(
        self, images: Tensor, area: Tensor, aspect: Tensor, x: Tensor, y: Tensor, flip: Tensor,
        turn: Tensor,
    ) -> Tensor:  # fmt: skip
        height, width = images.shape[-2:]
        low, high = self.crop
        share = low + (high - low) * area
        # The crop fits into the image where share * W / H <= w / h <= W / (share * H).
        floor, ceiling = share * width / height, width / (share * height)
        narrow, wide = (torch.clamp(floor * 0 + a, floor, ceiling).log() for a in self.aspect)
        ratio = torch.exp(narrow + (wide - narrow) * aspect)
        w = torch.sqrt(share * height * width * ratio).clamp(max=width)
        h = torch.sqrt(share * height * width / ratio).clamp(max=height)
        centre = torch.stack([w / 2 + x * (width - w), h / 2 + y * (height - h)], dim=-1)
        # Positive angles turn the view anticlockwise, so it is read along axes turned clockwise.
        angle = symmetric(turn, math.radians(self.rotation))
        cos, sin = torch.cos(angle), torch.sin(angle)
        mirror = torch.where(flip < 0.5, -1.0, 1.0) if self.flip else torch.ones_like(flip)
        axis_x = torch.stack([w * mirror * cos, w * mirror * sin], dim=-1)
        axis_y = torch.stack([-h * sin, h * cos], dim=-1)
        side = math.sqrt(high * height * width * self.aspect[1])
        step = min(side, max(height, width)) / self.size
        return sample_boxes(
            images, centre[:, None], axis_x[:, None], axis_y[:, None], self.size, step
        )

    def _intensity(
        self, view: Tensor, images: Tensor, brightness: Tensor, contrast: Tensor, gamma: Tensor
    ) -> Tensor:
        def per_image(values: Tensor) -> Tensor:
            return values.float().view(-1, 1, 1, 1)

        if self.gamma > 0:
            exponent = torch.exp(symmetric(gamma, self.gamma))
            view = view.clamp(0, 1) ** per_image(exponent)
        if self.contrast > 0:
            # An integer sum is exact, hence the same whatever the size of the batch.
            mean = images.sum(dim=(1, 2, 3), dtype=torch.int64).double() / (255 * images[0].numel())
            mean = per_image(mean)
            view = mean + (view - mean) * per_image(1 + symmetric(contrast, self.contrast))
        if self.brightness > 0:
            view = view * per_image(1 + symmetric(brightness, self.brightness))
        return view.clamp(0, 1)
