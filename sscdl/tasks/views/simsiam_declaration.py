"""SimSiam, as it is declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sscdl.tasks.declaration import TWO_VIEWS, Declaration, Size, integer


def _trained_bytes(size: Size, options: Mapping[str, Any]) -> int:
    """Return the bytes of the projector, of its last normalisation and of the predictor."""
    long = options["dimension"]
    projector = size.mlp(size.width, long, long, long, last_bias=False) + size.normalisation(long)
    return projector + size.mlp(long, options["hidden"], long)


DECLARATION = Declaration(
    title="SimSiam",
    paper="Chen & He 2021",
    about="predict the embedding of one view of an image from the other, without negatives",
    settings={"batch_size": 64},
    options={
        # The authors' 2,048 and 512 are the width of a ResNet-50, and a quarter of it.
        "dimension": integer(
            512, "Length of the embedding and of the layers before it.", "[2, 65536]", other=24,
            small=16,
        ),
        "hidden": integer(
            128, "Length of the predictor's hidden layer.", "[1, 65536]", other=12, small=8
        ),
        **TWO_VIEWS,
    },
    trained_bytes=_trained_bytes,
    learnt_by="floor",
    collapses=True,
    near_chance=0.2,
    near_because=(
        "What normalisation by the batch leaves of one embedding for all is rounding, a direction "
        "at random: how near to a prediction it is, is chance."
    ),
)  # fmt: skip
