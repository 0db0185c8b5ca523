"""How small a picture a network can take: a DenseNet runs out of cells, as it pools unpadded."""

from __future__ import annotations

from sscdl.training.backbones import Backbone


def smallest_side(backbone: Backbone) -> int:
    """Return the side in pixels of the smallest square picture whose last map has a cell."""
    side = 1
    while backbone.map_size(side) < 1:
        side += 1
    return side
