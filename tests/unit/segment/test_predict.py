"""Segmenters as files, and the masks that they write."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sscdl.errors import InputError
from sscdl.segment.given import copy_given_masks
from sscdl.segment.networks.checkpoint import Architecture, save_checkpoint
from sscdl.segment.predict import Segmenter, load_segmenter, segment_shard
from sscdl.segment.processing.postprocess import count_components
from tests.unit.records import write_manifest


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
    return write_manifest(folder / "images.json", "images", entries)


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
    with pytest.raises(InputError, match=r"i1\.png: is not the picture .*images\.json"):
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
    with pytest.raises(InputError, match="no named tensors"):
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
