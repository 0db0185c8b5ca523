"""The classifier, as it is declared."""

from __future__ import annotations

from sscdl.tasks.declaration import CROPPED, FLIP, Declaration, choice, shares

DECLARATION = Declaration(
    title="The classifier at the end of every curriculum",
    paper="",
    about="tell the classes of the study apart",
    settings={"batch_size": 64, "search_epochs": 70, "final_epochs": 80},
    options={
        "crop": shares([0.5, 1.0], CROPPED, other=[0.7, 0.9]),
        "flip": FLIP,
        "class_weights": choice(
            "none", "`balanced` makes rare classes count as much as frequent ones.",
            ["none", "balanced"], other="balanced",
        ),
    },
)  # fmt: skip
