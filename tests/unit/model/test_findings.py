"""Exported models of findings: their folder, their card, and what they say of pictures."""

from __future__ import annotations

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from sscdl._torchvision import torchvision
from sscdl.errors import InputError
from sscdl.evaluation.attention import attention_share, resize_map
from sscdl.model.answers import answers, columns_of
from sscdl.model.card import loading, write_card
from sscdl.model.command import RULES, main
from sscdl.model.folder import Model
from sscdl.model.predict import predict_folder
from sscdl.tables import operating_points
from tests.unit import records
from tests.unit.exported_models import (
    CPU,
    THRESHOLDS,
    build,
    chances_of,
    change,
    lines_of,
    radiograph,
)

FINDINGS = list(THRESHOLDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("findings") / "model", thresholds=THRESHOLDS)


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
@pytest.mark.parametrize("thresholds", [THRESHOLDS, {"Edema": 0.5}])
def test_the_lines_of_the_card_load_weights_whose_sigmoids_are_the_probabilities(
    tmp_path, monkeypatch, name, thresholds
):
    folder = build(tmp_path / "model", name=name, thresholds=thresholds)
    model = Model(folder, CPU)
    lines = loading(model.described)
    card = write_card(model.described)
    assert all(line in card for line in lines)
    assert "The sigmoid of each of its outputs" in card
    monkeypatch.chdir(folder)
    scope = {"torchvision": torchvision}
    exec("\n".join(lines).replace("import torch, torchvision", "import torch"), scope)
    pixels = torch.from_numpy(cv2.resize(radiograph(), (64, 64)))[None]
    with torch.no_grad():
        x = (pixels[:, None].float() / 255 - 0.4) / 0.25
        expected = scope["model"](x.expand(-1, 3, -1, -1)).double().sigmoid()
    found = model(pixels)[0]
    assert found.shape == (1, len(thresholds))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-9)


def test_the_card_says_what_is_told_from_where_on_and_how_well(folder):
    described = Model(folder, CPU).described
    card = write_card(described)
    assert "| tells, each by itself, whether an image shows | Effusion, Edema, Hernia |" in card
    assert "| Effusion | 0.25 | 12 | 30 |" in card
    assert "| Edema | no threshold: never called | 12 | 30 |" in card
    assert "| Hernia | 0.001 | 12 | 30 |" in card
    assert "the rule Youden: at the largest sum of sensitivity and specificity" in card
    assert "the validation images (split `val`)" in card
    assert "| AUC of | test (40 images) |" in card
    assert "| mean | 0.71 |" in card
    assert "| Hernia |  |" in card
    assert "not calibrated" in card
    assert "one of them" not in card
    assert "too good" not in card
    described["thresholds"]["chosen_on"] = "test"
    assert "too good" in write_card(described)
    for rule in operating_points.RULES:
        described["thresholds"]["rule"] = rule
        assert f"the rule {rule}: at the" in write_card(described)


def test_rules_are_asked_for_by_words_of_a_shell():
    assert list(RULES.values()) == list(operating_points.RULES)
    assert all(name == name.lower() and name.isascii() and " " not in name for name in RULES)


def without(**more):
    chosen = {"rule": "Youden", "chosen_on": "val", "values": THRESHOLDS}
    chosen["images"] = {name: [1, 2] for name in FINDINGS}
    return {"thresholds": chosen | more}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"thresholds": {}}, "thresholds: 'rule' is a required property"),
        ({"several": False}, "several: True was expected"),
        (without(rule="best"), "thresholds.rule: 'best' is not one of"),
        (without(values=THRESHOLDS | {"Edema": "0.5"}), "thresholds.values.Edema: '0.5' is not"),
        (without(values={"Edema": 0.5}), "thresholds.values: names other findings than classes"),
        (without(images={"Edema": [1, 2]}), "thresholds.images: names other findings"),
        ({"classes": FINDINGS[:2]}, "thresholds.values: names other findings than classes"),
    ],
)
def test_a_description_without_what_findings_need_is_refused_by_its_key(
    tmp_path, folder, changes, message
):
    copy = tmp_path / "model"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).symlink_to(path)
    (copy / "model.json").unlink()
    (copy / "model.json").write_text((folder / "model.json").read_text())
    change(copy, **changes)
    with pytest.raises(InputError, match=message) as caught:
        Model(copy, CPU)
    assert str(caught.value).endswith("export it again")


def stand_in(chances, maps=None, thresholds=THRESHOLDS):
    """Return a model of findings that says ``chances`` (N, K) whatever it sees."""
    chances = torch.tensor(chances, dtype=torch.float64)
    maps = torch.ones(*chances.shape, 2, 2) if maps is None else maps
    return SimpleNamespace(
        classes=list(thresholds), several=True, thresholds=thresholds,
        explain=lambda pictures: (chances, maps),
    )  # fmt: skip


def said(model, usable=(True,)):
    number = len(usable)
    pictures = np.zeros((number, 8, 8), np.uint8)
    lungs = np.zeros((number, 8, 8), bool)
    lungs[:, :, :4] = True
    return answers(model, pictures, lungs, list(usable))


def test_a_finding_is_called_by_the_probability_that_is_written():
    exact = 0.1234567890126
    threshold = float(f"{exact:.12g}")
    assert threshold > exact, "the rounded one is not higher: the test is empty"
    model = stand_in(
        [[exact, 0.99, 1.23456789012345e-7], [threshold - 1e-9, 0, 2e-7]],
        thresholds={"Effusion": threshold, "Edema": None, "Hernia": 1.3e-7},
    )
    first, second = (answer.cells for answer in said(model, (True, True)))
    assert first["prob_Effusion"] == threshold
    assert first["prob_Hernia"] == 1.23456789012e-7
    assert [first[f"called_{name}"] for name in FINDINGS] == ["1", "", "0"]
    assert [second[f"called_{name}"] for name in FINDINGS] == ["0", "", "1"]
    assert set(first) == set(columns_of(model))


def test_attention_is_that_of_each_finding_and_drawn_of_those_that_are_called():
    maps = torch.rand(1, 3, 2, 2, generator=torch.Generator().manual_seed(0)) - 0.3
    lungs = torch.zeros(1, 8, 8, dtype=torch.bool)
    lungs[..., :4] = True
    (answer,) = said(stand_in([[0.3, 0.9, 0.5]], maps))
    for place, name in enumerate(FINDINGS):
        inside = attention_share(resize_map(maps[:, place], 8), lungs).item()
        assert answer.cells[f"ail_of_{name}"] == pytest.approx(inside, abs=1e-6)
    assert answer.cells["lung_share"] == 0.5
    assert list(answer.maps) == ["Effusion", "Hernia"]
    (item,) = answer.maps["Hernia"]
    assert item.predicted == "p 0.5"
    assert item.cam == pytest.approx(resize_map(maps[:, 2], 8)[0].numpy())
    assert item.ail == pytest.approx(answer.cells["ail_of_Hernia"], abs=1e-6)
    # Where none is called, the likeliest is shown, and called what it is.
    (answer,) = said(stand_in([[0.1, 0.9, 0.0001]], maps))
    assert list(answer.maps) == ["Edema\n(not called)"]
    (answer,) = said(stand_in([[0.3, 0.9, 0.5]], maps), usable=(False,))
    assert "lung_share" not in answer.cells
    assert np.isnan([answer.cells[f"ail_of_{name}"] for name in FINDINGS]).all()


def test_files_are_predicted_and_drawn(folder, tmp_path):
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    for seed in (1, 2):
        cv2.imwrite(str(images / f"{seed}.png"), radiograph(seed))
    (images / "empty.png").write_bytes(b"")
    arguments = [str(folder), str(images), str(out), "--device", "cpu", "--attention"]
    assert main(["predict", *arguments]) == 1
    lines = lines_of(out)
    for name in ("1.png", "2.png"):
        line = lines[name]
        for finding, chance in zip(FINDINGS, chances_of(line, FINDINGS), strict=True):
            threshold = THRESHOLDS[finding]
            expected = "" if threshold is None else str(int(chance >= threshold))
            assert line[f"called_{finding}"] == expected
        assert sum(chances_of(line, FINDINGS)) != pytest.approx(1)
        assert cv2.imread(str(out / "attention" / name)) is not None
    assert lines["empty.png"]["error"]
    assert lines["empty.png"]["called_Hernia"] == ""
    assert "predicted" not in lines["empty.png"]


def test_a_single_finding_is_enough(tmp_path):
    model = Model(build(tmp_path / "model", thresholds={"Edema": 0.5}), CPU)
    cv2.imwrite(str(tmp_path / "a.png"), radiograph())
    assert predict_folder(model, tmp_path / "a.png", tmp_path / "out", attention=True) == 0
    line = lines_of(tmp_path / "out")["a.png"]
    assert line["called_Edema"] == str(int(float(line["prob_Edema"]) >= 0.5))


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("findings", [], "give their predictions by this model with --predictions"),
        ("classify", ["--threshold", "youden"], "is a model of classes"),
        ("rotation", [], r"its name ends in classify or findings"),
    ],
)
def test_what_does_not_go_with_a_model_is_refused_before_anything_is_read(
    tmp_path, task, options, message
):
    pointer = tmp_path / "recipes" / f"{task}.aa0.json"
    pointer.parent.mkdir()
    entry = records.pointer(node=task, fingerprint="aa0", task=task)
    pointer.write_text(json.dumps(entry))
    with pytest.raises(InputError, match=message):
        main(["export", str(pointer), str(tmp_path / "out"), *options])
    assert not (tmp_path / "out").exists()
