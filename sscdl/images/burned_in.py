"""Finding lines of text that were burned into the pixels of a radiograph, near its borders.

Letters are told from anatomy by their strokes: thin, of much contrast, of one gray value and cut
off sharply. Characters of like height that stand side by side make a line; what is written is not
read. A line may be a name as well as a harmless PORTABLE, so that a person has to look at it. Side
markers (L, R) and initials have too few characters to count.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

# Pictures are brought to this many pixels along the longer side; lengths below are in these pixels
# or, where so named, shares of it.
_SIDE = 768
# Strokes are what an opening with a disc of this diameter takes away; wider ones are anatomy.
_STROKE = 21
# Least contrast of a stroke, of 255, and least share of that of its surroundings.
_CONTRAST = 30
_RELATIVE = 0.4
# Heights of characters, as shares of the longer side.
_LOWEST, _HIGHEST = 0.01, 0.09
# Longest gap between neighbours, largest ratio of heights (capitals beside small letters), largest
# offset of the middles, all in heights; largest difference of their gray, of 255.
_GAP, _RATIO, _OFFSET, _TONE = 1.3, 1.6, 0.3, 50
# A character's width in heights; characters that touch are counted by the width they take.
_PITCH = 0.8
# Letters are wider than this on the average; the discs of the spine, seen sideways, are not.
_NARROW = 0.33
_CHARACTERS = 4
# A line's middle lies this close to a border, as a share of width or height.
_BAND = 0.2


@dataclass(frozen=True)
class _Piece:
    """A connected stroke: a character or several that touch; ``gray`` is that of the stroke."""

    x: int
    y: int
    width: int
    height: int
    gray: float
    characters: int


def text_regions(pixels: np.ndarray) -> list[tuple[float, float, float, float]]:
    """Return the box (x0, y0, x1, y1) of each suspected line of text, sorted, top to bottom.

    ``pixels`` is a gray picture, uint8 or uint16 (H, W). Boxes are fractions of width and height.
    Found are horizontal lines, lighter or darker than their surroundings, and lighter vertical
    ones, of four or more characters with a height of 1 to 9 % of the picture's longer side (and at
    least 5 pixels), whose middle is within a fifth of the picture from a border.
    """
    gray = pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
    scale = _SIDE / max(gray.shape)
    size = [max(1, round(length * scale)) for length in gray.shape[::-1]]
    shrinks = scale < 1
    gray = cv2.resize(gray, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    light = _strokes(gray)
    boxes = _lines(_pieces(*light)) + _lines(_pieces(*_strokes(255 - gray)))
    # Dark vertical lines are not looked for: gaps between ribs, discs and arms are like them.
    boxes += [(y0, x0, y1, x1) for x0, y0, x1, y1 in _lines(_pieces(*(part.T for part in light)))]
    width, height = size
    fractions = [
        (x0 / width, y0 / height, x1 / width, y1 / height)
        for x0, y0, x1, y1 in _distinct(boxes)
        if min(x0 + x1, 2 * width - x0 - x1) <= 2 * _BAND * width
        or min(y0 + y1, 2 * height - y0 - y1) <= 2 * _BAND * height
    ]
    return sorted(fractions, key=lambda box: (box[1], box[0]))


def _strokes(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``gray`` and uint8 of its shape, 1 on thin strokes lighter than what is around."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_STROKE, _STROKE))
    contrast = cv2.morphologyEx(gray, cv2.MORPH_TOPHAT, disc)
    # Relative to the highest contrast nearby: the blurred seam of letters must not join them.
    highest = cv2.dilate(contrast, np.ones((_STROKE, _STROKE), np.uint8))
    return gray, (contrast > np.maximum(_CONTRAST, _RELATIVE * highest)).astype(np.uint8)


def _pieces(gray: np.ndarray, strokes: np.ndarray) -> list[_Piece]:
    """Return the strokes that can be characters of a horizontal line, from left to right."""
    _, labels, found, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(strokes))
    heights, areas = found[:, cv2.CC_STAT_HEIGHT], found[:, cv2.CC_STAT_AREA]
    possible = (heights >= _LOWEST * _SIDE) & (heights <= _HIGHEST * _SIDE)
    possible &= areas >= 0.1 * heights * found[:, cv2.CC_STAT_WIDTH]
    possible[0] = False
    pieces = []
    for label in np.flatnonzero(possible):
        x, y, width, height = (int(value) for value in found[label, : cv2.CC_STAT_AREA])
        inside = labels[y : y + height, x : x + width] == label
        characters = max(1, round(width / (_PITCH * height)))
        # A row through touching characters meets a stroke in most of them, through a rib just one.
        starts = np.diff(inside.astype(np.int8), axis=1, prepend=0) == 1
        if characters > 1 and np.median(starts.sum(axis=1)) < 0.6 * characters:
            continue
        tone = float(np.quantile(gray[y : y + height, x : x + width][inside], 0.7))
        pieces.append(_Piece(x, y, width, height, tone, characters))
    return sorted(pieces, key=lambda piece: (piece.x, piece.y))


def _lines(pieces: list[_Piece]) -> list[tuple[int, int, int, int]]:
    """Join neighbours to lines and return the boxes of those with enough characters."""
    line_of = list(range(len(pieces)))
    for i, left in enumerate(pieces):
        for j in range(i + 1, len(pieces)):
            right = pieces[j]
            if right.x - left.x - left.width > _GAP * _HIGHEST * _SIDE:
                break
            if line_of[i] != line_of[j] and _neighbours(left, right):
                line_of = [line_of[i] if line == line_of[j] else line for line in line_of]
    lines: dict[int, list[_Piece]] = {}
    for piece, line in zip(pieces, line_of, strict=True):
        lines.setdefault(line, []).append(piece)
    return [
        (
            min(piece.x for piece in line),
            min(piece.y for piece in line),
            max(piece.x + piece.width for piece in line),
            max(piece.y + piece.height for piece in line),
        )
        for line in lines.values()
        if sum(piece.characters for piece in line) >= _CHARACTERS
        and np.median([piece.width / piece.height for piece in line]) >= _NARROW
    ]


def _neighbours(left: _Piece, right: _Piece) -> bool:
    high = max(left.height, right.height)
    gap = right.x - left.x - left.width
    offset = abs(left.y + left.height / 2 - right.y - right.height / 2)
    return (
        -0.7 * left.width - 1 <= gap <= _GAP * high
        and high <= _RATIO * min(left.height, right.height)
        and offset <= _OFFSET * high
        and abs(left.gray - right.gray) <= _TONE
    )


def _distinct(boxes: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Return boxes without those that a larger one covers by half: light letters have dark gaps."""

    def area(box: tuple[int, int, int, int]) -> int:
        return max(0, box[2] - box[0]) * max(0, box[3] - box[1])

    kept: list[tuple[int, int, int, int]] = []
    for box in sorted(boxes, key=lambda box: (-area(box), box)):
        shared = (
            (max(box[0], o[0]), max(box[1], o[1]), min(box[2], o[2]), min(box[3], o[3]))
            for o in kept
        )
        if all(2 * area(part) < area(box) for part in shared):
            kept.append(box)
    return kept
