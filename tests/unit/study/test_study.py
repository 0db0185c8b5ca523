"""What a study's configuration implies: which keys change which data a node is trained on."""

from __future__ import annotations

import copy

import pytest

from sscdl.errors import InputError
from sscdl.study import study as study_module
from sscdl.study.config import check_config, load_schema
from sscdl.study.study import Study
from tests.conftest import ROOT

SCHEMA = load_schema(ROOT / "workflow/schemas/config.schema.yaml")
BASE = {"study": "x", "dataset": {"layout": "phantom"}, "curricula": ["moco"]}


def study(change: dict | None = None) -> Study:
    """Return a study of the phantom, with some blocks of its configuration changed."""
    return Study(check_config(copy.deepcopy(BASE) | (change or {}), SCHEMA))


def changed(change: dict) -> set[tuple[str, str]]:
    """Return the (variant, kind of node) whose data recipe a change of the configuration alters."""
    before, after = study(), study(change)
    return {
        (variant, kind)
        for variant in ("full", "segmented_black")
        for kind in ("pretext", "classify")
        if before.data(variant)[kind] != after.data(variant)[kind]
    }


ALL = {(v, k) for v in ("full", "segmented_black") for k in ("pretext", "classify")}
MASKED = {("segmented_black", "pretext"), ("segmented_black", "classify")}
CLASSIFIERS = {("full", "classify"), ("segmented_black", "classify")}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"lungs": {"implausible": "drop"}}, MASKED),
        ({"lungs": {"implausible": "hull"}}, MASKED),
        ({"lungs": {"source": "train"}}, MASKED),
        ({"split_seed": 1}, ALL),
        ({"split": {"val": 0.1}}, ALL),
        ({"image": {"size": 32, "packed": 40}}, ALL),
        ({"dataset": {"layout": "phantom", "phantom": {"seed": 1}}}, ALL),
        ({"ingest": {"rendering": {"window": "widest"}}}, ALL),
        ({"ingest": {"accept": {"uniform": 0.5}}}, ALL),
        ({"classes": ["negative", "atypical"]}, CLASSIFIERS),
        ({"label_share": 0.1}, CLASSIFIERS),
        ({"label_share": 1}, set()),
        ({"ingest": {"shards": 5}}, set()),
        ({"results": {"bootstrap": 200}}, set()),
        ({"training": {"threads": 3}}, set()),
        ({"seeds": [4]}, set()),
        ({"study": "y"}, set()),
    ],
    ids=str,
)
def test_a_key_changes_the_data_of_just_the_nodes_that_it_concerns(change, expected):
    assert changed(change) == expected


def test_where_an_archive_lies_does_not_matter_but_its_content_does(tmp_path):
    for name in ("a", "b"):
        folder = tmp_path / name / "train" / "0" / "1"
        folder.mkdir(parents=True)
        (folder / "2.dcm").write_bytes(b"123")
        for table in ("train_study_level.csv", "train_image_level.csv"):
            (tmp_path / name / table).write_text("id\n")

    def images(name: str) -> str:
        root = {"layout": "siim", "siim": {"root": str(tmp_path / name)}}
        return study({"dataset": root, "lungs": {"source": "checkpoint"}}).images

    assert images("a") == images("b")
    (tmp_path / "b/train/0/1/2.dcm").write_bytes(b"1234")
    assert images("a") != images("b")


def test_a_second_archive_concerns_the_pretext_stages_alone(tmp_path):
    folder = tmp_path / "train" / "0" / "1"
    folder.mkdir(parents=True)
    (folder / "2.dcm").write_bytes(b"123")
    for table in ("train_study_level.csv", "train_image_level.csv"):
        (tmp_path / table).write_text("id\n")
    archive = {"layout": "siim", "siim": {"root": str(tmp_path)}}
    one = {"dataset": archive, "lungs": {"source": "checkpoint"}}
    data = study(one | {"pretraining_dataset": archive}).data("full")
    assert data["pretext"]["also"] == "pretraining"
    assert "also" not in data["classify"]
    assert "also" not in study(one).data("full")["pretext"]


def test_contents_that_are_given_are_not_looked_up(tmp_path):
    nowhere = {"layout": "siim", "siim": {"root": str(tmp_path / "nowhere")}}
    config = study({"dataset": nowhere, "lungs": {"source": "checkpoint"}}).config
    given = {"main": "as it was at the start"}
    told = Study(config, given)
    assert told.contents == given
    assert told.data("full")["pretext"]["pack"] == told.pack_fingerprint("full")
    assert told.images != Study(config, {"main": "as it is now"}).images
    for other in (None, {}, {"main": "x", "pretraining": "y"}, {"external": "x"}):
        with pytest.raises(InputError, match="nowhere"):
            Study(config, other).contents  # noqa: B018


def test_contents_hold_for_all_that_a_study_computes(tmp_path):
    folder = tmp_path / "train" / "0" / "1"
    folder.mkdir(parents=True)
    (folder / "2.dcm").write_bytes(b"123")
    for table in ("train_study_level.csv", "train_image_level.csv"):
        (tmp_path / table).write_text("id\n")
    archive = {"layout": "siim", "siim": {"root": str(tmp_path)}}
    first = study({"dataset": archive, "lungs": {"source": "checkpoint"}})
    contents, images = first.contents, first.images
    (folder / "3.dcm").write_bytes(b"arrives while the run goes on")
    assert Study(first.config).images != images
    again = Study(first.config, contents)
    assert (again.images, again.masks) == (images, first.masks)


def test_a_soft_edge_concerns_the_variants_that_have_one():
    hard, soft = study(), study({"variant_edge": 0.02})
    names = ("full", "segmented_black", "segmented_gray", "inverted", "lung_box", "lungs")
    other = {name for name in names if hard.pack(name) != soft.pack(name)}
    assert other == {"segmented_black", "segmented_gray", "inverted"}
    assert hard.pack("inverted") == study({"variant_edge": 0}).pack("inverted")


def test_variants_without_lungs_and_cropped_to_them_need_a_mask():
    wanted = study({"variants": ["inverted", "lung_box"], "lungs": {"implausible": "drop"}})
    for name in wanted.variants:
        assert all(recipe["masked"] == "drop" for recipe in wanted.data(name).values())
    assert len({wanted.pack_fingerprint(name) for name in ("full", *wanted.variants)}) == 3


def test_only_the_block_of_the_chosen_source_of_masks_counts():
    plain = study({}).segmenter
    assert study({"lungs": {"train": {"seed": 1}}}).segmenter == plain
    trained = study({"lungs": {"source": "train"}})
    again = study({"lungs": {"source": "train", "train": {"seed": 1}}})
    assert len({plain, trained.segmenter, again.segmenter}) == 3
    assert trained.segmenter_file != study({}).segmenter_file
    assert "with the part" in trained.mask_convention
    without = study({"lungs": {"source": "train", "train": {"behind_heart": False}}})
    assert "without the part" in without.mask_convention


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ["phantom", "images", "masks predicted", "packs", "split"]),
        (
            {"lungs": {"source": "train"}},
            ["phantom", "images", "segmenter", "masks predicted", "packs", "split"],
        ),
        (
            {"lungs": {"source": "masks", "masks": {"folder": "x"}}},
            ["phantom", "images", "masks given", "packs", "split"],
        ),
    ],
    ids=["default", "train", "masks"],
)
def test_the_sources_of_a_study_are_those_that_its_recipes_name(change, expected, monkeypatch):
    """What a plan says to be accepted is what made this study's images, and nothing else."""
    asked = []

    def noted(group):
        asked.append(group)
        return "0" * 12

    one = study(change)
    assert one.sources == expected
    monkeypatch.setattr(study_module, "group_hash", noted)
    monkeypatch.setattr(study_module, "folder_listing", lambda *_: [])
    for variant in ("full", "segmented_black"):
        one.data(variant)
    assert set(asked) == set(expected)
