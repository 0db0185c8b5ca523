"""What a study's configuration implies: which keys change which data a node is trained on."""

from __future__ import annotations

import copy
import json
import shutil

import pytest

from sscdl.errors import InputError
from sscdl.images.limits import LATER_ACCEPT
from sscdl.study import inputs, material
from sscdl.study import study as study_module
from sscdl.study.config import check_config, load_schema
from sscdl.study.study import Study
from tests.conftest import ROOT

SCHEMA = load_schema(ROOT / "workflow/schemas/config.schema.yaml")
BASE = {"study": "x", "dataset": {"layout": "phantom"}, "curricula": ["moco"]}


def study(change: dict | None = None) -> Study:
    """Return a study of the phantom, with some blocks of its configuration changed."""
    return Study(check_config(copy.deepcopy(BASE) | (change or {}), SCHEMA))


def write_siim(root) -> None:
    """Write an archive of one file that is no image."""
    (root / "train/0/1").mkdir(parents=True)
    (root / "train/0/1/2.dcm").write_bytes(b"123")
    for table in ("train_study_level.csv", "train_image_level.csv"):
        (root / table).write_text("id\n")


def siim(root, **change) -> dict:
    """Return what a study of an archive changes of the configuration."""
    dataset = {"layout": "siim", "siim": {"root": str(root)}}
    store = str(root.parent / "store")
    return {"dataset": dataset, "lungs": {"source": "checkpoint"}, "store": store} | change


def changed(change: dict) -> set[tuple[str, str]]:
    """Return the (variant, kind of node) whose data recipe a change of the configuration alters."""
    before, after = study(), study(change)
    return {
        (variant, kind)
        for variant in ("full", "segmented_black")
        for kind in ("pretext", "final")
        if before.data(variant)[kind] != after.data(variant)[kind]
    }


ALL = {(v, k) for v in ("full", "segmented_black") for k in ("pretext", "final")}
MASKED = {("segmented_black", "pretext"), ("segmented_black", "final")}
CLASSIFIERS = {("full", "final"), ("segmented_black", "final")}


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
        ({"results": {"margin": 3}}, set()),
        ({"training": {"threads": 3}}, set()),
        ({"seeds": [4]}, set()),
        ({"study": "y"}, set()),
    ],
    ids=lambda one: str(sorted(one)) if isinstance(one, set) else str(one),
)
def test_a_key_changes_the_data_of_just_the_nodes_that_it_concerns(change, expected):
    assert changed(change) == expected


def test_where_an_archive_lies_does_not_matter_but_its_content_does(tmp_path):
    for name in ("a", "b"):
        write_siim(tmp_path / name)

    def images(name: str) -> str:
        return study(siim(tmp_path / name)).images

    assert images("a") == images("b")
    (tmp_path / "b/train/0/1/2.dcm").write_bytes(b"321")
    assert images("a") != images("b"), "of the same size"


def test_a_second_archive_concerns_the_pretext_stages_alone(tmp_path):
    write_siim(tmp_path)
    one = siim(tmp_path)
    data = study(one | {"pretraining_dataset": one["dataset"]}).data("full")
    assert data["pretext"]["also"] == "pretraining"
    assert "also" not in data["final"]
    assert "also" not in study(one).data("full")["pretext"]


def test_near_duplicates_stand_in_recipes_only_where_they_change_something(tmp_path):
    write_siim(tmp_path / "archive")
    (tmp_path / "archive/train/0/1/3.dcm").write_bytes(b"321")
    pair = {"image_ids": ["2", "3"], "cohorts": ["main", "main"], "correlation": 0.9}
    lists = {
        "none": [],
        "of one patient": [pair | {"patient_ids": ["p", "p"]}],
        "of two": [pair | {"patient_ids": ["p", "q"]}],
    }
    ways = ("together", "aside", "ignore")
    changes = {
        (way, protocol): {"split": {"near_duplicates": way}, "protocol": protocol}
        for way in ways
        for protocol in ("strict", "thesis")
    }
    one = siim(tmp_path / "archive")
    before = {key: study(one | change).data("full") for key, change in changes.items()}
    assert len({json.dumps(before[way, "strict"]) for way in ways}) == 1
    assert "near_duplicates" not in json.dumps(before["together", "strict"])
    record = study(one).near_record
    record.parent.mkdir(parents=True)
    changed = {}
    for name, pairs in lists.items():
        record.write_text(json.dumps({"pairs": pairs, "compared": 2, "bound": 0.85}))
        for key, change in changes.items():
            after = study(one | change).data("full")
            for kind in ("pretext", "final"):
                if after[kind] != before[key][kind]:
                    changed.setdefault((name, *key), set()).add(kind)
    both = {"pretext", "final"}
    assert changed == {
        ("of one patient", "aside", "strict"): both,
        ("of one patient", "aside", "thesis"): both,
        ("of two", "together", "strict"): both,
        # Protocol thesis pretrains on all images, whatever the split.
        ("of two", "together", "thesis"): {"final"},
        ("of two", "aside", "strict"): both,
        ("of two", "aside", "thesis"): both,
    }


def test_jobs_take_over_what_the_plan_knew_of_near_duplicates(tmp_path):
    write_siim(tmp_path / "archive")
    one = siim(tmp_path / "archive")
    planned = study(one)
    found = json.loads(json.dumps(planned.found))
    pair = {"image_ids": ["2", "3"], "cohorts": ["main", "main"], "correlation": 0.9}
    pairs = [pair | {"patient_ids": ["p", "q"]}]
    planned.near_record.parent.mkdir(parents=True)
    planned.near_record.write_text(json.dumps({"pairs": pairs, "compared": 2, "bound": 0.85}))
    told, anew = Study(planned.config, found), study(one)
    assert told.data("full") == planned.data("full")
    assert anew.data("full") != planned.data("full")
    assert anew.outline()["split"]["near_duplicates"]["treatment"] == "together"


def test_nobody_looks_for_near_duplicates_among_synthetic_pictures():
    """They are variations of one drawing: a demo would end in its first run, and say so."""
    one = study({"split": {"near_duplicates": "together"}})
    assert one.layout == "phantom"
    assert one.near_record is None
    assert one.near_treatment == "ignore"
    assert one.near_sentence() is None
    assert one.near_duplicates is None


def test_a_plan_says_that_nobody_has_looked_for_near_duplicates(tmp_path):
    write_siim(tmp_path / "archive")
    one = siim(tmp_path / "archive")
    folder = tmp_path / "store/images" / study(one).images
    assert study(one).near_sentence() is None  # there is nothing yet that could be another's
    for shard in range(2):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"shard-{shard}-of-2.json").write_text("{}")
    assert "nobody has looked for near-duplicates" in study(one).outline()["identities"][-1]
    assert study(one | {"split": {"near_duplicates": "ignore"}}).near_sentence() is None
    record = study(one).near_record
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"pairs": [], "compared": 2, "bound": 0.85}))
    assert study(one).near_sentence() is None


def test_what_was_found_is_not_looked_up_again(tmp_path, monkeypatch):
    """The processes of a run's jobs neither walk nor read what the main process has read."""
    write_siim(tmp_path / "archive")
    (tmp_path / "archive/masks").mkdir()
    (tmp_path / "archive/masks/2.png").write_bytes(b"mask")
    (tmp_path / "root.pt").write_bytes(b"\x80weights")
    one = siim(tmp_path / "archive", store=str(tmp_path / "store"))
    one["lungs"] = {"source": "masks", "masks": {"folder": str(tmp_path / "archive/masks")}}
    one["roots"] = {"mine": {"file": str(tmp_path / "root.pt")}}
    one["curricula"] = ["mine+moco"]
    first = study(one)
    found = json.loads(json.dumps(first.found))
    before = first.outline()
    (tmp_path / "archive/train/0/1/3.dcm").write_bytes(b"arrives while the run goes on")
    (tmp_path / "archive/masks/2.png").write_bytes(b"another")
    (tmp_path / "root.pt").write_bytes(b"\x80others")
    assert study(one).images != first.images
    shutil.rmtree(tmp_path / "archive")
    (tmp_path / "root.pt").unlink()
    told = Study(first.config, found)
    assert told.outline() == before
    assert told.found == found | {one.kind: one for one in told.identities}
    with pytest.raises(InputError, match="archive: there is no such folder"):
        Study(first.config).outline()
    other = {**first.config, "roots": {}}
    with pytest.raises(InputError, match="archive: there is no such folder"):
        Study(other, found).images  # noqa: B018  what was found answers another question


def test_given_masks_and_pairs_count_by_their_contents(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").write_bytes(b"one")
    (tmp_path / "index.csv").write_text("id,split\n")
    masks = {"lungs": {"source": "masks", "masks": {"folder": str(tmp_path / "masks")}}}
    pairs = {"lungs": {"source": "train", "train": {"folder": str(tmp_path)}}}
    before = [study(change) for change in (masks, pairs)]
    assert before[0].segmenter != before[1].segmenter
    (tmp_path / "masks/a.png").write_bytes(b"two")
    for one in before:
        again = Study(one.config)
        assert again.segmenter != one.segmenter
        assert again.masks != one.masks
        assert again.images == one.images
    (tmp_path / "index.csv").write_text("id,sp1it\n")
    assert study(masks).masks == Study(before[0].config).masks
    assert study(pairs).segmenter != Study(before[1].config, again.found).segmenter


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
    for module in (study_module, material):
        monkeypatch.setattr(module, "group_hash", noted)
    monkeypatch.setattr(inputs, "folder_listing", lambda *_: [])
    for variant in ("full", "segmented_black"):
        one.data(variant)
    assert set(asked) == set(expected)


def test_keys_that_came_later_change_the_images_only_where_they_are_given():
    """Pictures that were made before there were these keys are found again under their defaults."""
    default = study()
    assert study({"ingest": {"accept": dict(LATER_ACCEPT)}}).images == default.images
    for key in LATER_ACCEPT:
        assert study({"ingest": {"accept": {key: 0}}}).images != default.images
    before = copy.deepcopy(default.config)
    for key in LATER_ACCEPT:
        del before["ingest"]["accept"][key]
    assert Study(before).images == default.images
