"""Which rows train, validate and normalise under the two protocols."""

from __future__ import annotations

import csv

import pytest

from sscdl.errors import InputError
from sscdl.images.rows import select_rows

LINES = [
    # id, patient, label, split, mask, cohort
    ("a", "p1", "negative", "train", "m", "main"),
    ("b", "p1", "typical", "train", "m", "main"),
    ("c", "p2", "typical", "val", "m", "main"),
    ("d", "p3", "negative", "test", "m", "main"),
    ("e", "p4", "", "train", "m", "main"),
    ("f", "p5", "atypical", "train", "", "main"),
    ("g", "p6", "negative", "mark_removed", "m", "mark_removed"),
    ("h", "p1", "negative", "duplicate", "m", "main"),
    ("i", "p7", "", "pretraining", "m", "pretraining"),
    ("j", "p3", "", "pretraining", "m", "pretraining"),  # of a patient in the test set
    ("k", "p8", "", "duplicate", "m", "pretraining"),
]
DESCRIBED = {"ids": [line[0] for line in LINES], "sha256": "x"}


@pytest.fixture
def images(tmp_path):
    path = tmp_path / "images.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "patient_id", "label", "split", "mask", "cohort"])
        writer.writerows(LINES)
    return path


def recipe(**change):
    return {"train": "train", "validate": "val", "normalise": "train", "masked": False} | change


def test_strict_pretraining_sees_training_patients_alone(images):
    rows = select_rows(images, DESCRIBED, recipe())
    assert rows.train == [0, 1, 4, 5]
    assert rows.validate == [2]
    assert rows.normalise == [0, 1, 4, 5]


def test_the_thesis_pretrains_on_all_but_never_on_other_cohorts(images):
    rows = select_rows(images, DESCRIBED, recipe(train="all", validate=None, normalise="all"))
    assert rows.train == rows.normalise == [0, 1, 2, 3, 4, 5]
    assert rows.validate == []


def test_a_second_archive_joins_but_for_held_back_patients_and_duplicates(images):
    rows = select_rows(images, DESCRIBED, recipe(also="pretraining"))
    assert rows.train == [0, 1, 4, 5, 8]
    assert rows.validate == [2]
    assert rows.normalise == [0, 1, 4, 5], "normalisation is the main archive's"


def test_classification_takes_labelled_images_of_its_classes(images):
    rows = select_rows(
        images, DESCRIBED, recipe(classes=["negative", "typical"], normalise="all", validate="test")
    )
    assert rows.train == [0, 1]
    assert rows.validate == [3]
    assert rows.labels == [0, 1, 1, 0, -1, -1, 0, 0, -1, -1, -1]
    assert rows.normalise == [0, 1, 2, 3, 4, 5]


def test_images_without_lungs_have_no_segmented_variant(images):
    assert select_rows(images, DESCRIBED, recipe(masked=True)).train == [0, 1, 4]


def test_patients_are_numbered(images):
    assert select_rows(images, DESCRIBED, recipe()).patients == [0, 0, 1, 2, 3, 4, 5, 0, 6, 2, 7]


def test_the_digest_follows_labels_rows_and_pixels(images):
    first = select_rows(images, DESCRIBED, recipe()).digest
    assert select_rows(images, DESCRIBED, recipe()).digest == first
    assert select_rows(images, {**DESCRIBED, "sha256": "y"}, recipe()).digest != first
    assert select_rows(images, DESCRIBED, recipe(validate="test")).digest != first
    text = images.read_text().replace("p2,typical", "p1,typical")
    images.write_text(text)
    assert select_rows(images, DESCRIBED, recipe()).digest != first


def test_empty_splits_are_named(images):
    with pytest.raises(InputError, match="no image to validate on in split 'mark_reversed'"):
        select_rows(images, DESCRIBED, recipe(validate="mark_reversed"))
    with pytest.raises(InputError, match="no image to train on"):
        select_rows(images, DESCRIBED, recipe(classes=["indeterminate"]))


@pytest.fixture
def many(tmp_path):
    path = tmp_path / "images.csv"
    lines = [
        (f"i{n}", f"p{n // 2}", "typical" if n % 8 < 2 else "negative", "train", "m", "main")
        for n in range(80)
    ]
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "patient_id", "label", "split", "mask", "cohort"])
        writer.writerows([*lines, ("v", "pv", "typical", "val", "m", "main")])
    return path, lines


def limited(many, share, seed=0, **change):
    path, lines = many
    described = {"ids": [line[0] for line in lines] + ["v"], "sha256": "x"}
    labels = {"share": share, "seed": seed}
    classes = ["negative", "typical"]
    return select_rows(path, described, recipe(classes=classes, labels=labels) | change)


@pytest.mark.parametrize(
    ("share", "negative", "typical"), [(1, 30, 10), (0.5, 15, 5), (0.1, 3, 1), (0.001, 1, 1)]
)
def test_a_share_of_the_labels_is_of_patients_of_each_class(many, share, negative, typical):
    rows = limited(many, share)
    lines = [many[1][row] for row in rows.train]
    patients = {
        label: {p for _, p, own, *_ in lines if own == label} for label in ("negative", "typical")
    }
    assert {k: len(v) for k, v in patients.items()} == {"negative": negative, "typical": typical}
    assert len(lines) == 2 * (negative + typical), "all images of a patient come along"
    assert rows.validate == [80], "validation keeps all of its labels"


def test_a_smaller_share_of_the_labels_is_part_of_a_larger_one(many):
    few, more = limited(many, 0.2), limited(many, 0.6)
    assert set(few.train) < set(more.train)
    assert few.digest != more.digest


def test_another_seed_takes_the_labels_of_other_patients(many):
    assert limited(many, 0.2).train != limited(many, 0.2, seed=1).train


FINDINGS = [
    ("a", "p1", "A|B?", "train", "m", "main"),
    ("b", "p1", "", "train", "m", "main"),
    ("c", "p2", "-", "val", "m", "main"),
    ("d", "p3", "A?|B?|C", "train", "m", "main"),
    ("e", "p4", "B", "test", "m", "main"),
]


@pytest.fixture
def several(tmp_path):
    path = tmp_path / "images.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "patient_id", "label", "split", "mask", "cohort"])
        writer.writerows(FINDINGS)
    return path, {"ids": ["x", *(line[0] for line in FINDINGS)], "sha256": "x"}


def test_findings_have_a_state_each_and_images_that_say_nothing_of_them_are_left_out(several):
    rows = select_rows(*several, recipe(findings=["B", "A"], normalise="all"))
    assert rows.labels == [[-1, -1], [-1, 1], [-1, -1], [0, 0], [-1, -1], [1, 0]]
    assert (rows.train, rows.validate) == ([1], [3])
    assert rows.normalise == [1, 2, 3, 4, 5]
    assert select_rows(*several, recipe(findings=["C"])).train == [1, 4]
    assert select_rows(*several, recipe()).train == [1, 2, 4], "pretraining needs no label"
    several[0].write_text(several[0].read_text().replace(",-,val", ",A?,val"))
    with pytest.raises(InputError, match="no image to validate on in split 'val'"):
        select_rows(*several, recipe(findings=["A"]))


def test_labels_are_watched_but_where_images_show_several_findings(several):
    path, described = several
    for change in ({}, {"findings": ["A"]}):
        assert select_rows(path, described, recipe(**change)).known == [-1] * 6
    path.write_text(path.read_text().replace("|", "").replace("?", "").replace("-", "none"))
    assert select_rows(path, described, recipe()).known == [-1, 0, -1, 1, 2, 3]


def test_the_digest_follows_what_is_known_of_the_findings(several):
    path, described = several
    asked = recipe(findings=["A", "B"])
    first = select_rows(path, described, asked).digest
    path.write_text(path.read_text().replace("A|B?", "A|B"))
    second = select_rows(path, described, asked)
    assert second.train == [1]
    assert second.digest != first
