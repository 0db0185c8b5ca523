"""The sides of a split, and what becomes of images that a given one does not name."""

from __future__ import annotations

from sscdl.archives.cohorts import NOT_REPORTED

SIDES = ("train", "val", "test")
# The cohort, and the split, of images that a given split does not name.
UNLISTED = "unlisted"
NOT_TESTED = (*NOT_REPORTED, UNLISTED)
# Where a split comes from: `split.source`.
DRAWN, COLUMN, LISTS = "drawn", "column", "lists"
# What becomes of patients on several sides of a given one: `split.straddling`.
REFUSE, TELL = "refuse", "tell"
EXAMPLES = 3  # ids that messages name
# In remarks.
ACROSS = "its near-duplicate is on another side of the given split"
