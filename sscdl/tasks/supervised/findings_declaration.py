"""The task of telling several findings, as it is declared."""

from __future__ import annotations

from sscdl.tasks.declaration import CROPPED, FLIP, Declaration, choice, shares

DECLARATION = Declaration(
    title="Findings at the end of every curriculum",
    paper="",
    about="tell which of several findings a radiograph shows",
    settings={"batch_size": 64, "search_epochs": 70, "final_epochs": 80},
    options={
        "crop": shares([0.5, 1.0], CROPPED, other=[0.7, 0.9]),
        "flip": FLIP,
        "finding_weights": choice(
            "none", "`balanced` makes the images with a finding count as much as those without it.",
            ["none", "balanced"], other="balanced",
        ),
    },
)  # fmt: skip
