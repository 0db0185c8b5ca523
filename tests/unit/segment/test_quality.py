"""What makes a lung mask implausible, on drawn masks and on those of people."""

from __future__ import annotations

import csv
import hashlib
import json

import cv2
import numpy as np
import pytest

from sscdl.phantom.radiograph import render
from sscdl.segment.maskfiles import read_mask, record_mask
from sscdl.segment.processing.postprocess import doubt_of
from sscdl.segment.quality import hulls, measure


def two_lungs(left: int = 28, right: int = 28) -> np.ndarray:
    """Return a mask (128, 128) with two ellipses of the given half heights."""
    mask = np.zeros((128, 128), np.uint8)
    cv2.ellipse(mask, (38, 64), (16, left), 0, 0, 360, 1, -1)
    cv2.ellipse(mask, (90, 64), (16, right), 0, 0, 360, 1, -1)
    return mask.astype(bool)


def test_measures_of_two_ellipses():
    quality = measure(two_lungs(40, 20))
    assert quality.components == 2
    assert quality.area == pytest.approx(np.pi * 16 * (40 + 20) / 128**2, rel=0.05)
    assert quality.balance == pytest.approx(0.5, abs=0.03)
    assert quality.solidity > 0.95
    assert quality.border == 0
    assert quality.faults() == []
    assert quality.record()["empty"] is False


def test_every_fault_is_named():
    one = two_lungs()
    one[:, 64:] = False
    assert measure(one).faults() == ["a single component"]
    assert "one lung 0.1" in measure(two_lungs(40, 5)).faults()[0]
    ring = two_lungs()
    cv2_ring = ring.astype(np.uint8)
    cv2.ellipse(cv2_ring, (38, 64), (11, 22), 0, 0, 360, 0, -1)
    assert "ragged shape" in measure(cv2_ring.astype(bool)).faults()[0]
    edge = two_lungs()
    edge[:, :8] = edge[:, -8:] = True
    assert any("border" in fault for fault in measure(edge).faults())
    tiny = cv2.resize(two_lungs().astype(np.uint8), (32, 32), interpolation=cv2.INTER_NEAREST)
    small = np.zeros((128, 128), bool)
    small[48:80, 48:80] = tiny.astype(bool)
    assert "area 0.0" in measure(small).faults()[0]
    assert measure(np.zeros((9, 9), bool)).faults() == ["no lung"]
    assert measure(np.zeros((9, 9), bool)).record()["empty"] is True
    assert any("area" in fault for fault in measure(np.ones((9, 9), bool)).faults())


def test_the_hull_fills_what_a_lung_lacks():
    mask = two_lungs()
    bitten = mask.copy()
    bitten[50:70, 20:34] = False  # an opacity at the left lung's outer wall
    healed = hulls(bitten)
    assert (healed & mask).sum() / mask.sum() > 0.97
    assert (healed & ~mask).sum() < 0.03 * mask.sum()
    assert not hulls(np.zeros((9, 9), bool)).any()


@pytest.fixture
def bitten():
    """Return an implausible mask: one lung of two is a ring with a gap."""
    mask = two_lungs().astype(np.uint8)
    cv2.ellipse(mask, (38, 64), (11, 22), 0, 0, 360, 0, -1)
    mask[60:68, 22:38] = 0
    return mask.astype(bool)


@pytest.mark.parametrize("hull", [True, False])
def test_an_implausible_mask_is_replaced_only_where_hulls_are_wanted(tmp_path, bitten, hull):
    found = bitten.copy()
    record = record_mask("a", bitten, tmp_path, "raw/a.png", hull=hull)
    written = read_mask(tmp_path / "a.png")
    assert np.array_equal(written, hulls(found) if hull else found)
    assert np.array_equal(bitten, found), "the caller's mask stays as it was"
    assert written[64, 38] == hull
    # The record describes the mask as found, even where another one was written.
    assert {key: record[key] for key in measure(found).record()} == measure(found).record()
    assert any("ragged" in fault for fault in record["faults"])
    assert record["sha256"] == hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    assert (record["image_id"], record["png"], record["raw_png"]) == ("a", "a.png", "raw/a.png")
    assert json.loads(json.dumps(record)) == record
    if hull:
        assert not measure(written).faults()


@pytest.mark.parametrize("mask", [two_lungs(40, 30), np.zeros((32, 32), bool)])
def test_hulls_leave_good_and_empty_masks_alone(tmp_path, mask):
    mask = mask.copy()
    mask[62:66, 22:26] = False  # a hull would fill this
    record = record_mask("a", mask, tmp_path, "a.png", hull=True)
    assert np.array_equal(read_mask(tmp_path / "a.png"), mask)
    assert record["faults"] == ([] if mask.any() else ["no lung"])
    assert record["empty"] == (not mask.any())


def test_masks_of_phantoms_are_plausible():
    for seed in range(8):
        assert measure(render(seed, "typical", 128).lungs).faults() == []


def test_masks_drawn_by_people_are_plausible(shared_data):
    folder = shared_data / "lung-masks"
    with open(folder / "index.csv", newline="") as file:
        names = [row["id"] for row in csv.DictReader(file) if row["split"] == "train"]
    faults = {name: measure(read_mask(folder / f"masks/{name}.png")).faults() for name in names}
    assert len(names) == 43
    assert {name: found for name, found in faults.items() if found} == {}


def test_doubt_is_the_undecided_area_beside_the_lung():
    probability = np.zeros((10, 10))
    probability[2:8, 2:8] = 0.95  # 36 pixels
    assert doubt_of(probability) == 0.0
    probability[2] = 0.7  # six of them, and four beside
    assert doubt_of(probability) == pytest.approx(10 / 40)
    probability[3] = 0.2  # still undecided, but no lung
    assert doubt_of(probability) == pytest.approx(20 / 34)
    assert doubt_of(np.full((10, 10), 0.3)) == 0.0


def test_a_network_in_doubt_makes_a_mask_implausible():
    assert measure(two_lungs(), 0.2).faults() == []
    assert measure(two_lungs(), 0.5).faults() == ["network in doubt, 0.50"]
    assert measure(two_lungs()).record()["doubt"] is None
