"""Preparing images for the segmenter, and making masks of what it says."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.morphology import closing, disk

from sscdl.errors import InputError
from sscdl.segment.checkpoint import Architecture, save_checkpoint
from sscdl.segment.given import copy_given_masks
from sscdl.segment.postprocess import (
    close_gaps,
    closing_radius,
    count_components,
    largest_components,
    lung_field,
    masks_of,
)
from sscdl.segment.predict import Segmenter, load_segmenter, segment_shard
from sscdl.segment.preprocess import place_mask, placement, preprocess, restore

SMALL = {"height": 128, "width": 128, "border": 6}
GRAY = ["a_square", "b_portrait", "c_landscape", "d_noise", "g_gray16", "h_large"]


def golden_image(golden: Path, name: str) -> np.ndarray:
    if not name.startswith("dicom_"):
        return np.asarray(Image.open(golden / f"images/{name}.png"))
    import pydicom

    data = pydicom.dcmread(golden / f"dicom/{name.removeprefix('dicom_')}.DCM")
    pixels = data.pixel_array
    return pixels.max() - pixels if data.PhotometricInterpretation == "MONOCHROME1" else pixels


@pytest.mark.parametrize("name", [*GRAY, "dicom_m1", "dicom_m2"])
def test_field_agrees_with_the_original(lungvae_golden: Path, name: str) -> None:
    expected = np.load(lungvae_golden / f"preprocess/{name}.npz")
    where = json.loads((lungvae_golden / "preprocess/geometry.json").read_text())[name]
    field, found = preprocess(golden_image(lungvae_golden, name))
    keys = ("h", "w", "hLoc", "wLoc", "imH", "imW")
    assert tuple(found) == tuple(where[key] for key in keys)
    largest = float(np.abs(field[::3, ::3] - expected["eq_s3"]).max())
    assert largest < 1e-5
    assert field.sum(dtype=np.float64) == pytest.approx(expected["eq_sum"][0], rel=1e-5)
    if "eq_full" in expected:
        largest = max(largest, float(np.abs(field - expected["eq_full"]).max()))
        assert largest < 1e-5
    # The original does not scale a MONOCHROME1 image again once it is inverted.
    if name != "dicom_m1":
        plain, _ = preprocess(golden_image(lungvae_golden, name), equalise=False)
        assert np.abs(plain[::3, ::3] - expected["raw_s3"]).max() < 1e-5
    print(f"\npreprocess/{name}: {largest:.1e}")


def test_post_processing_agrees_with_the_original(lungvae_golden: Path) -> None:
    cases = np.load(lungvae_golden / "post/cases.npz")
    names = [key.removeprefix("in_") for key in cases.files if key.startswith("in_")]
    differing = {
        name: int((lung_field(cases[f"in_{name}"]) != cases[f"out_{name}"].astype(bool)).sum())
        for name in names
    }
    print(f"\npost: differing pixels {differing}")
    # The original makes an empty prediction all white; here it stays empty, to be reported.
    assert differing.pop("empty") == cases["out_empty"].size
    assert len(differing) == 13
    assert not any(differing.values())
    assert not lung_field(cases["in_empty"]).any()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((512, 512), (6, 6, 116, 116)),
        ((300, 200), (6, 25, 116, 77)),
        ((100, 1000), (58, 6, 11, 116)),
        ((3, 2000), (63, 6, 1, 116)),
        ((2000, 3), (6, 63, 116, 1)),
        ((1, 1), (6, 6, 116, 116)),
    ],
)
def test_placement_keeps_the_aspect_inside_the_border(
    shape: tuple[int, int], expected: tuple[int, ...]
) -> None:
    assert placement(*shape, **SMALL)[:4] == expected
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        field, where = preprocess(image, **SMALL)
    outside = field.copy()
    where.crop(outside)[:] = 0
    assert field.shape == (128, 128)
    assert not outside.any()
    assert restore(field, where).shape == shape


def test_a_portrait_that_rounds_to_447_wide_fits() -> None:
    where = placement(1288, 1000, height=640, width=512, border=32)
    assert (where.height, where.width) == (576, 447)
    field, _ = preprocess(np.arange(1288 * 1000, dtype=np.uint32).reshape(1288, 1000))
    assert field.max() > 0.9


@pytest.mark.parametrize("value", [0, 7])
def test_an_image_of_one_value_gives_a_zero_field(value: int) -> None:
    field, _ = preprocess(np.full((40, 30), value, dtype=np.uint8), **SMALL)
    assert not field.any()
    assert np.isfinite(field).all()


def test_equalisation_does_not_depend_on_the_scale_of_values() -> None:
    image = np.random.default_rng(1).integers(0, 200, (90, 80)).astype(np.uint16)
    np.testing.assert_allclose(
        preprocess(image, **SMALL)[0], preprocess(image * 100, **SMALL)[0], atol=1e-6
    )


def test_mask_goes_into_the_field_and_back() -> None:
    mask = np.zeros((200, 150), dtype=bool)
    mask[50:150, 20:60] = mask[50:150, 90:130] = True
    where = placement(*mask.shape, **SMALL)
    back = restore(place_mask(mask, **SMALL), where) > 0.5
    assert (back != mask).mean() < 0.02


@pytest.mark.parametrize("radius", [1, 2, 11])
def test_closing_equals_that_by_a_structuring_element(radius: int) -> None:
    mask = np.random.default_rng(radius).random((90, 70)) > 0.97
    expected = closing(np.pad(mask, 30), disk(radius))
    inner = np.zeros((150, 130), dtype=bool)
    inner[30:-30, 30:-30] = mask
    np.testing.assert_array_equal(close_gaps(inner, radius), expected)


def test_two_largest_eight_connected_components_remain() -> None:
    mask = np.zeros((20, 20), dtype=bool)
    mask[1, 1] = mask[2, 2] = mask[3, 3] = True
    mask[10, 1:3] = True
    mask[15:18, 10:13] = True
    kept = largest_components(mask)
    assert count_components(mask) == 3
    assert count_components(kept) == 2
    assert kept[2, 2]
    assert not kept[10, 1]


def test_radius_follows_the_field() -> None:
    assert [closing_radius(h) for h in (640, 128, 64, 192)] == [11, 2, 1, 3]


def test_an_empty_prediction_stays_empty() -> None:
    where = placement(50, 60, **SMALL)
    raw, post = masks_of(np.full((128, 128), 0.5), where)
    assert raw.shape == post.shape == (50, 60)
    assert not raw.any()
    assert not post.any()


# ---- files ---------------------------------------------------------------------------------


def write_segmenter(path: Path, bias: float | None = None) -> Path:
    """Write a small random segmenter; ``bias`` makes it answer the same everywhere.

    Without it the answer is about half lung: random weights alone lean to one side.
    """
    torch.manual_seed(0)
    shape = Architecture(4, 4, 128, 128, unet=False, per_image=True, border=6)
    network = shape.build()
    if bias is None:
        image = torch.rand(1, 1, 128, 128)
        with torch.no_grad():
            network.dec12.bias -= network(image)[0].mean()
    else:
        torch.nn.init.zeros_(network.dec12.weight)
        torch.nn.init.constant_(network.dec12.bias, bias)
    save_checkpoint(path, network, shape, "whole lungs")
    return path


def write_images(folder: Path, shapes: list[tuple[int, int]]) -> Path:
    """Write noise images and their manifest."""
    rng = np.random.default_rng(5)
    (folder / "png").mkdir(parents=True)
    entries = []
    for number, shape in enumerate(shapes):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(
            folder / f"png/i{number}.png"
        )
        entries.append({"image_id": f"i{number}", "png": f"i{number}.png"})
    manifest = folder / "images.json"
    manifest.write_text(json.dumps({"images": entries}))
    return manifest


def test_segmenter_round_trip_and_batches(tmp_path: Path) -> None:
    segmenter = load_segmenter(write_segmenter(tmp_path / "s.safetensors"))
    assert segmenter.mask_convention == "whole lungs"
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, s, dtype=np.uint8) for s in [(90, 80), (64, 120), (150, 40)]]
    images.append(np.zeros((33, 44), dtype=np.uint8))
    together = segmenter.predict(images, batch_size=4)
    for image, (raw, post) in zip(images, together, strict=True):
        ((one_raw, one_post),) = segmenter.predict([image])
        assert raw.shape == post.shape == image.shape
        assert raw.dtype == bool
        # Convolutions of a batch may round differently in the last place.
        assert (raw != one_raw).mean() < 1e-3
        assert (post != one_post).mean() < 1e-2
    assert 0.0 < together[0][0].mean() < 1.0
    assert not together[3][0].any()


def test_what_is_found_outside_the_image_is_no_lung() -> None:
    class Everywhere(torch.nn.Module):
        """Finds one big lung in the margin above a wide image and two small ones in it."""

        def __init__(self) -> None:
            super().__init__()
            self.dummy = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits = torch.full_like(x, -5.0)
            logits[:, :, :30] = logits[:, :, -30:] = 5.0
            logits[:, :, 55:75, 30:45] = logits[:, :, 55:75, 80:95] = 5.0
            return logits, torch.zeros(())

    shape = Architecture(4, 4, 128, 128, unet=False, per_image=True, border=6)
    image = np.random.default_rng(0).integers(0, 256, (50, 116), dtype=np.uint8)
    ((raw, post),) = Segmenter(Everywhere(), shape, "").predict([image])
    assert count_components(raw) == count_components(post) == 2


def test_shard_records_masks_and_repeats_bit_for_bit(tmp_path: Path) -> None:
    manifest = write_images(tmp_path, [(60, 50), (70, 90), (40, 40)])
    segmenter = write_segmenter(tmp_path / "s.safetensors")
    results = []
    for run in ("a", "b"):
        out = tmp_path / run / "masks.json"
        segment_shard(
            manifest, tmp_path / "png", segmenter, out.parent, out, hull=False, batch_size=2
        )
        results.append(json.loads(out.read_text()))
    assert results[0] == results[1]
    assert results[0]["mask_convention"] == "whole lungs"
    for number, record in enumerate(results[0]["masks"]):
        mask = np.asarray(Image.open(tmp_path / "a" / record["png"]))
        raw = np.asarray(Image.open(tmp_path / "a" / record["raw_png"]))
        content = (tmp_path / "a" / record["png"]).read_bytes()
        assert record["image_id"] == f"i{number}"
        assert mask.shape == raw.shape
        assert set(np.unique(mask)) <= {0, 255}
        assert record["area"] == pytest.approx((mask == 255).mean())
        assert record["empty"] == (not mask.any())
        assert record["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(("bias", "empty", "area"), [(-1.0, True, 0.0), (1.0, False, 1.0)])
def test_shard_flags_empty_predictions(
    tmp_path: Path, bias: float, empty: bool, area: float
) -> None:
    manifest = write_images(tmp_path, [(60, 50)])
    segmenter = write_segmenter(tmp_path / "s.safetensors", bias)
    out = tmp_path / "m" / "masks.json"
    segment_shard(manifest, tmp_path / "png", segmenter, out.parent, out, hull=False)
    (record,) = json.loads(out.read_text())["masks"]
    assert record["empty"] is empty
    assert record["area"] == area
    assert record["components"] == (0 if empty else 1)


def test_shard_names_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    manifest = write_images(tmp_path, [(60, 50), (60, 50)])
    broken = tmp_path / "png/i1.png"
    broken.write_bytes(broken.read_bytes()[:200])
    segmenter = write_segmenter(tmp_path / "s.safetensors")
    out = tmp_path / "m" / "masks.json"
    with pytest.raises(InputError, match=r"i1\.png"):
        segment_shard(manifest, tmp_path / "png", segmenter, out.parent, out, hull=False)
    assert not out.exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"<html>not found</html>" * 50])
def test_damaged_segmenters_are_input_errors(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"s{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        load_segmenter(path)


def test_foreign_and_missing_segmenters_are_input_errors(tmp_path: Path) -> None:
    foreign = tmp_path / "resnet.pt"
    torch.save({"conv1.weight": torch.zeros(3)}, foreign)
    with pytest.raises(InputError, match="no lungVAE state dict"):
        load_segmenter(foreign)
    torch.save([1, 2], foreign)
    with pytest.raises(InputError, match="no plain state dict"):
        load_segmenter(foreign)
    with pytest.raises(InputError, match="no such file"):
        load_segmenter(tmp_path / "none.pt")
    whole = write_segmenter(tmp_path / "s.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged"):
        load_segmenter(tmp_path / "half.safetensors")


@pytest.mark.parametrize(
    ("name", "unet", "channels"), [("default_vae", False, 16), ("default_unet_hid24", True, 24)]
)
def test_legacy_gpu_checkpoints_of_the_authors_load(
    lungvae_golden: Path, tmp_path: Path, name: str, unet: bool, channels: int
) -> None:
    path = tmp_path / "lungVAE.pt"
    path.write_bytes(lzma.decompress((lungvae_golden / f"ckpt/{name}.pt.xz").read_bytes()))
    segmenter = load_segmenter(path)
    shape = segmenter.architecture
    assert (shape.unet, shape.channels, shape.height, shape.width) == (unet, channels, 640, 512)
    assert (shape.border, shape.per_image) == (32, True)
    original = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    state = segmenter.network.state_dict()
    assert all(torch.equal(state[key], value) for key, value in original.items())


def test_checkpoint_of_another_field_needs_to_be_told(lungvae_golden: Path) -> None:
    path = lungvae_golden / "ckpt/tiny_vae.pt"
    with pytest.raises(InputError, match="640 x 512"):
        load_segmenter(path)
    assert load_segmenter(path, field=(192, 128)).architecture.latent == 3


def test_given_masks_are_resized_thresholded_and_missing_ones_recorded(tmp_path: Path) -> None:
    manifest = write_images(tmp_path, [(60, 50), (60, 50), (60, 50), (60, 50)])
    given = tmp_path / "given"
    given.mkdir()
    gray = np.zeros((30, 25), dtype=np.uint8)
    gray[:15], gray[15:] = 128, 127
    Image.fromarray(gray).save(given / "i0.png")
    Image.fromarray((gray > 127).astype(np.uint8)).save(given / "i1.png")
    Image.fromarray(np.zeros((60, 50), dtype=np.uint8)).save(given / "i3.png")
    out = tmp_path / "m" / "masks.json"
    copy_given_masks(manifest, tmp_path / "png", given, out.parent, out, hull=False)
    records = json.loads(out.read_text())["masks"]
    assert [r["missing"] for r in records] == [False, False, True, False]
    assert [r["empty"] for r in records] == [False, False, True, True]
    assert [r["area"] for r in records] == [0.5, 0.5, 0.0, 0.0]
    assert records[2]["png"] is None
    mask = np.asarray(Image.open(out.parent / records[0]["png"]))
    assert mask.shape == (60, 50)
    assert (mask[:30] == 255).all()
    assert not mask[30:].any()


def test_given_masks_that_match_no_image_are_an_input_error(tmp_path: Path) -> None:
    manifest = write_images(tmp_path, [(60, 50)])
    (tmp_path / "given").mkdir()
    with pytest.raises(InputError, match=r"i0\.png"):
        copy_given_masks(
            manifest,
            tmp_path / "png",
            tmp_path / "given",
            tmp_path,
            tmp_path / "m.json",
            hull=False,
        )
