"""Class activation maps and the share of attention that falls inside a region.

The class activation map is that of Zhou et al., "Learning Deep Features for Discriminative
Localization" (CVPR 2016). Its share inside the lung mask is the AIL (attention inside the lungs).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def class_activation_map(features: Tensor, weight_row: Tensor) -> Tensor:
    """Return the class activation maps of a batch, signed and at feature resolution.

    Args:
        features: last convolutional features before global average pooling, float (B, C, h, w).
        weight_row: for each image the linear layer's weights of the class to explain, float (B, C):
            ``classifier.weight[predicted]`` for the predicted class.

    Returns:
        float (B, h, w): the weighted sum over channels. Its mean over h and w is the class's logit
        without the bias.
    """
    if features.ndim != 4 or weight_row.shape != features.shape[:2]:
        raise ValueError(
            f"features must be (B, C, h, w) with weight_row (B, C), got {tuple(features.shape)} "
            f"and {tuple(weight_row.shape)}"
        )
    return torch.einsum("bchw,bc->bhw", features, weight_row)


def resize_map(maps: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Return maps (B, h, w) resized bilinearly to ``size`` (H, W) (one number: square), float.

    A constant map stays constant.
    """
    target = (size, size) if isinstance(size, int) else tuple(size)
    return F.interpolate(maps[:, None], size=target, mode="bilinear", align_corners=False)[:, 0]


def attention_share(cam: Tensor, region: Tensor, *, negative: str = "clip") -> Tensor:
    """Return the share of each map's sum that lies inside its region, float64 (B,).

    With lung masks as regions this is the AIL; a constant positive map scores exactly
    :func:`region_share`, the floor to compare with. An empty region scores 0.

    Args:
        cam: maps (B, H, W), usually resized to the region's size.
        region: bool (B, H, W), True inside.
        negative: what to do with values below zero, which speak *against* the class.
            ``clip`` sets them to 0, as Grad-CAM's rectification does, so that the share lies in
            [0, 1]. ``keep`` sums signed values: the plain quotient, which has no bounds.
            The map's minimum is never subtracted, unlike in implementations that stretch each map
            to [0, 1]: that would change the share and turn a constant map into nothing.

    Returns:
        the shares; NaN where the map has no positive sum to share out (an all-zero map).
    """
    if cam.shape != region.shape or cam.ndim != 3:
        raise ValueError(
            f"cam and region must both be (B, H, W), got {tuple(cam.shape)}, {tuple(region.shape)}"
        )
    if region.dtype != torch.bool:
        raise ValueError(f"region must be bool, got {region.dtype}")
    if negative not in ("clip", "keep"):
        raise ValueError(f"negative must be clip or keep, got {negative!r}")
    # float64: half-precision maps overflow or lose small values when 50,000 pixels are summed.
    values = cam.double().clamp(min=0) if negative == "clip" else cam.double()
    total = values.sum(dim=(1, 2))
    inside = (values * region).sum(dim=(1, 2))
    undefined = torch.full_like(total, float("nan"))
    return torch.where(total > 0, inside / torch.where(total > 0, total, 1.0), undefined)


def region_share(region: Tensor) -> Tensor:
    """Return the area share of each bool region (B, H, W), float64 (B,) in [0, 1]."""
    return region.double().mean(dim=(1, 2))
