"""MoCo v2, as it is declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sscdl.tasks.declaration import (
    TWO_VIEWS,
    Declaration,
    Size,
    auto_or_integer,
    flag,
    integer,
    number,
    queue_fits,
)


def _trained_bytes(size: Size, options: Mapping[str, Any]) -> int:
    """Return the bytes of the head."""
    return size.linear(size.width, size.width) + size.linear(size.width, options["dimension"])


def _followed_bytes(size: Size, options: Mapping[str, Any]) -> int:
    """Return the bytes of the key network with its head, and of the queue."""
    from sscdl.tasks.queues import queue_length  # part of this task's source, and of no other's

    length = queue_length(options["queue"], size.images, size.batch_size)
    queue = length * (4 * options["dimension"] + 8) + 8
    return size.backbone + _trained_bytes(size, options) + queue


DECLARATION = Declaration(
    title="MoCo v2",
    paper="He et al. 2020; Chen et al. 2020",
    about="recognise another view of the same image",
    options={
        # A longer queue fills with outdated keys of the query itself.
        "queue": auto_or_integer(
            "Number of negative keys, a multiple of the batch; auto is the largest one up to a "
            "fifth of the images.",
            "[1, 4194304]", other=16, off="auto", small=8,
        ),
        "fill": flag(
            True,
            "Fill the queue with keys of training images before the first step; without, the first "
            "steps have fewer negatives.",
            other=True, before=False,
        ),
        "temperature": number(0.2, "Temperature of InfoNCE.", "(0, 1000]", other=0.5),
        # The 0.999 of the paper averages over thousands of steps, which at a few thousand images is
        # several epochs.
        "momentum": number(
            0.99, "Share of the key network that each step keeps.", "[0, 1]", other=0.9
        ),
        "dimension": integer(128, "Length of the embedding.", "[1, 65536]", other=24, small=16),
        **TWO_VIEWS,
    },
    trained_bytes=_trained_bytes,
    learnt_by="floor",
    followed_bytes=_followed_bytes,
    check=queue_fits,
)  # fmt: skip
