"""Radiographs that were exported twice: which pairs are found, and on which side they come."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pandas as pd
import pytest

from sscdl.errors import InputError
from sscdl.files import read_json, write_json
from sscdl.images import imagelist, near_duplicates
from sscdl.images.imagelist import list_images
from sscdl.images.likeness import trimmed
from sscdl.images.near_duplicates import BOUND, candidates, find_near_duplicates, hashed
from sscdl.images.near_pairs import effect
from sscdl.phantom.radiograph import render
from tests.unit.images.test_imagelist import image, mask

SPLIT = {"by": "patient", "stratified": False, "val": 0.2, "test": 0.3, "seed": 0}
SIZE, PATIENTS = 192, 24


def exported(pixels, how):
    """Return the pixels of a radiograph after another export."""
    if how == "rescaled":
        return cv2.resize(pixels, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    if how == "window":
        black, white = np.percentile(pixels, [5, 95])
        return np.clip((pixels - black) * (255 / (white - black)), 0, 255).astype(np.uint8)
    if how == "jpeg":
        content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 50])[1]
        return cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)
    if how == "cropped":
        cut = round(0.03 * SIZE)
        return pixels[cut:-cut, cut:-cut]
    if how == "border":
        return cv2.copyMakeBorder(pixels, 9, 9, 20, 20, cv2.BORDER_CONSTANT, value=255)
    if how == "turned":
        way = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), 2, 1)
        return cv2.warpAffine(pixels, way, (SIZE, SIZE))
    assert how == "inverted"
    return 255 - pixels


def shown(seed):
    """Return the pixels of one patient's radiograph."""
    return (255 * render(seed, "negative", SIZE).pixels).round().astype(np.uint8)


@pytest.fixture(scope="module")
def radiographs():
    """Return the pixels of a radiograph of each of some patients."""
    return [shown(seed) for seed in range(PATIENTS)]


def archive(folder, radiographs, copies, **changes):
    """Write an archive with copies (name: pixels) of other patients; return its manifest."""
    pictures = {f"own{k:02d}": pixels for k, pixels in enumerate(radiographs)} | copies
    (folder / "png").mkdir(parents=True)
    for name, pixels in pictures.items():
        cv2.imwrite(str(folder / "png" / f"{name}.png"), pixels)
    rows = [image(name, **(changes if name in copies else {})) for name in pictures]
    manifest = folder / "shard-0-of-1.json"
    write_json(manifest, {"images": rows, "rejected": [], "failed": [], "problems": []})
    return manifest


def found_in(manifest):
    """Return the record of the near-duplicates in an archive."""
    record = manifest.parent / "near.json"
    find_near_duplicates([manifest], record, threads=2)
    return record


@pytest.mark.parametrize(
    "how", ["rescaled", "window", "jpeg", "cropped", "border", "turned", "inverted"]
)
def test_another_export_is_found_and_nothing_else(tmp_path, radiographs, how):
    copies = {"copy": exported(radiographs[3], how)}
    found = read_json(found_in(archive(tmp_path, radiographs, copies)))
    assert [pair["image_ids"] for pair in found["pairs"]] == [["copy", "own03"]]
    assert found["pairs"][0]["patient_ids"] == ["p-copy", "p-own03"]
    assert found["pairs"][0]["cohorts"] == ["main", "main"]
    assert BOUND <= found["pairs"][0]["correlation"] <= 1
    assert found["compared"] == PATIENTS + 1


def test_all_of_a_large_group_are_found(tmp_path, radiographs):
    """Four exports of each of two kinds: the three nearest of each are of its own kind."""
    copies = {}
    for kind, pixels in (("a", radiographs[3]), ("b", exported(radiographs[3], "cropped"))):
        for number in range(4):
            copies[f"copy-{kind}{number}"] = pixels.copy()
            copies[f"copy-{kind}{number}"][0, number] ^= 1  # not the same to the bit
    pairs = read_json(found_in(archive(tmp_path, radiographs, copies)))["pairs"]
    group = sorted([*copies, "own03"])
    assert [pair["image_ids"] for pair in pairs] == list(
        map(list, itertools.combinations(group, 2))
    )


def test_only_those_with_many_copies_are_looked_at_further(tmp_path, radiographs, monkeypatch):
    asked = []

    def watched(small, hashes, nearest, looking):
        asked.append((nearest, len(looking)))
        return candidates(small, hashes, nearest, looking)

    monkeypatch.setattr(near_duplicates, "candidates", watched)
    copies = {f"copy{k}": exported(radiographs[3], "window") for k in range(4)}
    for number, pixels in enumerate(copies.values()):
        pixels[0, number] ^= 1
    found_in(archive(tmp_path, radiographs, copies))
    assert asked == [(3, PATIENTS + 4), (12, 5)]


def test_pictures_of_16_bits_are_seen_as_those_of_8(tmp_path, radiographs):
    copies = {"copy": radiographs[5].astype(np.uint16) * 256 + 7}
    found = read_json(found_in(archive(tmp_path, radiographs, copies)))
    assert [pair["image_ids"] for pair in found["pairs"]] == [["copy", "own05"]]


def test_exact_copies_join_patients_and_further_cohorts_are_not_looked_at(tmp_path, radiographs):
    same = {"pixel_hash": image("own02")["pixel_hash"]}
    manifest = archive(tmp_path / "a", radiographs, {"copy": radiographs[2]}, **same)
    (pair,) = read_json(found_in(manifest))["pairs"]
    assert pair["patient_ids"] == ["p-copy", "p-own02"]
    assert pair["correlation"] == 1
    several = {name: radiographs[2] for name in ("copy", "further")}
    manifest = archive(tmp_path / "d", radiographs, several, **same)
    joined = [pair["patient_ids"] for pair in read_json(found_in(manifest))["pairs"]]
    assert joined == [["p-copy", "p-further"], ["p-copy", "p-own02"]]
    # Of one patient, they say nothing of who is who, and one of them is set aside anyway.
    own = {"copy": radiographs[2]}
    manifest = archive(tmp_path / "c", radiographs, own, patient_id="p-own02", **same)
    assert read_json(found_in(manifest))["pairs"] == []
    turned = {"copy": exported(radiographs[2], "turned")}
    manifest = archive(tmp_path / "b", radiographs, turned, cohort="external")
    assert read_json(found_in(manifest)) == {"pairs": [], "compared": PATIENTS, "bound": BOUND}


def test_even_pictures_and_a_single_one_are_compared_with_nothing(tmp_path):
    even = {"a": np.full((80, 80), 9, np.uint8), "b": np.full((90, 80), 200, np.uint8)}
    assert read_json(found_in(archive(tmp_path / "two", [], even)))["pairs"] == []
    assert read_json(found_in(archive(tmp_path / "one", [], {"a": even["a"]})))["compared"] == 1


def test_a_picture_that_is_gone_is_named(tmp_path, radiographs):
    manifest = archive(tmp_path, radiographs[:2], {})
    (tmp_path / "png" / "own01.png").unlink()
    with pytest.raises(InputError, match=r"own01\.png: is missing"):
        found_in(manifest)


def test_borders_are_cut_off_but_no_more_than_a_quarter():
    picture = np.random.default_rng(0).integers(0, 255, (80, 60)).astype(np.uint8)
    framed = cv2.copyMakeBorder(picture, 4, 9, 0, 12, cv2.BORDER_CONSTANT, value=200)
    assert np.array_equal(trimmed(framed), picture)
    assert trimmed(np.zeros((80, 60), np.uint8)).shape == (80, 60)
    half = np.vstack([np.zeros_like(picture), picture])
    assert trimmed(half).shape == (120, 60)


def test_nearest_are_found_in_blocks_as_in_one_piece(monkeypatch):
    draws = np.random.default_rng(4)
    small = draws.integers(0, 255, (60, 64, 64)).astype(np.uint8)
    hashes = np.array([hashed(one) for one in small])
    monkeypatch.setattr(near_duplicates, "_ALIKE", 0.0)
    whole = candidates(small, hashes)
    monkeypatch.setattr(near_duplicates, "_ROWS", 7)
    monkeypatch.setattr(near_duplicates, "_COLUMNS", 11)
    assert candidates(small, hashes) == whole
    counts = pd.Series([one for first, second, _ in whole for one in (first, second)])
    assert counts.value_counts().min() >= 3
    assert all(one < other for one, other, _ in whole)


def listed(folder, manifest, record, treatment, split=SPLIT, seed=0):
    """Return the list of an archive's images by id, made as a planned run makes it."""
    rows = read_json(manifest)["images"]
    masks = folder / "masks.json"
    write_json(masks, {"masks": [mask(row["image_id"]) for row in rows]})
    recipe = effect(read_json(record)["pairs"], treatment, split["by"]).recipe() if record else None
    planned = split | {"seed": seed} | ({"near_duplicates": recipe} if recipe else {})
    list_images(
        [manifest], [masks], [], folder / "images.csv", folder / "rejected.csv", implausible="keep",
        split=planned, near_duplicates=record, treatment=treatment,
    )  # fmt: skip
    images = pd.read_csv(folder / "images.csv", dtype=str, keep_default_na=False)
    return images.set_index("image_id")


@pytest.fixture(scope="module")
def doubled(tmp_path_factory, radiographs):
    """Return the manifest of an archive with a copy of each third patient, and its pairs."""
    copies = {f"copy{k:02d}": exported(radiographs[k], "window") for k in range(0, PATIENTS, 3)}
    manifest = archive(tmp_path_factory.mktemp("doubled"), radiographs, copies)
    record = found_in(manifest)
    assert len(read_json(record)["pairs"]) == len(copies)
    return manifest, record


def apart(images):
    """Return how many copies lie on another side of the split than their radiograph."""
    copies = [name for name in images.index if name.startswith("copy")]
    return sum(
        images.loc[name, "split"] != images.loc[name.replace("copy", "own"), "split"]
        for name in copies
    )


@pytest.mark.parametrize("by", ["patient", "image"])
def test_copies_come_to_one_side_only_if_they_are_kept_together(tmp_path, doubled, by):
    split = SPLIT | {"by": by}
    together = listed(tmp_path, *doubled, "together", split)
    assert apart(together) == 0
    assert set(together["split"]) == {"train", "val", "test"}
    assert together.loc["copy03", "remark"] == "nearly the same picture as own03 of another patient"
    # The same archive shows that they would come apart.
    assert apart(listed(tmp_path, *doubled, "ignore", split)) > 0


def test_other_radiographs_of_patients_who_share_a_picture_come_to_one_side(tmp_path, radiographs):
    """An exact copy says as much of who is who as a near one."""
    rows = []
    for patient in range(6):
        for number in range(2):
            rows.append((f"own{2 * patient + number:02d}", f"p{patient}"))
    copies = {
        f"copy{k}": radiographs[4 * k] for k in range(3)
    }  # of each second patient, in the next
    manifest = archive(tmp_path / "shared", radiographs[:12], copies)
    content = read_json(manifest)
    whose = dict(rows) | {f"copy{k}": f"p{2 * k + 1}" for k in range(3)}
    hashes = {row["image_id"]: row["pixel_hash"] for row in content["images"]}
    for row in content["images"]:
        row["patient_id"] = whose[row["image_id"]]
        if row["image_id"].startswith("copy"):
            row["pixel_hash"] = hashes[f"own{4 * int(row['image_id'][4:]):02d}"]
    write_json(manifest, content)
    record = found_in(manifest)
    assert [one["patient_ids"] for one in read_json(record)["pairs"]] == [
        ["p1", "p0"], ["p3", "p2"], ["p5", "p4"]
    ]  # fmt: skip
    images = listed(tmp_path, manifest, record, "together", SPLIT)
    sides = images[images["split"] != "duplicate"].groupby("patient_id")["split"].first()
    assert [sides[f"p{2 * k}"] == sides[f"p{2 * k + 1}"] for k in range(3)] == [True] * 3


def test_aside_keeps_one_of_a_pair(tmp_path, doubled):
    images = listed(tmp_path, *doubled, "aside")
    copied = images.index[images.index.str.startswith("copy")]
    originals = [name.replace("copy", "own") for name in copied]
    # Of two with a label, the first by id.
    assert set(images.index[images["split"] == "duplicate"]) == set(originals)
    assert images.loc["own03", "remark"] == (
        "nearly the same picture as copy03 of another patient, which is kept"
    )


def test_pairs_are_reported_whatever_becomes_of_them(tmp_path, doubled, caplog):
    for treatment in ("together", "aside", "ignore"):
        caplog.clear()
        images = listed(tmp_path, *doubled, treatment)
        table = pd.read_csv(tmp_path / "near_duplicates.csv", dtype=str)
        assert list(table) == imagelist.NEAR_COLUMNS
        assert len(table) == 8
        first = table.iloc[0]
        assert images.loc[first["image_id"], "split"] == first["split"]
        assert table["correlation"].astype(float).is_monotonic_decreasing
        told = "8 pairs of pictures are near-duplicates, 8 of them of two patients; treatment: "
        assert told + treatment in caplog.text


def test_an_archive_without_pairs_has_the_list_that_it_had(tmp_path, radiographs, caplog):
    manifest = archive(tmp_path, radiographs, {})
    record = found_in(manifest)
    files = {}
    for treatment in (None, "together", "aside", "ignore"):
        listed(tmp_path, manifest, record if treatment else None, treatment or "ignore")
        names = ("images.csv", "images.json", "rejected.csv")
        files[treatment] = [(tmp_path / name).read_bytes() for name in names]
    assert all(content == files[None] for content in files.values())
    assert "near-duplicates" not in caplog.text


def test_where_all_images_were_set_aside_the_list_of_images_says_so(tmp_path):
    manifest = tmp_path / "shard-0-of-1.json"
    write_json(manifest, {"images": [], "rejected": [], "failed": [], "problems": []})
    assert read_json(found_in(manifest))["pairs"] == []


def test_a_run_that_was_planned_without_the_pairs_ends(tmp_path, doubled):
    manifest, record = doubled
    masks = tmp_path / "masks.json"
    rows = read_json(manifest)["images"]
    write_json(masks, {"masks": [mask(row["image_id"]) for row in rows]})
    with pytest.raises(InputError, match=r"8 pairs of pictures.* planned before they were known"):
        list_images(
            [manifest], [masks], [], tmp_path / "images.csv", tmp_path / "rejected.csv",
            implausible="keep", split=SPLIT, near_duplicates=record,
            treatment="together",
        )  # fmt: skip
    assert not (tmp_path / "images.csv").exists()


def test_copies_of_held_out_pictures_are_not_pretrained_on(tmp_path, radiographs):
    copies = {f"copy{k:02d}": exported(radiographs[k], "cropped") for k in range(PATIENTS)}
    manifest = archive(tmp_path, radiographs, copies, cohort="pretraining", label="")
    content = read_json(manifest)
    # A further picture of the patient whom the copy's id names.
    content["images"].append(image("more", cohort="pretraining", patient_id="p-copy00", label=""))
    cv2.imwrite(str(tmp_path / "png" / "more.png"), shown(500))
    write_json(manifest, content)
    record = found_in(manifest)
    seen = {}
    for seed in range(4):
        images = listed(tmp_path, manifest, record, "together", seed=seed)
        for k in range(PATIENTS):
            held_out = images.loc[f"own{k:02d}", "split"] in ("val", "test")
            expected = "duplicate" if held_out else "pretraining"
            assert images.loc[f"copy{k:02d}", "split"] == expected
            if k == 0:
                assert images.loc["more", "split"] == expected
                seen[expected] = images.loc["more", "remark"]
    assert seen == {
        "pretraining": "",
        "duplicate": "shows a patient whom a near-duplicate joins with one that cohort main holds "
        "out",
    }
    without = listed(tmp_path, manifest, record, "ignore")
    assert "duplicate" not in set(without["split"])
