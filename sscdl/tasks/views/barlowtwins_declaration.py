"""Barlow Twins, as it is declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sscdl.tasks.declaration import EXPANDED, TWO_VIEWS, Declaration, Size, number


def _trained_bytes(size: Size, options: Mapping[str, Any]) -> int:
    """Return the bytes of the projector."""
    return size.mlp(size.width, *[options["dimension"]] * 3, last_bias=False)


DECLARATION = Declaration(
    title="Barlow Twins",
    paper="Zbontar et al. 2021",
    about="give two views of an image one embedding, each of whose numbers says something else",
    settings={
        "batch_size": 64, "optimizer": "lars", "weight_decay": 1e-6, "learning_rates": [0.3],
    },
    options={
        "redundancy": number(
            0.005, "Weight of what keeps the numbers of an embedding from saying the same.",
            "[0, 1000]", other=0.05, off=0.0,
        ),
        "dimension": EXPANDED,
        **TWO_VIEWS,
    },
    trained_bytes=_trained_bytes,
)  # fmt: skip
