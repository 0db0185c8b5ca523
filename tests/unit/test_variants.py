"""Variants, packing and normalisation against plain numpy."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from sscdl import variants
from sscdl.errors import InputError


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
            rows.append({"image_id": name, "png": f"{name}.png", "cohort": "main"})
        for kind, found in (("images", manifests), ("masks", masks)):
            path = tmp_path / kind / f"shard-{shard}.json"
            path.write_text(json.dumps({kind: rows}))
            found.append(path)
    return manifests, masks, images


def test_rows_are_sorted_and_full_images_only_resized(archive, tmp_path):
    manifests, _, images = archive
    variants.pack("full", manifests, [], None, tmp_path / "full.json", size=20)
    array, described = variants.read_pack(tmp_path / "full.json")
    assert described["ids"] == ["a", "b", "c"]
    assert array.shape == (3, 20, 20)
    expected = cv2.resize(images["b"], (20, 20), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(array[1], expected)


def test_outside_the_lungs_is_black_or_the_mean_of_the_full_images(archive, tmp_path):
    manifests, masks, images = archive
    full, black, gray = (tmp_path / f"{name}.json" for name in ("full", "black", "gray"))
    variants.pack("full", manifests, [], None, full, size=40)
    variants.pack("segmented_black", manifests, masks, None, black, size=40)
    variants.pack("segmented_gray", manifests, masks, full, gray, size=40)
    array, _ = variants.read_pack(full)
    mean, std = variants.mean_std(variants.read_pack(full)[1], {"a", "b", "c"})
    assert mean == pytest.approx(array.mean() / 255)
    assert std == pytest.approx(array.std() / 255)
    assert (variants.read_pack(black)[0][:, :8] == 0).all()
    assert variants.read_pack(black)[0][:, 12:28, 12:28].mean() > 50
    assert (variants.read_pack(gray)[0][:, :8] == round(mean * 255)).all()


def test_normalisation_is_measured_on_the_given_images_alone(archive, tmp_path):
    manifests, _, _ = archive
    variants.pack("full", manifests, [], None, tmp_path / "full.json", size=20)
    array, described = variants.read_pack(tmp_path / "full.json")
    mean, std = variants.mean_std(described, {"b", "not there"})
    assert mean == pytest.approx(array[1].mean() / 255)
    assert std == pytest.approx(array[1].std() / 255)
    with pytest.raises(InputError, match="no image"):
        variants.mean_std(described, set())


def test_a_damaged_array_is_refused(archive, tmp_path):
    manifests, _, _ = archive
    variants.pack("full", manifests, [], None, tmp_path / "full.json", size=20)
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
    with pytest.raises(InputError, match=r"b\.png: missing or damaged"):
        variants.pack("full", manifests, [], None, tmp_path / "full.json", size=20)
