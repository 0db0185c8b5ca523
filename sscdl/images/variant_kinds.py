"""What the workflow must know of the image variants, which :mod:`sscdl.images.variants` makes.

Imports nothing: it is read each time the workflow is.
"""

from __future__ import annotations

# Variants that end at the outline of the lungs: this edge can be hard or soft.
EDGED = frozenset({"segmented_black", "segmented_gray", "inverted"})

# Variants that show a part of the image, and the variant that has their lung masks: the same part.
MASKS_OF_CROPPED = {"lung_box": "lung_box_lungs"}


def masks_of(variant: str) -> str:
    """Return the variant that holds the lung masks of the pictures of ``variant``."""
    return MASKS_OF_CROPPED.get(variant, "lungs")


def is_cropped(variant: str) -> bool:
    """Return whether pictures of ``variant`` show the box around the lungs and no more."""
    return variant in {*MASKS_OF_CROPPED, *MASKS_OF_CROPPED.values()}
