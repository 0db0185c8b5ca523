"""A finished study's models, exported: on the study's files they say what the study says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from sscdl.__main__ import main
from sscdl.model.source import read_study
from sscdl.study.study import Study
from tests.workflow.conftest import TINY, Runner

NUMBERS = ["prob_negative", "prob_typical", "ail", "lung_share"]


@pytest.fixture(scope="module")
def further(study, place) -> Runner:
    """Return a finished study of the other variants, with a soft edge, on the same store."""
    variants = ["segmented_gray", "inverted", "lung_box"]
    only = {"variants": variants, "curricula": ["scratch"], "variant_edge": 0.02}
    runner = Runner(place / "further", TINY | {"study": "further"} | only)
    runner(*(f"results/further/predictions/{variant}.scratch.s0.csv" for variant in variants))
    return runner


def configuration_of(runner) -> Path:
    """Return the runner's configuration as a file that no other test writes."""
    file = runner.folder / "model.yaml"
    file.write_text(yaml.safe_dump(runner.config))
    return file


def study_of(runner) -> Study:
    store = (runner.folder / runner.config["store"]).resolve()
    return read_study([configuration_of(runner)], (), store)


def pointer_of(runner, variant, task) -> Path:
    """Return the pointer of the last curriculum's node of a variant and a task."""
    whole = study_of(runner)
    node = whole.models[(variant, runner.config["curricula"][-1], 0)]
    while node.task != task:
        node = whole.nodes[node.parent]
    return whole.pointer(node.fingerprint)


def export(runner, variant, out, *options, task="classify") -> int:
    files = [str(pointer_of(runner, variant, task)), str(out)]
    return main(
        ["model", "export", *files, "--configfile", str(configuration_of(runner)), *options]
    )


@pytest.mark.parametrize(
    "variant", ["full", "segmented_black", "segmented_gray", "inverted", "lung_box"]
)
def test_predictions_are_those_of_the_study(study, request, variant, tmp_path):
    other = variant not in ("full", "segmented_black")
    runner = request.getfixturevalue("further") if other else study
    curriculum = runner.config["curricula"][-1]
    table = runner.results / "predictions" / f"{variant}.{curriculum}.s0.csv"
    model, out = tmp_path / "model", tmp_path / "out"
    assert export(runner, variant, model, "--predictions", str(table)) == 0
    assert "| test |" in (model / "README.md").read_text()
    archive = study_of(runner).archive / "train"
    assert main(["model", "predict", str(model), str(archive), str(out), "--device", "cpu"]) == 0
    found = pd.read_csv(out / "predictions.csv")
    found["image_id"] = found["file"].str.removesuffix(".dcm")
    expected = pd.read_csv(table, dtype={"image_id": str})
    expected = expected[expected["split"].isin(["val", "test"])]
    both = expected.merge(found, on="image_id", suffixes=("", "_found"))
    assert len(both) == len(expected) > 10
    for name in NUMBERS:
        assert (both[name] - both[f"{name}_found"]).abs().max() < 3e-6


def test_another_configuration_is_refused_unless_trusted(study, tmp_path, capsys):
    other = ("--config", "image={packed: 40}")
    assert export(study, "segmented_black", tmp_path / "model", *other) == 2
    assert "in another way than this configuration" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
    trusted = (*other, "--trust-configuration")
    assert export(study, "segmented_black", tmp_path / "model", *trusted) == 0
    assert "could not be shown" in (tmp_path / "model" / "README.md").read_text()
    # A model that is there is not written over.
    assert export(study, "segmented_black", tmp_path / "model", *trusted) == 2
    assert "is there already" in capsys.readouterr().err


def test_what_cannot_be_exported_is_said(study, further, tmp_path, capsys):
    out = tmp_path / "model"
    assert export(study, "full", out, task="rotation") == 2
    assert "pretext stage" in capsys.readouterr().err
    given = ("--config", "lungs={source: masks, masks: {folder: .}}", "--trust-configuration")
    assert export(study, "segmented_black", out, *given) == 2
    assert "say with --segmenter" in capsys.readouterr().err
    assert export(further, "segmented_gray", out, "--trust-configuration") == 2
    assert "--gray" in capsys.readouterr().err
    assert export(study, "full", out, "--segmenter", "default") == 2
    assert "leave the option out" in capsys.readouterr().err
    table = further.results / "predictions" / "inverted.scratch.s0.csv"
    assert export(study, "segmented_black", out, "--predictions", str(table)) == 2
    assert "not those of this model" in capsys.readouterr().err
    assert not out.exists()
    assert not list(tmp_path.iterdir())
    assert export(study, "segmented_black", out, *given, "--segmenter", "default") == 0
    assert "another segmenter finds the lungs" in (out / "README.md").read_text()
