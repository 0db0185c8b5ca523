"""The list of images: whose mask is used under each policy, what the remarks and marks say."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from sscdl.errors import InputError
from sscdl.files import read_json, write_json
from sscdl.images.imagelist import COLUMNS, NEAR_COLUMNS, list_images
from tests.unit.damages import damages

SPLIT = {"by": "patient", "stratified": False, "val": 0.0, "test": 0.0, "seed": 0}
FAULTS = ["area 0.05 of the image", "a single component"]
TEXT = [[0.0, 0.0, 0.1, 0.1]]


def image(name, **changes):
    row = {
        "cohort": "main", "image_id": name, "study_id": f"s-{name}", "patient_id": f"p-{name}",
        "label": "typical", "boxes": [], "view": "PA", "sex": "F", "age": 45.0, "rows": 20,
        "columns": 10, "transfer_syntax": "PNG", "photometric": "MONOCHROME2", "bits_stored": 8,
        "modality": "DX", "body_part": "CHEST", "png": f"{name}.png", "sha256": "0",
        "pixel_hash": name, "text": [],
    }  # fmt: skip
    return row | changes


def mask(name, area=0.4, faults=(), *, empty=False):
    return {
        "image_id": name, "png": f"{name}.png", "sha256": "0", "area": area, "faults": list(faults),
        "empty": empty,
    }  # fmt: skip


IMAGES = [
    image("fine", boxes=[[0.1, 0.2, 0.3, 0.4]], age=None, text=None),
    image("odd"),
    image("none"),
    image("twice", pixel_hash="fine"),
    image("all", pixel_hash="fine", patient_id="p-fine", text=TEXT),
    image("text", text=TEXT),
    image("other", cohort="external", label=""),
]
MASKS = [
    mask("fine"),
    mask("odd", 0.05, FAULTS),
    mask("none", 0.0, ["no lung"], empty=True),
    mask("twice"),
    mask("all", 0.05, FAULTS[:1]),
    mask("text"),
    mask("other"),
]


def test_every_damage_of_a_manifest_is_named(tmp_path):
    listed(tmp_path, "keep")
    images, masks = (
        [tmp_path / kind / f"{n}.json" for n in (0, 1)] for kind in ("images", "masks")
    )
    outputs = tmp_path / "again.csv", tmp_path / "rejected.csv"
    for path in (images[0], masks[1]):
        for how, _ in damages(path):
            with pytest.raises(InputError) as failed:
                list_images(images, masks, [], *outputs, implausible="keep", split=SPLIT)
            assert str(path) in str(failed.value), how


def test_masks_of_other_images_are_refused(tmp_path):
    listed(tmp_path, "keep")
    images, masks = (
        [tmp_path / kind / f"{n}.json" for n in (0, 1)] for kind in ("images", "masks")
    )
    write_json(masks[1], {"masks": read_json(masks[1])["masks"][:-1]})
    outputs = tmp_path / "again.csv", tmp_path / "rejected.csv"
    with pytest.raises(InputError, match=r"masks: .* not those of the images \(7 and 6; not in"):
        list_images(images, masks, [], *outputs, implausible="keep", split=SPLIT)
    assert not outputs[0].exists()


def listed(folder, implausible, truths=(), split=SPLIT, **checked):
    """Write two shards of manifests; return ``images.csv`` by image id, and ``rejected.csv``."""
    manifests, masks = [], []
    for shard in range(2):
        manifests.append(folder / "images" / f"{shard}.json")
        masks.append(folder / "masks" / f"{shard}.json")
        for path in (manifests[-1], masks[-1]):
            path.parent.mkdir(exist_ok=True)
        write_json(
            manifests[-1],
            {
                "images": IMAGES[shard::2],
                "rejected": [{"file": f"r{shard}.dcm", "reason": "not a DICOM file"}],
                "failed": [{"file": "f.dcm", "reason": "the decoder crashed"}] * shard,
                "problems": [{"file": "table.csv", "reason": "line 7: odd"}] * (1 - shard),
            },
        )
        write_json(masks[-1], {"masks": MASKS[1 - shard :: 2]})
    outputs = folder / "images.csv", folder / "rejected.csv"
    list_images(
        manifests, masks, list(truths), *outputs,
        implausible=implausible, split=split, **checked,
    )  # fmt: skip
    images, rejected = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in outputs)
    assert list(images) == COLUMNS
    assert list(pd.read_csv(outputs[0].with_name("near_duplicates.csv"))) == NEAR_COLUMNS
    assert list(images["image_id"]) == sorted(row["image_id"] for row in IMAGES)
    return images.set_index("image_id"), rejected


@pytest.mark.parametrize(
    ("implausible", "unused"),
    [("drop", {"all", "none", "odd"}), ("keep", {"none"}), ("hull", {"none"})],
)
def test_the_policy_says_which_masks_are_used(tmp_path, implausible, unused):
    images, _ = listed(tmp_path, implausible)
    assert set(images.index[images["mask"] == ""]) == unused
    # From the store, which lies elsewhere.
    for name in images.index.difference(list(unused)):
        assert images.loc[name, "mask"] == f"{tmp_path.name}/masks/png/{name}.png"
        assert images.loc[name, "png"] == f"{tmp_path.name}/images/png/{name}.png"
    # Measures and faults stay what was found, whatever is done about them.
    assert dict(images["mask_faults"][images["mask_faults"] != ""]) == {
        "all": "area 0.05 of the image",
        "none": "no lung",
        "odd": "area 0.05 of the image, a single component",
    }
    assert images["mask_area"].astype(float).loc[["fine", "odd", "none"]].tolist() == [
        0.4, 0.05, 0.0,
    ]  # fmt: skip


def test_remarks_say_all_that_is_unusual(tmp_path):
    images, _ = listed(tmp_path, "keep")
    assert dict(images["remark"]) == {
        "all": "lung mask: area 0.05 of the image; perhaps text near the border",
        "fine": "the same picture as all, which is kept",
        "none": "lung mask: no lung",
        "odd": "lung mask: area 0.05 of the image, a single component",
        "other": "",
        "text": "perhaps text near the border",
        "twice": "the same picture as all of another patient, which is kept",
    }


def test_copies_have_a_split_of_their_own(tmp_path):
    images, rejected = listed(tmp_path, "drop")
    assert dict(images["split"]) == {
        "all": "train", "fine": "duplicate", "none": "train", "odd": "train",
        "other": "external", "text": "train", "twice": "duplicate",
    }  # fmt: skip
    assert json.loads(images.loc["fine", "boxes"]) == [[0.1, 0.2, 0.3, 0.4]]
    assert images.loc["fine", "age"] == ""
    # Neither copies nor masks are in the list of what did not become a picture.
    assert list(rejected.itertuples(index=False, name=None)) == [
        ("f.dcm", "the decoder crashed"),
        ("r0.dcm", "not a DICOM file"),
        ("r1.dcm", "not a DICOM file"),
        ("table.csv", "line 7: odd"),
    ]


def test_a_class_without_an_image_is_named_before_anything_is_trained(tmp_path):
    listed(tmp_path, "keep", classes=["typical"], masked=True)
    message = (
        r"classes: no image .* is labelled 'negative' \(images by label: typical 4; .* lines in "
        r"rejected.csv, most often: not a DICOM file\)"
    )
    with pytest.raises(InputError, match=message):
        listed(tmp_path, "keep", classes=["typical", "negative"])


def test_a_class_whose_images_have_no_mask(tmp_path, monkeypatch):
    monkeypatch.setitem(IMAGES[2], "label", "negative")
    with pytest.raises(InputError, match=r"classes: no image labelled 'negative' in the split tra"):
        listed(tmp_path, "keep", classes=["typical", "negative"], masked=True)
    # The whole image can be trained on; it could not be reported.
    listed(tmp_path, "keep", classes=["typical", "negative"], masked=False)


THIRDS = {**SPLIT, "val": 0.3, "test": 0.3}


def of_patients(tmp_path, patients, labels, split=THIRDS):
    """List images of these patients with these labels; return how many are in each set."""
    rows = [
        image(f"i{number}", patient_id=patient, label=label)
        for number, (patient, label) in enumerate(zip(patients, labels, strict=True))
    ]
    masks = [mask(row["image_id"]) for row in rows]
    for name, key, content in (("images", "images", rows), ("masks", "masks", masks)):
        rest = {"rejected": [], "failed": [], "problems": []} if key == "images" else {}
        write_json(tmp_path / f"{name}.json", {key: content, **rest})
    out = tmp_path / "images.csv"
    list_images(
        [tmp_path / "images.json"], [tmp_path / "masks.json"], [], out, tmp_path / "rejected.csv",
        implausible="keep", split=split,
    )  # fmt: skip
    return pd.read_csv(out)["split"].value_counts().to_dict()


def test_images_of_one_patient_are_told_to_be_so(tmp_path):
    told = r"all 12 images are of one patient, so that no seed .*PatientID.* split.by: image"
    with pytest.raises(InputError, match=told):
        of_patients(tmp_path, ["p"] * 12, ["a", "b"] * 6)
    assert len(of_patients(tmp_path, ["p"] * 12, ["a"] * 12, {**THIRDS, "by": "image"})) == 3
    assert of_patients(tmp_path, ["p"] * 12, ["a"] * 12, SPLIT) == {"train": 12}


def test_a_class_of_fewer_patients_than_sets_is_told_to_be_so(tmp_path):
    patients = [f"p{n % 6}" for n in range(18)] + ["x", "x", "y"]
    told = r"the 3 images labelled b are of 2 patients, fewer than the sets \(train, val, test\)"
    with pytest.raises(InputError, match=told):
        of_patients(tmp_path, patients, ["a"] * 18 + ["b"] * 3)


def test_a_patient_of_most_images_is_warned_of(tmp_path, caplog):
    of_patients(tmp_path, ["p"] * 20 + [f"q{n}" for n in range(12)], ["a"] * 32)
    assert "20 of 32 images are of one patient; the id" in caplog.text
    caplog.clear()
    of_patients(tmp_path, [f"p{n // 2}" for n in range(32)], ["a"] * 32)
    assert "of one patient" not in caplog.text


def test_what_is_odd_about_the_gray_values_is_a_remark(tmp_path, monkeypatch):
    monkeypatch.setitem(IMAGES[5], "tones", "picture has 9 of 256 grays")
    images, _ = listed(tmp_path, "keep")
    assert images.loc["text", "remark"] == (
        "perhaps text near the border; picture has 9 of 256 grays"
    )


def test_what_is_odd_about_the_header_is_a_remark(tmp_path, monkeypatch):
    odd = ["header field PixelSpacing is malformed", "and another"]
    monkeypatch.setitem(IMAGES[5], "remarks", odd)
    images, _ = listed(tmp_path, "keep")
    assert images.loc["text", "remark"] == "; ".join(["perhaps text near the border", *odd])


def test_planted_marks_come_from_the_truth_tables(tmp_path):
    truths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    truths[0].write_text("image_id,mark\nfine,L\nodd,\n")
    truths[1].write_text("image_id,mark\nother,R\nelsewhere,R\n")
    images, _ = listed(tmp_path, "drop", truths)
    assert dict(images["mark"][images["mark"] != ""]) == {"fine": "L", "other": "R"}
