"""Exported models made by hand: their folder, their card, and what they say of image files."""

from __future__ import annotations

import csv
import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sscdl import phantom
from sscdl.__main__ import main as command
from sscdl._torchvision import torchvision
from sscdl.backbones import build_backbone
from sscdl.errors import InputError
from sscdl.model import main
from sscdl.model_card import loading, write_card
from sscdl.model_folder import FORMAT, SEGMENTER, VERSION, WEIGHTS, Model, preprocessing_source
from sscdl.model_predict import _endings, _names, _pack, predict_folder
from sscdl.model_source import find_pointer, read_study
from sscdl.recipe import file_hash
from sscdl.segment import default
from sscdl.segment.predict import Segmenter
from tests.unit.dicom_files import PATIENT_NAME, write_dicom
from tests.unit.render_helpers import ACCEPT_ALL

CLASSES = ["negative", "typical", "other"]
CPU = torch.device("cpu")


def build(folder, *, variant="segmented_black", name="resnet18", last_stage=4, gray=None, edge=0.0):
    """Write a model with random weights and the default segmenter; return its folder."""
    folder.mkdir()
    torch.manual_seed(0)
    backbone = build_backbone(name, last_stage)
    head = "classifier" if name.startswith("densenet") else "fc"
    state = backbone.state_dict()
    state[f"{head}.weight"] = torch.randn(len(CLASSES), backbone.channels)
    state[f"{head}.bias"] = torch.randn(len(CLASSES))
    save_file({k: v.contiguous() for k, v in state.items()}, folder / WEIGHTS)
    shutil.copyfile(default.PATH, folder / SEGMENTER)
    recipe = {
        "task": "classify",
        "seed": 0,
        "root": "scratch",
        "data": {"classes": CLASSES, "validate": "val", "pack": "0" * 12},
    }
    described = {
        "format": FORMAT,
        "version": VERSION,
        "classes": CLASSES,
        "backbone": {"name": name, "last_stage": last_stage},
        "image": {"size": 64, "packed": 72},
        "variant": {"name": variant, "edge": edge, "gray": gray},
        "normalisation": {"mean": 0.4, "std": 0.25},
        "ingest": {
            "rendering": {
                "window": "first",
                "percentiles": [0.5, 99.5],
                "bits": 8,
                "max_pixels": 10**6,
            },
            "accept": ACCEPT_ALL,
            "time_limit": 30,
        },
        "lungs": {
            "needed": variant != "full",
            "source": "default",
            "convention": default.CONVENTION,
            "implausible": "keep",
        },
        "files": {n: file_hash(folder / n) for n in (WEIGHTS, SEGMENTER)},
        "preprocessing": preprocessing_source(),
        "verified": True,
        "lineage": {
            "node": "classify",
            "variant": variant,
            "epochs": 2,
            "learning_rate": 0.01,
            "metric": "balanced_accuracy",
            "value": 0.5,
            "recipe": recipe,
            "data": {"images": 24, "mean": 0.4, "std": 0.25},
            "before": None,
        },
    }
    (folder / "model.json").write_text(json.dumps(described))
    return folder


def change(folder, **changes):
    """Change keys of ``model.json``."""
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def radiograph(seed=1, size=96):
    """Return a phantom, uint8 (size, size)."""
    return np.rint(255 * phantom.render(seed, "typical", size).pixels).astype(np.uint8)


def lines_of(out):
    """Return the lines of a table of predictions by file."""
    with (out / "predictions.csv").open(newline="") as file:
        return {line["file"]: line for line in csv.DictReader(file)}


def chances_of(line):
    return [float(line[f"prob_{name}"]) for name in CLASSES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(scope="module")
def model(folder):
    return Model(folder, CPU)


def test_weights_load_strictly_into_plain_torchvision_and_say_the_same(folder, model):
    plain = torchvision.models.resnet18(num_classes=len(CLASSES))
    from safetensors.torch import load_file

    plain.load_state_dict(load_file(folder / WEIGHTS))
    pixels = torch.from_numpy(cv2.resize(radiograph(), (64, 64)))[None]
    with torch.no_grad():
        x = (pixels[:, None].float() / 255 - 0.4) / 0.25
        expected = plain.eval()(x.expand(-1, 3, -1, -1)).softmax(dim=1)
    found, maps = model(pixels)
    assert torch.allclose(found, expected, atol=1e-5)
    assert maps.shape == (1, 2, 2)


@pytest.mark.parametrize(
    ("name", "last_stage"),
    [("resnet18", 2), ("resnet18", 4), ("resnet50", 3), ("densenet121", 4)],
)
def test_the_lines_of_the_card_load_the_weights(tmp_path, monkeypatch, name, last_stage):
    folder = build(tmp_path / "model", name=name, last_stage=last_stage)
    described = Model(folder, CPU).described
    lines = loading(described)
    assert all(line in write_card(described) for line in lines)
    monkeypatch.chdir(folder)
    code = "\n".join(lines).replace("import torch, torchvision", "import torch")
    scope = {"torchvision": torchvision}
    exec(code, scope)
    assert scope["model"](torch.zeros(1, 3, 64, 64)).shape == (1, len(CLASSES))


def test_the_card_says_what_the_model_is_not(folder, model):
    card = write_card(model.described)
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
        change(folder, version=VERSION + 1)
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
        ("no safetensors", "not a safetensors file"),
        ("missing", "segmenter.safetensors is missing"),
        ("version", f"has format version {VERSION + 1}"),
        ("other", "describes no model of this project"),
        ("json", "cannot be read"),
        ("none", "has no model.json"),
        ("key", "'packed' is a required property"),
        ("classes", "does not fit resnet18 with 2 classes"),
        ("segmenter", "no segmenter is listed"),
        ("path", "Additional properties are not allowed"),
    ],
)
def test_a_damaged_folder_is_refused_with_what_is_wrong(folder, tmp_path, what, message, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    damage(copy, what)
    (tmp_path / "image.png").write_bytes(b"")
    arguments = ["predict", str(copy), str(tmp_path / "image.png"), str(tmp_path / "out")]
    assert command(["model", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_files_of_all_kinds_and_those_that_cannot_be_used(folder, tmp_path):
    images, out = tmp_path / "images", tmp_path / "out"
    gray = radiograph()
    write_dicom(images / "PLANTED-0815" / "plain.dcm", gray)
    write_dicom(
        images / "PLANTED-0815" / "inverse.dcm", 255 - gray, PhotometricInterpretation="MONOCHROME1"
    )
    cv2.imwrite(str(images / "picture.png"), gray)
    cv2.imwrite(str(images / "tall.png"), cv2.resize(gray, (96, 150)))
    cv2.imwrite(str(images / "strip.png"), radiograph()[:2])
    cv2.imwrite(str(images / "blank.png"), np.zeros((40, 40), np.uint8))
    (images / "broken.dcm").write_bytes((images / "PLANTED-0815/plain.dcm").read_bytes()[:2000])
    (images / "text.jpg").write_text("no picture")
    (images / "empty.png").write_bytes(b"")
    assert main(["predict", str(folder), str(images), str(out), "--device", "cpu"]) == 1
    lines = lines_of(out)
    assert list(lines) == sorted(lines)
    assert len(lines) == 9
    for name in ("plain.dcm", "inverse.dcm", "picture.png", "tall.png"):
        assert not lines[name]["error"]
        assert sum(chances_of(lines[name])) == pytest.approx(1, abs=1e-5)
        assert lines[name]["predicted"] == CLASSES[int(np.argmax(chances_of(lines[name])))]
        assert 0 <= float(lines[name]["ail"]) <= 1
    # One picture, stored with black and white exchanged.
    assert chances_of(lines["plain.dcm"]) == pytest.approx(
        chances_of(lines["inverse.dcm"]), abs=1e-5
    )
    assert cv2.imread(str(out / "masks" / "tall.png"), 0).shape == (150, 96)
    for name in ("blank.png", "broken.dcm", "text.jpg", "empty.png"):
        assert lines[name]["error"]
        assert not lines[name]["predicted"]
    assert not (out / "attention").exists()
    written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    for secret in (PATIENT_NAME.encode(), b"PLANTED-0815", b"1.2.3"):
        assert secret not in written
        assert all(secret.decode() not in path.name for path in out.rglob("*"))


@pytest.mark.parametrize("variant", ["segmented_black", "full"])
def test_without_lungs_only_models_of_full_images_predict(tmp_path, monkeypatch, variant):
    def nothing(self, images, batch_size=1, **_):
        return [(np.zeros(image.shape, bool), np.zeros(image.shape, bool), 0.0) for image in images]

    monkeypatch.setattr(Segmenter, "predict_with_doubt", nothing)
    model = Model(build(tmp_path / "model", variant=variant), CPU)
    cv2.imwrite(str(tmp_path / "a.png"), radiograph())
    failed = predict_folder(model, tmp_path / "a.png", tmp_path / "out")
    line = lines_of(tmp_path / "out")["a.png"]
    assert line["ail"] == ""
    assert line["mask_faults"] == "no lung"
    if variant == "full":
        assert failed == 0
        assert line["predicted"] in CLASSES
    else:
        assert failed == 1
        assert "no lungs were found" in line["error"]


def test_implausible_masks_are_treated_as_in_the_study(tmp_path, monkeypatch):
    def one_lung(self, images, batch_size=1, **_):
        mask = np.zeros(images[0].shape, bool)
        mask[20:70, 10:50] = True
        return [(mask, mask, 0.0)]

    monkeypatch.setattr(Segmenter, "predict_with_doubt", one_lung)
    folder = build(tmp_path / "model")
    cv2.imwrite(str(tmp_path / "a.png"), radiograph())
    assert predict_folder(Model(folder, CPU), tmp_path / "a.png", tmp_path / "out") == 0
    lungs = json.loads((folder / "model.json").read_text())["lungs"]
    change(folder, lungs=lungs | {"implausible": "drop"})
    assert predict_folder(Model(folder, CPU), tmp_path / "a.png", tmp_path / "out") == 1
    assert "a single component" in lines_of(tmp_path / "out")["a.png"]["error"]


def test_attention_is_drawn_only_if_asked_for(model, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), radiograph())
    predict_folder(model, tmp_path / "a.png", tmp_path / "out", attention=True)
    assert cv2.imread(str(tmp_path / "out" / "attention" / "a.png")) is not None


def test_surroundings_get_the_gray_of_the_study(tmp_path):
    model = Model(build(tmp_path / "model", variant="segmented_gray", gray=0.3), CPU)
    png = tmp_path / "images" / "png"
    masks = tmp_path / "masks" / "png"
    png.mkdir(parents=True)
    masks.mkdir(parents=True)
    mask = np.zeros((72, 72), np.uint8)
    mask[10:20, 10:20] = 255
    cv2.imwrite(str(png / "0.png"), np.full((72, 72), 200, np.uint8))
    cv2.imwrite(str(masks / "0.png"), mask)
    array, lungs, ids = _pack(model, tmp_path, ["0"], [{"image_id": "0", "png": "0.png"}])
    assert ids == ["0"]
    assert (array[0] == np.where(mask > 0, 200, round(0.3 * 255))).all()
    assert (lungs[0] == mask).all()


def test_accepted_views_are_those_of_the_study(tmp_path):
    folder = build(tmp_path / "model")
    ingest = json.loads((folder / "model.json").read_text())["ingest"]
    change(folder, ingest=ingest | {"accept": ACCEPT_ALL | {"view": ["PA"]}})
    images = tmp_path / "images"
    write_dicom(images / "side.dcm", radiograph(), ViewPosition="LL")
    cv2.imwrite(str(images / "picture.png"), radiograph())
    model = Model(folder, CPU)
    assert predict_folder(model, images, tmp_path / "first") == 2
    assert predict_folder(model, images, tmp_path / "second", view="PA") == 1
    lines = lines_of(tmp_path / "second")
    assert lines["picture.png"]["predicted"]
    assert lines["side.dcm"]["error"].startswith("view LL is not accepted")


def test_outputs_have_names_of_their_own():
    assert _endings(["a/x/1.dcm", "b/x/1.dcm", "b/2.dcm", "2.png"]) == [
        "a/x/1.dcm", "b/x/1.dcm", "2.dcm", "2.png",
    ]  # fmt: skip
    assert _endings(["1.dcm", "a/1.dcm"]) == ["1.dcm", "a/1.dcm"]
    names = _names(["2.dcm", "2.png", "A.png", "a.png", "x/1.dcm", "n" * 300, "n" * 301])
    assert len({name.casefold() for name in names}) == len(names)
    assert names[:2] == ["2", "2.png"]
    assert max(map(len, names)) <= 150


@pytest.mark.parametrize(
    ("images", "out", "message"),
    [
        ("nowhere", "out", "no such file or folder"),
        ("empty", "out", "holds no DICOM"),
        ("empty", "empty/out", "lies in the folder of the images"),
        ("empty", "file", "is a file"),
    ],
)
def test_places_that_cannot_be_used_are_named(model, tmp_path, images, out, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=message):
        predict_folder(model, tmp_path / images, tmp_path / out)


def test_changed_code_is_told(folder, tmp_path, caplog):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    change(copy, preprocessing="0" * 12)
    cv2.imwrite(str(tmp_path / "a.png"), radiograph())
    predict_folder(Model(copy, CPU), tmp_path / "a.png", tmp_path / "out")
    assert "has changed since the model was exported" in caplog.text


def pointers(store, *names):
    (store / "recipes").mkdir(parents=True)
    for name in names:
        entry = {"object": "0", "final": {}, "task": "classify", "variant": "full", "seed": 0}
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
    other.write_text(
        json.dumps({"object": "0", "final": {}, "task": "classify", "variant": "inverted"})
    )
    assert find_pointer(tmp_path, "rotation", "inverted") == other
    assert find_pointer(tmp_path, "rotation", "full").name == "rotation+classify.bb1.json"
    with pytest.raises(InputError, match="fits 2 classifiers"):
        find_pointer(tmp_path, "rotation", "lung_box")
