"""What the table of the images tells of a split that is given."""

from __future__ import annotations

from sscdl.archives.sides import ACROSS
from sscdl.tables.dataset import dataset_table, straddling_patients
from tests.unit.tables.test_dataset import IMAGES, NOTHING


def test_what_a_given_split_leaves_out_has_a_column_and_ties_no_patient():
    images = IMAGES.assign(
        split=["train", "test", "unlisted", "unlisted", "val"], patient_id=["a", "a", "a", "b", "b"]
    )
    table = dataset_table(images, NOTHING).set_index(["group", "value"])
    assert list(table.columns) == ["train", "val", "test", "unlisted", "total"]
    assert table.loc[("images", "all"), "unlisted"] == 2
    assert table.loc[("patients", "in several splits"), ["train", "val", "test"]].tolist() == [
        1, 0, 1
    ]  # fmt: skip
    assert straddling_patients(images) == (1, 1)
    assert straddling_patients(images.assign(split="test")) == (0, 2)


def test_near_duplicates_across_a_given_split_are_counted():
    remark = [f"nearly the same picture as b; {ACROSS}", "", "", "", ""]
    table = dataset_table(IMAGES.assign(remark=remark), NOTHING).set_index(["group", "value"])
    assert table.loc[("near-duplicates", "images with one"), "total"] == 1
    assert table.loc[("near-duplicates", "on another side"), "total"] == 1


def test_table_and_summary_count_the_same_patients_on_several_sides():
    images = IMAGES.assign(
        split=["train", "pretraining", "test", "pretraining", "val"],
        patient_id=["a", "a", "b", "b", "b"],
    )
    table = dataset_table(images, NOTHING).set_index(["group", "value"])
    several = table.loc[("patients", "in several splits")]
    assert (several["test"], several["total"]) == (1, 1), "the pretraining archive has its own row"
    assert straddling_patients(images) == (1, 1)
