"""Synthetic frontal chest radiographs with known lungs, opacities and marks.

A phantom is a sum of attenuations (soft tissue, bone, heart, vessels, less the air in the lungs)
over the anatomy of `sscdl.phantom.body`, posed, exposed and blurred like a radiograph.

Lung masks follow the convention *without the lung behind the heart*: a lung ends at the
silhouettes of the heart, the mediastinum and the diaphragm. ``whole_lungs`` is there for the other
convention, in which it goes on behind the heart to the spine.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from sscdl.errors import InputError
from sscdl.phantom.body import PLATE_ORIGIN, PLATE_SIZE, PLATE_SPAN, Body, dome, step
from sscdl.phantom.findings import LABELS, draw_findings, draw_mark, render_opacities

DEFAULT_CONTRAST = 1.0
MIN_SIZE = 48

# Independent random streams: changing how one part draws leaves the other parts as they were.
_ANATOMY, _FINDINGS, _ACQUISITION, _NOISE, _MARK = range(5)


@dataclass(frozen=True)
class Phantom:
    """One synthetic radiograph and what is known about it.

    ``pixels``: float32 (H, W) in [0, 1], bright = dense. ``lungs``: bool (H, W), both lungs
    without the part behind the heart, ``whole_lungs`` with it. ``boxes``: one ``[x0, y0, x1, y1]``
    per opacity, fractions of width and height; the centre of each lies in a lung. ``mark``: the box
    of the radiographer's letter in the same units, or None.
    """

    pixels: np.ndarray
    lungs: np.ndarray
    whole_lungs: np.ndarray
    boxes: list[list[float]] = field(default_factory=list)
    mark: list[float] | None = None


def _pose(
    rng: np.random.Generator, size: int, anatomy_rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return (u, v) of every pixel: scale and habitus are the patient's, the rest the shot's."""
    scale = anatomy_rng.uniform(0.91, 1.05) * rng.uniform(0.98, 1.02)
    stretch = anatomy_rng.uniform(0.94, 1.04)
    tilt = np.deg2rad(rng.normal(0.0, 1.8))
    shift_x, shift_y = rng.uniform(-0.025, 0.025), rng.uniform(-0.03, 0.03)
    rotation = rng.normal(0.0, 0.06)
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    x, y = np.meshgrid(axis - shift_x, axis - shift_y)
    u = (x * np.cos(tilt) + y * np.sin(tilt)) / scale
    v = 0.47 + (y * np.cos(tilt) - x * np.sin(tilt)) / (scale * stretch)
    # A turned patient shows the midline off centre while the chest wall stays in place.
    return u + rotation * np.clip(0.16 - u * u, 0.0, None), v


def _bones(body: Body, u: np.ndarray, v: np.ndarray, cage: np.ndarray) -> np.ndarray:
    """Return the attenuation of the bones; ``cage`` is |u| over the chest's half width."""
    a = np.abs(u)
    s = np.clip(cage, 0.0, 1.05)
    wall = step(1.04 - cage, 0.06) * step(a - 0.035, 0.03)
    pitch, start = body.rib_pitch, body.rib_start
    drop = body.rib_drop

    def rib(curve: np.ndarray, half: float, count: int) -> np.ndarray:
        phase = (v - curve - start) / pitch
        distance = np.abs(phase - np.floor(phase) - 0.5) * pitch
        shell = step(half - distance, 0.007) * (0.7 + 0.5 * (distance / half) ** 2)
        return shell * step(phase, 0.2) * step(count - phase, 0.2) * wall

    posterior = rib(0.02 - 0.055 * np.sin(np.pi * s * 0.75) + drop * s**2.8, 0.0145, 11)
    lateral_end = 0.02 - 0.055 * np.sin(np.pi * 0.75) + drop
    anterior = rib(lateral_end + 0.16 * np.clip(1.0 - s, 0.0, None) ** 0.85, 0.016, 7) * step(
        s - 0.5, 0.35
    )
    tangential = np.exp(-(((cage - 1.03) / 0.045) ** 2)) * step(v - body.rib_start - 0.06, 0.1)
    bone = body.rib_gain * (0.075 * posterior * (1 + 0.6 * s**4) + 0.04 * anterior)
    bone += 0.06 * tangential * step(0.95 - v, 0.1)

    low, rise = body.clavicle
    t = np.clip((a - 0.025) / 0.33, 0.0, 1.0)
    middle = low - rise * t - 0.022 * np.sin(2.0 * np.pi * t)
    bone += (
        0.11 * step(0.015 - np.abs(v - middle), 0.012) * step(a - 0.03, 0.02) * step(0.37 - a, 0.03)
    )
    # Head of the humerus and the shaft below it.
    head = ((a - 0.455) ** 2 + (v - 0.155) ** 2) / 0.05**2
    shaft = step(0.026 - np.abs(a - 0.47 - 0.12 * (v - 0.15)), 0.012) * step(v - 0.16, 0.06)
    bone += 0.12 * np.maximum(dome(head), shaft)
    # Shoulder blade: a faint plate whose inner border crosses the lung's outer upper part.
    inner = 0.30 + 0.05 * np.cos(9.0 * (v - 0.12))
    bone += (
        0.035
        * step(a - inner, 0.015)
        * step(0.44 - a, 0.06)
        * step(v - 0.15, 0.05)
        * step(0.43 - v, 0.08)
    )

    spine = step(0.040 - a, 0.018)
    phase = v / 0.052 + body.spine_phase
    disc = 0.75 + 0.25 * step(0.38 - np.abs(phase - np.floor(phase) - 0.5), 0.12)
    return bone + 0.17 * spine * disc


def _airways(body: Body, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return how much air the trachea and the main bronchi add in front of the spine."""
    below = v - body.carina
    windpipe = dome(((u - 0.004) / 0.021) ** 2) * step(-below, 0.02)
    bronchi = dome(((np.abs(u) - 0.004 - 0.9 * below) / 0.022) ** 2)
    return windpipe + 0.7 * bronchi * step(below, 0.02) * step(0.075 - below, 0.04)


def _tissue(
    body: Body, u: np.ndarray, v: np.ndarray, air: np.ndarray, cage: np.ndarray
) -> np.ndarray:
    """Return the attenuation of everything but opacities, in units of a chest's soft tissue."""
    a = np.abs(u)
    torso_width = (
        body.lateral(np.full_like(v, body.wide), -1) + body.wall + 0.02 * step(v - 0.6, 0.6)
    )
    torso_width = torso_width - 0.05 * step(0.25 - v, 0.3)
    torso = dome((a / torso_width) ** 2) ** 0.8
    shoulder = np.interp(
        a, [0.07, 0.10, 0.16, 0.30, 0.42, 0.50, 0.56, 0.66],
        np.array([-0.6, -0.06, 0.0, 0.04, 0.06, 0.09, 0.18, 0.6]) + body.shoulder,
    ).astype(np.float32)  # fmt: skip
    under_skin = v - shoulder
    gap = max(0.0, body.gap) * np.clip((v - 0.42) / 0.5, 0.0, 1.0)
    arm_centre = torso_width + gap + 0.075
    arm = dome(((a - arm_centre) / 0.085) ** 2) * step(v - 0.1, 0.2)
    girdle = dome(np.clip((a - 0.40) / 0.17, -1, 1) ** 2) * step(0.36 - v, 0.2)
    neck = dome((a / 0.10) ** 2) * step(0.12 - v, 0.1)
    soft = np.maximum(np.maximum(torso, 0.55 * arm), np.maximum(0.6 * girdle, 0.7 * neck))
    soft *= np.clip(under_skin / 0.14, 0.0, 1.0) ** 0.55
    total = 0.62 * body.mass * soft

    heart = dome(body.heart_radius2(u, v))
    knob = dome(body.knob_radius2(u, v))
    border = np.where(u < 0, body.medial(v, -1), body.medial(v, 1))
    middle = (
        step(border + 0.004 - a, 0.035) * step(v - 0.06, 0.2) * (0.6 + 0.4 * dome((a / 0.11) ** 2))
    )
    total += 0.15 * heart * (1.0 - 0.4 * middle) + 0.07 * knob + 0.11 * middle
    dome_line = np.where(u < 0, body.diaphragm(a, -1), body.diaphragm(a, 1))
    belly = v - dome_line
    total += 0.16 * step(belly - 0.02, 0.10) * soft
    bubble_u, bubble_v, radius = body.bubble
    at = (u - bubble_u) ** 2 / (1.6 * radius) ** 2 + (belly - bubble_v) ** 2 / radius**2
    total -= body.bubble_gain * dome(at) * (belly > 0)
    breast_u, breast_v, breast_r = body.breast_at
    at = ((a - breast_u) ** 2 + (v - breast_v) ** 2) / breast_r**2
    total += body.breast * dome(at) * np.where(v > breast_v, 1.0, np.exp((v - breast_v) / 0.08))
    total += _bones(body, u, v, cage)
    total -= 0.10 * _airways(body, u, v)

    scale = PLATE_SIZE / PLATE_SPAN
    plate = cv2.remap(
        body.plate, ((u - PLATE_ORIGIN[0]) * scale).astype(np.float32),
        ((v - PLATE_ORIGIN[1]) * scale).astype(np.float32), cv2.INTER_LINEAR,
    )  # fmt: skip
    vessels, texture = plate[..., 0], plate[..., 1]
    total += air * (0.115 * body.vessel_gain * vessels + 0.010 * texture)
    total += 0.006 * texture * soft
    return total - 0.40 * air


def _expose(
    attenuation: np.ndarray, rng: np.random.Generator, noise: np.random.Generator, ap: bool
) -> np.ndarray:
    """Return pixels in [0, 0.94]: exposure, blur, quantum noise and the collimator's border."""
    size = attenuation.shape[0]
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    heel = rng.normal(0.0, 0.04) * axis[None, :] + rng.normal(0.0, 0.05) * axis[:, None]
    blur = size / 256.0 * rng.uniform(0.5, 0.8) * (1.25 if ap else 1.0)
    image = cv2.GaussianBlur(attenuation.astype(np.float32), (0, 0), blur)
    gain, offset = rng.uniform(1.5, 2.1), rng.uniform(-0.03, 0.05)
    # Fewer quanta reach the detector behind dense parts.
    dose = rng.uniform(0.006, 0.012)
    shape: tuple[int, ...] = image.shape
    grain = noise.standard_normal(shape).astype(np.float32)
    image = image + heel + dose * np.exp(0.9 * image) * grain
    image = 0.94 * (1.0 - np.exp(-gain * np.clip(image - offset, 0.0, None)))
    if rng.random() < 0.35:
        lean = np.tan(np.deg2rad(rng.uniform(-1.5, 1.5)))
        margins = rng.uniform(0.0, 0.035, 4) * (rng.random(4) < 0.6)
        x, y = np.meshgrid(axis, axis)
        open_field = (x - lean * y > margins[0] - 0.5) & (x - lean * y < 0.5 - margins[1])
        open_field &= (y + lean * x > margins[2] - 0.5) & (y + lean * x < 0.5 - margins[3])
        image = np.where(open_field, image, 0.03 * image)
    return np.clip(image, 0.0, 0.94).astype(np.float32)


def render(
    rng_seed: int, label: str, size: int, *, anatomy_seed: int | None = None,
    finding_seed: int | None = None, contrast: float = DEFAULT_CONTRAST, mark: bool = False,
    female: bool = False, ap: bool = False,
) -> Phantom:  # fmt: skip
    """Return one radiograph of ``size`` by ``size`` pixels, a function of the arguments alone.

    ``rng_seed`` (0 or more) draws pose, exposure, noise and the mark's place, ``anatomy_seed`` the
    patient and ``finding_seed`` the opacities (both default to ``rng_seed``). ``contrast`` scales
    the opacities (1 is the default, 0 hides them). ``mark=True`` draws a letter outside the
    lungs and changes no other pixel. ``female`` adds breast shadows, ``ap`` enlarges the heart and
    the blur as a bedside image does. Raises InputError for an unknown label or a size below 48.
    """
    if label not in LABELS:
        raise InputError(f"phantom: unknown label {label!r}: use one of {', '.join(LABELS)}")
    if size < MIN_SIZE:
        raise InputError(f"phantom: size {size} is too small to draw: use {MIN_SIZE} or more")
    anatomy = rng_seed if anatomy_seed is None else anatomy_seed
    study = rng_seed if finding_seed is None else finding_seed
    anatomy_rng, study_rng = _rng(anatomy, _ANATOMY), _rng(study, _FINDINGS)
    shot_rng = _rng(rng_seed, _ACQUISITION)
    body = Body(anatomy_rng, female=female, ap=ap)
    u, v = _pose(shot_rng, size, anatomy_rng)

    lungs, whole_lungs = np.zeros(u.shape, bool), np.zeros(u.shape, bool)
    air = np.zeros(u.shape, np.float32)
    aerated = np.zeros(u.shape, np.float32)
    cage = np.ones(u.shape, np.float32)
    for side in (-1, 1):
        depth = body.lung_depth(u, v, side)
        lungs |= depth > 0.0
        behind = np.clip(body.lung_depth(u, v, side, heart=False), 0.0, None)
        whole_lungs |= behind > 0.0
        full = step(depth, 0.012)
        swell = 1.0 - np.exp(-behind / 0.05)
        aerated += (0.4 + 0.6 * swell) * full
        air += 0.45 * swell * (1.0 - full)
        np.copyto(cage, np.abs(u) / body.lateral(v, side), where=side * u >= 0)

    air += aerated

    attenuation = _tissue(body, u, v, air, cage)
    shown = draw_findings(study_rng, label)
    haze, boxes = render_opacities(body, shown, u, v, aerated, lungs, study_rng)
    attenuation = attenuation + contrast * haze
    pixels = _expose(attenuation, shot_rng, _rng(rng_seed, _NOISE), ap)
    phantom = Phantom(pixels, lungs, whole_lungs, boxes)
    return add_mark(phantom, rng_seed) if mark else phantom


def add_mark(phantom: Phantom, rng_seed: int) -> Phantom:
    """Return a copy with a letter in an upper corner, as `render` draws it for ``rng_seed``."""
    pixels = phantom.pixels.copy()
    return replace(phantom, pixels=pixels, mark=draw_mark(pixels, _rng(rng_seed, _MARK)))


def _rng(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng((seed, stream))
