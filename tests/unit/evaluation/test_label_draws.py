"""Which labels linear probes see."""

from __future__ import annotations

import logging
from collections import Counter

import numpy as np
import pytest

from sscdl.errors import InputError
from sscdl.evaluation.label_draws import label_draws


def archive() -> tuple[list[str], list[str]]:
    """Labels and patients of 130 images: class a has 60 patients with two each, b 10 with one."""
    labels = ["a"] * 120 + ["b"] * 10
    patients = [f"p{index // 2}" for index in range(120)] + [f"q{index}" for index in range(10)]
    return labels, patients


def drawn(shares, number=3, seed=0, given=None):
    labels, patients = given or archive()
    return {
        (d.share, d.number): d.rows for d in label_draws(labels, patients, shares, number, seed)
    }


def test_a_draw_takes_whole_patients_of_each_class():
    labels, patients = archive()
    found = drawn([0.1, 0.5, 1.0])
    assert list(found) == [(0.1, 0), (0.1, 1), (0.1, 2), (0.5, 0), (0.5, 1), (0.5, 2), (1.0, 0)]
    for (share, _), rows in found.items():
        counts = Counter(labels[row] for row in rows)
        # A tenth of ten patients would be one, too few to cross-validate.
        assert counts == {"a": 120 * share, "b": max(2, 10 * share)}
        whole = Counter(patients[row] for row in rows if labels[row] == "a")
        assert set(whole.values()) == {2}


def test_draws_repeat_differ_and_are_nested():
    found, again = drawn([0.1, 0.5, 1.0]), drawn([1.0, 0.5, 0.1])
    assert all(np.array_equal(found[key], again[key]) for key in found)
    other = drawn([0.1, 0.5, 1.0], seed=1)
    assert not np.array_equal(found[0.1, 0], other[0.1, 0])
    assert len({tuple(found[0.1, number]) for number in range(3)}) == 3
    for number in range(3):
        assert set(found[0.1, number]) < set(found[0.5, number]) < set(found[1.0, 0])
    assert len(found[1.0, 0]) == 130


def test_a_patient_of_two_classes_counts_in_each_by_itself():
    labels, patients = ["a", "b"] * 20, [f"p{index // 2}" for index in range(40)]
    rows = drawn([0.5], given=(labels, patients))[0.5, 0]
    assert Counter(labels[row] for row in rows) == {"a": 10, "b": 10}
    assert len({patients[row] for row in rows}) == 10


def test_shares_that_say_nothing_new_are_left_out(caplog):
    labels, patients = ["a"] * 6 + ["b"] * 6 + ["c"], [f"p{index}" for index in range(13)]
    with caplog.at_level(logging.WARNING, "sscdl.probe"):
        found = drawn([0.01, 0.1, 0.95, 1.0], given=(labels, patients))
    assert {share for share, _ in found} == {0.1, 1.0}
    assert "0.01 of the labels is left out: no fewer than the next" in caplog.text
    assert "0.95 of the labels is left out: a draw would take all" in caplog.text
    assert "share 0.1: two patients of class a, the fewest possible" in caplog.text
    assert "class c has one training patient" in caplog.text
    assert 12 not in found[1.0, 0]
    assert set(drawn([0.9], given=(labels, patients))) == {(1.0, 0)}, "all, as nothing is left"
    with pytest.raises(InputError, match="label_shares"):
        drawn([1.0], given=(["a", "a", "b"], ["p", "q", "r"]))
