"""The list of a study's images: what was ingested, its lung mask, its split, its known mark."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sscdl import places
from sscdl.archives.by_sides import by_sides, copies_on_other_sides, set_apart
from sscdl.archives.cohorts import DUPLICATE, MAIN, PRETRAINING
from sscdl.archives.given_sides import Sides, apart, check_sides, findings, read_sides
from sscdl.archives.sides import UNLISTED
from sscdl.equivalence import group_hash
from sscdl.errors import InputError
from sscdl.files import atomic_path
from sscdl.finding_labels import counted
from sscdl.images.classes import check_classes, check_findings, check_patients
from sscdl.images.duplicates import find_duplicates
from sscdl.images.ingest import collect, collect_problems
from sscdl.images.near_pairs import ASIDE, IGNORE, NEARLY, Effect, effect, read_pairs
from sscdl.images.split import assign_split
from sscdl.images.vouched import check_masks, describe_list
from sscdl.own_csv import read_own
from sscdl.records import MASK_MANIFEST, SAME_COMMAND, read_record

LOGGER = logging.getLogger("sscdl.images")
COLUMNS = [
    "image_id", "study_id", "patient_id", "label", "split", "png", "mask", "cohort", "view", "sex",
    "age", "rows", "columns", "transfer_syntax", "boxes", "mark", "mask_area", "mask_faults",
    "modality", "body_part", "photometric", "bits_stored", "remark",
]  # fmt: skip
NEAR_COLUMNS = [
    "image_id", "other_image_id", "patient_id", "other_patient_id", "cohort", "other_cohort",
    "label", "other_label", "split", "other_split", "correlation",
]  # fmt: skip


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, atomically."""
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False)


def list_images(
    image_manifests: list[Path],
    mask_manifests: list[Path],
    truths: list[Path],
    images_csv: Path,
    rejected_csv: Path,
    *,
    implausible: str,
    split: dict[str, Any],
    given: Mapping[str, Any] | None = None,
    near_duplicates: Path | None = None,
    treatment: str = IGNORE,
    classes: Sequence[str] = (),
    several: bool = False,
    masked: bool = False,
) -> None:
    """Write ``images.csv`` (all pictures) and ``rejected.csv`` (what did not become one, and why).

    Beside the list lies its description (``images.json``), by which whoever reads it knows that it
    is what was written.

    ``truths`` are the truth tables of synthetic archives, with the place of the planted mark. An
    image without lungs has an empty ``mask``, and so has one with an ``implausible`` mask unless
    that is "keep" or "hull" (it has then been replaced). A picture that is there already has the
    split "duplicate", in which nothing is trained or tested. The column ``remark`` says all this.

    ``split`` is the recipe by which stages were planned, with its ``seed`` where one has a part in
    it.
    ``given`` has ``dataset`` and ``split`` as ``sscdl.archives.given_sides.read_sides`` takes them,
    where the split is given; None where it is drawn. Images on no side of it are a cohort, and a
    split, of their own. Near-duplicates on two sides of it are told and stay.

    ``near_duplicates`` is the record of pairs that are nearly one picture, None if nobody looks
    for them; they are written to ``near_duplicates.csv`` beside the list. ``treatment`` (the key
    ``split.near_duplicates``) says what becomes of them: patients whom a pair joins come to one
    side ("together"), copies are set aside besides ("aside"), or nothing ("ignore"). Pictures for
    pretraining of patients so joined with some who are held out are set aside.

    Raises InputError if ``split`` was made without knowing these pairs, or if one of ``classes``
    has no image, or none where one is needed (see ``sscdl.images.classes``; ``masked`` as there),
    or there are too few patients to divide. With ``several`` the classes are findings, of which an
    image may show any number; what a set lacks of one is warned of where nothing else is needed.
    """
    images, rejected = collect(image_manifests)
    store = _store(image_manifests)
    # The folder once: to ask where it lies takes longer than all else where there are many images.
    folder = places.written(Path(image_manifests[0]).parent / "png", store)
    images["png"] = [f"{folder}/{name}" for name in images["png"]]
    masks = _masks(mask_manifests, implausible)
    check_masks(images["image_id"], masks["image_id"], mask_manifests)
    images = images.merge(masks, on="image_id", how="left")
    pairs = read_pairs(near_duplicates) if near_duplicates else []
    near = effect(pairs, treatment, split.get("by", ""))
    if split.get("near_duplicates") != near.recipe():
        raise InputError(
            f"{near_duplicates}: the near-duplicates in it ({len(pairs)} pairs of pictures) decide "
            "which images are trained on, and this run was planned before they were known. Nothing "
            f"was trained: {SAME_COMMAND}, and all is planned with them (or set "
            "split.near_duplicates: ignore)"
        )
    sides = read_sides(**given, recipe=split["given"]) if given else None
    if sides:
        images = set_apart(images, sides.of)
    twice = _copies(images, near, sides)
    single = ~images["image_id"].isin(twice)
    images["split"] = DUPLICATE
    divided = _joined(images[single], near)
    about: list[dict[str, str]] = []  # remarks on images by their ids
    if sides:
        # What a side must have of a finding is asked below, of the sets that come of it.
        about.append(check_sides(images[single], sides, () if several else classes))
        left = {"by": "image", "stratified": False, "val": 0.0, "seed": 0, **split, "test": 0.0}
        images.loc[single, "split"] = by_sides(
            images[single], sides.of,
            # Divided are the ids that near-duplicates join, which are no ids of files.
            lambda rest: _drawn(divided[rest], left, several=several),
        )  # fmt: skip
    else:
        images.loc[single, "split"] = _drawn(divided, split, several=several)
    twice |= _held_back(images, near)
    images.loc[images["image_id"].isin(twice), "split"] = DUPLICATE
    others = _others(pairs)
    if sides:
        about.append(apart(images, pairs, sides))
        lost = images.loc[images["split"] == UNLISTED, "image_id"]
        about.append(dict.fromkeys(lost, "on no side of the given split"))
    check = check_findings if several else check_classes
    check(images, rejected, classes, masked=masked)
    remarks = zip(
        [twice.get(image_id) or others.get(image_id, "") for image_id in images["image_id"]],
        images["mask_faults"].map(lambda faults: f"lung mask: {faults}" if faults else ""),
        images["text"].map(lambda boxes: "perhaps text near the border" if boxes else ""),
        images["tones"],
        images["remarks"].map("; ".join),
        *([said.get(image_id, "") for image_id in images["image_id"]] for said in about),
        strict=True,
    )
    images["remark"] = ["; ".join(filter(None, found)) for found in remarks]
    marks = _marks(truths)
    images["mark"] = [marks.get(image_id, "") for image_id in images["image_id"]]
    images["boxes"] = images["boxes"].map(json.dumps)
    odd = [collect_problems(image_manifests), *([findings(images, sides)] if sides else [])]
    rejected = pd.concat([rejected, *odd], ignore_index=True)
    write_csv(images.sort_values("image_id")[COLUMNS], images_csv)
    source = {"source": group_hash("split")}
    source |= {"given_source": group_hash("given split")} if sides else {}
    describe_list(images_csv, split=split, **source)
    write_csv(rejected[["file", "reason"]], rejected_csv)
    _report_pairs(images, pairs, treatment, images_csv.with_name("near_duplicates.csv"))
    labels = zip(images["split"], map(counted, images["label"]), strict=True)
    counts = Counter((name, label) for name, shown in labels for label in shown)
    for (name, label), number in sorted(counts.items()):
        LOGGER.info("%-14s %-14s %d images", name, label or "(no label)", number)
    LOGGER.info("%d images, %d lines in %s", len(images), len(rejected), rejected_csv.name)


def _store(manifests: Sequence[Path]) -> Path:
    """Return the store, in which manifests lie as ``<kind>/<fingerprint>/<shard>.json``."""
    return Path(manifests[0]).parents[2]


def _drawn(images: pd.DataFrame, split: Mapping[str, Any], *, several: bool) -> pd.Series:
    """Return the split of each image where all of it is drawn."""
    val, test, by = split["val"], split["test"], split["by"]
    shares = {"train": 1 - val - test, "val": val, "test": test}
    check_patients(images, shares, by=by, several=several)
    stratified, seed = split["stratified"], split["seed"]
    return assign_split(
        images, by=by, stratified=stratified, val=val, test=test, seed=seed, several=several
    )


def _same(images: pd.DataFrame, sides: Sides | None) -> dict[str, str]:
    """Return why an image is set aside whose picture is there twice, by the ids of such images."""
    across = copies_on_other_sides(images, sides.of) if sides else {}
    # What is on no side is used for nothing: nothing is set aside for its sake.
    used = images[images["cohort"] != UNLISTED]
    found = find_duplicates(used[~used["image_id"].isin(across)])
    return across | dict(zip(found["image_id"], found["reason"], strict=True))


def _copies(images: pd.DataFrame, near: Effect, sides: Sides | None) -> dict[str, str]:
    """Return why an image is set aside as a copy of another one, by the ids of such images."""
    reasons = _same(images, sides)
    if near.treatment != ASIDE:
        return reasons
    # Pictures that are nearly one are treated as if they were.
    rest = images[~images["image_id"].isin(reasons)]
    found = _same(
        rest.assign(pixel_hash=[near.pictures.get(one, one) for one in rest["image_id"]]), sides
    )
    return reasons | {
        image: reason.replace("the same picture as", NEARLY, 1) for image, reason in found.items()
    }


def _joined(images: pd.DataFrame, near: Effect) -> pd.DataFrame:
    """Return what is divided: those whom near-duplicates join have one id."""
    groups = {"patient_id": near.patients, "image_id": near.pictures}
    return images.assign(
        **{key: [group.get(one, one) for one in images[key]] for key, group in groups.items()}
    )


def _held_back(images: pd.DataFrame, near: Effect) -> dict[str, str]:
    """Return why an image for pretraining shows a patient who is held out, by its id."""
    people = images["patient_id"].map(near.patients)
    held_out = people[images["split"].isin(["val", "test"])].dropna()
    others = (images["cohort"] == PRETRAINING) & (images["split"] != DUPLICATE)
    reason = f"shows a patient whom a near-duplicate joins with one that cohort {MAIN} holds out"
    return dict.fromkeys(images.loc[others & people.isin(held_out), "image_id"], reason)


def _others(pairs: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the remark about the picture that each one is most like, by image id."""
    found: dict[str, str] = {}
    for pair in sorted(pairs, key=lambda pair: -pair["correlation"]):
        one, other = pair["image_ids"]
        whose = "" if len(set(pair["patient_ids"])) == 1 else " of another patient"
        found.setdefault(one, f"{NEARLY} {other}{whose}")
        found.setdefault(other, f"{NEARLY} {one}{whose}")
    return found


def _report_pairs(
    images: pd.DataFrame, pairs: Sequence[dict[str, Any]], treatment: str, path: Path
) -> None:
    """Write the near-duplicates with what became of them, and say how many there are."""
    known = images.set_index("image_id")
    rows = []
    for pair in pairs:
        row = dict(zip(("image_id", "other_image_id"), pair["image_ids"], strict=True))
        for key in ("patient_id", "cohort", "label", "split"):
            row |= {key: known.loc[row["image_id"], key]}
            row |= {f"other_{key}": known.loc[row["other_image_id"], key]}
        rows.append(row | {"correlation": pair["correlation"]})
    table = pd.DataFrame(rows, columns=NEAR_COLUMNS)
    write_csv(table.sort_values("correlation", ascending=False, kind="stable"), path)
    apart = sum(pair["patient_ids"][0] != pair["patient_ids"][1] for pair in pairs)
    if apart or (pairs and treatment == ASIDE):
        LOGGER.warning(
            "%d pairs of pictures are near-duplicates, %d of them of two patients; treatment: "
            "%s%s; they are listed in %s", len(pairs), apart, treatment,
            # Where all sides are given it may be none whatever the key says.
            "" if treatment == IGNORE else " (split.near_duplicates)", path,
        )  # fmt: skip


def _masks(manifests: list[Path], implausible: str) -> pd.DataFrame:
    """Return image_id, mask (path, or empty for a mask not to be used), its area and faults."""
    folder = places.written(Path(manifests[0]).parent / "png", _store(manifests))
    contents = [read_record(path, MASK_MANIFEST) for path in manifests]
    masks = pd.DataFrame([row for part in contents for row in part["masks"]])
    masks["mask_faults"] = masks["faults"].map(", ".join)
    useless = masks["empty"] | ((masks["mask_faults"] != "") & (implausible == "drop"))
    masks["mask"] = [
        "" if none else f"{folder}/{name}" for name, none in zip(masks["png"], useless, strict=True)
    ]
    return masks.rename(columns={"area": "mask_area"})[
        ["image_id", "mask", "mask_area", "mask_faults"]
    ]


def _marks(truths: list[Path]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in truths:
        truth = read_own(path, advice="marks are told by it", dtype=str).fillna("")
        found |= dict(zip(truth["image_id"], truth["mark"], strict=True))
    return found
