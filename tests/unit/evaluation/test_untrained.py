"""Random networks whose attention models are compared with: which they are, what is written."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import torch

from sscdl.errors import InputError
from sscdl.evaluation import untrained as untrained_module
from sscdl.evaluation.attention import attention_share, contrast_map, of_class, resize_map
from sscdl.evaluation.untrained import predict_untrained, random_network, untrained
from sscdl.files import write_json
from sscdl.images.vouched import describe_list
from tests.unit.real_stage import write_images

BACKBONE = {"name": "resnet18", "last_stage": 2}
CLASSES = ["a", "b"]
DATA = {
    "train": "train", "validate": "val", "normalise": "train", "masked": False, "classes": CLASSES,
}  # fmt: skip
TESTED = [f"i{row}" for row in range(16, 23)]


@pytest.fixture
def folder(tmp_path):
    """Pictures, lungs (another half of each) and their list: the last rows are to be tested on."""
    write_images(tmp_path)
    described = json.loads((tmp_path / "pack.json").read_text())
    lungs = np.zeros((24, 36, 36), np.uint8)
    lungs[::2, 6:30, 3:15], lungs[1::2, 6:30, 15:33] = 255, 255
    np.save(tmp_path / "lungs.npy", lungs)
    digest = hashlib.sha256(lungs.tobytes()).hexdigest()
    write_json(tmp_path / "lungs.json", {**described, "sha256": digest})
    images = pd.read_csv(tmp_path / "images.csv")
    images["mask"] = np.where(images["image_id"].isin(TESTED), "mask.png", "")
    images.to_csv(tmp_path / "images.csv", index=False)
    describe_list(tmp_path / "images.csv", split={}, source="")
    return tmp_path


def run(folder, networks=3, **more):
    settings = {
        "variant": "full", "data": DATA, "backbone": BACKBONE, "image_size": 32,
        "batch_statistics": "estimated", "device": "cpu", "threads": 1,
    }  # fmt: skip
    places = [folder / name for name in ("pack.json", "lungs.json", "images.csv", "out.csv")]
    predict_untrained(*places, networks=networks, **{**settings, **more})
    return pd.read_csv(places[-1])


def test_every_network_has_a_line_for_each_image_that_classifiers_predict(folder):
    found = run(folder)
    assert list(found.columns) == [
        "variant", "network", "image_id", "patient_id", "split", "label", "ail", "ail_contrast",
        "lung_share",
    ]  # fmt: skip
    assert found["network"].tolist() == [number for number in range(3) for _ in TESTED]
    assert found["image_id"].tolist() == TESTED * 3
    assert found.groupby("network")["ail"].mean().nunique() == 3
    assert found.groupby("image_id")["lung_share"].nunique().eq(1).all()
    # More networks leave the first as they were.
    pd.testing.assert_frame_equal(run(folder, networks=5).iloc[: len(found)], found)


def test_the_scores_are_those_of_the_maps_of_the_class_that_it_predicts(folder):
    found = run(folder).query("network == 2")
    array, lungs = (np.load(folder / f"{name}.npy") for name in ("pack", "lungs"))
    train = array[:16] / 255
    network, head = random_network(2, BACKBONE, 2)
    images = torch.from_numpy(array / 255).float()[:, None]
    x = torch.nn.functional.interpolate(images, size=32, mode="bilinear", antialias=True)
    x = ((x - train.mean()) / train.std()).expand(-1, 3, -1, -1)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        network.train()(x[:16])  # all training images in one batch
        features = network.eval().features(x[16:23])
        maps = torch.einsum("bchw,kc->bkhw", features, head.weight)
        chosen = head(features.mean(dim=(2, 3))).argmax(dim=1)
    inside = torch.from_numpy(lungs[16:23] > 0)
    for column, cam in (
        ("ail", of_class(maps, chosen)),
        ("ail_contrast", contrast_map(maps, chosen)),
    ):
        expected = attention_share(resize_map(cam, 36), inside).numpy()
        np.testing.assert_allclose(found[column], expected, atol=2e-3)


def test_of_findings_it_is_the_map_of_the_first_whatever_the_network_says(folder):
    """No map is chosen by what it would show best: that of a random row is as good as another's."""
    images = pd.read_csv(folder / "images.csv", dtype=str, keep_default_na=False)
    images["label"] = images["label"].where(images["image_id"] != TESTED[0], "a?|b?")
    images.to_csv(folder / "images.csv", index=False)
    describe_list(folder / "images.csv", split={}, source="")
    data = {key: value for key, value in DATA.items() if key != "classes"} | {"findings": CLASSES}
    found = run(folder, data=data)
    assert found["image_id"].tolist() == TESTED[1:] * 3, "of the first nothing is known"
    array, lungs = (np.load(folder / f"{name}.npy") for name in ("pack", "lungs"))
    train = array[:16] / 255
    model = untrained(
        2, BACKBONE, torch.from_numpy(array[:16]), classes=CLASSES, size=32, several=True,
        mean=train.mean(), std=train.std(), device=torch.device("cpu"),
    )  # fmt: skip
    _, maps = model.explain(torch.from_numpy(array[17:23]))
    inside = torch.from_numpy(lungs[17:23] > 0)
    expected = attention_share(resize_map(maps[:, 0], 36), inside).numpy()
    np.testing.assert_allclose(found.query("network == 2")["ail"], expected, atol=2e-3)


def test_a_network_is_decided_by_its_number_alone():
    state = torch.get_rng_state()
    first, head = random_network(3, BACKBONE, 2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    again, head_again = random_network(3, BACKBONE, 2)
    other, _ = random_network(4, BACKBONE, 2)
    assert torch.equal(head.weight, head_again.weight)
    for name, value in first.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)
    # Nor by how many classes there are.
    assert torch.equal(random_network(3, BACKBONE, 5)[0].conv1.weight, first.conv1.weight)


def test_networks_are_settled_where_those_of_the_study_are(folder):
    images = torch.from_numpy(np.load(folder / "pack.npy")[:16])
    given = {"classes": CLASSES, "size": 32, "mean": 0.5, "std": 0.2, "device": torch.device("cpu")}
    settled, plain = (untrained(0, BACKBONE, by, **given).backbone for by in (images, None))
    assert torch.equal(settled.conv1.weight, plain.conv1.weight)
    assert torch.equal(plain.bn1.running_mean, torch.zeros_like(plain.bn1.running_mean))
    assert float(settled.bn1.running_mean.abs().max()) > 0
    assert not run(folder)["ail"].equals(run(folder, batch_statistics="running")["ail"])


def test_a_gpu_is_lent_once(folder, lends):
    held = lends(untrained_module)
    run(folder, device="cuda")
    assert held == [("cuda", 1), "given back"]


def test_a_list_of_other_pictures_is_refused(folder):
    images = pd.read_csv(folder / "images.csv", dtype=str, keep_default_na=False)
    images.iloc[:-1].to_csv(folder / "images.csv", index=False)
    with pytest.raises(InputError, match="images.csv"):
        run(folder)
