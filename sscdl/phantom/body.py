"""One synthetic patient's anatomy, as smooth functions of body coordinates.

``u`` runs across, 0 at the midline and positive towards the right of the image (the patient's
left); ``v`` runs down, about 0 at the neck and 1 in the upper abdomen; one unit is about the width
of the image. ``side`` is -1 for the lung on the left of the image, 1 for the other. Distances are
in body units.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

PLATE_SIZE = 512
PLATE_SPAN = 1.3
PLATE_ORIGIN = (-0.65, -0.15)


def step(distance: np.ndarray, width: float) -> np.ndarray:
    """Return a smooth 0..1 step that crosses 0.5 where ``distance`` is 0."""
    t = np.clip(distance / width * 0.5 + 0.5, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def dome(radius2: np.ndarray) -> np.ndarray:
    """Return the chord length through a unit sphere at squared radius ``radius2``."""
    return np.sqrt(np.clip(1.0 - radius2, 0.0, None))


class Body:
    """One patient's anatomy, drawn from a random stream."""

    def __init__(self, rng: np.random.Generator, *, female: bool, ap: bool) -> None:
        unit = rng.uniform
        self.width = {-1: unit(0.325, 0.385), 1: unit(0.325, 0.385)}
        self.width[1] += 0.6 * (self.width[-1] - self.width[1])  # the sides resemble each other
        self.apex = {-1: unit(0.095, 0.125), 1: unit(0.095, 0.125)}
        self.apex_u = unit(0.115, 0.145)
        self.wide = unit(0.55, 0.68)
        self.round = unit(1.9, 2.5)
        base = unit(0.74, 0.84)
        self.top = {-1: base, 1: base + unit(0.0, 0.035)}
        self.depth = {-1: unit(0.06, 0.10), 1: unit(0.06, 0.10)}
        self.mediastinum = unit(0.050, 0.068)
        self.knob = (unit(0.045, 0.062), unit(0.27, 0.31), unit(0.030, 0.042))
        self.heart = (unit(0.035, 0.055), base - unit(0.105, 0.130))
        heart_scale = unit(0.92, 1.08)
        self.heart_axes: tuple[float, ...] = (
            0.190 * heart_scale,
            0.142 * heart_scale * unit(0.95, 1.05),
        )
        self.heart_angle = unit(0.55, 0.85)
        self.wall = unit(0.055, 0.095)
        self.shoulder = unit(-0.01, 0.035)
        self.gap = unit(-0.03, 0.10)
        self.rib_pitch = unit(0.066, 0.076)
        self.rib_start = unit(0.055, 0.085)
        self.rib_drop = unit(0.09, 0.14)
        self.rib_gain = unit(0.75, 1.25)
        self.clavicle = (unit(0.145, 0.185), unit(0.03, 0.10))
        self.carina = unit(0.33, 0.37)
        self.spine_phase = unit(0.0, 1.0)
        self.bubble = (unit(0.14, 0.22), unit(0.05, 0.08), unit(0.03, 0.05))
        self.bubble_gain = max(0.0, unit(-0.15, 0.20))
        self.breast = unit(0.035, 0.10) * female
        self.breast_at = (unit(0.20, 0.25), base - unit(0.02, 0.10), unit(0.13, 0.17))
        self.mass = unit(0.85, 1.2)
        self.vessel_gain = unit(0.75, 1.35)
        if ap:  # the heart is farther from the detector and the breath less deep
            self.heart_axes = tuple(axis * 1.1 for axis in self.heart_axes)
            self.top = {side: top - 0.02 for side, top in self.top.items()}
        self.plate = self._draw_plate(rng)

    def lateral(self, v: np.ndarray, side: int) -> np.ndarray:
        """Return |u| of the chest wall's inner border at height ``v``."""
        t = np.clip((v - self.apex[side]) / (self.wide - self.apex[side]), 0.0, 1.0)
        reach = self.width[side] - self.apex_u
        return self.apex_u + reach * (1.0 - (1.0 - t) ** self.round) ** (1.0 / self.round)

    def medial(self, v: np.ndarray, side: int) -> np.ndarray:
        """Return |u| of the mediastinal border at height ``v``, without the heart."""
        t = np.clip((v - self.apex[side]) / 0.11, 0.0, 1.0)
        top = (self.apex_u - self.mediastinum) * (1.0 - dome((1.0 - t) ** 2))
        # Pulmonary trunk and left auricle on one side, the right atrium on the other.
        flare = step(v - 0.45, 0.13) * (0.045 if side > 0 else 0.018)
        return self.mediastinum + top + flare

    def diaphragm(self, u: np.ndarray, side: int) -> np.ndarray:
        """Return ``v`` of the diaphragm's dome at distance ``u`` from the midline."""
        q = (u - 0.19) / 0.2
        lateral = np.clip(q, 0.0, None)
        medial = np.clip(-q, 0.0, None)
        return self.top[side] + self.depth[side] * (1.3 * lateral**2.4 + 0.5 * medial**2)

    def heart_radius2(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the squared elliptical radius about the heart: below 1 is inside."""
        cos, sin = np.cos(self.heart_angle), np.sin(self.heart_angle)
        x, y = u - self.heart[0], v - self.heart[1]
        y = np.where(y > 0, 0.7 * y, y)  # it rests on the diaphragm: no lung shows below it
        along, across = x * cos + y * sin, y * cos - x * sin
        return (along / self.heart_axes[0]) ** 2 + (across / self.heart_axes[1]) ** 2

    def knob_radius2(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Return the squared radius about the aortic knob: below 1 is inside."""
        return ((u - self.knob[0]) ** 2 + (v - self.knob[1]) ** 2) / self.knob[2] ** 2

    def lung_depth(
        self, u: np.ndarray, v: np.ndarray, side: int, *, heart: bool = True
    ) -> np.ndarray:
        """Return about how far a point lies inside a lung, in body units, negative outside.

        With ``heart=False`` the lung goes on behind heart and aorta, where it still darkens.
        """
        a = side * u
        depth = np.minimum(self.lateral(v, side) - a, self.diaphragm(a, side) - v)
        depth = np.minimum(depth, a - (self.medial(v, side) if heart else 0.03))
        depth = np.minimum(depth, v - self.apex[side])
        if heart:
            depth = np.minimum(depth, (np.sqrt(self.heart_radius2(u, v)) - 1.0) * 0.13)
            if side > 0:
                inside = (np.sqrt(self.knob_radius2(u, v)) - 1.0) * self.knob[2]
                depth = np.minimum(depth, inside)
        return depth

    def place(self, side: int, s: float, t: float) -> tuple[float, float]:
        """Return (u, v) of the point at ``s`` (0 medial, 1 lateral), ``t`` (0 apex, 1 dome)."""
        v = self.apex[side] + 0.05 + t * (self.top[side] - self.apex[side] - 0.07)
        u = side * np.linspace(0.0, 0.45, 451)
        inside = u[self.lung_depth(u, np.full_like(u, v), side) > 0.012]
        return float(inside[0] + s * (inside[-1] - inside[0])), float(v)

    def _draw_plate(self, rng: np.random.Generator) -> np.ndarray:
        """Draw branching vessels from both hila and fine texture on a canvas in body units."""
        canvas = np.zeros((PLATE_SIZE, PLATE_SIZE), np.uint8)

        def pixel(u: float, v: float) -> tuple[int, int]:
            scale = PLATE_SIZE / PLATE_SPAN
            return round((u - PLATE_ORIGIN[0]) * scale * 16), round(
                (v - PLATE_ORIGIN[1]) * scale * 16
            )

        for side in (-1, 1):
            hilum = (side * 0.075, 0.41 - 0.015 * (side > 0))
            branches = [
                (hilum, angle + rng.normal(0.0, 0.15), rng.uniform(0.6, 1.0))
                for angle in (-1.15, -0.65, 0.05, 0.6, 1.0, 1.3)
            ]
            while branches:
                (u, v), angle, weight = branches.pop()
                for _ in range(rng.integers(3, 6)):
                    step = 0.03 * rng.uniform(0.7, 1.3)
                    end = (u + side * step * np.cos(angle), v + step * np.sin(angle))
                    thick = max(1, round(4.0 * weight))
                    cv2.line(
                        canvas, pixel(u, v), pixel(*end), int(235 * weight**0.7), thick,
                        cv2.LINE_AA, 4,
                    )  # fmt: skip
                    (u, v), angle = end, angle + rng.normal(0.0, 0.25)
                    weight *= 0.91
                if weight > 0.22:
                    spread = rng.uniform(0.25, 0.5)
                    branches.append(((u, v), angle - spread, weight * rng.uniform(0.55, 0.8)))
                    branches.append(((u, v), angle + spread, weight * rng.uniform(0.55, 0.8)))
        vessels = cv2.GaussianBlur(canvas.astype(np.float32) / 255.0, (0, 0), 1.1)
        texture: Any = np.zeros_like(vessels)
        for cells, weight in ((26, 0.5), (52, 0.35), (104, 0.3)):
            noise = rng.standard_normal((cells, cells)).astype(np.float32)
            texture += weight * cv2.resize(
                noise, (PLATE_SIZE, PLATE_SIZE), interpolation=cv2.INTER_CUBIC
            )
        return np.dstack([vessels, texture])
