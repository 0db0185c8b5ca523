"""What a study's images are: one table that counts them by split, and the reasons for rejections.

The table needs no pixels: it is made of ``images.csv`` and ``rejected.csv``, whose columns may be
as they were written or as pandas guesses them.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from sscdl.archives.cohorts import MARKED, PRETRAINING
from sscdl.archives.sides import ACROSS
from sscdl.archives.straddling import crossing, several
from sscdl.finding_labels import counted, holds_findings
from sscdl.images.near_pairs import NEARLY
from sscdl.images.split import SPLITS
from sscdl.segment.quality import Quality

UNKNOWN = "(unknown)"
_CODES = {
    "view": "view",
    "sex": "sex",
    "modality": "modality",
    "body part": "body_part",
    "transfer syntax": "transfer_syntax",
    "photometric interpretation": "photometric",
    "bits stored": "bits_stored",
}
_TEXTS = ["image_id", "study_id", "patient_id", "label", "split", "mask", "mask_faults", "remark"]
# Sizes are listed one by one up to this many, then rounded.
_SIZES = 8
_STEPS = (100, 200, 500, 1000, 2000, 5000, 10000, 100000)
# What names a file, an image or a study in a reason; the rest of the text stays.
_NAMES = (
    (re.compile(r"^line \d+: "), ""),
    (re.compile(r" \(line \d+\)$"), ""),
    (re.compile(r"'[^']*'"), "…"),
    (re.compile(r"(?<=also at ).+(?=; left out)"), "…"),
    (re.compile(r"\b(image|study) \S+(?= (?:again|has)\b)"), r"\1 …"),
)
_MORE = re.compile(r"^(\d+) more: ")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
# All that may be wrong with a mask at once, and what is wrong with one of no lung: a comma divides
# faults only where another begins.
_WORST = Quality(area=1.0, components=1, balance=0.0, solidity=0.0, border=1.0, doubt=1.0)
_UNEQUAL = replace(_WORST, components=2)
_EMPTY = replace(_WORST, components=0)
_FAULTS = {
    _NUMBER.sub("…", fault) for mask in (_WORST, _UNEQUAL, _EMPTY) for fault in mask.faults()
}
_NEXT_FAULT = re.compile(f", (?={'|'.join(map(re.escape, sorted(_FAULTS)))})")


def tidy_images(images: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of ``images.csv`` that are counted, cleaned, with a new index.

    Codes and ids are texts, ``label`` is '(none)' and a code '(unknown)' where missing, ``age`` is
    float (years) or NaN, ``size`` is 'rows x columns' (rounded if there are more than eight),
    ``boxes`` is the number of boxes.
    """
    images = images.reset_index(drop=True)
    tidy = pd.DataFrame(index=images.index)
    for column in [*_TEXTS, *_CODES.values()]:
        tidy[column] = images[column].astype(object).where(images[column].notna(), "").astype(str)
    tidy["label"] = tidy["label"].replace("", "(none)")
    for column in _CODES.values():
        # A column with gaps comes back from a CSV file as floats.
        tidy[column] = tidy[column].str.removesuffix(".0").replace("", UNKNOWN)
    tidy["age"] = pd.to_numeric(images["age"], errors="coerce")
    tidy["size"] = _sizes(pd.to_numeric(images["rows"]), pd.to_numeric(images["columns"]))
    tidy["boxes"] = [
        len(json.loads(boxes) if isinstance(boxes, str) else boxes) for boxes in images["boxes"]
    ]
    return tidy


def by_label(images: pd.DataFrame) -> pd.DataFrame:
    """Return ``images`` with a row for each finding that an image shows, by the same index.

    So they are where labels are of several findings; otherwise each image keeps its one row.
    """
    if not holds_findings(images["label"]):
        return images
    return images.assign(label=images["label"].map(counted)).explode("label")


def copies(splits: Iterable[str]) -> set[str]:
    """Return the splits whose images are those of another one, but for their mark.

    The marked test sets show the same patients; the first of them that is there is none.
    """
    present = set(splits)
    return set([name for name in MARKED if name in present][1:])


def once(tidy: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that a total counts: those of ``copies`` left out."""
    return tidy[~tidy["split"].isin(copies(tidy["split"]))]


def split_names(splits: Iterable[str]) -> list[str]:
    """Return the splits that are there: train, val, test, then the others by name."""
    present = set(splits)
    return [name for name in SPLITS if name in present] + sorted(
        present - set(SPLITS), key=natural_order
    )


def straddling_patients(images: pd.DataFrame) -> tuple[int, int]:
    """Return how many patients of the test set are in training or validation, too, and of how many.

    ``images`` are rows of ``images.csv``.
    """
    found = crossing(_homes(images))
    return found.both, found.tested


def _homes(images: pd.DataFrame) -> dict[str, set[str]]:
    """Return the patients of each split."""
    parts = images.groupby("split")["patient_id"].agg(set)
    return {str(name): patients for name, patients in parts.items()}


def group_reasons(rejected: pd.DataFrame) -> pd.Series:
    """Return one reason for each row of ``rejected.csv``, like ones made equal.

    What names a file, an image, a study or a line is taken out; numbers are where reasons differ in
    nothing else.
    """
    plain = []
    for reason in rejected["reason"].fillna("").astype(str):
        reason = _MORE.sub("", reason)
        for pattern, replacement in _NAMES:
            reason = pattern.sub(replacement, reason)
        plain.append(reason)
    variants: dict[str, set[str]] = {}
    for reason in plain:
        variants.setdefault(_NUMBER.sub("…", reason), set()).add(reason)
    shown = {
        reason: key if len(reasons) > 1 else reason
        for key, reasons in variants.items()
        for reason in reasons
    }
    return pd.Series([shown[reason] for reason in plain], index=rejected.index, dtype="str")


def reason_counts(rejected: pd.DataFrame) -> dict[str, int]:
    """Return how many files each reason of ``group_reasons`` stands for, the most frequent first.

    A line that sums up others ("12 more: ...") counts as many.
    """
    counts: Counter[str] = Counter()
    reasons = rejected["reason"].fillna("").astype(str)
    for reason, original in zip(group_reasons(rejected), reasons, strict=True):
        summed = _MORE.match(original)
        counts[reason] += int(summed[1]) if summed else 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def mask_faults(texts: pd.Series) -> pd.Series:
    """Return a row for each fault of a lung mask, by the index of ``texts``, numbers taken out.

    ``texts`` are of the column ``mask_faults``: faults with commas between them, of which some have
    one in their own words. A text without faults keeps its one row, which is empty.
    """
    return texts.str.replace(_NUMBER, "…", regex=True).str.split(_NEXT_FAULT, regex=True).explode()


def dataset_table(images: pd.DataFrame, rejected: pd.DataFrame) -> pd.DataFrame:
    """Return the table ``dataset``: how many images there are of every kind, by split.

    Args:
        images: the rows of ``images.csv``.
        rejected: the rows of ``rejected.csv`` (file, reason), possibly none.

    Returns:
        ``group, value``, a column for each split (train, val, test, then other cohorts by name)
        and ``total``. The cells are numbers of images, but of patients and studies in the groups
        of these names and of lines of ``rejected.csv`` in the group ``set aside`` (None in the
        splits' columns), and years in ``age``'s rows mean and standard deviation (None where
        undefined). A patient of several splits counts once in the total, and so does an image that
        the marked test sets show three times, of which the first is counted. An image that shows
        several findings counts with each of them in the group ``label``.
    """
    tidy = tidy_images(images)
    splits = split_names(tidy["split"])
    parts = {name: tidy[tidy["split"] == name] for name in splits} | {"total": once(tidy)}
    rows = [_row("images", "all", {name: len(part) for name, part in parts.items()})]
    rows += _people(tidy, parts)
    labels = by_label(tidy)["label"]
    rows += _counted("label", labels, parts, labels.unique())
    for group in ("view", "sex"):
        rows += _counted(group, tidy[group], parts, tidy[group].unique())
    rows += _ages(tidy, parts)
    for group, column in list(_CODES.items())[2:]:
        rows += _counted(group, tidy[column], parts, tidy[column].unique())
    rows += _counted("size (rows x columns)", tidy["size"], parts, tidy["size"].unique())
    with_boxes = (tidy["boxes"] > 0).map({True: "images with boxes", False: ""})
    rows += _counted("boxes", with_boxes, parts, ["images with boxes"])
    masks = (tidy["mask"] == "").map({True: "none used", False: ""})
    rows += _counted("lung mask", masks, parts, ["none used"])
    faults = mask_faults(tidy["mask_faults"])
    rows += _counted("lung mask", faults, parts, sorted(set(faults) - {""}))
    text = tidy["remark"].str.contains("text near").map({True: "perhaps burned in", False: ""})
    rows += _counted("text", text, parts, sorted(set(text) - {""}))
    for remark, value in ((NEARLY, "images with one"), (ACROSS, "on another side")):
        near = tidy["remark"].str.contains(remark).map({True: value, False: ""})
        rows += _counted("near-duplicates", near, parts, sorted(set(near) - {""}))
    tones = tidy["remark"].str.contains(r"picture (?:uses|has) \d").map({True: "few", False: ""})
    rows += _counted("gray values", tones, parts, sorted(set(tones) - {""}))
    rows += [
        _row("set aside", reason, {"total": n}) for reason, n in reason_counts(rejected).items()
    ]
    # As objects, whole numbers stay whole beside the mean age and beside cells that are empty.
    return pd.DataFrame(rows, columns=["group", "value", *parts], dtype=object)


def _row(group: str, value: str, cells: Mapping[str, Any]) -> dict[str, Any]:
    return {"group": group, "value": value, **cells}


def _counted(
    group: str, values: pd.Series, parts: Mapping[str, pd.DataFrame], shown: Any
) -> list[dict[str, Any]]:
    """Return a row for each of the values ``shown``, in natural order, missing ones last."""
    counts = {
        name: values[values.index.isin(part.index)].value_counts() for name, part in parts.items()
    }
    return [
        _row(group, value, {name: int(count.get(value, 0)) for name, count in counts.items()})
        for value in sorted(shown, key=natural_order)
    ]


def natural_order(text: str) -> tuple[bool, list[tuple[int, int, str]]]:
    """Return a key that sorts numbers inside texts by value and '(unknown)' last."""
    pieces = re.findall(r"\d+|\D+", text)
    key = [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in pieces]
    return text.startswith("("), key


def _people(tidy: pd.DataFrame, parts: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    # What is set aside, left out or shown again ties no patient to a second split, and patients of
    # the pretraining archive have a row of their own.
    straddling = several(_homes(tidy))
    both = {name: len(straddling & set(part["patient_id"])) for name, part in parts.items()}
    patients = {name: part["patient_id"].nunique() for name, part in parts.items()}
    others = set(tidy.loc[tidy["split"] == PRETRAINING, "patient_id"])
    shared = {
        name: len(others & set(part["patient_id"])) if name in SPLITS else None
        for name, part in parts.items()
    }
    shared["total"] = len(others & set(tidy.loc[tidy["split"].isin(SPLITS), "patient_id"]))
    studies = {name: part["study_id"].nunique() for name, part in parts.items()}
    return [
        _row("patients", "all", patients),
        _row("patients", "in several splits", both),
        *([_row("patients", "also in the pretraining archive", shared)] if others else []),
        _row("studies", "all", studies),
    ]


def _ages(tidy: pd.DataFrame, parts: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    first = tidy["age"] // 10 * 10
    decades = first.map(lambda age: UNKNOWN if pd.isna(age) else f"{age:.0f} to {age + 9:.0f}")
    rows = _counted("age", decades, parts, decades.unique())
    for value, function in (("mean (years)", "mean"), ("standard deviation (years)", "std")):
        numbers = {name: float(part["age"].agg(function)) for name, part in parts.items()}
        cells = {name: None if math.isnan(x) else round(x, 4) for name, x in numbers.items()}
        rows.append(_row("age", value, cells))
    return rows


def _sizes(rows: pd.Series, columns: pd.Series) -> pd.Series:
    """Return 'rows x columns', rounded to the finest step that leaves at most eight sizes."""
    sizes = [f"{r} x {c}" for r, c in zip(rows, columns, strict=True)]
    for step in _STEPS:
        if len(set(sizes)) <= _SIZES:
            break
        rounded = [[max(1, round(n / step)) * step for n in side] for side in (rows, columns)]
        sizes = [f"about {r} x {c}" for r, c in zip(*rounded, strict=True)]
    return pd.Series(sizes, index=rows.index, dtype="str")
