"""Whether every class that a study tells apart has images, known before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from sscdl.archives.cohorts import DUPLICATE, MAIN
from sscdl.errors import InputError


def check_classes(
    images: pd.DataFrame, rejected: pd.DataFrame, classes: Sequence[str], *, masked: bool
) -> None:
    """Raise InputError if one of ``classes`` has no image, or none where one is needed.

    Each needs an image of the main archive, and one with a lung mask among those that are tested,
    as models are compared on these; with ``masked`` (some variant of the images needs masks) one in
    every split. ``images`` has the columns cohort, label, split and mask ('' for none that is to be
    used), ``rejected`` a column reason.
    """
    main = images[(images["cohort"] == MAIN) & (images["split"] != DUPLICATE)]
    counts = Counter(main.loc[main["label"] != "", "label"])
    there = ", ".join(f"{label} {counts[label]}" for label in sorted(counts)) or "none"
    lost = Counter(rejected["reason"]).most_common(1)
    common = f", most often: {lost[0][0]}" if lost else ""
    for name in classes:
        if not counts[name]:
            raise InputError(
                f"classes: no image that can be used is labelled {name!r} (images by label: "
                f"{there}; {len(rejected)} findings in rejected.csv{common}); leave the class out "
                "of classes, or correct the labels or what set its images aside"
            )
        usable = main[(main["label"] == name) & (main["mask"] != "")]
        for split in sorted(set(main["split"])):
            if (masked or split == "test") and not (usable["split"] == split).any():
                raise InputError(
                    f"classes: no image labelled {name!r} in the split {split} has a lung mask "
                    f"that can be used ({counts[name]} images are labelled so); check the masks "
                    "(lungs), choose another split_seed, or leave the class out of classes"
                )
