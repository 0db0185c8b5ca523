"""A small U-Net for lung masks: what this project trains where nobody gives it a network.

A U-Net (Ronneberger et al. 2015, arXiv:1505.04597) with instance normalisation, so that an image's
mask depends on no other image. Lungs are large and smooth: the network works at half the resolution
of its field, on blocks of 2 x 2 pixels, which costs a quarter.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BLOCK = 2
LEVELS = 5
WIDEST = 128
SLOPE = 0.01
# Every level but the first halves the map.
FIELD_MULTIPLE = BLOCK * 2 ** (LEVELS - 1)


def _convolutions(incoming: int, outgoing: int) -> nn.Sequential:
    """Return two 3x3 convolutions, each with instance normalisation and a leaky ReLU."""
    layers: list[nn.Module] = []
    for width in (incoming, outgoing):
        layers += [
            nn.Conv2d(width, outgoing, 3, padding=1, bias=False),
            nn.InstanceNorm2d(outgoing, affine=True),
            nn.LeakyReLU(SLOPE, inplace=True),
        ]
    return nn.Sequential(*layers)


class CompactUNet(nn.Module):
    """Map radiographs (B, 1, H, W) in [0, 1] to logits (B, 1, H, W) of lung.

    Args:
        channels: feature maps of the first level; each level has twice as many, up to 128.
        height, width: field in pixels, multiples of 32 and at least 64.

    Raises ValueError for a field that cannot be halved down to the last level.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        if height % FIELD_MULTIPLE or width % FIELD_MULTIPLE or min(height, width) < 64:
            raise ValueError(
                f"segmentation field {height} x {width}: both sides must be multiples of "
                f"{FIELD_MULTIPLE} and at least 64"
            )
        widths = [min(channels * 2**level, WIDEST) for level in range(LEVELS)]
        self.encoder = nn.ModuleList(
            _convolutions(incoming, outgoing)
            for incoming, outgoing in zip([BLOCK**2, *widths], widths, strict=False)
        )
        self.decoder = nn.ModuleList(
            _convolutions(widths[level + 1] + widths[level], widths[level])
            for level in reversed(range(LEVELS - 1))
        )
        self.head = nn.Conv2d(widths[0], BLOCK**2, 1)

    def forward(self, x: Tensor, eps: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits and a Kullback-Leibler divergence of 0, as the lungVAE network does.

        There are no latent variables: ``eps`` is not used.
        """
        skips: list[Tensor] = []
        x_level = F.pixel_unshuffle(x, BLOCK)
        for level, block in enumerate(self.encoder):
            x_level = block(F.avg_pool2d(x_level, 2) if level else x_level)
            skips.append(x_level)
        up = skips.pop()
        for block in self.decoder:
            up = F.interpolate(up, scale_factor=2.0, mode="bilinear", align_corners=False)
            up = block(torch.cat((up, skips.pop()), dim=1))
        return F.pixel_shuffle(self.head(up), BLOCK), x.new_zeros(())
