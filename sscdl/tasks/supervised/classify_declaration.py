"""The classifier, as it is declared."""

from __future__ import annotations

from sscdl.tasks.declaration import LABELLED, LABELLED_SETTINGS, Declaration, choice

DECLARATION = Declaration(
    title="The classifier at the end of every curriculum",
    paper="",
    about="tell the classes of the study apart",
    settings=LABELLED_SETTINGS,
    options={
        **LABELLED,
        "class_weights": choice(
            "none", "`balanced` makes rare classes count as much as frequent ones.",
            ["none", "balanced"], other="balanced",
        ),
    },
)  # fmt: skip
