"""Relative patch location, as it is declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sscdl.tasks.declaration import FLIP, Declaration, Size, auto_or_integer, number


def _trained_bytes(size: Size, options: Mapping[str, Any]) -> int:
    hidden = 2 * size.width if options["hidden"] == "auto" else options["hidden"]
    head = size.linear(2 * size.width, hidden) + size.normalisation(hidden)
    return head + size.linear(hidden, 8)


def _check(settings: Mapping[str, Any]) -> Iterator[str]:
    options = settings["options"]
    if options["patch"] + options["gap"] > 1:
        yield "options: patch and gap together are more than a cell (1)"


DECLARATION = Declaration(
    title="Relative patch location",
    paper="Doersch et al. 2015",
    about="tell how two patches of an image lie to each other",
    options={
        # It is placed at random.
        "extent": number(
            0.87, "Side of the 3 x 3 grid as a share of the image.", "(0, 1]", other=0.7
        ),
        "patch": number(0.75, "Side of a patch as a share of its cell.", "(0, 1]", other=0.6),
        # Without it, edges that continue from patch to patch give the answer away.
        "gap": number(
            0.1, "Smallest distance between patches as a share of a cell.", "[0, 1]", other=0.2,
            off=0.0,
        ),
        # Below 24 pixels a ResNet sees nothing.
        "patch_size": auto_or_integer(
            "Side in pixels to which patches are resized; auto is their natural size, at least 24 "
            "and as many as the network needs.",
            "[8, 4096]", other=28,
        ),
        "hidden": auto_or_integer(
            "Width of the hidden layer; auto is that of its input.", "[1, 65536]", other=20
        ),
        "dropout": number(0.5, "Dropout in the head.", "[0, 1)", other=0.0),
        # Of each patch by itself: gray values that change smoothly over the image would give the
        # answer away.
        "jitter": number(
            0.2, "Largest change of the brightness and contrast of each patch.", "[0, 1]",
            other=0.5, off=0.0,
        ),
        "flip": FLIP,
    },
    trained_bytes=_trained_bytes,
    learnt_by="chance",
    other_sizes=lambda options: True,
    check=_check,
)  # fmt: skip
