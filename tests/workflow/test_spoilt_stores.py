"""What is done to a store or to results is repaired or named, and nothing whole is lost."""

from __future__ import annotations

import pytest

from benchmarks import stores
from benchmarks.stores import Outcome, finished, tried

TOGETHER = 5


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return finished(tmp_path_factory.mktemp("stores") / "base").folder


@pytest.mark.parametrize("first", range(0, 20, TOGETHER))
def test_a_sample_of_spoilt_files(first, base, tmp_path):
    outcomes = tried(range(first, first + TOGETHER), 1, base, tmp_path / "mutant")
    assert len(outcomes) >= TOGETHER - 1, "hardly any two numbers choose one file"
    assert not [one for one in outcomes if one.fault]


def test_a_file_that_stays_spoilt_without_a_word_is_a_fault(base, tmp_path, monkeypatch):
    """The judge itself: with nobody who looks or repairs, it finds the fault."""
    silent = type("Done", (), {"stdout": "", "returncode": 0})()
    monkeypatch.setattr(stores, "_snakemake", lambda *_: silent)
    monkeypatch.setattr(stores, "_sscdl", lambda *_: silent)
    (outcome,) = tried([3], 1, base, tmp_path / "mutant")
    assert isinstance(outcome, Outcome)
    assert outcome.fault == "it stays as it is, without a word"
