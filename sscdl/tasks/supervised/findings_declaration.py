"""The task of telling several findings, as it is declared."""

from __future__ import annotations

from sscdl.tasks.declaration import LABELLED, LABELLED_SETTINGS, Declaration, choice

DECLARATION = Declaration(
    title="Findings at the end of every curriculum",
    paper="",
    about="tell which of several findings a radiograph shows",
    settings=LABELLED_SETTINGS,
    options={
        **LABELLED,
        "finding_weights": choice(
            "none", "`balanced` makes the images with a finding count as much as those without it.",
            ["none", "balanced"], other="balanced",
        ),
    },
)  # fmt: skip
