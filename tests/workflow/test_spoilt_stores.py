"""What is spoilt in a store or among results is repaired, or named, and nothing whole is lost."""

from __future__ import annotations

import subprocess

import pytest

from benchmarks import stores
from benchmarks.stores import ACTIONS, Outcome, finished, judged, names, tried


def test_a_sample_of_spoilt_files(tmp_path):
    """Twenty files of one study, each in a way of its own; benchmarks/stores.py tries 500."""
    outcomes = tried(range(20), 1, finished(tmp_path / "base").folder, tmp_path / "mutant")
    assert [one for one in outcomes if one.fault] == []
    assert len({one.action for one in outcomes}) >= len(ACTIONS) - 1  # drawn by lot


FILE, OTHER = "store/packs/full.0123456789ab.json", "store/packs/lungs.0123456789ab.json"


@pytest.mark.parametrize(
    ("said", "code", "left", "fault"),
    [
        ("", 0, {FILE: b"spoilt", OTHER: b"o"}, "without a word"),
        (f"{FILE}: is damaged", 0, {FILE: b"spoilt", OTHER: b"o"}, ""),
        ("", 0, {FILE: b"whole", OTHER: b"o"}, ""),
        ("", 0, {FILE: b"written later", OTHER: b"o"}, ""),
        ("", 0, {FILE: b"whole"}, f"lost: {OTHER}"),
        ("", 1, {FILE: b"whole", OTHER: b"o"}, "does not name the file"),
        (f"{FILE}: is damaged", 1, {FILE: b"whole", OTHER: b"o"}, "again and again"),
        ("Traceback (most recent call last)", 0, {FILE: b"whole", OTHER: b"o"}, "a traceback"),
    ],
)
def test_what_counts_as_a_fault(tmp_path, monkeypatch, said, code, left, fault):
    done = subprocess.CompletedProcess([], code, said)
    monkeypatch.setattr(stores, "_snakemake", lambda *_: done)
    monkeypatch.setattr(stores, "_sscdl", lambda *_: done)
    monkeypatch.setattr(stores, "files", lambda _: left)
    spoilt = {FILE: Outcome(0, "cut", FILE, "", "")}
    judged(tmp_path, spoilt, {FILE: b"whole", OTHER: b"o"}, {FILE: b"spoilt"})
    assert fault in spoilt[FILE].fault
    assert bool(fault) == bool(spoilt[FILE].fault)


@pytest.mark.parametrize(
    ("name", "said", "named"),
    [
        ("results/tiny/images.csv", "results/tiny/images.csv: is not the list", True),
        ("results/tiny/images.csv", "other/images.csv: is not the list", False),
        ("results/tiny/images.csv", "images.csv", False),
        ("store/masks/0123456789ab/png/0.png", "masks/0123456789ab/png/10.png", True),  # its folder
        ("store/phantom/x/0.png", "x/10.png and x/0.pngs", False),
        ("store/objects/0123456789ab/lineage.json", "object 0123456789ab", True),
        ("store/recipes/a.0123456789ab.json", "recipes/b.0123456789ab.json", False),
        ("store/recipes/a.0123456789ab.json", "recipes/a.0123456789ab.json.", True),
    ],
)
def test_a_file_is_named_by_its_folder_or_object(name, said, named):
    assert names(name, said) == named
