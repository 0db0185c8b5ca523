"""Spoilt configurations are accepted, or refused by key in a few lines."""

from __future__ import annotations

import time

import pytest

from benchmarks import configurations
from benchmarks.configurations import MOST_LINES, fault_of, tried
from sscdl.errors import InputError
from sscdl.model.source import read_study
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


def test_a_hang_is_a_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(configurations, "PATIENCE", 0.1)
    monkeypatch.setattr(configurations, "read_study", lambda *_: time.sleep(60))
    outcome, message = configurations.read("study: x", tmp_path)
    assert outcome == "failed"
    assert "Hang: not read within" in message


def test_a_long_value_is_left_out_of_the_middle_of_its_message(tmp_path):
    message = refused(tmp_path, f"variants: [{'x' * 5000}]")
    line = message.splitlines()[-1]
    assert len(line) < 600
    assert line.startswith("  variants.0: 'xxx")
    assert "is not one of full" in line


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("roots: {mine: {file: nowhere.pt}}\ncurricula: [mine]", "roots.mine.file: "),
        ("lungs: {source: checkpoint, checkpoint: {file: no.pt}}", "lungs.checkpoint.file: "),
        ("lungs: {source: masks, masks: {folder: none}}", "lungs.masks.folder: "),
        ("dataset: {layout: siim, siim: {root: nowhere}}", "dataset: "),
    ],
)
def test_a_file_that_is_not_there_is_told_by_its_key(tmp_path, text, key):
    assert refused(tmp_path, text).startswith(key)


def refused(folder, text: str) -> str:
    """Return the message about a small configuration with these lines."""
    lines = ["study: x", *([] if "dataset" in text else ["dataset: {layout: phantom}"]), text]
    (folder / "study.yaml").write_text("\n".join(lines))
    with pytest.raises(InputError) as told:
        read_study([folder / "study.yaml"], [], folder / "store").check()
    return str(told.value)
