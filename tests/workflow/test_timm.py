"""Studies with networks of timm, from images to tables and an exported model."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from sscdl.__main__ import main
from sscdl.evaluation.classifier import Classifier
from sscdl.model.source import read_study
from sscdl.training.backbones import build_backbone  # imports torchvision safely
from tests.workflow.conftest import TINY, Runner

import timm  # isort: skip

VIT, CONVNEXT = "vit_tiny_patch16_224", "convnext_atto"
STAGE = {"batch_size": 8, "learning_rates": [0.01], "search_epochs": 1, "final_epochs": 0}
TABLES = ("attention", "4.15_ail_overview", "3.1_backbones")
SETTINGS = {
    "variants": ["full"],
    "results": {"panel_images": 1, "random_networks": 2, "label_shares": [1.0]},
}


@pytest.fixture(scope="module")
def vit(place) -> Runner:
    """Return a finished study with a transformer, from random and from given weights."""
    torch.manual_seed(0)
    # As it is saved where pictures have 224 px: positions are interpolated.
    given = place / "vit.pt"
    torch.save({"model": timm.create_model(VIT, num_classes=3).state_dict()}, given)
    runner = Runner(
        place / "vit",
        TINY | SETTINGS | {
            "study": "vit", "image": {"size": 96, "packed": 96}, "backbone": {"name": VIT},
            "curricula": ["scratch", "mine+swav"], "roots": {"mine": {"file": str(given)}},
            "stages": {"classify": STAGE, "swav": STAGE | {"options": {"local_crops": 2}}},
        },
    )  # fmt: skip
    runner(*tables(runner, *TABLES, "linear_probe"))
    return runner


@pytest.fixture(scope="module")
def convnext(place) -> Runner:
    """Return a finished study with a network that normalises what it has pooled."""
    runner = Runner(
        place / "convnext",
        TINY | SETTINGS | {
            "study": "convnext", "image": {"size": 64, "packed": 72}, "curricula": ["scratch"],
            "backbone": {"name": CONVNEXT}, "stages": {"classify": STAGE},
        },
    )  # fmt: skip
    runner(*tables(runner, *TABLES))
    return runner


def tables(runner: Runner, *names: str) -> list[str]:
    return [f"results/{runner.config['study']}/tables/{name}.csv" for name in names]


def study_of(runner: Runner):
    file = runner.folder / "model.yaml"
    file.write_text(yaml.safe_dump(runner.config))
    return read_study([file], (), (runner.folder / runner.config["store"]).resolve()), file


@pytest.mark.parametrize(
    ("name", "cells", "size", "arguments"),
    [
        (VIT, 6, 96, {"img_size": 96, "global_pool": "avg", "fc_norm": False}),
        (CONVNEXT, 2, 64, {}),
    ],
)
def test_from_images_to_tables_and_an_exported_model(
    request, tmp_path, name, cells, size, arguments
):
    runner = request.getfixturevalue("vit" if name == VIT else "convnext")
    whole, file = study_of(runner)
    told = f"The last map of {name} has {cells} x {cells} cells at {size} px"
    for table in ("attention", "4.15_ail_overview"):
        assert told in (runner.results / f"tables/{table}.md").read_text()
    assert (runner.results / "tables/3.1_backbones.csv").read_text().count(name) == 1
    curriculum = runner.config["curricula"][-1]
    (node,) = [node for model, node in whole.models.items() if model[1] == curriculum]
    pointer, model = whole.pointer(node.fingerprint), tmp_path / "model"
    table = runner.results / f"predictions/full.{curriculum}.s0.csv"
    assert main(
        ["model", "export", str(pointer), str(model), "--configfile", str(file),
         "--predictions", str(table)]
    ) == 0  # fmt: skip
    described = json.loads((model / "model.json").read_text())
    assert described["timm"] == arguments
    assert described["lineage"]["machine"]["timm"] == timm.__version__
    card = (model / "README.md").read_text()
    assert told in card
    # timm's own network has the same probabilities.
    weights = load_file(model / "weights.safetensors")
    theirs = timm.create_model(name, num_classes=2, **arguments).eval()
    theirs.load_state_dict(weights, strict=True)
    ours = Classifier(pointer, torch.device("cpu"))
    images = torch.randint(0, 256, (3, size, size), dtype=torch.uint8)
    unit = (images[:, None] / 255 - ours.mean) / ours.std
    with torch.no_grad():
        expected = theirs(unit.expand(-1, 3, -1, -1)).softmax(dim=1)
    torch.testing.assert_close(ours(images)[0], expected, rtol=1e-4, atol=1e-5)
    code = card.partition("```python\n")[2].partition("```")[0]
    assert f"timm.create_model({name!r}, num_classes=2" in code
    # New files are predicted as the study has predicted them.
    out = tmp_path / "out"
    archive = whole.archive / "train"
    assert main(["model", "predict", str(model), str(archive), str(out), "--device", "cpu"]) == 0
    found = pd.read_csv(out / "predictions.csv")
    found["image_id"] = found["file"].str.removesuffix(".dcm")
    both = pd.read_csv(table, dtype={"image_id": str}).merge(
        found, on="image_id", suffixes=("", "_found")
    )
    assert len(both) > 5
    for column in ("prob_typical", "ail"):
        assert (both[column] - both[f"{column}_found"]).abs().max() < 3e-6


def test_the_weights_given_are_those_that_are_trained_from(vit):
    roots = (vit.folder / vit.config["store"] / "roots").resolve().glob("mine.*.safetensors")
    # Studies that share the store may have another root of this name.
    (found,) = (one for one in map(load_file, roots) if "pos_embed" in one)
    build_backbone(VIT, image_size=96).load_state_dict(found, strict=True)
    assert found["pos_embed"].shape == (1, 37, 192)


def test_a_plan_knows_what_such_a_network_weighs(vit):
    said = vit("plan")
    assert "Disk: " in said
    assert "The last map of vit_tiny_patch16_224 has 6 x 6 cells" in said


@pytest.mark.parametrize(
    ("backbone", "curricula", "told"),
    [
        ({"name": "vit_tiny_patch16_225"}, ["scratch"], "did you mean vit_tiny_patch16_224"),
        ({"name": CONVNEXT}, ["scratch"], "its last map has 1 x 1 cells"),
        ({"name": "mixer_s16_224"}, ["relloc"], "relloc shows it crops of other sizes"),
        ({"name": VIT, "last_stage": 3}, ["scratch"], "is used whole; give 4"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_first_job(
    tmp_path, backbone, curricula, told
):
    given = {"backbone": backbone, "curricula": curricula, "variants": ["full"]}
    runner = Runner(tmp_path / "refused", TINY | given | {"study": "refused"})
    assert told in runner(ok=False)
    assert not (runner.folder / "results/refused/images.csv").exists()
    assert not (tmp_path / "store" / "phantom").exists()
