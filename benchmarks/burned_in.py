"""How well are burned-in lines of text found, and how often is there a false alarm?

Writes names, dates and the like near the borders of synthetic radiographs, and of real ones if a
folder of DICOM files is given, and counts which lines are found; then counts the suspects in the
pictures as they are. Real pictures often bear a PORTABLE or SUPINE: `--suspects` draws all that is
suspected in them, for a person to judge.

    python benchmarks/burned_in.py --folder /data/archive/train --suspects suspects.png
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

from sscdl.dicom.render import read_radiograph
from sscdl.files import atomic_path
from sscdl.images.burned_in import text_regions
from sscdl.phantom.findings import LABELS
from sscdl.phantom.radiograph import render

TEXTS = ("DOE JANE 1955-03-12", "Doe, Jane", "19550312", "ST MARY HOSPITAL")
HEIGHTS = (0.015, 0.02, 0.025, 0.03, 0.04, 0.06)
PLACES = ("top left", "top", "top right", "bottom left", "bottom right")
GRAYS = (255, 200, 0)
# What differs less from its surroundings is hard to read for people, too.
LEGIBLE = 60
TILE, CAPTION, COLUMNS = 160, 16, 10

Box = tuple[float, float, float, float]


def phantoms(number: int, size: int, start: int, *, marks: bool) -> list[np.ndarray]:
    """Return ``number`` synthetic radiographs as uint8, every second one with a letter."""
    return [
        np.round(
            255
            * render(
                seed, LABELS[seed % 4], size, mark=marks and seed % 2 == 0, ap=seed % 3 == 0
            ).pixels
        ).astype(np.uint8)
        for seed in range(start, start + number)
    ]


def plant(image: np.ndarray, text: str, share: float, place: str, gray: int) -> tuple:
    """Return a copy with ``text``, capitals ``share`` of the longer side high, and its box.

    The box is in fractions, or None where the text would not fit or not be legible.
    """
    height, width = image.shape
    font = cv2.FONT_HERSHEY_SIMPLEX
    capitals = share * max(image.shape)
    scale = capitals / cv2.getTextSize("H", font, 1, 1)[0][1]
    thickness = max(1, round(capitals / 9))
    (long, high), _ = cv2.getTextSize(text, font, scale, thickness)
    margin = round(0.02 * width)
    x = margin if "left" in place else width - long - margin if "right" in place else None
    x = (width - long) // 2 if x is None else x
    y = margin + high if "top" in place else height - margin - round(0.3 * high)
    behind = image[y - high : y, max(x, 0) : x + long]
    if x < 0 or x + long > width or abs(gray - float(np.median(behind))) < LEGIBLE:
        return image, None
    planted = image.copy()
    cv2.putText(planted, text, (x, y), font, scale, gray, thickness, cv2.LINE_AA)
    return planted, (x / width, (y - high) / height, (x + long) / width, y / height)


def covers(found: Box, planted: Box) -> bool:
    """Say whether most of ``found`` lies on ``planted`` and has a good part of its length."""
    wide = min(found[2], planted[2]) - max(found[0], planted[0])
    high = min(found[3], planted[3]) - max(found[1], planted[1])
    area = (found[2] - found[0]) * (found[3] - found[1])
    long_enough = wide > 0.3 * (planted[2] - planted[0])
    return wide > 0 and high > 0 and wide * high > 0.5 * area and long_enough


def recall(images: list[np.ndarray], share: float, repeats: int) -> tuple[int, int]:
    """Return how many of the planted lines were found, and how many there were."""
    found = total = 0
    turn = itertools.count()
    for gray, text, place, _ in itertools.product(GRAYS, TEXTS, PLACES, range(repeats)):
        # A step that shares no factor with common numbers of pictures, so that all take part.
        picture, box = plant(images[next(turn) * 37 % len(images)], text, share, place, gray)
        if box is not None:
            total += 1
            found += any(covers(suspect, box) for suspect in text_regions(picture))
    return found, total


def draw_suspects(images: list[np.ndarray], out: Path) -> None:
    """Draw every suspect as a tile with its picture's number."""
    tiles = []
    for number, image in enumerate(images):
        for box in text_regions(image):
            height, width = image.shape
            x0, y0 = max(0, int((box[0] - 0.02) * width)), max(0, int((box[1] - 0.02) * height))
            x1, y1 = int((box[2] + 0.02) * width), int((box[3] + 0.02) * height)
            part = image[y0:y1, x0:x1]
            factor = min(TILE / part.shape[1], TILE / 2 / part.shape[0])
            part = cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
            tile = np.full((CAPTION + TILE // 2, TILE), 60, np.uint8)
            part = part[: TILE // 2, :TILE]
            tile[CAPTION : CAPTION + part.shape[0], : part.shape[1]] = part
            cv2.putText(tile, str(number), (2, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1)
            tiles.append(tile)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)]
    with atomic_path(out) as temporary:
        cv2.imwrite(str(temporary), np.vstack(rows))


def main() -> None:
    """Print one row per kind of picture and height of the text, then the suspects."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="folder of DICOM files to write on as well")
    parser.add_argument("--number", type=int, default=100, help="synthetic pictures of each size")
    parser.add_argument("--repeats", type=int, default=2, help="pictures for each kind of line")
    parser.add_argument("--suspects", type=Path, help="PNG file for the suspects in --folder")
    arguments = parser.parse_args()
    kinds = {
        f"synthetic, {size} pixels": (
            phantoms(arguments.number, size, 0, marks=False),
            phantoms(arguments.number, size, 10_000, marks=True),
        )
        for size in (192, 384, 1024)
    }
    real = []
    if arguments.folder:
        paths = sorted(arguments.folder.rglob("*.dcm"))
        real = [read_radiograph(path).pixels for path in paths]
        kinds["real"] = (real, real)
    print("| pictures | " + " | ".join(f"{100 * share:g} %" for share in HEIGHTS) + " | suspects |")
    print("|---|" + "---|" * (len(HEIGHTS) + 1))
    for name, (written_on, as_they_are) in kinds.items():
        cells = []
        for share in HEIGHTS:
            found, total = recall(written_on, share, arguments.repeats)
            cells.append(f"{found / total:.2f} of {total}")
        alarms = sum(bool(text_regions(image)) for image in as_they_are)
        print(f"| {name} | {' | '.join(cells)} | {alarms} of {len(as_they_are)} |", flush=True)
    if arguments.suspects and any(text_regions(image) for image in real):
        draw_suspects(real, arguments.suspects)


if __name__ == "__main__":
    main()
