"""Class activation maps and the share of attention that falls inside a region.

The class activation map is that of Zhou et al., "Learning Deep Features for Discriminative
Localization" (CVPR 2016). Its share inside the lung mask is the AIL (attention inside the lungs).
What else is here are measures and maps to compare with it; :mod:`sscdl.evaluation.attention_scores`
takes all of them for a batch of images.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Standard deviation of the centre prior as a share of the picture's side: two of it reach the edge.
CENTRE_SIGMA = 0.25


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


def of_class(class_maps: Tensor, chosen: Tensor) -> Tensor:
    """Return of each image's maps (B, K, h, w) that of its class ``chosen`` (B,), (B, h, w)."""
    return class_maps[torch.arange(len(chosen), device=chosen.device), chosen]


def contrast_map(class_maps: Tensor, chosen: Tensor) -> Tensor:
    """Return the map of each image's class ``chosen`` (B,) minus the mean of the other classes'.

    Softmax depends on differences between logits alone: a vector added to every class's row of the
    linear layer changes no probability, yet it adds the same map to that of every class, and with
    it another share in any region. What such a vector adds is the same in all of ``class_maps``
    (B, K, h, w), so that this map, (B, h, w), is without it, and what it shows follows from what
    the model predicts. Zhou's map does not.
    """
    own = of_class(class_maps, chosen)
    return own - (class_maps.sum(dim=1) - own) / (class_maps.shape[1] - 1)


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
            The map's minimum is never subtracted: that would change the share and turn a constant
            map into nothing. :func:`stretched_map` gives maps of implementations that do.

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


def stretched_map(maps: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Return maps (B, h, w) as the package ``grad-cam`` makes them, float (B, H, W) in [0, 1].

    Values below zero are set to 0, the map is resized to ``size``, and then stretched so that its
    minimum is 0 and its maximum 1 (``scale_cam_image``; the thesis used version 1.3.7). Where all
    of a map is positive, this takes its lowest level away, which otherwise counts everywhere alike;
    a constant map becomes 0.
    """
    large = resize_map(maps.clamp(min=0), size)
    large = large - large.amin(dim=(1, 2), keepdim=True)
    highest = large.amax(dim=(1, 2), keepdim=True)
    return large / torch.where(highest > 0, highest, 1.0)


def centre_prior(size: int) -> Tensor:
    """Return the map of a viewer who looks at the middle of every picture, float64 (size, size).

    A Gaussian with :data:`CENTRE_SIGMA` of the side as its standard deviation and 1 as its peak,
    cut off at the edges. A centred Gaussian is the usual baseline of attention maps (Judd et al.,
    "A Benchmark of Computational Models of Saliency to Predict Human Fixations", 2012): lungs lie
    around the middle of a radiograph, so that looking there alone scores above the area's share.
    """
    places = (torch.arange(size, dtype=torch.float64) + 0.5) / size - 0.5
    profile = torch.exp(-0.5 * (places / CENTRE_SIGMA) ** 2)
    return profile[:, None] * profile


def pointing_hit(cam: Tensor, region: Tensor) -> Tensor:
    """Return whether the maximum of each map lies in its region: 1 or 0, float64 (B,).

    The pointing game of Zhang et al., "Top-Down Neural Attention by Excitation Backprop" (IJCV
    2018), without their tolerance of 15 pixels around the region. Where several pixels share the
    maximum (a resized map is flat along its border) it is the share of these in the region, what
    one of them drawn at random would score on average. Pointing at random scores
    :func:`region_share` on average.

    Args:
        cam: maps (B, H, W), resized to the region's size.
        region: bool (B, H, W), True inside.

    Returns:
        the hits; NaN where the map has no positive value, as in :func:`attention_share`.
    """
    values = cam.double().flatten(1)
    highest = values.amax(dim=1, keepdim=True)
    # Resizing rounds, so that pixels of one cell may differ in the last digit.
    peak = values >= highest - 1e-6 * highest.abs()
    share = (peak & region.flatten(1)).sum(dim=1) / peak.sum(dim=1)
    return torch.where(highest[:, 0] > 0, share.double(), torch.nan)
