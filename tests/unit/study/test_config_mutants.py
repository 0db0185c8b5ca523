"""Spoilt configurations are accepted, or refused by key in a few lines."""

from __future__ import annotations

import pytest

from benchmarks.configurations import MOST_LINES, fault_of, tried
from tests.unit.config_mutations import KINDS


def test_a_sample_of_spoilt_configurations():
    kinds = set()
    for number, one, outcome, message, fault in tried(range(60), seed=1):
        assert not fault, f"{number}: {one.kind} {one.key}: {outcome}, {fault}\n{message}"
        kinds.add(one.kind)
    assert kinds == set(KINDS)


@pytest.mark.parametrize(
    ("outcome", "message", "fault"),
    [
        ("failed", "Traceback", "error of the program"),
        ("refused", "no", "neither key nor file"),
        ("refused", "variants: x\n" * MOST_LINES, "lines"),
        ("refused", "variants: " + "x" * 1000, "without end"),
    ],
)
def test_what_counts_as_a_fault(outcome, message, fault):
    assert fault in fault_of(outcome, message)
    assert not fault_of("refused", "variants: 'ful' is not one of full")
