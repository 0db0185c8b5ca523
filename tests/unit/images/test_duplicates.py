"""Pictures that are there more than once: which copy is used, and why the others are not."""

from __future__ import annotations

import pandas as pd

from sscdl.images.duplicates import find_duplicates


def duplicates(*rows):
    """Return {image_id: reason}, the same for several orders of the rows."""
    columns = ["cohort", "image_id", "patient_id", "label", "pixel_hash"]
    images = pd.DataFrame(rows, columns=columns)
    found = find_duplicates(images)
    assert list(found.columns) == ["image_id", "reason"]
    for seed in range(5):
        other = find_duplicates(images.sample(frac=1, random_state=seed))
        pd.testing.assert_frame_equal(found, other)
    return dict(found.itertuples(index=False))


def test_different_pictures_stay():
    assert duplicates(("main", "a", "p", "x", "1"), ("main", "b", "p", "x", "2")) == {}


def test_first_copy_is_kept():
    found = duplicates(
        ("main", "c", "p", "x", "1"), ("main", "b", "p", "x", "1"), ("main", "d", "q", "", "1")
    )
    assert found == {
        "c": "the same picture as b, which is kept",
        "d": "the same picture as b of another patient, which is kept",
    }


def test_labelled_copy_is_preferred():
    found = duplicates(("main", "a", "p", "", "1"), ("main", "b", "p", "x", "1"))
    assert found == {"a": "the same picture as b, which is kept"}


def test_contradicting_labels_cost_all_copies():
    found = duplicates(("main", "a", "p", "x", "1"), ("main", "b", "q", "y", "1"))
    told = "the same picture as {} of another patient, which is labelled otherwise: both set aside"
    assert found == {"a": told.format("b"), "b": told.format("a")}
    found = duplicates(
        ("main", "a", "p", "x", "1"), ("main", "b", "p", "y", "1"), ("main", "c", "p", "", "1")
    )
    assert set(found) == {"a", "b", "c"}
    assert all(reason.endswith("all 3 set aside") for reason in found.values())


def test_reported_pictures_are_not_pretrained_on():
    found = duplicates(
        ("main", "m", "p", "x", "1"),
        ("pretraining", "a", "q", "", "1"),
        ("pretraining", "b", "p", "", "2"),
        ("external", "e", "p", "x", "2"),
        ("pretraining", "c", "p", "", "3"),
        ("pretraining", "d", "p", "", "3"),
    )
    assert found == {
        "a": "the same picture as m of cohort main, of another patient",
        "b": "the same picture as e of cohort external",
        "d": "the same picture as c, which is kept",
    }


def test_other_cohorts_are_compared_with_main_and_themselves_alone():
    found = duplicates(
        ("main", "m", "p", "x", "1"),
        ("mark_trained", "a", "p", "y", "1"),
        ("mark_trained", "b", "p", "x", "2"),
        ("mark_removed", "c", "p", "x", "2"),
        ("mark_removed", "d", "p", "x", "2"),
    )
    assert found == {
        "a": "the same picture as m of cohort main, with another label",
        "d": "the same picture as c, which is kept",
    }
