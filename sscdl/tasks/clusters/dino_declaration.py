"""DINO, as it is declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sscdl.tasks.declaration import MULTI_CROP, Declaration, Size, integer, number, shares


def _trained_bytes(size: Size, options: Mapping[str, Any]) -> int:
    """Return the bytes of the head."""
    hidden, long, prototypes = options["hidden"], options["dimension"], options["prototypes"]
    layers = size.linear(size.width, hidden) + size.linear(hidden, hidden)
    return layers + size.linear(hidden, long) + 4 * long * prototypes


def _followed_bytes(size: Size, options: Mapping[str, Any]) -> int:
    """Return the bytes of the teacher's backbone and head, and of the centre."""
    return size.backbone + _trained_bytes(size, options) + 4 * options["prototypes"]


def _sharpened(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a stage whose teacher is no sharper than its student."""
    options = settings["options"]
    if max(options["teacher_temperature"]) >= options["temperature"]:
        yield (
            f"options.teacher_temperature: {options['teacher_temperature']} is not below the "
            f"temperature, {options['temperature']}; a teacher that is no sharper collapses"
        )


DECLARATION = Declaration(
    title="DINO",
    paper="Caron et al. 2021",
    about="tell from a crop of an image what a slowly following teacher sees in another one",
    # The authors' for transformers, with the decay that they begin with. By SGD, which they take
    # for ResNets, a small one collapsed on a few images at a rate of 0.05.
    settings={"optimizer": "adamw", "weight_decay": 0.04, "learning_rates": [0.0005]},
    options={
        # The authors' 65,536 are for a million images.
        "prototypes": integer(
            1024, "Number of prototypes.", "[2, 65536]", other=12, small=16
        ),
        "temperature": number(0.1, "Temperature of the student.", "(0, 1000]", other=0.2),
        "teacher_temperature": shares(
            [0.04, 0.07], "Temperature of the teacher, at first and after the warm-up.",
            other=[0.02, 0.05],
        ),
        "warmup": number(
            0.3, "Share of the epochs during which the teacher's temperature rises.", "[0, 1]",
            other=1.0, off=0.0,
        ),
        "freeze": number(
            0.05, "Share of the epochs during which prototypes stay as they are.", "[0, 1]",
            other=0.5, off=0.0,
        ),
        # The authors' 0.996 averages over hundreds of steps, which at a few thousand images is
        # several epochs.
        "momentum": number(
            0.99, "Share of the teacher that the first step keeps; it rises to 1.", "[0, 1]",
            other=0.9,
        ),
        "dimension": integer(256, "Length of the embedding.", "[1, 65536]", other=24, small=16),
        "hidden": integer(
            2048, "Length of the hidden layers of the head.", "[1, 65536]", other=20, small=16
        ),
        **MULTI_CROP,
    },
    trained_bytes=_trained_bytes,
    other_sizes=lambda options: options["local_crops"] > 0,
    followed_bytes=_followed_bytes,
    # A cross-entropy with the teacher's codes, whose own entropy a perfect student is left with.
    comparable=False,
    shares_of_epochs=True,
    collapses=True,
    near_chance=0.35,
    near_because=(
        "Prototypes begin as random directions: one embedding for all images is nearer to some of "
        "them than to others."
    ),
    check=_sharpened,
)  # fmt: skip
