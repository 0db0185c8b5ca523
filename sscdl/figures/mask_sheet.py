"""Sheets of small radiographs with the outlines of their lung masks, implausible ones first."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from sscdl.errors import InputError
from sscdl.figures.charts import SKY, VERMILION
from sscdl.files import atomic_path
from sscdl.segment.maskfiles import read_gray, read_mask
from sscdl.words import many

_COLUMNS, _ROWS = 8, 5  # tiles on a sheet
_TILE, _GAP, _FRAME = 232, 12, 4  # pixels
_FONT, _LINE = 15, 18  # pixels, of the captions and from one line of theirs to the next
_LETTERS = 29  # in a line of a caption
_OUTLINE, _FAULTY = ImageColor.getrgb(SKY), ImageColor.getrgb(VERMILION)


def choose_masks(quality: pd.DataFrame, *, number: int, seed: int) -> pd.DataFrame:
    """Return the rows of :func:`sscdl.tables.masks.mask_quality` to draw, in order.

    All implausible masks, those with like faults side by side; then a random sample of the others
    that makes up ``number`` in all. Images that no mask was given for are left out.
    """
    drawn = quality[quality["mask"] != ""]
    faulty = drawn[drawn["faults"] != ""].sort_values(["faults", "image_id"])
    others = drawn[drawn["faults"] == ""]
    wanted = min(len(others), max(number - len(faulty), 0))
    sample = others.sample(wanted, random_state=seed).sort_values("image_id")
    return pd.concat([faulty, sample], ignore_index=True)


def mask_sheet(quality: pd.DataFrame, folder: Path, *, number: int, seed: int) -> list[Path]:
    """Draw images with the outline of their lung mask and return the files.

    Args:
        quality: what :func:`sscdl.tables.masks.mask_quality` returns.
        folder: gets ``sheet.png``, or ``sheet-1.png`` and so on, 40 images each.
        number, seed: which images, see :func:`choose_masks`.

    Below each image stand its id, its split and the faults of its mask; implausible masks have a
    coloured frame. The outline is that of the mask as it is used, or would be if it were.

    Raises InputError if no image has a mask, or if a file cannot be read.
    """
    chosen = choose_masks(quality, number=number, seed=seed)
    if chosen.empty:
        raise InputError("mask sheet: no image has a lung mask; see lungs.masks.folder")
    faulty = int((quality.loc[quality["mask"] != "", "faults"] != "").sum())
    framed = many(faulty, "implausible lung mask is", "implausible lung masks are")
    title = f"{len(chosen)} of {many(len(quality), 'image')}; {framed} framed"
    page = _COLUMNS * _ROWS
    parts = [chosen.iloc[start : start + page] for start in range(0, len(chosen), page)]
    paths = []
    for place, part in enumerate(parts, 1):
        one = len(parts) == 1
        path = folder / ("sheet.png" if one else f"sheet-{place}.png")
        heading = title if one else f"{title}; sheet {place} of {len(parts)}"
        with atomic_path(path) as temporary:
            _sheet(part, heading).save(temporary)
        paths.append(path)
    return paths


def draw_outline(image: NDArray[np.uint8], mask: NDArray[np.bool_], size: int) -> Image.Image:
    """Return a radiograph (H, W) with its mask (H, W) outlined, the longer side ``size`` pixels."""
    height, width = image.shape
    scale = size / max(height, width)
    shape = (max(round(width * scale), 1), max(round(height * scale), 1))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    colour = cv2.cvtColor(cv2.resize(image, shape, interpolation=method), cv2.COLOR_GRAY2RGB)
    share = cv2.resize(mask.astype(np.float32), shape, interpolation=method)
    found, _ = cv2.findContours(
        (share >= 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(colour, found, -1, _OUTLINE, 2)
    return Image.fromarray(colour)


def _sheet(part: pd.DataFrame, heading: str) -> Image.Image:
    """Return the images of one page below each other in rows, under a heading."""
    captions = [_caption(row) for row in part.itertuples()]
    rows = [captions[start : start + _COLUMNS] for start in range(0, len(captions), _COLUMNS)]
    step = _TILE + _GAP
    # Each row is as high as its longest caption needs.
    heights = [step + _LINE * max(map(len, row)) + _GAP for row in rows]
    tops = np.cumsum([_LINE + 2 * _GAP, *heights])
    columns = min(_COLUMNS, len(part))
    font = ImageFont.load_default(_FONT)
    width = max(columns * step + _GAP, round(font.getlength(heading)) + 2 * _GAP)
    sheet = Image.new("RGB", (width, int(tops[-1])))
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, _GAP), heading, fill="white", font=font)
    row: Any
    for place, (row, caption) in enumerate(zip(part.itertuples(), captions, strict=True)):
        left, top = _GAP + place % _COLUMNS * step, int(tops[place // _COLUMNS])
        small = draw_outline(*_read(Path(row.png), Path(row.mask)), _TILE - 2 * _FRAME)
        corner = (left + (_TILE - small.width) // 2, top + (_TILE - small.height) // 2)
        sheet.paste(small, corner)
        if row.faults:
            box = (left, top, left + _TILE - 1, top + _TILE - 1)
            draw.rectangle(box, outline=_FAULTY, width=_FRAME)
        for line, text in enumerate(caption):
            draw.text((left, top + _TILE + 2 + line * _LINE), text, fill="white", font=font)
    return sheet


def _caption(row: Any) -> list[str]:
    """Return the lines below an image: its id, its split, the faults of its mask and its use."""
    faults = [*row.faults.split("; "), f"used: {row.used}"] if row.faults else []
    texts = [row.image_id, row.split, *faults]
    return [line for text in texts for line in textwrap.wrap(text, _LETTERS)]


def _read(png: Path, mask: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    image = read_gray(png)
    return image if image.dtype == np.uint8 else (image >> 8).astype(np.uint8), read_mask(mask)
