"""Exported models: their folder, their card, and where in a study they come from."""

from __future__ import annotations

import json
import shutil

import cv2
import pytest
import torch

from sscdl.__main__ import main as command
from sscdl._torchvision import torchvision
from sscdl.errors import InputError
from sscdl.model.card import loading, write_card
from sscdl.model.folder import OF_FINDINGS, SEGMENTER, WEIGHTS, Model
from sscdl.model.source import find_pointer, read_study
from sscdl.recipe import file_hash
from tests.unit import records
from tests.unit.exported_models import CLASSES, CPU, build, change, radiograph


def test_weights_load_strictly_into_plain_torchvision_and_say_the_same(
    exported_folder, exported_model
):
    plain = torchvision.models.resnet18(num_classes=len(CLASSES))
    from safetensors.torch import load_file

    plain.load_state_dict(load_file(exported_folder / WEIGHTS))
    pixels = torch.from_numpy(cv2.resize(radiograph(), (64, 64)))[None]
    with torch.no_grad():
        x = (pixels[:, None].float() / 255 - 0.4) / 0.25
        expected = plain.eval()(x.expand(-1, 3, -1, -1)).softmax(dim=1)
    found, maps = exported_model(pixels)
    assert torch.allclose(found, expected, atol=1e-5)
    assert maps.shape == (1, 2, 2)


@pytest.mark.parametrize(
    ("name", "last_stage"),
    [
        ("resnet18", 2), ("resnet18", 4), ("resnet34", 2), ("resnet50", 3), ("densenet121", 4),
        ("vit_tiny_patch16_224", 4), ("convnext_tiny", 4), ("efficientnet_b0", 4),
    ],
)  # fmt: skip
def test_the_lines_of_the_card_load_the_weights(tmp_path, monkeypatch, name, last_stage):
    folder = build(tmp_path / "model", name=name, last_stage=last_stage)
    model = Model(folder, CPU)
    described = model.described
    lines = loading(described)
    assert all(line in write_card(described) for line in lines)
    monkeypatch.chdir(folder)
    code = "\n".join(lines).replace("import torch, torchvision", "import torch")
    scope = {"torchvision": torchvision}
    exec(code, scope)
    pixels = torch.from_numpy(cv2.resize(radiograph(), (64, 64)))[None]
    with torch.no_grad():
        x = (pixels[:, None].float() / 255 - 0.4) / 0.25
        expected = scope["model"](x.expand(-1, 3, -1, -1)).softmax(dim=1)
    assert expected.shape == (1, len(CLASSES))
    torch.testing.assert_close(model(pixels)[0], expected, rtol=1e-4, atol=1e-5)


def test_the_card_says_what_the_model_is_not(exported_folder, exported_model):
    card = write_card(exported_model.described)
    assert "Not a medical device" in card
    assert "No predictions were recorded" in card
    assert "random weights" in card


def damage(folder, what):
    if what == "truncated":
        content = (folder / WEIGHTS).read_bytes()
        (folder / WEIGHTS).write_bytes(content[: len(content) // 2])
    elif what == "no safetensors":
        (folder / WEIGHTS).write_bytes(b"pickle")
        described = json.loads((folder / "model.json").read_text())
        change(folder, files=described["files"] | {WEIGHTS: file_hash(folder / WEIGHTS)})
    elif what == "missing":
        (folder / SEGMENTER).unlink()
    elif what == "version":
        change(folder, version=OF_FINDINGS + 1)
    elif what == "other":
        change(folder, format="something")
    elif what == "json":
        (folder / "model.json").write_text("{")
    elif what == "none":
        (folder / "model.json").unlink()
    elif what == "key":
        change(folder, image={"size": 64})
    elif what == "classes":
        change(folder, classes=CLASSES[:2])
    elif what == "segmenter":
        described = json.loads((folder / "model.json").read_text())
        change(folder, files={WEIGHTS: described["files"][WEIGHTS]})
    elif what == "path":
        change(folder, files={WEIGHTS: "0" * 64, "../x": "0" * 64})


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("truncated", "weights.safetensors is damaged"),
        ("no safetensors", "neither a safetensors file nor one of torch"),
        ("missing", "segmenter.safetensors is missing"),
        ("version", f"has format version {OF_FINDINGS + 1}"),
        ("other", "describes no model of this project"),
        ("json", "is not JSON"),
        ("none", "has no model.json"),
        ("key", "'packed' is a required property"),
        ("classes", "does not fit resnet18 with 2 classes"),
        ("segmenter", "no segmenter is listed"),
        ("path", "Additional properties are not allowed"),
    ],
)
def test_a_damaged_folder_is_refused_with_what_is_wrong(
    exported_folder, tmp_path, what, message, capsys
):
    copy = tmp_path / "copy"
    shutil.copytree(exported_folder, copy)
    damage(copy, what)
    (tmp_path / "image.png").write_bytes(b"")
    arguments = ["predict", str(copy), str(tmp_path / "image.png"), str(tmp_path / "out")]
    assert command(["model", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def pointers(store, *names):
    (store / "recipes").mkdir(parents=True)
    for name in names:
        node, _, identity = name.partition(".")
        entry = records.pointer(node=node, fingerprint=identity, task="classify")
        (store / "recipes" / f"{name}.json").write_text(json.dumps(entry))


def test_a_pointer_is_found_by_curriculum_or_beginning(tmp_path):
    pointers(
        tmp_path, "classify.aa0", "rotation.bb0", "rotation+classify.bb1",
        "rotation+moco+classify.ab2", "moco+classify.cc1", "moco+classify.cc2",
    )  # fmt: skip
    found = {
        "scratch": "classify.aa0", "rotation": "rotation+classify.bb1",
        "rotation+classify": "rotation+classify.bb1", "rotation+m": "rotation+moco+classify.ab2",
        "bb": "rotation+classify.bb1", "cc2": "moco+classify.cc2",
        "moco+classify.cc1": "moco+classify.cc1",
    }  # fmt: skip
    for node, name in found.items():
        assert find_pointer(tmp_path, node).name == f"{name}.json"
    for node, message in {"moco": "fits 2", "": "fits 5", "swav": "fits no"}.items():
        with pytest.raises(InputError, match=message) as caught:
            find_pointer(tmp_path, node)
        assert "cc1.json  (full, seed 0)" in str(caught.value)
    with pytest.raises(InputError, match="neither a pointer nor a store"):
        find_pointer(tmp_path / "recipes", "")


def test_a_classifier_of_few_labels_is_meant_by_its_fingerprint_alone(tmp_path):
    pointers(tmp_path, "classify.aa0", "classify.aa1", "classify.bb0")
    for identity, labels in (
        ("aa0", {"share": 0.1, "seed": 0, "draw": 2}),
        ("aa1", {"share": 0.5, "seed": 0}),  # of a study that has no others
        ("bb0", {"share": 0.05, "seed": 0, "draw": 0}),
    ):
        path = tmp_path / f"recipes/classify.{identity}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"object": identity}))
        kept = tmp_path / "objects" / identity / "lineage.json"
        kept.parent.mkdir(parents=True)
        data = {"train": "train", "labels": labels}
        kept.write_text(json.dumps(records.lineage(object=identity, recipe={"data": data})))
    assert find_pointer(tmp_path, "scratch").name == "classify.aa1.json"
    assert find_pointer(tmp_path, "").name == "classify.aa1.json"
    assert find_pointer(tmp_path, "aa0").name == "classify.aa0.json"
    (tmp_path / "recipes/classify.aa1.json").unlink()
    with pytest.raises(InputError, match=r"seed 0, 10 % of the labels, draw 2"):
        find_pointer(tmp_path, "scratch")


def test_a_configuration_is_read_as_snakemake_reads_it(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("image: {size: 32, packed: 36}\nvariants: [full]")
    second.write_text("image: {packed: 40}")
    study = read_study([first, second], ["variant_edge=0.1", "lungs={implausible: drop}"], tmp_path)
    assert study.config["image"] == {"size": 32, "packed": 40}
    assert study.config["lungs"]["implausible"] == "drop"
    assert study.edge("inverted") == 0.1
    assert study.store == tmp_path
    for files, settings, message in (
        ([tmp_path / "c.yaml"], [], "cannot be read"),
        ([], ["image"], "key=value"),
        ([], ["imag={}"], "did you mean"),
    ):
        with pytest.raises(InputError, match=message):
            read_study(files, settings, tmp_path)


def test_the_variant_tells_models_of_one_name_apart(tmp_path):
    pointers(tmp_path, "rotation+classify.bb1", "rotation+classify.bb2", "classify.aa0")
    other = tmp_path / "recipes" / "rotation+classify.bb2.json"
    about = {"node": "rotation+classify", "fingerprint": "bb2", "task": "classify"}
    other.write_text(json.dumps(records.pointer(variant="inverted", **about)))
    assert find_pointer(tmp_path, "rotation", "inverted") == other
    assert find_pointer(tmp_path, "rotation", "full").name == "rotation+classify.bb1.json"
    with pytest.raises(InputError, match="fits 2 classifiers"):
        find_pointer(tmp_path, "rotation", "lung_box")
