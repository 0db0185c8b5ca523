"""What a phantom may show: opacities by class inside the lungs, and a letter outside them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from sscdl.phantom.body import Body, step

LABELS = ("negative", "typical", "indeterminate", "atypical")

# Strokes of the radiographer's letters in a unit square, y down.
_LETTERS = {
    "L": [[(0.2, 0.0), (0.2, 1.0), (0.85, 1.0)]],
    "P": [
        [(0.2, 1.0), (0.2, 0.0), (0.7, 0.0), (0.85, 0.14), (0.85, 0.38), (0.7, 0.52), (0.2, 0.52)],
    ],
    "R": [
        [(0.2, 1.0), (0.2, 0.0), (0.7, 0.0), (0.85, 0.14), (0.85, 0.38), (0.7, 0.52), (0.2, 0.52)],
        [(0.5, 0.52), (0.88, 1.0)],
    ],
}  # fmt: skip
_MARK_WIDTH, _MARK_HEIGHT = 0.075, 0.09


@dataclass(frozen=True)
class Opacity:
    """A patch at ``s`` (0 medial, 1 lateral) and ``t`` (0 apex, 1 dome) of one lung."""

    side: int
    s: float
    t: float
    radii: tuple[float, float]
    gain: float
    texture: float
    power: float = 1.0
    fissure: int = 0  # +1: only above a sharp border through the centre, -1: only below it


def draw_findings(rng: np.random.Generator, label: str) -> list[Opacity]:
    """Draw the opacities of one study.

    Typical: three to six ground-glass patches, in both lungs, peripheral and low. Indeterminate:
    haze, diffuse, perihilar or in one lung. Atypical: one dense lobe or two to five nodules.
    """
    unit = rng.uniform
    sides = (-1, 1) if rng.random() < 0.5 else (1, -1)
    # From barely visible to plain, as disease is.
    severity = unit(0.1, 1.9)
    if label == "negative":
        return []
    if label == "typical":
        return [
            Opacity(
                sides[i % 2], unit(0.62, 0.90), unit(0.55, 0.95),
                (unit(0.045, 0.080), unit(0.055, 0.100)), severity * unit(0.8, 1.2), 0.5, 1.3,
            )
            for i in range(rng.integers(3, 7))
        ]  # fmt: skip
    if label == "indeterminate":
        kind = rng.choice(["diffuse", "perihilar", "unilateral"])
        if kind == "perihilar":
            spots = [
                (side, unit(0.05, 0.2), unit(0.4, 0.55), 0.085, 0.13, unit(0.6, 1.0))
                for side in sides
            ]
        elif kind == "diffuse":
            spots = [
                (side, unit(0.4, 0.6), unit(0.4, 0.6), 0.16, 0.30, unit(0.5, 0.8)) for side in sides
            ]
        else:
            spots = [(sides[0], unit(0.3, 0.6), unit(0.35, 0.65), 0.13, 0.20, unit(0.6, 1.0))]
        return [
            Opacity(a, s, t, (ru, rv), severity * gain, 0.35) for a, s, t, ru, rv, gain in spots
        ]
    if rng.random() < 0.5:
        upper = rng.random() < 0.5
        return [
            Opacity(
                sides[0], unit(0.35, 0.6), unit(0.40, 0.48) if upper else unit(0.58, 0.68),
                (unit(0.11, 0.15), unit(0.16, 0.22)), severity * unit(1.3, 1.8), 0.15, 1.6,
                1 if upper else -1,
            )
        ]  # fmt: skip
    return [
        Opacity(
            int(rng.choice(sides)), unit(0.2, 0.8), unit(0.15, 0.85), (radius, radius),
            severity * unit(1.1, 1.5), 0.1, 2.5,
        )
        for radius in rng.uniform(0.022, 0.040, rng.integers(2, 6))
    ]  # fmt: skip


def render_opacities(
    body: Body, findings: list[Opacity], u: np.ndarray, v: np.ndarray,
    air: np.ndarray, lungs: np.ndarray, rng: np.random.Generator,
) -> tuple[np.ndarray, list[list[float]]]:  # fmt: skip
    """Return the summed opacities (attenuation at contrast 1) and their boxes (fractions)."""
    total = np.zeros_like(u)
    boxes = []
    size = u.shape[0]
    for finding in findings:
        centre_u, centre_v = body.place(finding.side, finding.s, finding.t)
        angle = rng.uniform(-0.5, 0.5)
        cells = rng.standard_normal((14, 14)).astype(np.float32)
        x, y = u - centre_u, v - centre_v
        along = (x * np.cos(angle) + y * np.sin(angle)) / finding.radii[0]
        across = (y * np.cos(angle) - x * np.sin(angle)) / finding.radii[1]
        radius2 = along * along + across * across
        shape = np.exp(-(radius2**finding.power))
        if finding.fissure:
            slope = 0.25 * finding.side * (u - centre_u)
            shape = shape * step(finding.fissure * (centre_v + slope - v) + 0.02, 0.012)
        grain = cv2.resize(cells, (size, size), interpolation=cv2.INTER_CUBIC)
        shape = shape * np.clip(1.0 + finding.texture * grain, 0.25, 2.0)
        shape = shape * air * (finding.side * u > 0)
        total += finding.gain * shape
        boxes.append(_box(shape, radius2, lungs))
    return 0.105 * total, boxes


def _box(shape: np.ndarray, radius2: np.ndarray, lungs: np.ndarray) -> list[float]:
    """Return the box of the visible part of an opacity, trimmed until its centre is in a lung."""
    size = shape.shape[0]
    seen = lungs & (shape > 0.35 * shape.max())
    peak_y, peak_x = np.unravel_index(np.where(lungs, radius2, np.inf).argmin(), lungs.shape)
    seen[peak_y, peak_x] = True
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    x0, x1, y0, y1 = columns[0], columns[-1] + 1, rows[0], rows[-1] + 1
    if not lungs[(y0 + y1) // 2, (x0 + x1) // 2]:
        half_x, half_y = min(peak_x - x0, x1 - 1 - peak_x), min(peak_y - y0, y1 - 1 - peak_y)
        x0, x1 = peak_x - half_x, peak_x + half_x + 1
        y0, y1 = peak_y - half_y, peak_y + half_y + 1
    return [float(edge) / size for edge in (x0, y0, x1, y1)]


def draw_mark(pixels: np.ndarray, rng: np.random.Generator) -> list[float]:
    """Draw one letter into an upper corner, above the shoulder, and return its box (fractions)."""
    size = pixels.shape[0]
    letter = _LETTERS[str(rng.choice(sorted(_LETTERS)))]
    left = rng.uniform(0.03, 0.07)
    if rng.random() < 0.5:
        left = 1.0 - left - _MARK_WIDTH
    top = rng.uniform(0.025, 0.055)
    canvas = np.zeros(pixels.shape, np.uint8)
    # OpenCV takes coordinates in sixteenths of a pixel, counted from the middle of the first.
    for stroke in letter:
        points = (np.array(stroke) * (_MARK_WIDTH, _MARK_HEIGHT) + (left, top)) * size - 0.5
        points = np.round(points * 16).astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(
            canvas, [points], False, 255, max(1, round(0.016 * size)), cv2.LINE_AA, shift=4
        )
    ink = canvas.astype(np.float32) / 255.0
    pixels += ink * (1.0 - pixels)
    rows, columns = np.flatnonzero(canvas.any(1)), np.flatnonzero(canvas.any(0))
    edges = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    return [float(edge) / size for edge in edges]
