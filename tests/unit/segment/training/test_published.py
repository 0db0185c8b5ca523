"""The published recipe: its augmentation, its step (see test_segment_golden), and its training."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sscdl.errors import InputError
from sscdl.segment.networks.uvae import ImageNorm
from sscdl.segment.predict import load_segmenter
from sscdl.segment.training import published
from sscdl.segment.training.pairs import Pair
from sscdl.segment.training.published import train_published
from sscdl.segment.training.published_augmentation import (
    Draws,
    apply,
    augment_published,
    draw,
    opacity_set,
)

NEVER = Draws(0.0, 0.0, 0.0, 0.0, None)
NOTHING = np.zeros((0, 64, 64), np.float32)
SETTINGS = {
    "height": 128,
    "width": 64,
    "channels": 4,
    "latent": 2,
    "unet": False,
    "epochs": 3,
    "seed": 0,
    "threads": 1,
    "mask_convention": "boxes",
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    """Pairs of noise with two dark boxes, and the masks of the boxes."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    found = []
    for number, split in enumerate(["train"] * 6 + ["val"] * 2 + ["test"]):
        mask = np.zeros((64, 60), bool)
        top = rng.integers(10, 20)
        mask[top : top + 30, 8:26] = mask[top : top + 30, 34:52] = True
        image = (np.where(mask, 60, 180) + rng.normal(0, 10, mask.shape)).clip(0, 255)
        paths = folder / f"{number}.png", folder / f"{number}.mask.png"
        Image.fromarray(image.astype(np.uint8)).save(paths[0])
        Image.fromarray(mask.astype(np.uint8) * 255).save(paths[1])
        found.append((*paths, split))
    return found


def picture() -> tuple[np.ndarray, np.ndarray]:
    image = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    return image, (image > 0.5).astype(np.float32)


def test_without_an_event_nothing_changes() -> None:
    image, mask = picture()
    for kind in ("none", "block", "blur", "both"):
        found = apply(image, mask, NEVER, kind, NOTHING)
        assert np.array_equal(found[0], image)
        assert np.array_equal(found[1], mask)


def test_flips_move_image_and_mask_and_only_where_nothing_is_hidden() -> None:
    image, mask = picture()
    flipped = apply(image, mask, NEVER._replace(mirror=0.2), "none", NOTHING)
    assert all(np.array_equal(a, b[:, ::-1]) for a, b in zip(flipped, (image, mask), strict=True))
    flipped = apply(image, mask, NEVER._replace(upend=0.2), "none", NOTHING)
    assert all(np.array_equal(a, b[::-1]) for a, b in zip(flipped, (image, mask), strict=True))
    kept = apply(image, mask, NEVER._replace(mirror=0.9, upend=0.9), "both", NOTHING)
    assert np.array_equal(kept[0], image)


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [("block", (0.15, 0.3, 0.6, 0.95)), ("both", (0.11, 0.2, 0.3, 0.44))],
)
def test_a_block_covers_each_of_four_halves_of_the_image_only(
    kind: str, numbers: tuple[float, ...]
) -> None:
    image, mask = picture()
    halves = (np.s_[:32], np.s_[:, 32:], np.s_[:, :32], np.s_[32:])
    for number, half in zip(numbers, halves, strict=True):
        before = image.copy()
        hidden, kept = apply(image, mask, NEVER._replace(imputation=number), kind, NOTHING)
        expected = image.copy()
        expected[half] = np.float32(0.85)
        assert np.array_equal(hidden, expected)
        assert np.array_equal(kept, mask)
        assert np.array_equal(image, before)


@pytest.mark.parametrize(("kind", "number"), [("blur", 0.2), ("both", 0.46)])
def test_an_opacity_is_added_and_not_clipped(kind: str, number: float) -> None:
    image, mask = picture()
    opacities = opacity_set(3, 64, 64, 0)
    draws = NEVER._replace(imputation=number, opacity=2)
    hidden, kept = apply(image, mask, draws, kind, opacities)
    np.testing.assert_allclose(hidden, image + 0.6 * opacities[2] - 0.1, atol=1e-6)
    assert hidden.max() > 1.0
    assert hidden.min() < 0.0
    assert np.array_equal(kept, mask)


def test_draws_are_uniform_and_an_opacity_is_drawn_where_one_is_needed() -> None:
    rng = np.random.default_rng(0)
    found = [draw(rng, "both", 4) for _ in range(4000)]
    assert np.mean([d.imputation > 0.1 for d in found]) == pytest.approx(0.9, abs=0.02)
    assert all((d.opacity is None) == (d.imputation <= 0.1) for d in found)
    assert {d.opacity for d in found} == {None, 0, 1, 2, 3}
    assert all(draw(rng, "block", 4).opacity is None for _ in range(20))


def test_a_batch_is_augmented_by_each_images_own_numbers() -> None:
    image, mask = picture()
    images = torch.from_numpy(np.stack([image, image * 0.5])).unsqueeze(1)
    masks = torch.from_numpy(np.stack([mask, 1 - mask])).unsqueeze(1)
    opacities = opacity_set(2, 64, 64, 1)
    together = augment_published(
        images, masks, [np.random.default_rng(n) for n in (5, 6)], "both", opacities
    )
    alone = augment_published(images[1:], masks[1:], [np.random.default_rng(6)], "both", opacities)
    assert together[0].shape == images.shape
    assert together[0].dtype == torch.float32
    assert all(torch.equal(a[1:], b) for a, b in zip(together, alone, strict=True))
    assert set(together[1].unique().tolist()) <= {0.0, 1.0}


def test_opacities_are_soft_and_bounded() -> None:
    opacities = opacity_set(4, 160, 128, 0)
    assert opacities.shape == (4, 160, 128)
    assert opacities.min() >= 0.0
    assert 0.8 < opacities.max() <= 1.0
    assert np.abs(np.diff(opacities, axis=1)).max() < 0.1
    assert 0.1 < opacities.mean() < 0.5
    np.testing.assert_array_equal(opacities, opacity_set(4, 160, 128, 0))
    assert not np.array_equal(opacities, opacity_set(4, 160, 128, 1))


@pytest.mark.parametrize("unet", [False, True])
def test_training_writes_a_segmenter_and_what_became_of_it(
    pairs: list[Pair], tmp_path: Path, caplog: pytest.LogCaptureFixture, unet: bool
) -> None:
    out = tmp_path / "s.safetensors"
    with caplog.at_level(logging.INFO, logger="sscdl"):
        result = train_published(pairs, out, **SETTINGS | {"unet": unet})
    assert json.loads(Path(f"{out}.json").read_text()) == result
    assert len(result["history"]) == 3
    losses = [epoch["val_loss"] for epoch in result["history"]]
    assert result["best_epoch"] == int(np.argmin(losses)) + 1
    assert {split: found["n"] for split, found in result["dice"].items()} == {
        "train": 6,
        "val": 2,
    }
    assert (result["recipe"]["batch_size"], result["recipe"]["patience"]) == (12, 20)
    lines = [r.getMessage() for r in caplog.records if "lungVAE epoch" in r.getMessage()]
    assert len(lines) == 3
    assert all(word in lines[0] for word in ("loss", "val loss", "images/s", "ETA"))
    segmenter = load_segmenter(out)
    assert segmenter.architecture.per_image
    assert segmenter.mask_convention == "boxes"


def test_training_repeats_bit_for_bit_and_leaves_the_global_generator_alone(
    pairs: list[Pair], tmp_path: Path
) -> None:
    content = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        before = torch.get_rng_state()
        settings = SETTINGS | {"epochs": 1, "seed": seed}
        train_published(pairs, tmp_path / f"{name}.safetensors", **settings)
        assert torch.equal(before, torch.get_rng_state())
        content.append((tmp_path / f"{name}.safetensors").read_bytes())
    assert content[0] == content[1]
    assert content[0] != content[2]


def test_the_best_state_is_kept_and_patience_ends_training(
    pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses, states = [3.0, 1.0, 2.0, 1.5, 1.2, 0.1], []

    def told(network: torch.nn.Module, *_: torch.Tensor) -> float:
        states.append({name: value.clone() for name, value in network.state_dict().items()})
        return losses[len(states) - 1]

    monkeypatch.setattr(published, "_validation_loss", told)
    out = tmp_path / "s.safetensors"
    result = train_published(pairs, out, **SETTINGS | {"epochs": 6}, patience=3)
    assert result["best_epoch"] == 2
    assert [epoch["val_loss"] for epoch in result["history"]] == losses[:5]
    kept = load_segmenter(out).network.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in states[1].items())


def test_every_step_is_the_recorded_one_on_statistics_of_the_batch(
    pairs: list[Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    original = published.train_step

    def watched(network, optimiser, images, masks, eps):
        norms = [m for m in network.modules() if isinstance(m, ImageNorm)]
        steps.append((len(images), network.training, {m.per_image for m in norms}))
        (group,) = optimiser.param_groups
        assert (type(optimiser), group["lr"], group["weight_decay"]) == (
            torch.optim.Adam,
            1e-4,
            1e-5,
        )
        return original(network, optimiser, images, masks, eps)

    monkeypatch.setattr(published, "train_step", watched)
    train_published(pairs, tmp_path / "s.safetensors", **SETTINGS | {"epochs": 2}, batch_size=4)
    assert steps == [(4, True, {False}), (2, True, {False})] * 2


def test_training_learns(pairs: list[Pair], tmp_path: Path) -> None:
    settings = SETTINGS | {"epochs": 30, "channels": 8}
    result = train_published(pairs, tmp_path / "s.safetensors", **settings, batch_size=2)
    losses = [epoch["val_loss"] for epoch in result["history"]]
    assert min(losses) < 0.9 * losses[0]


def test_without_validation_pairs_nothing_is_trained(pairs: list[Pair], tmp_path: Path) -> None:
    training = [pair for pair in pairs if pair[2] == "train"]
    with pytest.raises(InputError, match="val"):
        train_published(training, tmp_path / "s.safetensors", **SETTINGS)
