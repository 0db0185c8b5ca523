"""The synthetic radiographs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sscdl.errors import InputError
from sscdl.phantom.findings import LABELS, _box
from sscdl.phantom.radiograph import render

SIZE = 96


@pytest.mark.parametrize("label", LABELS)
def test_render_is_a_radiograph_with_its_opacities_in_the_lungs(label: str) -> None:
    for seed in range(25):
        phantom = render(seed, label, SIZE, female=seed % 2 == 0, ap=seed % 3 == 0)
        assert phantom.pixels.shape == phantom.lungs.shape == (SIZE, SIZE)
        assert phantom.pixels.dtype == np.float32
        assert np.isfinite(phantom.pixels).all()
        assert phantom.pixels.min() >= 0
        assert phantom.pixels.max() <= 1
        assert 0.15 < phantom.lungs.mean() < 0.45
        assert cv2.connectedComponents(phantom.lungs.astype(np.uint8))[0] == 3
        # The spine is denser than the lungs.
        middle = phantom.pixels[SIZE // 3 : SIZE // 2, SIZE // 2 - 6 : SIZE // 2 + 6].mean()
        assert middle > phantom.pixels[phantom.lungs].mean() + 0.1
        assert bool(phantom.boxes) == (label != "negative")
        for x0, y0, x1, y1 in phantom.boxes:
            assert 0 <= x0 < x1 <= 1
            assert 0 <= y0 < y1 <= 1
            assert phantom.lungs[int((y0 + y1) / 2 * SIZE), int((x0 + x1) / 2 * SIZE)]


def test_opacities_add_density_where_their_boxes_are() -> None:
    for seed in range(12):
        ill, well = render(seed, "typical", SIZE), render(seed, "typical", SIZE, contrast=0.0)
        change = ill.pixels - well.pixels
        boxed = np.zeros(change.shape, bool)
        for box in ill.boxes:
            x0, y0, x1, y1 = (round(edge * SIZE) for edge in box)
            boxed[y0:y1, x0:x1] = True
        inside, rest = boxed & ill.lungs, ~boxed & ill.lungs
        assert change[inside].mean() > 4 * change[rest].mean() > 0
        centres = [(box[0] + box[2]) / 2 for box in ill.boxes]
        assert min(centres) < 0.4
        assert max(centres) > 0.6
        stronger = render(seed, "typical", SIZE, contrast=2.0).pixels
        assert stronger[inside].mean() > ill.pixels[inside].mean()


@pytest.mark.parametrize("label", LABELS[1:])
def test_opacities_leave_no_trace_outside_the_lungs(label: str) -> None:
    for seed in range(12):
        ill, well = (render(seed, label, SIZE, contrast=c) for c in (3.0, 0.0))
        change = np.abs(ill.pixels - well.pixels)
        near = cv2.dilate(ill.lungs.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        assert change[~near].max() < 1e-3
        assert change[ill.lungs].max() > 0.02


def test_box_is_trimmed_where_its_centre_would_miss_the_lung() -> None:
    lungs = np.zeros((40, 40), bool)
    lungs[4:36, 4:12] = lungs[28:36, 4:36] = True  # a corner, as between heart and diaphragm
    y, x = np.mgrid[:40, :40]
    radius2 = ((x - 9) ** 2 + (y - 31) ** 2) / 24.0**2
    x0, y0, x1, y1 = _box(np.exp(-radius2) * lungs, radius2, lungs)
    assert lungs[int((y0 + y1) / 2 * 40), int((x0 + x1) / 2 * 40)]
    assert x0 <= 9 / 40 < x1
    assert y0 <= 31 / 40 < y1


def test_mark_lies_outside_the_lungs_and_survives_reduction() -> None:
    for seed in range(60):
        marked, plain = render(seed, "negative", SIZE, mark=True), render(seed, "negative", SIZE)
        assert plain.mark is None
        x0, y0, x1, y1 = (round(edge * SIZE) for edge in marked.mark)
        changed = marked.pixels != plain.pixels
        assert changed[y0:y1, x0:x1].any()
        changed[y0:y1, x0:x1] = False
        assert not changed.any()
        margin = SIZE // 32
        assert not marked.lungs[
            max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin
        ].any()
        small = [
            cv2.resize(p.pixels, (64, 64), interpolation=cv2.INTER_AREA) for p in (marked, plain)
        ]
        assert (small[0] - small[1]).max() > 0.25
        assert 0.04 < x1 / SIZE - x0 / SIZE < 0.125


def test_render_depends_on_its_arguments_alone() -> None:
    first = render(3, "typical", SIZE)
    np.random.seed(1)
    render(9, "atypical", SIZE)
    again = render(3, "typical", SIZE)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert first.boxes == again.boxes
    assert (render(4, "typical", SIZE).lungs != first.lungs).any()


def test_images_of_a_patient_are_alike_but_not_the_same() -> None:
    def lungs(patient: int, shot: int) -> np.ndarray:
        return render(shot, "negative", SIZE, anatomy_seed=patient).lungs

    shares = [[], []]
    for patient in range(15):
        here = lungs(patient, 100 + patient)
        for share, other in zip(shares, (patient, 50 + patient), strict=True):
            # Their area does not depend on where the patient stood.
            share.append(abs(np.log(lungs(other, 200 + patient).sum() / here.sum())))
        assert (lungs(patient, 200 + patient) != here).any()
    assert np.mean(shares[0]) < 0.5 * np.mean(shares[1])


def test_render_refuses_what_it_cannot_draw() -> None:
    with pytest.raises(InputError, match="unknown label 'normal'"):
        render(0, "normal", SIZE)
    with pytest.raises(InputError, match="size 16"):
        render(0, "typical", 16)
