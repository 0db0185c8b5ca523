"""Whether there are images and patients enough for a study, known before anything is trained."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from sscdl.archives.cohorts import DUPLICATE, MAIN
from sscdl.errors import InputError

LOGGER = logging.getLogger("sscdl.images")
_MOST, _FEW = 0.5, 10  # share of the images, and number, that one patient seldom has


def check_patients(images: pd.DataFrame, shares: Mapping[str, float], *, by: str) -> None:
    """Raise InputError if there are too few patients for the sets that they are divided into.

    ``images`` has the columns cohort, label and patient_id; ``shares`` are of the sets that are to
    have images. Each label must be in each of them, so that fewer patients than sets cannot be
    divided, whatever the seed. Where the split is ``by`` image there is nothing to check. A patient
    of most images is warned of: files that were made anonymous often have one id.
    """
    main = images[images["cohort"] == MAIN]
    sets = [name for name, share in shares.items() if share > 0]
    if by != "patient" or main.empty:
        return
    largest = int(main["patient_id"].value_counts().iloc[0])
    whose = (
        "the id that their headers (PatientID) or tables give may be what was left when they were "
        "made anonymous"
    )
    ways = (
        "Give the patient in a table (layout table, table.columns.patient), or set split.by: image "
        "if images of one patient may lie on both sides"
    )
    if largest == len(main) and len(sets) > 1:
        raise InputError(
            f"split: all {largest} images are of one patient, so that no seed can divide them into "
            f"{', '.join(sets)}; {whose}. {ways}"
        )
    for label, part in main[main["label"] != ""].groupby("label"):
        patients = part["patient_id"].nunique()
        if patients < len(sets):
            raise InputError(
                f"split: the {len(part)} images labelled {label} are of {patients} patients, fewer "
                f"than the sets ({', '.join(sets)}), so that no seed or fraction helps. {ways}, or "
                "leave the class out"
            )
    if largest > max(_MOST * len(main), _FEW):
        LOGGER.warning("%d of %d images are of one patient; %s", largest, len(main), whose)


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
