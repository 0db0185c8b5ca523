"""Linear probes of frozen networks: which labels they see, which networks, which images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from sscdl.errors import InputError
from sscdl.evaluation import probe_study
from sscdl.evaluation.metrics import class_names
from sscdl.evaluation.probe import fit_probe
from sscdl.evaluation.probe_study import Frozen, Network, Probed, probe_networks, probe_random
from sscdl.images.rows import select_rows
from sscdl.images.variants import read_pack
from sscdl.images.vouched import describe_list
from sscdl.stages.stage import run_stage
from sscdl.training.backbones import build_backbone
from tests.unit.real_stage import real_stage, weights, write_images

DATA = {
    "train": "train", "validate": "val", "normalise": "train", "masked": False,
    "classes": ["a", "b"],
}  # fmt: skip
BACKBONE = {"name": "resnet18", "last_stage": 2}
SETTINGS = {
    "variant": "full", "data": DATA, "backbone": BACKBONE, "image_size": 32,
    "batch_statistics": "estimated", "shares": [0.5, 1.0], "draws": 2, "device": "cpu",
    "threads": 1,
}  # fmt: skip


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
        Network("other", root=root), Network("rotation", pointer=stage.pointer),
    ]  # fmt: skip
    given = {**SETTINGS, "seed": seed, **more}
    probe_networks(networks, stage.pack, stage.images, out, **given)
    return pd.read_csv(out)


def run_random(study, out, *, networks=3, seeds=(0, 1), **more):
    stage, _ = study
    given = {**SETTINGS, "seeds": seeds, **more}
    probe_random(networks, stage.pack, stage.images, out, **given)
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
        for name in ("other", "rotation")
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
    common = {"data": DATA, "backbone": BACKBONE, "image_size": 32}
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
    assert differs.to_dict() == {"other": True, "rotation": False}
    settled, plain = (
        run_random(study, tmp_path / f"{how}.csv", batch_statistics=how)
        for how in ("estimated", "running")
    )
    assert (settled["prob_a"] != plain["prob_a"]).groupby(settled["network"]).any().all()


def test_each_network_computes_on_a_device_that_is_lent(study, tmp_path, lends):
    held = lends(probe_study)
    run(study, tmp_path / "probe.csv", device="cuda")
    assert held == [("cuda", 1), "given back"] * 2


def test_random_networks_meet_every_draw_of_the_trained_ones(study, tmp_path, lends):
    held = lends(probe_study)
    found = run_random(study, tmp_path / "random.csv", device="cuda")
    assert held == [("cuda", 1), "given back"] * 3, "features once a network, whatever is drawn"
    assert found["curriculum"].unique().tolist() == ["scratch"]
    runs = found.groupby(["network", "seed", "share", "draw", "n_labels"], sort=False).size()
    assert runs.index.tolist() == [
        (network, seed, *draw)
        for network in range(3)
        for seed in (0, 1)
        for draw in ((0.5, 0, 8), (0.5, 1, 8), (1.0, 0, 16))
    ]
    trained = pd.concat(run(study, tmp_path / f"{seed}.csv", seed=seed) for seed in (0, 1))
    keys = ["seed", "share", "draw", "image_id"]
    own = set(trained[keys].itertuples(index=False, name=None))
    assert {*found[keys].itertuples(index=False, name=None)} == own
    last = found.groupby("network")["prob_a"].apply(tuple)
    assert last.nunique() == 3
    # By what a probe of the same network's features says of the same draw.
    stage, _ = study
    given = {k: v for k, v in SETTINGS.items() if k not in ("shares", "draws", "device", "threads")}
    probed = Probed(stage.pack, stage.images, **given)
    features = probed.features(Network("scratch", number=2), "cpu")
    again = probed.predictions("scratch", features, probed.draws([0.5], 2, 1), 1)
    rows = found.query("network == 2 and seed == 1 and share == 0.5")
    np.testing.assert_allclose(rows["prob_a"], again["prob_a"], atol=1e-6)


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
