"""The plan warns where patients that are reported on took part in the pretraining."""

from __future__ import annotations

import csv
import json

import pytest

from sscdl.planning.patients import warnings
from tests.unit.plan_helpers import SPLIT, data_recipes, make_nodes


def said(nodes, tmp_path, *, split=SPLIT, roots=None) -> str:
    found = warnings(nodes, images_csv=tmp_path / "images.csv", split=split, roots=roots or {})
    return "\n".join(found)


def recipes(**change):
    """Return the data recipes of a study whose pretext stages differ by ``change``."""
    data = data_recipes()
    return {"pretext": {**data["pretext"], **change}, "final": data["final"]}


def write_images(tmp_path, rows) -> None:
    with open(tmp_path / "images.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "patient_id", "split", "cohort"])
        writer.writerows([f"i{number}", *row] for number, row in enumerate(rows))


def test_a_strict_study_has_no_warning(tmp_path):
    assert said(make_nodes("moco", "imagenet+moco"), tmp_path) == ""


def test_training_on_all_images_is_named_and_counted(tmp_path):
    nodes = make_nodes("moco", "moco+swav", data=recipes(train="all", normalise="all"))
    text = said(nodes, tmp_path)
    assert text.startswith("2 of 2 pretext stages train on all images")
    assert "still to be made" in text
    rows = [("a", "train", "main"), ("b", "test", "main"), ("b", "test", "main")]
    rows += [("c", "test", "main"), ("d", "val", "main"), ("e", "test", "other")]
    write_images(tmp_path, rows)
    assert "patients concerned: 1 of val and 2 of test" in said(nodes, tmp_path)


def test_without_pretext_stages_there_is_nothing_to_warn_of(tmp_path):
    assert said(make_nodes("scratch"), tmp_path) == ""


def test_another_split_is_named(tmp_path):
    nodes = make_nodes("moco", data=recipes(split={**SPLIT, "seed": 1}))
    assert "1 of 1 pretext stage trains on another split" in said(nodes, tmp_path)


def test_a_split_by_image_is_named(tmp_path):
    split = {**SPLIT, "by": "image"}
    nodes = make_nodes("moco", data=data_recipes(split=split))
    assert "images of one patient lie in training and test set." in said(
        nodes, tmp_path, split=split
    )
    write_images(tmp_path, [("a", "train", "main"), ("a", "test", "main"), ("b", "test", "main")])
    told = "1 of 2 patients of the test set has images in training or validation, too (by pairs"
    assert told in said(nodes, tmp_path, split=split)


def test_patients_on_any_two_sides_of_a_given_split_are_told(tmp_path):
    split = {"by": "patient", "given": "g"}
    nodes = make_nodes("moco", data=data_recipes(split=split))
    rows = [("a", "train", "main"), ("a", "val", "main"), ("b", "val", "main")]
    rows += [("b", "test", "main"), ("c", "test", "main"), ("c", "unlisted", "unlisted")]
    write_images(tmp_path, rows)
    assert said(nodes, tmp_path, split=split) == (
        "The split is given, and patients are on several sides of it: 1 of 2 patients of the test "
        "set has images in training or validation, too (by pairs of sides: train and val 1, train "
        "and test 0, val and test 1)."
    )
    write_images(tmp_path, [("a", "train", "main"), ("b", "val", "main"), ("c", "test", "main")])
    assert said(nodes, tmp_path, split=split) == ""


def test_validation_by_image_from_a_given_side_is_told_in_one_sentence(tmp_path):
    split = {"by": "image", "val": 0.2, "given": "g"}
    nodes = make_nodes("moco", data=data_recipes(split=split))
    first = (
        "Validation is drawn by image (split.by) from the side that is given to train on: images "
        "of one patient may lie in both"
    )
    assert said(nodes, tmp_path, split=split) == f"{first}."
    write_images(tmp_path, [("a", "train", "main"), ("a", "val", "main"), ("b", "test", "main")])
    text = said(nodes, tmp_path, split=split)
    assert text.startswith(f"{first}; 0 of 1 patient of the test set")
    assert text.count("patient of the test set") == 1


@pytest.mark.parametrize("split", [{"by": "image", "given": "g"}, {"given": "g"}])
def test_where_all_sides_are_given_nothing_is_by_image(tmp_path, split):
    nodes = make_nodes("moco", data=data_recipes(split=split))
    assert said(nodes, tmp_path, split=split) == ""
    write_images(tmp_path, [("a", "train", "main"), ("a", "test", "main"), ("b", "val", "main")])
    text = said(nodes, tmp_path, split=split)
    assert text.startswith(
        "The split is given, and patients are on several sides of it: 1 of 1 pat"
    )
    assert text.count("patient of the test set") == 1
    assert "by image" not in text


OK = {"pack": "a" * 12, "train": "train", "split": SPLIT}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([OK], ""),
        ([{**OK, "train": "all"}], "trained on all images"),
        ([{**OK, "split": {**SPLIT, "seed": 1}}], "trained on another split"),
        ([{**OK, "pack": "other"}], "on other images or on a variant"),
        ([OK, {**OK, "train": "all"}], "trained on all images"),
    ],
)
def test_the_lineage_of_a_root_is_read(tmp_path, data, expected):
    file = tmp_path / "objects" / "1" / "weights.safetensors"
    file.parent.mkdir(parents=True)
    nodes = make_nodes("mine+moco", roots={"mine": "identity"})
    roots = {"mine": str(file), "unused": "nowhere"}
    assert "has no lineage beside it" in said(nodes, tmp_path, roots=roots)
    about = None
    for one in reversed(data):
        about = {"node": "rotation", "recipe": {"data": one}, "before": about}
    (file.parent / "lineage.json").write_text(json.dumps(about))
    text = said(nodes, tmp_path, roots=roots)
    assert expected in text
    assert bool(text) == bool(expected)


def test_a_damaged_lineage_is_none(tmp_path):
    (tmp_path / "lineage.json").write_text('{"recipe": {}}')
    nodes = make_nodes("mine+moco", roots={"mine": "identity"})
    text = said(nodes, tmp_path, roots={"mine": str(tmp_path / "w.safetensors")})
    assert "has no lineage beside it" in text
