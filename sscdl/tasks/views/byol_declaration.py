"""BYOL, as it is declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sscdl.tasks.declaration import TWO_VIEWS, Declaration, Size, flag, integer, number


def _trained_bytes(size: Size, options: Mapping[str, Any]) -> int:
    """Return the bytes of the projector and of the predictor."""
    hidden, long = options["hidden"], options["dimension"]
    return size.mlp(size.width, hidden, long) + size.mlp(long, hidden, long)


def _followed_bytes(size: Size, options: Mapping[str, Any]) -> int:
    """Return the bytes of the teacher's backbone and projector."""
    return size.backbone + size.mlp(size.width, options["hidden"], options["dimension"])


def _blurred(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a stage whose views differ in a blur that there is not."""
    options = settings["options"]
    if options["asymmetric"] and not options["blur"]:
        yield "options.asymmetric: views differ by their blur, which is 0; give options.blur, too"


DECLARATION = Declaration(
    title="BYOL",
    paper="Grill et al. 2020",
    about="predict what a slowly following teacher makes of another view of an image",
    settings={
        "batch_size": 64, "optimizer": "lars", "weight_decay": 1.5e-6, "learning_rates": [0.3],
    },
    options={
        # The authors' for up to 300 epochs; their 0.996 is for a thousand.
        "momentum": number(
            0.99, "Share of the teacher that the first step keeps; it rises to 1.", "[0, 1]",
            other=0.9,
        ),
        "dimension": integer(256, "Length of the embedding.", "[1, 65536]", other=24, small=16),
        # The authors' 4,096 are for a million images.
        "hidden": integer(
            1024, "Length of the hidden layers of projector and predictor.", "[1, 65536]",
            other=20, small=16,
        ),
        "asymmetric": flag(
            False, "Blur the first view of each image, and the second one time in ten."
        ),
        **TWO_VIEWS,
    },
    trained_bytes=_trained_bytes,
    learnt_by="floor",
    followed_bytes=_followed_bytes,
    shares_of_epochs=True,
    collapses=True,
    near_chance=0.35,
    near_because=(
        "One embedding for all images is a direction at random, and so is what a predictor that "
        "was not trained makes of it: how near they are is chance."
    ),
    check=_blurred,
)  # fmt: skip
