"""Names of the archives in a study, and of what is made of their images."""

from __future__ import annotations

# The archive that is split into train, val and test. Images of any other cohort have its name as
# their split.
MAIN = "main"
PRETRAINING = "pretraining"
MARKED = ("mark_trained", "mark_removed", "mark_reversed")
# The split of images whose picture is there already.
DUPLICATE = "duplicate"
NOT_REPORTED = ("train", PRETRAINING, DUPLICATE)
