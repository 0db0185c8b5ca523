"""The recipes that the workflow's rule runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sscdl.segment.predict import load_segmenter
from sscdl.segment.training.recipes import CHANNELS, train

SETTINGS = {
    "network": "compact",
    "folder": None,
    "phantoms": 8,
    "behind_heart": False,
    "validation": 0.25,
    "field": [128, 64],
    "channels": 4,
    "latent": 2,
    "epochs": 1,
    "phantom_epochs": 1,
    "seed": 0,
}


@pytest.mark.parametrize("network", sorted(CHANNELS))
def test_every_network_trains_on_phantoms_alone(network: str, tmp_path: Path) -> None:
    out = tmp_path / "lungs.safetensors"
    (tmp_path / "scratch").mkdir()
    settings = SETTINGS | {"network": network}
    result = train(settings, out, tmp_path / "scratch", threads=1, device="cpu")
    assert result["recipe"]["channels"] == 4
    assert set(result["dice"]) == {"train", "val"}
    segmenter = load_segmenter(out)
    assert segmenter.mask_convention == "lungs without the part behind the heart"
    assert (segmenter.architecture.height, segmenter.architecture.width) == (128, 64)


def test_a_folder_comes_after_the_phantoms_and_replaces_them_in_the_published_recipe(
    tmp_path: Path,
) -> None:
    from sscdl.segment.training.phantom_pairs import phantom_pairs

    folder = tmp_path / "pairs"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    lines = ["id,split"]
    for image, mask, _ in phantom_pairs(folder, 6, 5, behind_heart=True):
        name = image.name.split(".")[0]
        image.rename(folder / f"images/{name}.png")
        mask.rename(folder / f"masks/{name}.png")
        lines.append(f"{name},train")
    (folder / "index.csv").write_text("\n".join(lines) + "\n")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    settings = SETTINGS | {"folder": str(folder)}
    found = train(settings, tmp_path / "a.safetensors", scratch, threads=1, device="cpu")
    assert [line["phase"] for line in found["history"]] == ["phantoms", "pairs"]
    assert {split: score["n"] for split, score in found["dice"].items()} == {"train": 5, "val": 1}
    scratch = tmp_path / "none"
    scratch.mkdir()
    settings |= {"network": "unet"}
    train(settings, tmp_path / "b.safetensors", scratch, threads=1, device="cpu")
    assert not list(scratch.iterdir()), "no phantom was rendered in vain"
