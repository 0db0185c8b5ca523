"""Linear probes of frozen networks: which labels they see, which networks, which images."""

from __future__ import annotations

import logging
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from sscdl.errors import InputError
from sscdl.evaluation import probe_study
from sscdl.evaluation.metrics import class_names
from sscdl.evaluation.probe import fit_probe
from sscdl.evaluation.probe_study import Frozen, Network, label_draws, probe_networks, root_network
from sscdl.images.rows import select_rows
from sscdl.images.variants import read_pack
from sscdl.images.vouched import describe_list
from sscdl.stages.session import Session
from sscdl.stages.stage import run_stage
from sscdl.store.store import Store
from sscdl.training.backbones import build_backbone
from tests.unit.real_stage import real_stage, weights, write_images

DATA = {
    "train": "train", "validate": "val", "normalise": "train", "masked": False,
    "classes": ["a", "b"],
}  # fmt: skip
BACKBONE = {"name": "resnet18", "last_stage": 2}


def archive() -> tuple[list[str], list[str]]:
    """Labels and patients of 130 images: class a has 60 patients with two each, b 10 with one."""
    labels = ["a"] * 120 + ["b"] * 10
    patients = [f"p{index // 2}" for index in range(120)] + [f"q{index}" for index in range(10)]
    return labels, patients


def drawn(shares, number=3, seed=0, given=None):
    labels, patients = given or archive()
    return {
        (d.share, d.number): d.rows for d in label_draws(labels, patients, shares, number, seed)
    }


def test_a_draw_takes_whole_patients_of_each_class():
    labels, patients = archive()
    found = drawn([0.1, 0.5, 1.0])
    assert list(found) == [(0.1, 0), (0.1, 1), (0.1, 2), (0.5, 0), (0.5, 1), (0.5, 2), (1.0, 0)]
    for (share, _), rows in found.items():
        counts = Counter(labels[row] for row in rows)
        # A tenth of ten patients would be one, too few to cross-validate.
        assert counts == {"a": 120 * share, "b": max(2, 10 * share)}
        whole = Counter(patients[row] for row in rows if labels[row] == "a")
        assert set(whole.values()) == {2}


def test_draws_repeat_differ_and_are_nested():
    found, again = drawn([0.1, 0.5, 1.0]), drawn([1.0, 0.5, 0.1])
    assert all(np.array_equal(found[key], again[key]) for key in found)
    other = drawn([0.1, 0.5, 1.0], seed=1)
    assert not np.array_equal(found[0.1, 0], other[0.1, 0])
    assert len({tuple(found[0.1, number]) for number in range(3)}) == 3
    for number in range(3):
        assert set(found[0.1, number]) < set(found[0.5, number]) < set(found[1.0, 0])
    assert len(found[1.0, 0]) == 130


def test_a_patient_of_two_classes_counts_in_each_by_itself():
    labels, patients = ["a", "b"] * 20, [f"p{index // 2}" for index in range(40)]
    rows = drawn([0.5], given=(labels, patients))[0.5, 0]
    assert Counter(labels[row] for row in rows) == {"a": 10, "b": 10}
    assert len({patients[row] for row in rows}) == 10


def test_shares_that_say_nothing_new_are_left_out(caplog):
    labels, patients = ["a"] * 6 + ["b"] * 6 + ["c"], [f"p{index}" for index in range(13)]
    with caplog.at_level(logging.WARNING, "sscdl.probe"):
        found = drawn([0.01, 0.1, 0.95, 1.0], given=(labels, patients))
    assert {share for share, _ in found} == {0.1, 1.0}
    assert "0.01 of the labels is left out: no fewer than the next" in caplog.text
    assert "0.95 of the labels is left out: a draw would take all" in caplog.text
    assert "share 0.1: two patients of class a, the fewest possible" in caplog.text
    assert "class c has one training patient" in caplog.text
    assert 12 not in found[1.0, 0]
    assert set(drawn([0.9], given=(labels, patients))) == {(1.0, 0)}, "all, as nothing is left"
    with pytest.raises(InputError, match="label_shares"):
        drawn([1.0], given=(["a", "a", "b"], ["p", "q", "r"]))


@pytest.mark.parametrize("seed", [0, 3])
def test_scratch_is_the_network_that_training_starts_from(tmp_path, seed):
    stage = real_stage(tmp_path, "classify", seed=seed)
    start = Session(stage, None, Store(stage.store), "cpu")._task().backbone.state_dict()
    own = root_network(BACKBONE, seed, None).state_dict()
    assert own.keys() == start.keys()
    assert all(torch.equal(own[name], start[name]) for name in own)
    other = root_network(BACKBONE, seed + 1, None).state_dict()
    assert not torch.equal(own["conv1.weight"], other["conv1.weight"])


def write_list(images, path):
    images.to_csv(path, index=False)
    describe_list(path, split={}, source="")


@pytest.fixture
def study(tmp_path):
    """A trained rotation stage, a root's weights, and a list of images to test on."""
    write_images(tmp_path)
    path = tmp_path / "images.csv"
    images = pd.read_csv(path)
    held = images["split"] == "val"
    images["mask"] = np.where(held, "mask.png", "")
    images.loc[images.index[-1], "mask"] = ""  # no lungs found: no classifier is tested on it
    write_list(images.assign(view="PA", sex="F", age=50), path)
    stage = real_stage(tmp_path, "rotation")
    run_stage(stage)
    root = tmp_path / "root.safetensors"
    torch.manual_seed(7)
    save_file(build_backbone(**BACKBONE).state_dict(), root)
    return stage, root


def run(study, out, *, seed=0, **more):
    stage, root = study
    networks = [
        Network("scratch"), Network("other", root=root), Network("rotation", pointer=stage.pointer),
    ]  # fmt: skip
    settings = {
        "variant": "full", "seed": seed, "data": DATA, "backbone": BACKBONE, "image_size": 32,
        "batch_statistics": "estimated", "shares": [0.5, 1.0], "draws": 2, "device": "cpu",
        "threads": 1,
    }  # fmt: skip
    probe_networks(networks, stage.pack, stage.images, out, **{**settings, **more})
    return pd.read_csv(out)


def test_predictions_have_the_format_of_predictions(study, tmp_path):
    found = run(study, tmp_path / "probe.csv")
    assert list(found.columns) == [
        "variant", "curriculum", "seed", "image_id", "patient_id", "split", "label", "predicted",
        "prob_a", "prob_b", "view", "sex", "age", "share", "draw", "n_labels",
    ]  # fmt: skip
    runs = found.groupby(["curriculum", "share", "draw", "n_labels"], sort=False).size()
    assert runs.index.tolist() == [
        (name, *draw)
        for name in ("scratch", "other", "rotation")
        for draw in ((0.5, 0, 8), (0.5, 1, 8), (1.0, 0, 16))
    ]
    # Rows 16 to 22 validate and have lungs.
    assert set(found["image_id"]) == {f"i{row}" for row in range(16, 23)}
    assert set(runs) == {7}
    assert class_names(found) == ["a", "b"]
    assert np.allclose(found["prob_a"] + found["prob_b"], 1, atol=2e-6)
    assert (found["predicted"] == np.where(found["prob_a"] > 0.5, "a", "b")).all()
    again = run(study, tmp_path / "again.csv")
    pd.testing.assert_frame_equal(found, again)


def test_a_stage_is_probed_with_its_weights_and_its_normalisation(study, tmp_path):
    stage, _ = study
    array, described = read_pack(stage.pack)
    chosen = select_rows(stage.images, described, DATA)
    common = {"seed": 0, "data": DATA, "backbone": BACKBONE, "image_size": 32}
    frozen = Frozen(Network("rotation", pointer=stage.pointer), stage.images, described, **common)
    features = frozen.features(array, range(24), torch.device("cpu"))
    backbone = build_backbone(**BACKBONE).eval()
    backbone.load_state_dict(weights(stage))
    train = array[chosen.train] / 255
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(array / 255).float()[:, None], size=32, mode="bilinear", antialias=True
    )
    views = (resized - train.mean()) / train.std()
    with torch.no_grad():
        expected = backbone(views.expand(-1, 3, -1, -1)).numpy()
    np.testing.assert_allclose(features, expected, atol=2e-3)
    # And the table has what a probe of these features says.
    found = run(study, tmp_path / "probe.csv")
    rows = found[(found["curriculum"] == "rotation") & (found["share"] == 1)]
    truth = np.array([chosen.labels[row] for row in chosen.train])
    images = pd.read_csv(stage.images, dtype=str).set_index("image_id")
    whose = images.loc[[described["ids"][row] for row in chosen.train], "patient_id"]
    fitted = fit_probe(features[chosen.train], truth, list(whose), 0)
    places = [int(image_id[1:]) for image_id in rows["image_id"]]
    np.testing.assert_allclose(
        rows["prob_b"], fitted.probabilities(features[places])[:, 1], atol=1e-5
    )


def test_networks_that_were_not_trained_here_are_normalised_by_the_same_images(study, tmp_path):
    settled = run(study, tmp_path / "settled.csv")
    plain = run(study, tmp_path / "plain.csv", batch_statistics="running")
    differs = (settled["prob_a"] != plain["prob_a"]).groupby(settled["curriculum"]).any()
    assert differs.to_dict() == {"other": True, "rotation": False, "scratch": True}


def test_each_network_computes_on_a_device_that_is_lent(study, tmp_path, lends):
    held = lends(probe_study)
    run(study, tmp_path / "probe.csv", device="cuda")
    assert held == [("cuda", 1), "given back"] * 3


def test_another_list_of_images_is_refused(study, tmp_path):
    stage, _ = study
    images = pd.read_csv(stage.images, dtype=str, keep_default_na=False)
    images["split"] = images["split"].replace({"train": "val", "val": "train"})
    images["mask"] = "mask.png"
    write_list(images, stage.images)
    with pytest.raises(InputError, match="test images may be among those"):
        run(study, tmp_path / "probe.csv")


def test_nothing_to_test_on_is_said(study, tmp_path):
    stage, _ = study
    images = pd.read_csv(stage.images, dtype=str, keep_default_na=False).assign(mask="")
    write_list(images, stage.images)
    with pytest.raises(InputError, match="no labelled image"):
        run(study, tmp_path / "probe.csv")
