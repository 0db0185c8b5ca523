"""VICReg, as it is declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sscdl.tasks.declaration import EXPANDED, TWO_VIEWS, Declaration, Size, number


def _trained_bytes(size: Size, options: Mapping[str, Any]) -> int:
    """Return the bytes of the expander, whose last layer has no biases."""
    return size.mlp(size.width, *[options["dimension"]] * 3, last_bias=False)


DECLARATION = Declaration(
    title="VICReg",
    paper="Bardes et al. 2022",
    about="give two views of an image one embedding, and different images different ones",
    settings={
        "batch_size": 64, "optimizer": "lars", "weight_decay": 1e-6, "learning_rates": [0.3],
    },
    options={
        "invariance": number(
            25.0, "Weight of the distance between the two views.", "[0, 1000]", other=10.0
        ),
        "variance": number(
            25.0, "Weight of what keeps embeddings from being all the same.", "(0, 1000]",
            other=10.0,
        ),
        "covariance": number(
            1.0, "Weight of what keeps the numbers of an embedding from saying the same.",
            "[0, 1000]", other=4.0, off=0.0,
        ),
        "dimension": EXPANDED,
        **TWO_VIEWS,
    },
    trained_bytes=_trained_bytes,
)  # fmt: skip
