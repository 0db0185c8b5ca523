"""Scores of lung masks, and the segmenter that comes with the project."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion, distance_transform_edt

from sscdl.phantom.radiograph import render
from sscdl.segment.networks import default
from sscdl.segment.predict import load_segmenter
from sscdl.segment.training.evaluation import agreement, classical_lungs
from tests.conftest import ROOT


def square(left: int, size: int = 20) -> np.ndarray:
    """Return a filled square in a picture of 30 x 40."""
    mask = np.zeros((30, 40), bool)
    mask[5 : 5 + size, left : left + size] = True
    return mask


def edge(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask that have a pixel outside of it above, below or beside them."""
    return mask & ~binary_erosion(mask)


def test_scores_by_hand() -> None:
    same = agreement(square(5), square(5))
    assert (same.dice, same.iou, same.boundary, same.boundary95) == (1.0, 1.0, 0.0, 0.0)
    # Two columns of twenty are moved: 18 of 20 in common, 22 in either.
    moved = agreement(square(5), square(7))
    assert moved.dice == pytest.approx(18 / 20)
    assert moved.iou == pytest.approx(18 / 22)
    # The diagonal is 50 pixels; left and right edges are two off, the others touch.
    assert 0.0 < moved.boundary < 2 * 2.0
    assert moved.boundary95 == pytest.approx(2 * 2.0)


def test_boundary_distance_agrees_with_distance_transforms() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        y, x = np.mgrid[:60, :80]
        masks = []
        for _ in range(2):
            centre, radii = rng.uniform((20, 30), (40, 50)), rng.uniform(8, 18, 2)
            masks.append(((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 < 1)
        edges = [edge(mask) for mask in masks]
        away = [distance_transform_edt(~one)[other] for one, other in (edges, edges[::-1])]
        expected = np.concatenate(away)
        found = agreement(*masks)
        assert found.boundary == pytest.approx(expected.mean(), rel=1e-5)
        assert found.boundary95 == pytest.approx(np.percentile(expected, 95), rel=1e-5)


def test_an_empty_mask_has_no_boundary() -> None:
    empty = np.zeros((30, 40), bool)
    assert agreement(empty, square(5)).dice == 0.0
    assert np.isnan(agreement(empty, square(5)).boundary)
    assert agreement(empty, empty).iou == 1.0


@pytest.fixture(scope="module")
def phantoms() -> list[tuple[np.ndarray, np.ndarray]]:
    """Images and lungs, with the part behind the heart, of patients that no training draws."""
    found = []
    for seed in range(12):
        label = ("negative", "typical", "atypical")[seed % 3]
        phantom = render(seed, label, 256, ap=seed % 2 == 1, female=seed % 4 == 0)
        pixels = np.round(np.clip(phantom.pixels, 0, 1) * 255).astype(np.uint8)
        found.append((pixels, phantom.whole_lungs))
    return found


def test_the_default_segmenter_finds_lungs_and_beats_classical_processing(phantoms) -> None:
    segmenter = load_segmenter(default.PATH)
    assert segmenter.mask_convention == default.CONVENTION
    masks = [segmenter.predict([image])[0][1] for image, _ in phantoms]
    ours = [agreement(m, t).dice for m, (_, t) in zip(masks, phantoms, strict=True)]
    classical = [agreement(classical_lungs(image), t).dice for image, t in phantoms]
    assert min(ours) > 0.8
    assert np.mean(ours) > 0.9
    assert np.mean(ours) > np.mean(classical) + 0.1
    assert np.mean(classical) > 0.4, "no straw man"


def test_the_default_segmenter_on_radiographs_whose_masks_people_drew(shared_data) -> None:
    folder = shared_data / "lung-masks"
    segmenter = load_segmenter(default.PATH)
    with (folder / "index.csv").open(newline="") as handle:
        chosen = [row["id"] for row in csv.DictReader(handle) if row["split"] == "test"]
    scores = []
    for name in chosen:
        image = np.asarray(Image.open(folder / "images" / f"{name}.png").convert("L"))
        truth = np.asarray(Image.open(folder / "masks" / f"{name}.png").convert("L")) > 127
        scores.append(agreement(segmenter.predict([image])[0][1], truth).dice)
    card = (default.PATH.parent / "README.md").read_text()
    assert f"{np.mean(scores):.3f}" in card, "the card tells another Dice"
    assert f"{np.min(scores):.3f}" in card


@pytest.fixture
def folder(tmp_path, phantoms) -> Path:
    """Six pairs in the layout of the benchmark: four patients to train on, two to test."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    lines = ["id,group,split"]
    for number, (image, lungs) in enumerate(phantoms[:6]):
        Image.fromarray(image).save(tmp_path / f"images/p{number}.png")
        Image.fromarray(lungs.astype(np.uint8) * 255).save(tmp_path / f"masks/p{number}.png")
        lines.append(f"p{number},g{number},{'train' if number < 4 else 'test'}")
    (tmp_path / "index.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def run_benchmark(monkeypatch, capsys, *arguments: str, settings: dict | None = None) -> list[str]:
    """Run benchmarks/segmenter.py and return what it printed; ``settings`` make training short."""
    spec = importlib.util.spec_from_file_location("segmenter", ROOT / "benchmarks/segmenter.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    if settings:
        whole = benchmark.settings()
        monkeypatch.setattr(benchmark, "settings", lambda: whole | settings)
    monkeypatch.setattr(sys, "argv", ["", *arguments])
    benchmark.main()
    return capsys.readouterr().out.splitlines()


def test_the_benchmark_scores_a_folder(folder, capsys, monkeypatch) -> None:
    panel = folder / "panel.png"
    output = run_benchmark(monkeypatch, capsys, "score", str(folder), "--panel", str(panel))
    assert [line.split("|")[1].strip() for line in output[2:]] == [
        "default segmenter",
        "thresholding and morphology",
    ]
    assert output[2].split("|")[2].strip() == "2"
    assert Image.open(panel).width == 5 * 320


def test_the_benchmark_validates_with_groups_that_a_fold_has_not_seen(
    folder, capsys, monkeypatch
) -> None:
    from sscdl.segment.training import recipes

    trained, real = [], recipes.train

    def train(settings, *arguments, **options):
        lines = (Path(settings["folder"]) / "index.csv").read_text().splitlines()[1:]
        trained.append({line.split(",")[1] for line in lines})
        return real(settings, *arguments, **options)

    monkeypatch.setattr(recipes, "train", train)
    short = {"phantoms": 4, "phantom_epochs": 1, "epochs": 1, "channels": 4}
    output = run_benchmark(
        monkeypatch, capsys, "validate", str(folder), "--folds", "2", settings=short
    )
    assert [line.split("|")[2].strip() for line in output[2:]] == ["2", "4"]
    assert not trained[0] & trained[1], "with two folds, each trains on what the other scores"
    assert trained[0] | trained[1] == {"g0", "g1", "g2", "g3"}


def test_a_large_image_has_no_steps_in_its_outline(phantoms) -> None:
    image, _ = phantoms[0]
    large = np.asarray(Image.fromarray(image).resize((1024, 1024), Image.Resampling.BILINEAR))
    mask = load_segmenter(default.PATH).predict([large])[0][1]
    # Masks of a 128-pixel field cut out as they are have edges of eight pixels and no others.
    lengths = np.diff(
        np.flatnonzero(np.diff([np.flatnonzero(row)[0] for row in mask if row.any()]))
    )
    assert np.median(lengths) <= 4
