"""Whether a lung mask is plausible: size, two lungs of like size, their shape, the image's border.

The limits were chosen on 43 masks drawn by people and 706 predicted ones: the former all lie within
them with room to spare, of the latter those outside were the ones that miss a lung, run into each
other or into the belly.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sscdl.segment.processing.postprocess import count_components

POLICIES = ("drop", "keep", "hull")
AREA = (0.08, 0.70)  # people's masks: 0.28 to 0.62 of images cropped to the chest
BALANCE = 0.40  # people's masks: 0.67 and more
SOLIDITY = 0.80  # people's masks: 0.81 and more
BORDER = 0.15  # people's masks: up to 0.05
DOUBT = 0.35  # the default network on 706 radiographs: 0.13 to 0.61, 29 of them above this


@dataclass(frozen=True)
class Quality:
    """What describes a lung mask; shares are in [0, 1].

    ``area`` is the share of the image, ``components`` their number (8-connected), ``balance`` the
    smaller of the two largest as a share of the larger (0 where there is one), ``solidity`` the
    least share of its convex hull that one of these two fills, ``border`` the share of the image's
    outermost pixels that are lung, ``doubt`` what
    :func:`sscdl.segment.processing.postprocess.doubt_of` says of the network's probabilities, None
    for a mask that no network made.
    """

    area: float
    components: int
    balance: float
    solidity: float
    border: float
    doubt: float | None = None

    def faults(self) -> list[str]:
        """Return what makes the mask implausible, each in a few words; none for a good mask."""
        if self.components == 0:
            return ["no lung"]
        found = []
        if not AREA[0] <= self.area <= AREA[1]:
            found.append(f"area {self.area:.2f} of the image")
        if self.components == 1:
            found.append("a single component")
        elif self.balance < BALANCE:
            found.append(f"one lung {self.balance:.2f} of the other")
        if self.solidity < SOLIDITY:
            found.append(f"ragged shape, solidity {self.solidity:.2f}")
        if self.border > BORDER:
            found.append(f"on {self.border:.2f} of the image's border")
        if self.doubt is not None and self.doubt > DOUBT:
            found.append(f"network in doubt, {self.doubt:.2f}")
        return found

    def record(self) -> dict[str, Any]:
        """Return measures and faults as they stand in a manifest."""
        return {**asdict(self), "faults": self.faults(), "empty": self.components == 0}


def measure(mask: NDArray[np.bool_], doubt: float | None = None) -> Quality:
    """Return the :class:`Quality` of a mask, bool (H, W), of which the network had ``doubt``."""
    lungs = _largest_two(mask)
    if not lungs:
        return Quality(area=0.0, components=0, balance=0.0, solidity=0.0, border=0.0, doubt=doubt)
    edge = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    sizes = [int(lung.sum()) for lung in lungs]
    filled = [int(_hull(lung).sum()) for lung in lungs]
    return Quality(
        area=float(mask.mean()),
        components=count_components(mask),
        balance=sizes[1] / sizes[0] if len(sizes) > 1 else 0.0,
        solidity=min(size / whole for size, whole in zip(sizes, filled, strict=True)),
        border=float(edge.mean()),
        doubt=doubt,
    )


def hulls(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the convex hulls of the two largest components of a mask, bool (H, W)."""
    return np.logical_or.reduce([_hull(lung) for lung in _largest_two(mask)] or [mask])


def _largest_two(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return the two largest components, largest first."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    return [labels == number + 1 for number in np.argsort(-sizes, kind="stable")[:2]]


def _hull(component: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the filled convex hull of one component."""
    filled = component.astype(np.uint8)
    outlines, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.fillConvexPoly(filled, cv2.convexHull(np.concatenate(outlines)), 1)
    return filled.astype(bool)
