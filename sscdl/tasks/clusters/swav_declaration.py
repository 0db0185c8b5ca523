"""SwAV, as it is declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sscdl.tasks.declaration import MULTI_CROP, Declaration, Size, integer, number, queue_fits


def _trained_bytes(size: Size, options: Mapping[str, Any]) -> int:
    """Return the bytes of the head and of the prototypes."""
    dimension = options["dimension"]
    return size.mlp(size.width, size.width, dimension) + 4 * dimension * options["prototypes"]


def _followed_bytes(size: Size, options: Mapping[str, Any]) -> int:
    """Return the bytes of a queue for each global crop."""
    return 8 * options["dimension"] * options["queue"] + 16


DECLARATION = Declaration(
    title="SwAV",
    paper="Caron et al. 2020",
    about="sort views of an image into the same clusters",
    settings={
        "batch_size": 8, "optimizer": "lars", "weight_decay": 1e-6, "learning_rates": [0.3],
    },
    options={
        # With few samples per code, thousands would each get one sample.
        "prototypes": integer(
            60, "Number of prototypes (clusters).", "[2, 65536]", other=12, small=8
        ),
        "temperature": number(0.1, "Temperature of the predictions.", "(0, 1000]", other=0.2),
        "epsilon": number(
            0.05, "Sharpness of the codes; smaller is harder.", "(0, 1000]", other=0.1
        ),
        "iterations": integer(3, "Sinkhorn iterations.", "[1, 1000]", other=2),
        "queue": integer(
            64,
            "Earlier embeddings that join the batch for the codes, a multiple of the batch; 0 for "
            "none.",
            "[0, 4194304]", other=0, small=16,
        ),
        "queue_start": number(
            0.1, "Share of the epochs before the queue is used.", "[0, 1]", other=0.6, small=0.0
        ),
        "freeze": number(
            0.05, "Share of the epochs during which prototypes stay as they are.", "[0, 1]",
            other=0.5, off=0.0,
        ),
        "dimension": integer(128, "Length of the embedding.", "[1, 65536]", other=24, small=16),
        **MULTI_CROP,
    },
    trained_bytes=_trained_bytes,
    followed_bytes=_followed_bytes,
    other_sizes=lambda options: options["local_crops"] > 0,
    shares_of_epochs=True,
    near_chance=0.15,
    near_because=(
        "Prototypes begin as random directions: what is predicted of one embedding for all images "
        "is not uniform, as its codes are."
    ),
    check=queue_fits,
)  # fmt: skip
