"""Lung segmentation network: a U-Net whose bottleneck is joined by a variational encoder.

Selvan et al., "Lung Segmentation from Chest X-rays using Variational Data Imputation"
(arXiv 2005.10052). Names and order of the parameters are those of the authors' checkpoints, so that
their state dicts load strictly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# The U-Net encoder shrinks by 4 * 4 * 2 * 2.
FIELD_MULTIPLE = 64
_POOLS = (4, 4, 2, 2)


class ImageNorm(nn.BatchNorm2d):
    """BatchNorm2d that can normalise every image by its own statistics.

    With ``per_image`` the running statistics are neither read nor changed, and a batch gives what
    its images give one by one. Otherwise it is ordinary batch normalisation.
    """

    def __init__(self, channels: int, *, per_image: bool) -> None:
        super().__init__(channels)
        self.per_image = per_image

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (B, C, H, W)."""
        if not self.per_image:
            return super().forward(x)
        # Groups of one channel are instance normalisation, of which torch has a faster kernel.
        return F.group_norm(x, self.num_features, self.weight, self.bias, self.eps)


class Block(nn.Module):
    """Resample, normalise, then two 3x3 convolutions with ReLU.

    ``pool`` shrinks by averaging; ``up`` enlarges by repeating the nearest value. Normalisation is
    over the incoming channels.
    """

    def __init__(
        self, incoming: int, outgoing: int, *, pool: int = 1, up: int = 1, per_image: bool
    ) -> None:
        super().__init__()
        self.pool, self.up = pool, up
        self.enc1 = nn.Conv2d(incoming, outgoing, 3, padding=1)
        self.enc2 = nn.Conv2d(outgoing, outgoing, 3, padding=1)
        self.bn = ImageNorm(incoming, per_image=per_image)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, incoming, H, W) to (B, outgoing, H * up / pool, W * up / pool)."""
        if self.pool > 1:
            x = F.avg_pool2d(x, self.pool)
        # Repeating all values leaves an image's own statistics as they are; those of a batch, kept
        # with Bessel's correction, it does not.
        if self.bn.per_image:
            x = self.bn(x)
        if self.up > 1:
            x = F.interpolate(x, scale_factor=self.up, mode="nearest")
        if not self.bn.per_image:
            x = self.bn(x)
        return F.relu_(self.enc2(F.relu_(self.enc1(x))))


class UVAE(nn.Module):
    """U-Net with a variational encoder (``unet=False``) or the plain U-Net (``unet=True``).

    Args:
        latent: number of latent variables (unused by the plain U-Net).
        channels: feature maps at full resolution; each level below has twice as many.
        height, width: field in pixels, multiples of 64 and larger than 64 x 64.
        unet: leave the variational encoder out.
        per_image: normalise each image by its own statistics, in training and prediction alike
            (the published model predicts that way). False: batch normalisation, whose statistics
            follow ``train()`` and ``eval()``.

    Raises ValueError for a field that the network cannot halve down to its bottleneck.
    """

    def __init__(
        self,
        latent: int = 8,
        channels: int = 16,
        height: int = 640,
        width: int = 512,
        unet: bool = False,
        *,
        per_image: bool = True,
    ) -> None:
        super().__init__()
        if height % FIELD_MULTIPLE or width % FIELD_MULTIPLE or height * width <= FIELD_MULTIPLE**2:
            raise ValueError(
                f"segmentation field {height} x {width}: both sides must be multiples of "
                f"{FIELD_MULTIPLE}, and 64 x 64 is too small"
            )
        self.latent, self.channels, self.unet = latent, channels, unet
        self.height, self.width = height, width
        n = channels
        levels = [n, 2 * n, 4 * n, 8 * n, 16 * n]
        self._bottleneck = (height // FIELD_MULTIPLE, width // FIELD_MULTIPLE)

        if not unet:
            positions = (height // 16) * (width // 16)
            cells = self._bottleneck[0] * self._bottleneck[1]
            self.enc11 = nn.Conv2d(1, n, 3, padding=1)
            self.enc12 = nn.Conv2d(n, n, 3, padding=1)
            for i in range(4):
                block = Block(levels[i], levels[i + 1], pool=2, per_image=per_image)
                setattr(self, f"enc{i + 2}", block)
            self.bot11 = nn.Conv1d(16 * n, 1, 1)
            self.bot12 = nn.Conv1d(positions, 2 * latent, 1)
            self.bot21 = nn.Conv1d(latent, cells, 1)
            self.bot22 = nn.Conv1d(1, n, 1)
            self.bot23 = nn.Conv1d(n, 4 * n, 1)
            self.bot24 = nn.Conv1d(4 * n, 16 * n, 1)

        self.uEnc11 = nn.Conv2d(1, n, 3, padding=1)
        self.uEnc12 = nn.Conv2d(n, n, 3, padding=1)
        for i, pool in enumerate(_POOLS):
            block = Block(levels[i], levels[i + 1], pool=pool, per_image=per_image)
            setattr(self, f"uEnc{i + 2}", block)

        incoming = 16 * n if unet else 32 * n
        for i in (3, 2, 1, 0):
            block = Block(incoming, levels[i], up=_POOLS[i], per_image=per_image)
            setattr(self, f"dec{i + 2}", block)
            incoming = 2 * levels[i]
        self.dec11 = nn.Conv2d(2 * n, n, 3, padding=1)
        self.dec12 = nn.Conv2d(n, 1, 3, padding=1)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation (>= 1) of q(z | x), each (B, latent)."""
        x = F.relu(self.enc12(F.relu(self.enc11(x))))
        for block in (self.enc2, self.enc3, self.enc4, self.enc5):
            x = block(x)  # type: ignore[operator]  # set by its name
        x = F.relu(self.bot11(x.flatten(2)))
        mean, raw = self.bot12(x.permute(0, 2, 1)).squeeze(2).chunk(2, dim=1)
        # softplus keeps the log-variance positive, hence the standard deviation at 1 or more.
        return mean, torch.exp(0.5 * F.softplus(raw))

    def latent_map(self, z: Tensor) -> Tensor:
        """Spread ``z`` (B, latent) over the bottleneck: (B, 16 * channels, H / 64, W / 64)."""
        x = F.relu(self.bot21(z.unsqueeze(2))).permute(0, 2, 1)
        for layer in (self.bot22, self.bot23, self.bot24):
            x = F.relu(layer(x))
        return x.unflatten(2, self._bottleneck)

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the U-Net encoder's maps of ``x`` (B, 1, H, W), from full resolution down."""
        found = [F.relu(self.uEnc12(F.relu(self.uEnc11(x))))]
        for block in (self.uEnc2, self.uEnc3, self.uEnc4, self.uEnc5):
            found.append(block(found[-1]))  # type: ignore[operator]  # set by its name
        return found

    def decode(self, features: list[Tensor], z: Tensor | None) -> Tensor:
        """Return logits (B, 1, H, W) for the maps of :meth:`features` and ``z`` (B, latent).

        The plain U-Net has no ``z``: None.
        """
        *skips, up = features
        if z is not None:
            up = torch.cat((self.latent_map(z), up), dim=1)
        for block in (self.dec5, self.dec4, self.dec3, self.dec2):
            up = torch.cat((block(up), skips.pop()), dim=1)  # type: ignore[operator]  # likewise
        return self.dec12(F.relu(self.dec11(up)))

    def forward(self, x: Tensor, eps: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits (B, 1, H, W) and the KL divergence to N(0, 1), summed over everything.

        Args:
            x: float images (B, 1, H, W), preprocessed, in [0, 1].
            eps: standard normal numbers (B, latent); None takes the posterior mean, which makes the
                result a function of the images alone.
        """
        features = self.features(x)
        if self.unet:
            return self.decode(features, None), x.new_zeros(())
        mean, sigma = self.posterior(x)
        z = mean if eps is None else mean + sigma * eps
        return self.decode(features, z), normal_kl(mean, sigma).sum()


def normal_kl(mean: Tensor, sigma: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mean, sigma^2) from N(0, 1), element by element."""
    return 0.5 * (sigma.square() + mean.square() - 1.0) - sigma.log()
