"""Variants, packing and normalisation against plain numpy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sscdl.errors import InputError
from sscdl.images import variants
from sscdl.images.variant_kinds import EDGED, MASKS_OF_CROPPED, masks_of
from sscdl.study.config import load_schema
from tests.conftest import ROOT
from tests.unit.records import write_manifest


@pytest.fixture
def archive(tmp_path):
    """Two shards of images and masks; returns their manifests and the images."""
    rng = np.random.default_rng(0)
    images, manifests, masks = {}, [], []
    for shard, names in enumerate((["c", "a"], ["b"])):
        for kind in ("images", "masks"):
            (tmp_path / kind / "png").mkdir(parents=True, exist_ok=True)
        rows = []
        for name in names:
            image = rng.integers(0, 256, (40, 30), dtype=np.uint8)
            mask = np.zeros((40, 30), np.uint8)
            mask[10:30, 5:25] = 255
            images[name] = image
            cv2.imwrite(str(tmp_path / "images/png" / f"{name}.png"), image)
            cv2.imwrite(str(tmp_path / "masks/png" / f"{name}.png"), mask)
            rows.append({"image_id": name, "png": f"{name}.png"})
        for kind, found in (("images", manifests), ("masks", masks)):
            found.append(write_manifest(tmp_path / kind / f"shard-{shard}.json", kind, rows))
    return manifests, masks, images


def test_rows_are_sorted_and_full_images_only_resized(archive, tmp_path):
    manifests, _, images = archive
    variants.pack("full", manifests, [], None, tmp_path / "full.json", size=20, edge=0)
    array, described = variants.read_pack(tmp_path / "full.json")
    assert described["ids"] == ["a", "b", "c"]
    assert array.shape == (3, 20, 20)
    expected = cv2.resize(images["b"], (20, 20), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(array[1], expected)


def test_outside_the_lungs_is_black_or_the_mean_of_the_full_images(archive, tmp_path):
    manifests, masks, images = archive
    full, black, gray = (tmp_path / f"{name}.json" for name in ("full", "black", "gray"))
    variants.pack("full", manifests, [], None, full, size=40, edge=0)
    variants.pack("segmented_black", manifests, masks, None, black, size=40, edge=0)
    variants.pack("segmented_gray", manifests, masks, full, gray, size=40, edge=0)
    array, _ = variants.read_pack(full)
    mean, std = variants.mean_std(variants.read_pack(full)[1], {"a", "b", "c"})
    assert mean == pytest.approx(array.mean() / 255)
    assert std == pytest.approx(array.std() / 255)
    assert (variants.read_pack(black)[0][:, :8] == 0).all()
    assert variants.read_pack(black)[0][:, 12:28, 12:28].mean() > 50
    assert (variants.read_pack(gray)[0][:, :8] == round(mean * 255)).all()


def test_normalisation_is_measured_on_the_given_images_alone(archive, tmp_path):
    manifests, _, _ = archive
    variants.pack("full", manifests, [], None, tmp_path / "full.json", size=20, edge=0)
    array, described = variants.read_pack(tmp_path / "full.json")
    mean, std = variants.mean_std(described, {"b", "not there"})
    assert mean == pytest.approx(array[1].mean() / 255)
    assert std == pytest.approx(array[1].std() / 255)
    with pytest.raises(InputError, match="no image"):
        variants.mean_std(described, set())


def test_a_damaged_array_is_refused(archive, tmp_path):
    manifests, _, _ = archive
    variants.pack("full", manifests, [], None, tmp_path / "full.json", size=20, edge=0)
    array = np.load(tmp_path / "full.npy")
    array[0, 0, 0] ^= 1
    np.save(tmp_path / "full.npy", array)
    with pytest.raises(InputError, match=r"full\.npy: not the array"):
        variants.read_pack(tmp_path / "full.json")
    (tmp_path / "full.npy").write_bytes(b"half")
    with pytest.raises(InputError, match=r"full\.npy: missing or damaged"):
        variants.read_pack(tmp_path / "full.json")


def test_a_missing_png_is_named(archive, tmp_path):
    manifests, _, _ = archive
    (tmp_path / "images/png/b.png").unlink()
    with pytest.raises(InputError, match=r"b\.png: is missing .* delete that list"):
        variants.pack("full", manifests, [], None, tmp_path / "full.json", size=20, edge=0)


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_png_that_was_replaced_by_another_one_is_named(archive, tmp_path, kind):
    manifests, masks, _ = archive
    other = cv2.imread(str(tmp_path / kind / "png" / "b.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(tmp_path / kind / "png" / "b.png"), 255 - other)  # a whole picture
    with pytest.raises(InputError, match=r"b\.png: is not the picture .*shard-1\.json"):
        variants.pack("lungs", manifests, masks, None, tmp_path / "lungs.json", size=20, edge=0)
    assert not (tmp_path / "lungs.json").exists()


def two_lungs() -> np.ndarray:
    """Return a mask (60, 80) with two rectangles: columns 16 to 64, rows 12 to 48."""
    mask = np.zeros((60, 80), bool)
    mask[12:48, 16:34] = mask[20:40, 44:64] = True
    return mask


def test_every_variant_of_the_schema_can_be_made():
    schema = load_schema(ROOT / "workflow/schemas/config.schema.yaml")
    known = set(variants.VARIANTS)
    assert set(schema["properties"]["variants"]["items"]["enum"]) <= known
    assert EDGED | set(MASKS_OF_CROPPED) <= known
    assert {masks_of(variant) for variant in known} <= known


def test_the_inverted_image_is_what_the_segmented_one_lacks():
    image = np.random.default_rng(0).integers(1, 256, (60, 80), dtype=np.uint8)
    mask = two_lungs()
    inside = variants.segmented_black(image, mask, 0.0, 0.0)
    outside = variants.inverted(image, mask, 0.0, 0.0)
    np.testing.assert_array_equal(inside + outside, image)
    assert not outside[mask].any()
    assert not variants.inverted(image, mask & False, 0.0, 0.0).any(), "no lungs, no image"


@pytest.mark.parametrize(("name", "fill"), [("segmented_black", 0), ("segmented_gray", 128)])
def test_a_hard_edge_is_that_of_the_mask(name, fill):
    image = np.random.default_rng(0).integers(0, 256, (60, 80), dtype=np.uint8)
    mask = two_lungs()
    found = variants.VARIANTS[name](image, mask, 128 / 255, 0.0)
    np.testing.assert_array_equal(found, np.where(mask, image, fill))
    assert found.dtype == np.uint8


@pytest.mark.parametrize("name", sorted(EDGED))
def test_a_soft_edge_fades_what_is_kept_and_shows_nothing_of_what_is_removed(name):
    mask, width = two_lungs(), 0.1 * 60
    kept = ~mask if name == "inverted" else mask
    fill = 40 if name == "segmented_gray" else 0
    image = np.where(kept, 200, 255).astype(np.uint8)
    found = variants.VARIANTS[name](image, mask, 40 / 255, 0.1)
    assert (found[~kept] == fill).all()
    # From the centre of a pixel to that of the nearest one outside, by brute force.
    there = np.argwhere(~kept)
    distance = np.array(
        [[np.hypot(*(there - (y, x)).T).min() for x in range(80)] for y in range(60)]
    )
    assert (found[distance > width + 0.5] == 200).all()
    fading = found[kept & (distance <= width)].astype(int)
    assert fill < fading.min() < fill + 10, "it begins at the fill"
    assert 190 < fading.max() <= 200
    order = np.argsort(distance[kept], kind="stable")
    assert (np.diff(found[kept][order].astype(int)) >= -1).all()


def test_a_mask_without_an_outline_has_no_edge():
    image = np.full((60, 80), 99, np.uint8)
    everything = np.ones((60, 80), bool)
    assert (variants.segmented_black(image, everything, 0.0, 0.1) == 99).all()
    assert (variants.segmented_black(image, ~everything, 0.0, 0.1) == 0).all()
    assert (variants.inverted(image, everything, 0.0, 0.1) == 0).all()


def test_the_box_around_the_lungs_has_a_margin_and_ends_at_the_image():
    assert variants.lung_box(np.zeros((60, 80), bool)) is None
    # 48 columns and 36 rows: a margin of two pixels each.
    box = variants.lung_box(two_lungs())
    assert box == (14 / 80, 10 / 60, 66 / 80, 50 / 60)
    image = np.arange(4800, dtype=np.int64).reshape(60, 80)
    np.testing.assert_array_equal(variants.crop(image, box), image[10:50, 14:66])
    assert variants.lung_box(np.ones((60, 80), bool)) == variants.WHOLE


def test_a_boxed_pack_and_its_masks_show_the_same_part(archive, tmp_path):
    manifests, _, images = archive
    cv2.imwrite(str(tmp_path / "masks/png/c.png"), np.zeros((40, 30), np.uint8))
    rows = [{"image_id": name, "png": f"{name}.png"} for name in "abc"]
    masks = [write_manifest(tmp_path / "masks/shard-0.json", "masks", rows)]
    packs = {name: tmp_path / f"{name}.json" for name in ("lung_box", "lung_box_lungs", "lungs")}
    for name, out in packs.items():
        variants.pack(name, manifests, masks, None, out, size=20, edge=0)
    array, lungs, described = variants.read_with_masks(packs["lung_box"], packs["lung_box_lungs"])
    # 20 x 20 lungs from (5, 10), with a margin of one pixel.
    expected = cv2.resize(images["a"][9:31, 4:26], (20, 20), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(array[0], expected)
    assert described["crops"][0] == [4 / 30, 9 / 40, 26 / 30, 31 / 40]
    assert (lungs[0, 2:18, 2:18] == 255).all()
    assert lungs[0, 0, 0] < 128
    assert (lungs[0] > 127).mean() > 0.8, "without the crop, a third"
    assert described["crops"][2] == list(variants.WHOLE)
    assert not array[2].any(), "an image without lungs"
    with pytest.raises(InputError, match=r"lungs\.json: shows other parts of the images"):
        variants.read_with_masks(packs["lung_box"], packs["lungs"])


def test_images_that_are_all_alike_are_named(archive, tmp_path):
    manifests, _, _ = archive
    for name in "abc":
        cv2.imwrite(str(tmp_path / f"masks/png/{name}.png"), np.full((40, 30), 255, np.uint8))
    rows = [{"image_id": name, "png": f"{name}.png"} for name in "abc"]
    masks = [write_manifest(tmp_path / "masks/shard-0.json", "masks", rows)]
    variants.pack("inverted", manifests, masks, None, tmp_path / "out.json", size=20, edge=0)
    described = variants.read_pack(tmp_path / "out.json")[1]
    with pytest.raises(InputError, match="variant inverted: all pixels of all images are alike"):
        variants.mean_std(described, {"a", "b", "c"})
