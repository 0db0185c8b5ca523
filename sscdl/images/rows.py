"""Which rows of a packed array a node trains on, validates on and is normalised by.

Reads ``images.csv`` with the standard library alone, so that a look-up in the store needs neither
pandas nor torch.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sscdl.archives.cohorts import DUPLICATE, MAIN
from sscdl.errors import InputError
from sscdl.finding_labels import (
    holds_findings,
    known,
    positives,
    rarest_finding,
    read_label,
    write_label,
)
from sscdl.recipe import fingerprint


@dataclass(frozen=True)
class Rows:
    """Row numbers of a packed array by their use, and the labels and patients of all rows."""

    train: list[int]
    validate: list[int]
    normalise: list[int]
    # The class number of every row of the array, -1 where it has none; or what is known of each
    # finding in it, as `read_label` says it.
    labels: list[int] | list[list[int]]
    patients: list[int]  # number of the patient of every row of the array
    # The number of any label of every row, -1 for none and for findings: watched, not trained on.
    known: list[int]
    digest: str  # of everything above and the pixels: what the training saw


def read_images(path: str | Path) -> list[dict[str, str]]:
    """Return the lines of ``images.csv`` as dictionaries."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def select_rows(path: str | Path, described: dict[str, Any], data: dict[str, Any]) -> Rows:
    """Return the rows that the data recipe ``data`` asks for.

    ``described`` is the description of the packed array. In ``data``, "train", "validate" and
    "normalise" name a split, "all" (every image of the main archive) or None; with "classes",
    only images labelled with one of these train and validate; with "findings" in its place, those
    of which at least one of these is known. "masked" is False or, for variants made with lung
    masks, the policy ``lungs.implausible``; with any policy only images that have a mask to use
    count. "also" names a further archive whose images train, but for those of patients whom the
    main archive holds back for validation or testing. "labels" limits training to a share of the
    patients of each class: {"share": in (0, 1], "seed": int}, and with "draw": int to another one
    for each of these numbers.
    """
    lines = {line["image_id"]: line for line in read_images(path)}
    also = data.get("also")
    held_back = {line["patient_id"] for line in lines.values() if line["split"] in ("val", "test")}
    texts = [lines[one]["label"] if one in lines else "" for one in described["ids"]]
    labels, labelled = _labels(texts, data)
    chosen: dict[str, list[int]] = {"train": [], "validate": [], "normalise": []}
    patients: list[int]
    numbers: dict[str, int]
    patients, numbers = [], {}
    for row, image_id in enumerate(described["ids"]):
        line = lines.get(image_id)
        patient = line["patient_id"] if line else image_id
        patients.append(numbers.setdefault(patient, len(numbers)))
        if line is None or line["split"] == DUPLICATE or (data["masked"] and not line["mask"]):
            continue
        if line["cohort"] == also and patient not in held_back:
            chosen["train"].append(row)
        if line["cohort"] != MAIN:
            continue
        for use, rows in chosen.items():
            wanted = data[use]
            fits = wanted == "all" or wanted == line["split"]
            if fits and (use == "normalise" or labelled[row]):
                rows.append(row)
    if "labels" in data:
        own = [lines[described["ids"][row]] for row in chosen["train"]]
        kept = _share_of_labels(own, data["labels"], data.get("findings"))
        chosen["train"] = [row for row, use in zip(chosen["train"], kept, strict=True) if use]
    if not chosen["train"]:
        raise InputError(f"{path}: no image to train on in split {data['train']!r}")
    if data["validate"] and not chosen["validate"]:
        raise InputError(f"{path}: no image to validate on in split {data['validate']!r}")
    digest = fingerprint([described["sha256"], chosen, labels, patients])
    watched = _watched(texts)
    return Rows(**chosen, labels=labels, patients=patients, known=watched, digest=digest)


def _labels(
    texts: list[str], data: dict[str, Any]
) -> tuple[list[int] | list[list[int]], list[bool]]:
    """Return the labels of all rows as ``Rows`` has them, and which may train and validate."""
    if findings := data.get("findings"):
        told = [known(text, findings) for text in texts]
        return [read_label(text, findings) for text in texts], told
    classes = data.get("classes") or []
    numbers = [classes.index(text) if text in classes else -1 for text in texts]
    return numbers, [number >= 0 or not classes for number in numbers]


def _watched(texts: list[str]) -> list[int]:
    """Return a number for each label, -1 for none, and for all where they are of findings.

    Neighbours of a picture tell one class; every set of findings would be one by itself.
    """
    if holds_findings(texts):
        return [-1] * len(texts)
    names: dict[str, int] = {}
    return [names.setdefault(text, len(names)) if text else -1 for text in texts]


def _share_of_labels(
    lines: list[dict[str, str]], wanted: dict[str, Any], findings: list[str] | None
) -> list[bool]:
    """Return which of the images are of a share of the patients of each class, one at least.

    Patients are taken in the order of a hash of seed and id, so that a smaller share is a part of
    a larger one. A patient with images of several classes counts with each of them by itself.

    With ``findings``, each counts once, with the one of these that is rarest in all of those that
    its images show. A draw takes two patients at least of each class, and two who count with a
    finding, as linear probes do, which take the same.
    """
    members = [(line["patient_id"], line["label"]) for line in lines]
    if findings is not None:
        shown = [[one for one in positives(label) if one in findings] for _, label in members]
        told = zip((patient for patient, _ in members), map(write_label, shown), strict=True)
        strata = rarest_finding(told)
        members = [(patient, strata[patient]) for patient, _ in members]
    patients: dict[str, set[str]] = defaultdict(set)
    for patient, label in members:
        patients[label].add(patient)
    seed, draw = wanted["seed"], wanted.get("draw", "label")
    fewest = 2 if "draw" in wanted else 1

    def place(patient: str) -> bytes:
        return hashlib.blake2b(f"{seed}:{draw}:{patient}".encode()).digest()

    kept = {
        label: set(
            sorted(own, key=place)[: max(fewest, math.ceil(wanted["share"] * len(own) - 1e-9))]
        )
        for label, own in patients.items()
    }
    return [patient in kept[label] for patient, label in members]
