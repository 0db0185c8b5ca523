"""How good is the lung segmenter that comes with the project?

Scores masks against those that people drew (a folder with images/, masks/ and index.csv):

    python benchmarks/segmenter.py score <folder> --split test --panel overlays.png
    python benchmarks/segmenter.py validate <folder>
    python benchmarks/segmenter.py phantoms --out phantoms.safetensors

``score`` compares the default segmenter, classical image processing, and any network given by
``--model``. ``validate`` cross-validates the recipe within the training rows, whole groups together
(20 minutes on a core). ``phantoms`` trains the recipe on phantoms alone, a network for ``--model``.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

from sscdl.figures.mask_sheet import draw_outline
from sscdl.segment.maskcodes import read_given_mask
from sscdl.segment.maskfiles import read_gray
from sscdl.segment.networks import default
from sscdl.segment.predict import load_segmenter
from sscdl.segment.training import recipes
from sscdl.segment.training.evaluation import agreement, classical_lungs
from sscdl.study.config import check_config, load_schema

SCHEMA = Path(__file__).resolve().parent.parent / "workflow/schemas/config.schema.yaml"
Method = Callable[[NDArray], NDArray[np.bool_]]
TILE, COLUMNS = 320, 5


def rows(folder: Path, split: str) -> list[dict[str, str]]:
    """Return the lines of the index that belong to a split."""
    with (folder / "index.csv").open(newline="", encoding="utf-8") as handle:
        return [row for row in csv.DictReader(handle) if row["split"] == split]


def scores(folder: Path, chosen: list[dict[str, str]], method: Method) -> list[dict[str, Any]]:
    """Return id, image, mask and agreement of each pair."""
    found = []
    for row in chosen:
        image = read_gray(folder / "images" / f"{row['id']}.png")
        truth = read_given_mask(folder / "masks" / f"{row['id']}.png")
        mask = method(image)
        line = {"id": row["id"], "image": image, "truth": truth, "mask": mask}
        found.append(line | agreement(mask, truth).record())
    return found


def report(name: str, found: list[dict[str, Any]]) -> str:
    """Return a line of the table."""
    values = {
        key: np.array([line[key] for line in found])
        for key in ("dice", "iou", "boundary", "boundary95")
    }
    dice = values["dice"]
    return (
        f"| {name} | {len(found)} | {dice.mean():.3f} ± {dice.std(ddof=1):.3f} "
        f"| {np.median(dice):.3f} | {dice.min():.3f} | {values['iou'].mean():.3f} "
        f"| {np.nanmean(values['boundary']):.2f} | {np.nanmean(values['boundary95']):.2f} |"
    )


def network(path: Path) -> Method:
    """Return the post-processed masks of a trained segmenter."""
    segmenter = load_segmenter(path)
    return lambda image: segmenter.predict([image])[0][1]


def draw_panel(found: list[dict[str, Any]], path: Path) -> None:
    """Draw the found outlines, and where people disagree, worst first."""
    tiles = []
    for line in sorted(found, key=lambda line: line["dice"]):
        drawn = draw_outline(line["image"], line["mask"], TILE)
        colour = np.asarray(drawn).copy()
        size = drawn.size
        mask, truth = (
            cv2.resize(line[key].astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
            for key in ("mask", "truth")
        )
        wrong = mask != truth
        colour[wrong] = (0.6 * colour[wrong] + 0.4 * np.array([213, 94, 0])).astype(np.uint8)
        tile = Image.new("RGB", (TILE, TILE + 22))
        tile.paste(Image.fromarray(colour), ((TILE - size[0]) // 2, (TILE - size[1]) // 2))
        draw = ImageDraw.Draw(tile)
        draw.text((4, TILE + 4), f"{line['id']}  Dice {line['dice']:.3f}", fill="white")
        tiles.append(tile)
    rows_of_tiles = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE, rows_of_tiles * (TILE + 22)))
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % COLUMNS * TILE, place // COLUMNS * (TILE + 22)))
    sheet.save(path)


def settings() -> dict[str, Any]:
    """Return the configuration's own settings for training a segmenter."""
    study = {"study": "x", "dataset": {"layout": "phantom"}, "curricula": ["scratch"]}
    filled = check_config(study, load_schema(SCHEMA))
    return filled["lungs"]["train"] | {"validation": 0}


def fold_of_pairs(folder: Path, held_out: set[str], place: Path) -> Path:
    """Make a folder of the training pairs whose groups are not held out, and return it."""
    place.mkdir()
    for kind in ("images", "masks"):
        (place / kind).symlink_to((folder / kind).resolve())
    kept = [row for row in rows(folder, "train") if row["group"] not in held_out]
    lines = ["id,group,split", *(f"{row['id']},{row['group']},train" for row in kept)]
    (place / "index.csv").write_text("\n".join(lines) + "\n")
    return place


def fit(out: Path, threads: int, folder: Path | None) -> None:
    """Train the default segmenter's recipe, on phantoms alone where there is no folder."""
    with tempfile.TemporaryDirectory() as scratch:
        wanted = settings() | {"folder": str(folder) if folder else None}
        recipes.train(wanted, out, Path(scratch), threads=threads, device="cpu")


def validate(folder: Path, folds: int, threads: int) -> list[dict[str, Any]]:
    """Return the agreement of every training pair with a network that has not seen its group."""
    chosen = rows(folder, "train")
    groups = sorted({row["group"] for row in chosen})
    np.random.default_rng(1).shuffle(groups)
    fold_of = {group: number % folds for number, group in enumerate(groups)}
    found = []
    for fold in range(folds):
        held_out = {group for group, number in fold_of.items() if number == fold}
        with tempfile.TemporaryDirectory() as scratch:
            out = Path(scratch) / "fold.safetensors"
            fit(out, threads, fold_of_pairs(folder, held_out, Path(scratch) / "pairs"))
            found += scores(folder, [r for r in chosen if r["group"] in held_out], network(out))
        print(report(f"folds 1 to {fold + 1}", found), flush=True)
    return found


def main() -> None:
    """Print a table; see the text at the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["score", "validate", "phantoms"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--split", default="test")
    parser.add_argument("--model", type=Path, nargs="*", default=[])
    parser.add_argument("--panel", type=Path)
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("phantoms.safetensors"))
    arguments = parser.parse_args()
    if arguments.what == "phantoms":
        fit(arguments.out, arguments.threads, None)
        return
    if arguments.folder is None:
        parser.error("give the folder with images/, masks/ and index.csv")
    print("| masks by | n | Dice | median | least | IoU | boundary | its 95th percentile |")
    print("|---|---:|---|---:|---:|---:|---:|---:|")
    if arguments.what == "validate":
        validate(arguments.folder, arguments.folds, arguments.threads)
        return
    methods: dict[str, Method] = {"default segmenter": network(default.PATH)}
    methods |= {path.stem: network(path) for path in arguments.model}
    methods["thresholding and morphology"] = classical_lungs
    chosen = rows(arguments.folder, arguments.split)
    for name, method in methods.items():
        found = scores(arguments.folder, chosen, method)
        print(report(name, found), flush=True)
        if arguments.panel and name == "default segmenter":
            draw_panel(found, arguments.panel)


if __name__ == "__main__":
    main()
