"""Which patients that a study reports on have taken part in its pretraining.

A shared stage is as good as its data: one that was trained on all images knows the test set. The
recipes tell that before anything runs, and images.csv tells how many patients it concerns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sscdl.archives.cohorts import MAIN
from sscdl.archives.straddling import crossing
from sscdl.errors import InputError
from sscdl.images.rows import read_images
from sscdl.records import ITSELF, Kind, read_record
from sscdl.study.trie import FINAL_TASKS, SCRATCH, Node
from sscdl.words import many

HELD_OUT = ("val", "test")
# Also of other programs' making: no more is asked of it than is read here.
_LINEAGE = Kind(
    "the lineage of a checkpoint",
    "restore it",
    {"recipe": {"data": {"train": str}}, "before?": (ITSELF, None)},
)


def warnings(
    nodes: Sequence[Node], *, images_csv: str | Path, split: dict[str, Any], roots: dict[str, str]
) -> list[str]:
    """Return what a reader of the study's results must know, one paragraph each.

    ``split`` is the study's, with its seed; ``roots`` maps names of roots to files given for them.
    """
    found = []
    pretext = [node for node in nodes if node.task not in FINAL_TASKS]
    everything = [node for node in pretext if node.recipe["data"]["train"] == "all"]
    if everything:
        found.append(
            f"{_of(everything, pretext)} on all images, those of "
            f"the test set included (protocol thesis): {_concerned(images_csv)}. Protocol strict "
            "pretrains on training patients alone."
        )
    other = [
        node
        for node in pretext
        if node.recipe["data"]["train"] != "all" and node.recipe["data"].get("split") != split
    ]
    if other:
        found.append(
            f"{_of(other, pretext)} on another split than the "
            "classifier's, so that patients of the test set may be among their images."
        )
    if pretext and not everything:
        normalised = any(node.recipe["data"]["normalise"] == "all" for node in pretext)
        if normalised:
            found.append("Mean and standard deviation of the gray values are those of all images.")
    found.append(_on_several_sides(split, _straddling(images_csv)))
    packs = {node.recipe["data"]["pack"] for node in nodes}
    used = {node.root for node in nodes if node.root != SCRATCH and roots.get(node.root)}
    found += [_root(name, roots[name], split, packs) for name in sorted(used)]
    return [text for text in found if text]


def _of(some: Sequence[Node], pretext: Sequence[Node]) -> str:
    """Return in words that some of the pretext stages train."""
    trains = "trains" if len(some) == 1 else "train"
    return f"{len(some)} of {many(len(pretext), 'pretext stage')} {trains}"


def _on_several_sides(split: dict[str, Any], counted: str) -> str:
    """Return why patients may be on several sides of a split, "" where none can be.

    ``counted`` says how many are, "" for none or where nobody knows yet.
    """
    more = f"; {counted}" if counted else ""
    if split.get("by") == "image" and "val" in split:
        if "given" not in split:
            return (
                "The split is by image (split.by): images of one patient lie in training and test "
                f"set{more}."
            )
        return (
            "Validation is drawn by image (split.by) from the side that is given to train on: "
            f"images of one patient may lie in both{more}."
        )
    if "given" in split and counted:
        return f"The split is given, and patients are on several sides of it: {counted}."
    return ""


def _patients(images_csv: str | Path) -> dict[str, set[str]] | None:
    """Return the patients of each split of the main archive, None without images.csv."""
    if not Path(images_csv).is_file():
        return None
    found: dict[str, set[str]] = {}
    for line in read_images(images_csv):
        if line.get("cohort", MAIN) == MAIN:
            found.setdefault(line["split"], set()).add(line["patient_id"])
    return found


def _concerned(images_csv: str | Path) -> str:
    patients = _patients(images_csv)
    if patients is None:
        return "all patients that are held out (images.csv, still to be made, will say how many)"
    counts = [f"{len(patients[name])} of {name}" for name in HELD_OUT if patients.get(name)]
    return f"patients concerned: {' and '.join(counts) or 'none'}"


def _straddling(images_csv: str | Path) -> str:
    """Return how many patients are on several sides, "" for none or without images.csv."""
    found = crossing(_patients(images_csv) or {})
    if not any(found.pairs.values()):
        return ""
    pairs = ", ".join(f"{one} and {other} {n}" for (one, other), n in found.pairs.items())
    return (
        f"{found.both} of {many(found.tested, 'patient')} of the test set "
        f"{'has' if found.both == 1 else 'have'} images in training or "
        f"validation, too (by pairs of sides: {pairs})"
    )


def _root(name: str, file: str, split: dict[str, Any], packs: set[str]) -> str:
    """Return what is doubtful about the checkpoint ``file`` that curricula start from, or ""."""
    about = _lineage(Path(file))
    if about is None:
        return (
            f"roots.{name}.file: {file} has no lineage beside it (lineage.json), so nobody can "
            "tell whether it was trained on patients of the test set."
        )
    while about is not None:
        data = about["recipe"]["data"]
        stage = about.get("node", "a stage")
        if data["train"] == "all":
            return (
                f"roots.{name}.file: by its lineage, {stage} was trained on all images of its "
                "archive; if that is this one, patients of the test set are among them."
            )
        if data.get("split") != split:
            return (
                f"roots.{name}.file: by its lineage, {stage} was trained on another split, so that "
                "patients of this study's test set may be among its images."
            )
        if data.get("pack") not in packs:
            return (
                f"roots.{name}.file: by its lineage, {stage} was trained on other images or on a "
                "variant that is not in this study; its split cannot be compared with this one."
            )
        about = about.get("before")
    return ""


def _lineage(file: Path) -> dict[str, Any] | None:
    """Return the lineage that lies beside a checkpoint, None if there is none to be read."""
    for path in (file.with_name("lineage.json"), file.with_suffix(".json")):
        try:
            return read_record(path, _LINEAGE)
        except InputError:
            continue
    return None
