"""Training a lung segmenter on tiny synthetic lungs."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sscdl.errors import InputError
from sscdl.segment.predict import load_segmenter
from sscdl.segment.training.augmentation import _expose, augment, diffuse_opacity
from sscdl.segment.training.compact import dice, segmentation_loss, train_segmenter
from sscdl.segment.training.pairs import pairs_from_folder, pairs_from_phantom
from sscdl.segment.training.phantom_pairs import phantom_pairs

SETTINGS = {
    "height": 128,
    "width": 128,
    "channels": 8,
    "epochs": 16,
    "phantom_epochs": 2,
    "seed": 0,
    "threads": 1,
    "mask_convention": "ellipses",
}


def ellipses(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image with two dark ellipses on a bright body, and the mask of the ellipses."""
    rows, columns = np.mgrid[:height, :width]
    mask = np.zeros((height, width), dtype=bool)
    for side in (0.3, 0.7):
        y, x = rng.normal(0.5, 0.03) * height, rng.normal(side, 0.02) * width
        a, b = rng.uniform(0.25, 0.35) * height, rng.uniform(0.1, 0.16) * width
        mask |= ((rows - y) / a) ** 2 + ((columns - x) / b) ** 2 <= 1.0
    image = np.where(mask, 80.0, 180.0) + rng.normal(0, 15, (height, width))
    return image.clip(0, 255).astype(np.uint8), mask


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with 24 pairs of twelve patients; the last two patients are the test set."""
    root = tmp_path_factory.mktemp("lungs")
    rng = np.random.default_rng(0)
    (root / "images").mkdir()
    (root / "masks").mkdir()
    with (root / "index.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "group", "split"])
        for number in range(24):
            image, mask = ellipses(rng, 100, 90)
            Image.fromarray(image).save(root / f"images/p{number}.png")
            Image.fromarray(mask.astype(np.uint8) * 255).save(root / f"masks/p{number}.png")
            writer.writerow([f"p{number}", f"g{number // 2}", "test" if number >= 20 else "train"])
    return root


def test_dice_by_hand() -> None:
    a, b = np.zeros((2, 4), dtype=bool), np.zeros((2, 4), dtype=bool)
    a[0], b[:, :2] = True, True
    assert dice(a, b) == 0.5
    assert dice(a, a) == 1.0
    assert dice(a, ~a) == 0.0
    assert dice(np.zeros_like(a), np.zeros_like(a)) == 1.0


def test_folder_is_split_by_groups_and_always_the_same(folder: Path) -> None:
    pairs = pairs_from_folder(folder)
    assert pairs == pairs_from_folder(folder)
    groups: dict[str, set[int]] = {"train": set(), "val": set(), "test": set()}
    for image, mask, split in pairs:
        assert image.name == mask.name
        groups[split].add(int(image.stem[1:]) // 2)
    assert groups["test"] == {10, 11}
    assert len(groups["val"]) == 2
    assert not groups["train"] & groups["val"]
    assert len(groups["train"] | groups["val"]) == 10


def test_pairs_without_a_split_keep_patients_together() -> None:
    images = [Path(f"i{n}.png") for n in range(20)]
    masks = [Path(f"m{n}.png") for n in range(20)]
    groups = [f"patient{n // 2}" for n in range(20)]
    pairs = pairs_from_phantom(images, masks, groups)
    splits = [split for _, _, split in pairs]
    assert [splits.count(s) for s in ("train", "val", "test")] == [12, 4, 4]
    assert splits[::2] == splits[1::2]
    assert [mask for _, mask, _ in pairs] == masks


def test_folder_faults_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no index\.csv"):
        pairs_from_folder(tmp_path)
    (tmp_path / "index.csv").write_text("name,split\na,train\n")
    with pytest.raises(InputError, match="column 'id' is missing"):
        pairs_from_folder(tmp_path)
    (tmp_path / "index.csv").write_text("id,split\na,train\n")
    with pytest.raises(InputError, match=r"a\.png is missing"):
        pairs_from_folder(tmp_path)


def test_training_learns_and_the_file_predicts_the_same(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "s.safetensors"
    pairs = pairs_from_folder(folder)
    with caplog.at_level(logging.INFO, logger="sscdl"):
        result = train_segmenter(pairs, [], out, **SETTINGS)
    history = result["history"]
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    assert result["dice"]["val"]["mean"] > 0.85
    assert result["dice"]["val"]["n"] == 4
    assert "test" not in result["dice"]
    assert history[-1]["val_dice"] > history[0]["val_dice"]
    assert json.loads(Path(f"{out}.json").read_text()) == result
    lines = [r.getMessage() for r in caplog.records if "segmenter pairs" in r.getMessage()]
    assert len(lines) == SETTINGS["epochs"]
    assert all(word in lines[0] for word in ("loss", "val Dice", "images/s", "ETA"))

    segmenter = load_segmenter(out)
    assert segmenter.mask_convention == "ellipses"
    scores = []
    for image, mask, split in pairs:
        if split == "val":
            ((_, post),) = segmenter.predict([np.asarray(Image.open(image))])
            scores.append(dice(post, np.asarray(Image.open(mask)) > 127))
    assert np.mean(scores) == pytest.approx(result["dice"]["val"]["mean"], abs=1e-9)


def test_phantoms_come_first_and_pairs_may_do_without_validation(
    folder: Path, tmp_path: Path
) -> None:
    phantoms = phantom_pairs(tmp_path, 8, 0, behind_heart=True)
    pairs = [pair for pair in pairs_from_folder(folder) if pair[2] == "train"][:4]
    settings = SETTINGS | {"epochs": 1}
    both = train_segmenter(pairs, phantoms, tmp_path / "both.safetensors", **settings)
    phases = [(line["phase"], line["epoch"]) for line in both["history"]]
    assert phases == [("phantoms", 1), ("phantoms", 2), ("pairs", 1)]
    assert "val_dice" in both["history"][0]
    assert "val_dice" not in both["history"][2]
    assert set(both["dice"]) == {"train"}
    alone = train_segmenter([], phantoms, tmp_path / "alone.safetensors", **settings)
    assert both["history"][:2] == alone["history"]
    assert set(alone["dice"]) == {"train", "val"}


def test_masks_of_phantoms_follow_the_convention(tmp_path: Path) -> None:
    masks = []
    for name, behind_heart in (("with", True), ("without", False)):
        (tmp_path / name).mkdir()
        (_, path, _), *_ = phantom_pairs(tmp_path / name, 4, 0, behind_heart=behind_heart)
        masks.append(np.asarray(Image.open(path)) > 127)
    whole, part = masks
    assert not (part & ~whole).any()
    hidden = whole & ~part
    assert 0.02 < hidden.mean() < 0.15
    # The heart lies low and around the midline.
    rows, columns = np.argwhere(hidden).T / len(hidden)
    assert np.median(rows) > 0.5
    assert 0.3 < np.median(columns) < 0.7


def test_training_repeats_bit_for_bit_and_leaves_the_global_generator_alone(
    folder: Path, tmp_path: Path
) -> None:
    pairs = pairs_from_folder(folder)[:6] + pairs_from_folder(folder)[-2:]
    pairs = [(i, m, ("train", "val")[n % 4 == 3]) for n, (i, m, _) in enumerate(pairs)]
    settings = SETTINGS | {"epochs": 1}
    content = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        before = torch.get_rng_state()
        train_segmenter(pairs, [], tmp_path / f"{name}.safetensors", **settings | {"seed": seed})
        assert torch.equal(before, torch.get_rng_state())
        content.append((tmp_path / f"{name}.safetensors").read_bytes())
    assert content[0] == content[1]
    assert content[0] != content[2]


def test_training_needs_something_to_train_on_and_masks_that_fit(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "s.safetensors"
    with pytest.raises(InputError, match="neither pairs nor phantoms"):
        train_segmenter([], [], out, **SETTINGS)
    pairs = [pair for pair in pairs_from_folder(folder) if pair[2] == "train"]
    with pytest.raises(InputError, match="there must be train"):
        train_segmenter([(*pairs[0][:2], "test")], [], out, **SETTINGS)
    with pytest.raises(InputError, match="holdout"):
        train_segmenter([pairs[0], (*pairs[1][:2], "holdout")], [], out, **SETTINGS)
    small = tmp_path / "small.png"
    Image.fromarray(np.zeros((10, 10), dtype=np.uint8)).save(small)
    with pytest.raises(InputError, match=r"small\.png"):
        train_segmenter([(pairs[0][0], small, "train")], [], out, **SETTINGS)
    assert not out.exists()


def test_loss_is_cross_entropy_and_one_less_dice() -> None:
    masks = torch.zeros(2, 1, 4, 4)
    masks[:, :, :2] = 1.0
    sure = segmentation_loss(50.0 * (2 * masks - 1), masks)
    assert sure.item() == pytest.approx(0.0, abs=1e-6)
    # At a logit of zero: ln 2, and a Dice of (2 * 4 + 1) / (8 + 8 + 1).
    unsure = segmentation_loss(torch.zeros_like(masks), masks)
    assert unsure.item() == pytest.approx(np.log(2) + 1 - 9 / 17)


def test_augmentation_moves_image_and_mask_together() -> None:
    rng = np.random.default_rng(3)
    _, mask = ellipses(rng, 192, 128)
    masks = torch.from_numpy(mask.astype(np.float32))[None, None].repeat(6, 1, 1, 1)
    generators = [np.random.default_rng([1, n]) for n in range(6)]
    images, moved = augment(masks, masks, generators, imputation=0.0)
    # The exposure changes the bright lung of this image, but never as far as the dark around it.
    agreement = [
        dice((i > 0.4).numpy(), m.bool().numpy()) for i, m in zip(images, moved, strict=True)
    ]
    assert min(agreement) > 0.97
    assert len({tuple(m.flatten().tolist()) for m in moved}) == 6


def test_augmentation_belongs_to_the_image_not_to_the_batch() -> None:
    images = torch.rand(3, 1, 128, 128)
    together, _ = augment(images, images, [np.random.default_rng(n) for n in range(3)], 1.0)
    alone, _ = augment(images[2:], images[2:], [np.random.default_rng(2)], 1.0)
    torch.testing.assert_close(together[2:], alone)


def test_exposure_changes_values_but_not_the_border() -> None:
    images = torch.rand(4, 1, 128, 128).clamp(min=0.2)
    images[:, :, :, :10] = 0.0
    exposed = torch.stack(
        [_expose(image, np.random.default_rng(n)) for n, image in enumerate(images)]
    )
    assert not exposed[:, :, :, :10].any()
    assert exposed.min() >= 0.0
    assert exposed.max() <= 1.0
    assert float((exposed - images).abs().mean()) > 0.03


def test_rotation_keeps_lengths_in_a_field_that_is_no_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, neutral in (("ZOOM", 1.0), ("STRETCH", 1.0), ("SHEAR", 0.0), ("SHIFT", 0.0)):
        monkeypatch.setattr(f"sscdl.segment.training.augmentation.{name}", neutral)
    monkeypatch.setattr("sscdl.segment.training.augmentation.BEND_PROBABILITY", 0.0)
    monkeypatch.setattr("sscdl.segment.training.augmentation.ROTATION_DEGREES", 45.0)
    rows, columns = np.mgrid[:256, :128]
    disc = torch.from_numpy((rows - 127.5) ** 2 + (columns - 63.5) ** 2 <= 40.0**2).float()
    masks = disc[None, None].repeat(5, 1, 1, 1)
    _, moved = augment(masks, masks, [np.random.default_rng(n) for n in range(5)], 0.0)
    assert float((moved != masks).float().mean()) < 0.005


def test_imputation_hides_lung_in_the_image_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sscdl.segment.training.augmentation.NOISE_PROBABILITY", 0.0)
    monkeypatch.setattr("sscdl.segment.training.augmentation.BLUR_PROBABILITY", 0.0)
    masks = torch.zeros(40, 1, 128, 128)
    masks[:, :, 40:90, 40:90] = 1.0
    images = 0.25 * torch.ones_like(masks)
    plain, plain_masks = augment(images, masks, [np.random.default_rng(n) for n in range(40)], 0.0)
    seeds = [np.random.default_rng(n) for n in range(40)]
    hidden, hidden_masks = augment(images, masks, seeds, 1.0)
    assert torch.equal(plain_masks, hidden_masks)
    changed = [(p != h).float().mean().item() for p, h in zip(plain, hidden, strict=True)]
    # A block covers up to a quarter of the field, opacities change the whole of it.
    blocks = [share for share in changed if share <= 0.25]
    assert min(changed) > 0.02
    assert 8 < len(blocks) < 32
    assert min(share for share in changed if share > 0.25) > 0.5


def test_diffuse_opacities_are_soft_and_bounded() -> None:
    opacity = diffuse_opacity(160, 128, np.random.default_rng(0))
    assert opacity.shape == (160, 128)
    assert opacity.min() >= 0.0
    assert 0.5 < opacity.max() <= 1.0
    assert np.abs(np.diff(opacity, axis=0)).max() < 0.2
