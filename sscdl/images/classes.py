"""Whether there are images and patients enough for a study, known before anything is trained.

And whether an archive and its table meet, of which one may have been copied in part.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from sscdl.archives.cohorts import DUPLICATE, MAIN, PRETRAINING
from sscdl.archives.lookup import NOT_THERE
from sscdl.errors import InputError
from sscdl.finding_labels import NEGATIVE, POSITIVE, read_label
from sscdl.images.split import SPLITS
from sscdl.words import many

LOGGER = logging.getLogger("sscdl.images")
_MOST, _FEW = 0.5, 10  # share of the images, and number, that one patient seldom has
# Patients on either side of a finding without whom it has no score there.
_TOLD = {"val": 1, "test": 2}
# Strays are fewer than this share of an archive, and a part that is missing is seldom so small: of
# the twelve in which NIH's radiographs come, the smallest has 4.4 %.
_MUCH = 0.04
# What the readers of archives say where files and rows do not meet, and what these are.
_UNMET = (
    (
        r"image files without a row, left out: (?P<number>\d+)",
        *("image file has", "image files have", "no row"),
    ),
    (r"no row in \S+; .*", "file or study has", "files or studies have", "no row"),
    (
        rf"(?:line \d+: |(?P<number>\d+) more: ){NOT_THERE}; left out",
        *("row names", "rows name", "a file that is not there"),
    ),
    (r"(?:image|study) \S+ has no usable file", "row names", "rows name", "no usable file"),
)


def check_patients(
    images: pd.DataFrame, shares: Mapping[str, float], *, by: str, several: bool = False
) -> None:
    """Raise InputError if there are too few patients for the sets that they are divided into.

    ``images`` has the columns cohort, label and patient_id; ``shares`` are of the sets that are to
    have images. Each label must be in each of them, so that fewer patients than sets cannot be
    divided, whatever the seed; but for labels of ``several`` findings, of which ``check_findings``
    knows more. Where the split is ``by`` image there is nothing to check. A patient of most images
    is warned of: files that were made anonymous often have one id.
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
            f"split: all {many(largest, 'image')} are of one patient, so that no seed can divide "
            f"them into {', '.join(sets)}; {whose}. {ways}"
        )
    labelled = main.iloc[:0] if several else main[main["label"] != ""]
    for label, part in labelled.groupby("label"):
        patients = part["patient_id"].nunique()
        if patients < len(sets):
            raise InputError(
                f"split: the {many(len(part), 'image')} labelled {label} "
                f"{'is' if len(part) == 1 else 'are'} of {many(patients, 'patient')}, fewer than "
                f"the sets ({', '.join(sets)}), so that no seed or fraction helps. {ways}, or "
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
    for name in classes:
        if not counts[name]:
            raise InputError(
                f"classes: no image that can be used is labelled {name!r} (images by label: "
                f"{there}; {_listed(rejected)}); leave the class out of classes, or "
                "correct the labels or what set its images aside"
            )
        usable = main[(main["label"] == name) & (main["mask"] != "")]
        for split in sorted(set(main["split"])):
            if (masked or split == "test") and not (usable["split"] == split).any():
                raise InputError(
                    f"classes: no image labelled {name!r} in the split {split} has a lung mask "
                    f"that can be used ({many(counts[name], 'image is', 'images are')} labelled "
                    "so); check the masks (lungs), choose another split_seed, or leave the class "
                    "out of classes"
                )


def _listed(rejected: pd.DataFrame) -> str:
    """Return how many lines ``rejected.csv`` has, and what is there most often."""
    lost = Counter(rejected["reason"]).most_common(1)
    lines = f"{many(len(rejected), 'line')} in rejected.csv"
    return f"{lines}, most often: {lost[0][0]}" if lost else lines


def check_findings(
    images: pd.DataFrame, rejected: pd.DataFrame, findings: Sequence[str], *, masked: bool
) -> None:
    """Raise InputError if one of ``findings`` cannot be learnt, or nothing can be tested.

    An image that is trained on must show it. Of some finding there must be a patient who shows it
    and one who does not among those who choose learning rates, and two of each among those tested,
    on images with a lung mask; of others is warned. Arguments are those of ``check_classes``, and
    labels as ``sscdl.finding_labels`` writes them.
    """
    main = images[(images["cohort"] == MAIN) & (images["split"] != DUPLICATE)]
    read = [read_label(label, findings) for label in main["label"]]
    states = pd.DataFrame(read, index=main.index, columns=list(findings))
    counts = (states == POSITIVE).sum()
    for name in findings:
        if not counts[name]:
            there = ", ".join(f"{one} {counts[one]}" for one in findings)
            raise InputError(
                f"findings: no image that can be used shows {name!r} (images that show each: "
                f"{there}; {_listed(rejected)}); leave it out of findings, or correct the "
                "labels or what set its images aside"
            )
    for split in [name for name in SPLITS if (main["split"] == name).any()]:
        # The whole image can be learnt from without a mask, but is not reported.
        bare = split != "test" and not masked
        inside = (main["split"] == split) & (bare | (main["mask"] != ""))
        part, whose = states[inside], main.loc[inside, "patient_id"]
        told = "" if bare else " that has a lung mask"
        if split == "train":
            if lost := next((name for name in findings if not (part[name] == POSITIVE).any()), ""):
                raise InputError(
                    f"findings: no image in the split train{told} shows {lost!r}, so that it "
                    f"cannot be learnt ({many(counts[lost], 'image shows', 'images show')} it in "
                    "all); divide the images otherwise (split_seed, split), or leave it out of "
                    "findings"
                )
            continue
        fewest = _TOLD[split]
        sides = {
            name: min(whose[part[name] == side].nunique() for side in (POSITIVE, NEGATIVE))
            for name in findings
        }
        lacking = [name for name in findings if sides[name] < fewest]
        who = "one patient shows and another one does" if fewest == 1 else "two show and two do"
        if len(lacking) == len(findings):
            raise InputError(
                f"findings: there is none that patients in the split {split} tell apart, of which "
                f"{who} not on an image{told}; give it more patients (split), choose another "
                "split_seed, or check the labels, and what they call unknown"
            )
        if lacking:
            LOGGER.warning(
                "split %s: fewer than %s, or do not, on an image%s: %s; left out of means there",
                split, "one patient shows" if fewest == 1 else "two patients show", told,
                ", ".join(lacking),
            )  # fmt: skip


def unmet(images: pd.DataFrame, rejected: pd.DataFrame) -> list[str]:
    """Return a sentence for each way in which much of an archive and of its table do not meet.

    A table that is cut off at the end of a row, or an archive of which a part was not unpacked, is
    otherwise told in ``rejected.csv`` alone. Arguments are the rows of ``images.csv`` and of
    ``rejected.csv``.
    """
    found = []
    for cohort in (MAIN, PRETRAINING):
        apart = cohort == PRETRAINING
        there = int(((images["cohort"] == PRETRAINING) == apart).sum())
        own = rejected["file"].str.startswith(f"{PRETRAINING}/") == apart
        said = list(rejected.loc[own, ["file", "reason"]].itertuples(index=False, name=None))
        for pattern, one, more, lacks in _UNMET:
            matches = [(file, m) for file, text in said if (m := re.fullmatch(pattern, text))]
            number = sum(int(m.groupdict().get("number") or 1) for _, m in matches)
            if number <= _MUCH * (number + there):
                continue
            file, match = matches[0]
            found.append(
                f"{many(number, one, more)} {lacks} ({file}: {match[0]}), beside "
                f"{many(there, 'image that is', 'images that are')} used; is the table cut off, or "
                "is a part of the archive missing? More in rejected.csv"
            )
    return found
