"""The list of images by a split that is given: what stands, what is drawn, what is told."""

from __future__ import annotations

import logging

import pandas as pd
import pytest

from sscdl.archives.given_split import read_given_split
from sscdl.archives.layouts import list_files
from sscdl.equivalence import group_hash
from sscdl.errors import InputError
from sscdl.files import read_json, write_json
from sscdl.identifiers import pseudonym
from sscdl.images.imagelist import list_images
from sscdl.images.near_pairs import effect
from tests.unit.images.test_imagelist import image, mask
from tests.unit.table_archives import archive

KEY = "k"
HEADER = ("file", "patient", "label", "part")
DRAWN = {"by": "patient", "stratified": True, "val": 0.25}


def rows_of(patients=24, side=lambda n: "test" if n % 4 == 0 else "train"):
    """Return a table of two images a patient, of two labels."""
    return [
        (f"p{n}_{k}.png", f"p{n}", ("ill", "well")[n % 3 % 2], side(n))
        for n in range(patients)
        for k in range(2)
    ]


class Archive:
    """An archive of empty files, and the manifests that ingestion would have made of it."""

    def __init__(self, folder, rows=None, more=(), **changes):
        rows = rows or rows_of()
        self.folder = folder
        self.dataset = archive(
            folder / "archive", HEADER, rows, [f"images/{row[0]}" for row in rows],
            ids="file", columns={"file": "file", "patient": "patient"},
        ) | {"id_key": KEY}  # fmt: skip
        self.images = [
            image(name[:-4], patient_id=pseudonym(patient, KEY), label=label, view="PA")
            | changes.get(name[:-4], {})
            for name, patient, label, _ in rows
        ]
        self.images += [image(name, cohort="pretraining", **about) for name, about in more]

    def split(self, straddling="refuse", **values):
        sides = {"train": ["train"], "val": None, "test": ["test"]} | values
        block = {"name": "part", "pattern": None, **sides}
        return {"source": "column", "column": block, "straddling": straddling}

    def listed(
        self, split=None, *, seed=0, pairs=(), treatment="together", recipe=None,
        classes=("ill", "well"), several=False, **drawn,
    ):  # fmt: skip
        """Return ``images.csv`` by image id and the findings."""
        split = split or self.split()
        paths = list_files(self.dataset).images
        given = read_given_split(self.dataset, split, paths)
        asked = {**DRAWN, **drawn, "given": recipe or given.recipe(), "seed": seed}
        if given.validated:
            del asked["val"], asked["stratified"], asked["seed"], asked["by"]
        files = [self.folder / kind / "0.json" for kind in ("images", "masks")]
        for file in files:
            file.parent.mkdir(exist_ok=True)
        nothing = {"rejected": [], "failed": [], "problems": []}
        write_json(files[0], {"images": self.images, **nothing})
        write_json(files[1], {"masks": [mask(row["image_id"]) for row in self.images]})
        near = self.folder / "near.json"
        write_json(near, {"pairs": list(pairs), "compared": 1, "bound": 0.9})
        if found := effect(pairs, treatment, "patient").recipe():
            asked["near_duplicates"] = found
        out = self.folder / "images.csv", self.folder / "rejected.csv"
        list_images(
            [files[0]], [files[1]], [], *out, implausible="keep", split=asked,
            given={"dataset": self.dataset, "split": split}, near_duplicates=near,
            treatment=treatment, classes=classes, several=several,
        )  # fmt: skip
        images, rejected = (pd.read_csv(one, dtype=str, keep_default_na=False) for one in out)
        return images.set_index("image_id"), rejected


def pair(one, other, patients):
    ids = [pseudonym(patient, KEY) for patient in patients]
    return {"image_ids": [one, other], "patient_ids": ids, "cohorts": ["main"] * 2,
            "correlation": 0.99}  # fmt: skip


def test_the_test_set_stands_and_validation_is_drawn_from_the_rest_by_patient(tmp_path):
    made = Archive(tmp_path)
    drawn = [made.listed(seed=seed)[0] for seed in (0, 1)]
    for images in drawn:
        assert set(images.index[images["split"] == "test"]) == {
            f"p{n}_{k}" for n in range(0, 24, 4) for k in range(2)
        }
        assert images.groupby("patient_id")["split"].nunique().max() == 1
        counts = images["split"].value_counts()
        assert counts["val"] == 10 or counts["val"] == 8, "a quarter of 36, by whole patients"
        assert counts["train"] + counts["val"] == 36
        assert set(images["cohort"]) == {"main"}
        for label in ("ill", "well"):
            assert ((images["label"] == label) & (images["split"] == "val")).any()
    assert (drawn[0]["split"] != drawn[1]["split"]).any(), "validation follows the seed"


def test_nothing_is_drawn_where_all_is_given(tmp_path):
    rows = rows_of(side=lambda n: ("test", "dev", "train", "train")[n % 4])
    made = Archive(tmp_path, rows)
    split = made.split(val=["dev"])
    first, second = (made.listed(split, seed=seed)[0]["split"] for seed in (0, 1))
    assert (first == second).all()
    side = {row[0][:-4]: row[3].replace("dev", "val") for row in rows}
    assert first.to_dict() == side
    described = read_json(tmp_path / "images.json")
    assert described["split"].keys() == {"given"}, "no seed has a part in it"


def test_without_a_share_to_validate_on_all_that_is_left_trains(tmp_path):
    images, _ = Archive(tmp_path).listed(val=0.0)
    assert set(images["split"]) == {"train", "test"}


def test_images_on_no_side_are_in_no_part_and_counted(tmp_path):
    rows = rows_of(side=lambda n: {0: "test", 1: "?"}.get(n % 4, "train"))
    images, rejected = Archive(tmp_path, rows).listed()
    lost = images[images["split"] == "unlisted"]
    assert set(lost.index) == {f"p{n}_{k}" for n in range(1, 24, 4) for k in range(2)}
    assert set(lost["cohort"]) == {"unlisted"}
    assert set(lost["remark"]) == {"on no side of the given split"}
    assert list(rejected["reason"]) == ["images on no side of the given split, left out: 12"]


def test_a_copy_of_a_picture_on_another_side_is_set_aside_and_the_test_set_stays_whole(tmp_path):
    same = {"pixel_hash": "same"}
    made = Archive(tmp_path, p0_0=same, p1_1=same, p2_0=same | {"label": ""}, p3_0=same)
    images, _ = made.listed()
    # The labels of p0, p1 and p3 contradict each other: none can be trusted.
    assert set(images.loc[["p0_0", "p1_1", "p2_0", "p3_0"], "split"]) == {"duplicate"}
    made = Archive(tmp_path / "again", p4_0=same, p7_1=same, p7_0=same)
    images, _ = made.listed()
    assert images.loc["p4_0", "split"] == "test"
    reason = "the same picture as p4_0 of another patient, which the given split has in test"
    assert list(images.loc[["p7_0", "p7_1"], "remark"]) == [reason] * 2
    assert set(images.loc[["p7_0", "p7_1"], "split"]) == {"duplicate"}


def test_near_duplicates_on_two_sides_are_told_and_stay(tmp_path, caplog):
    made = Archive(tmp_path)
    pairs = [pair("p0_0", "p1_0", ("p0", "p1")), pair("p2_0", "p3_0", ("p2", "p3"))]
    with caplog.at_level(logging.WARNING):
        images, _ = made.listed(pairs=pairs)
    assert "1 pairs of near-duplicates are on two sides of the given split" in caplog.text
    assert images.loc["p0_0", "split"] == "test"
    assert images.loc["p1_0", "split"] != "test"
    across = "nearly the same picture as p0_0 of another patient; its near-duplicate is on another"
    assert images.loc["p1_0", "remark"].startswith(across)
    assert "side of the given split" not in images.loc["p2_0", "remark"]
    assert images.loc["p2_0", "split"] == images.loc["p3_0", "split"], "together, as both can be"


def test_of_near_duplicates_on_two_sides_the_tested_one_is_used_where_one_is_set_aside(tmp_path):
    pairs = [pair("p1_0", "p4_0", ("p1", "p4"))]
    images, _ = Archive(tmp_path).listed(pairs=pairs, treatment="aside")
    assert images.loc["p4_0", "split"] == "test"
    assert images.loc["p1_0", "split"] == "duplicate"
    assert images.loc["p1_0", "remark"].startswith("nearly the same picture as p4_0 of another pat")


def test_patients_on_both_sides_whom_only_headers_know_are_refused_or_told(tmp_path, caplog):
    one = {"patient_id": "f" * 16}
    made = Archive(tmp_path, p0_0=one, p1_0=one)
    made.dataset["columns"] = {"file": "file"}
    message = f"split.column: 1 patients have images on several sides .* such as {'f' * 16}"
    with pytest.raises(InputError, match=message):
        made.listed()
    with caplog.at_level(logging.WARNING):
        images, _ = made.listed(made.split("tell"))
    assert "1 patients have images on several sides of the given split" in caplog.text
    remark = "of a patient on several sides of the given split"
    assert list(images.index[images["remark"] == remark]) == ["p0_0", "p1_0"]
    assert images.loc["p0_0", "split"] == "test"


def test_a_class_that_a_side_lacks_is_named_with_that_side(tmp_path):
    rows = [row for row in rows_of() if (row[2], row[3]) != ("well", "test")]
    message = "split.column: no image labelled 'well' is on the side test, of 8 there"
    with pytest.raises(InputError, match=message):
        Archive(tmp_path, rows).listed()


def test_a_split_that_has_changed_since_it_was_planned_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"split.column: .* has changed since this run was plann"):
        Archive(tmp_path).listed(recipe="0" * 12)


def test_pretraining_images_keep_their_name_and_copies_of_tested_ones_are_set_aside(tmp_path):
    more = [("x0", {"pixel_hash": "p0_0"}), ("x1", {"label": ""})]
    images, _ = Archive(tmp_path, more=more).listed()
    assert images.loc["x1", "split"] == "pretraining"
    assert images.loc["x0", "split"] == "duplicate"


def test_a_pretraining_image_gives_way_to_none_that_is_on_no_side(tmp_path):
    rows = rows_of(side=lambda n: {0: "test", 1: "?"}.get(n % 4, "train"))
    more = [("x0", {"pixel_hash": "same"}), ("x1", {"pixel_hash": "p2_0"})]
    made = Archive(tmp_path, rows, more, p1_0={"pixel_hash": "same"})
    images, _ = made.listed()
    assert images.loc["x0", "split"] == "pretraining"
    assert images.loc["p1_0", "split"] == "unlisted"
    assert images.loc["x1", "split"] == "duplicate", "that of an image that is trained on"


def test_the_list_says_which_code_put_images_on_given_sides(tmp_path):
    Archive(tmp_path).listed(seed=3)
    described = read_json(tmp_path / "images.json")
    assert described["given_source"] == group_hash("given split")
    assert described["split"]["seed"] == 3


def test_of_copies_on_three_sides_that_of_the_test_set_stays_or_else_that_for_validation(tmp_path):
    rows = rows_of(side=lambda n: ("test", "dev", "train", "train")[n % 4])
    same, other = {"pixel_hash": "same", "label": ""}, {"pixel_hash": "other", "label": ""}
    made = Archive(tmp_path, rows, p4_0=same, p5_0=same, p2_0=same, p1_0=other, p3_0=other)
    images, _ = made.listed(made.split(val=["dev"]))
    assert images.loc[["p4_0", "p5_0", "p2_0"], "split"].tolist() == ["test"] + ["duplicate"] * 2
    assert images.loc[["p1_0", "p3_0"], "split"].tolist() == ["val", "duplicate"]


def test_each_class_is_asked_for_on_the_side_for_validation_where_that_is_given(tmp_path):
    rows = rows_of(side=lambda n: ("test", "dev", "train", "train")[n % 4])
    rows = [row for row in rows if (row[2], row[3]) != ("well", "dev")]
    made = Archive(tmp_path, rows)
    with pytest.raises(InputError, match="no image labelled 'well' is on the side val, of 8 there"):
        made.listed(made.split(val=["dev"]))
