"""SimCLR, as it is declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sscdl.tasks.declaration import TWO_VIEWS, Declaration, Size, integer, number


def _trained_bytes(size: Size, options: Mapping[str, Any]) -> int:
    """Return the bytes of the projector."""
    return size.mlp(size.width, size.width, options["dimension"])


DECLARATION = Declaration(
    title="SimCLR",
    paper="Chen et al. 2020",
    about="tell the other view of an image among those of all images of the batch",
    # The authors' rate for small batches, 0.075 times the root of the batch.
    settings={
        "batch_size": 64, "optimizer": "lars", "weight_decay": 1e-6, "learning_rates": [0.6],
    },
    options={
        # With few negatives a low temperature looks at the nearest of them alone.
        "temperature": number(0.2, "Temperature of the similarities.", "(0, 1000]", other=0.5),
        "dimension": integer(128, "Length of the embedding.", "[1, 65536]", other=24, small=16),
        **TWO_VIEWS,
    },
    trained_bytes=_trained_bytes,
    learnt_by="floor",
)  # fmt: skip
