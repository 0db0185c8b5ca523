"""Wrong input gets a message that names the culprit, and finished work stays."""

from __future__ import annotations

import copy
import re
import shutil

import pandas as pd
import pytest
import torch

from sscdl.phantom.archive import write_archive
from sscdl.training.backbones import build_backbone
from tests.conftest import ROOT
from tests.workflow.conftest import TINY, Runner


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A small archive in the challenge's layout."""
    root = tmp_path_factory.mktemp("archive") / "siim"
    classes = {"negative": 0.5, "typical": 0.5}
    write_archive(root, patients=24, size=96, seed=3, classes=classes)
    return root


@pytest.fixture
def siim(archive, place, tmp_path):
    """A study on a copy of the archive that a test may damage; masks are given, not learnt."""
    root = tmp_path / "siim"
    shutil.copytree(archive, root)
    config = copy.deepcopy(TINY)
    config["dataset"] = {"layout": "siim", "siim": {"root": str(root)}}
    config["lungs"] = {"source": "masks", "masks": {"folder": str(root / "truth/masks")}}
    config["store"] = str(tmp_path / "store")
    return Runner(tmp_path / "run", config), root


def rejected(runner) -> dict[str, str]:
    table = pd.read_csv(runner.results / "rejected.csv")
    return dict(zip(table["file"].astype(str), table["reason"], strict=True))


def test_damaged_and_missing_files_and_ids_are_listed_and_the_run_goes_on(siim):
    runner, root = siim
    files = sorted((root / "train").rglob("*.dcm"))
    truncated = files[0]
    truncated.write_bytes(truncated.read_bytes()[:2000])
    nonsense = files[1]
    nonsense.write_bytes(b"not a radiograph")
    with open(root / "train_image_level.csv", "a") as file:
        file.write("0123456789ab_image,,none 1 0 0 1 1,ba9876543210\n")
    labels = root / "train_study_level.csv"
    lines = labels.read_text().splitlines()
    unlabelled = lines[-1].split("_")[0]
    labels.write_text("\n".join([*lines[:-1], lines[1]]) + "\n")
    runner("images")
    found = rejected(runner)
    text = "\n".join(f"{file}: {reason}" for file, reason in found.items())
    assert truncated.name in text
    assert nonsense.name in text
    assert "0123456789ab" in text
    assert unlabelled in text
    assert f"{lines[1].split('_')[0]} again" in text, "the id that occurs twice"
    images = pd.read_csv(runner.results / "images.csv", keep_default_na=False)
    assert len(images) == len(files) - 2
    assert images.loc[images["study_id"] == unlabelled, "label"].eq("").all()


def test_an_empty_folder_is_named(siim):
    runner, root = siim
    shutil.rmtree(root / "train")
    (root / "train").mkdir()
    output = runner("images", ok=False)
    assert str(root) in output
    assert "no " in output


def test_conflicting_labels_are_named(siim):
    runner, root = siim
    labels = root / "train_study_level.csv"
    lines = labels.read_text().splitlines()
    study, first, second = lines[1].split(",")[:3]
    labels.write_text("\n".join([*lines, f"{study},{second},{first},0,0"]) + "\n")
    output = runner("images", ok=False)
    assert study in output
    assert "train_study_level.csv" in output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"curricula": ["moco+swaw"]}, "did you mean 'swav'"),
        ({"curicula": ["moco"]}, "did you mean 'curricula'"),
        ({"stages": {"moco": {"learning_rates": [-0.1]}}}, "stages.moco.learning_rates.0: -0.1"),
        (
            {
                "dataset": {"layout": "siim", "siim": {"root": "nowhere"}},
                "lungs": {"source": "checkpoint"},
            },
            "nowhere",
        ),
        ({"roots": {"mine": {"file": "nowhere.pt"}}, "curricula": ["mine"]}, "nowhere.pt"),
    ],
)
def test_faults_of_the_configuration_end_before_anything_runs(tmp_path, change, message):
    runner = Runner(tmp_path, copy.deepcopy(TINY) | change)
    output = runner("--dry-run", ok=False)
    assert message in output
    assert "Traceback" not in output


def test_what_would_end_a_job_later_ends_the_run_before_its_first(tmp_path):
    """The message comes first, and no image was made for nothing."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    config = copy.deepcopy(TINY) | {"store": str(tmp_path / "store")}
    config["training"] = {"device": "cuda", "threads": 1}
    runner = Runner(tmp_path / "run", config)
    output = runner(ok=False)
    assert "training.device: 'cuda', but torch sees no GPU here" in output
    assert "Traceback" not in output
    assert not (tmp_path / "store/phantom").exists()
    assert not (runner.results / "logs").exists()
    runner("--dry-run")
    # What computes nothing on a GPU needs none.
    runner("results/tiny/tables/3.1_backbones.csv")
    other = tmp_path / "other.pt"
    torch.save(dict(build_backbone("resnet50", 2).state_dict()), other)
    config["training"] = {"device": "cpu", "threads": 1}
    config |= {"roots": {"mine": {"file": str(other)}}, "curricula": ["mine"]}
    output = Runner(tmp_path / "rooted", config)(ok=False)
    assert "does not fit resnet18 up to stage 2" in output
    assert not (tmp_path / "store/phantom").exists()


def test_a_batch_larger_than_the_training_set_names_its_key(study, place):
    config = copy.deepcopy(TINY) | {"study": "large", "curricula": ["moco"], "variants": ["full"]}
    config["stages"]["moco"]["batch_size"] = 4000
    output = Runner(place / "large", config)("pretrain", ok=False)
    # The last words are what a user needs, with nothing about backups that were never there.
    reason, log = output.splitlines()[-2:]
    assert "stages.moco.batch_size: 4000 is more than" in reason
    assert (place / "large" / log.removeprefix("  log: ")).is_file()
    assert not re.search("Traceback|no backup found", output)


def test_the_thesis_is_planned_whole(archive, tmp_path):
    base = (str(ROOT / "config/thesis.yaml"),)
    runner = Runner(tmp_path, {"dataset": {"siim": {"root": str(archive)}}}, base)
    output = runner("--dry-run", "--quiet", "rules")
    counts = {
        line.split()[0]: int(line.split()[1])
        for line in output.splitlines()
        if len(line.split()) == 2 and line.split()[1].isdigit()
    }
    assert counts["pretext_stage"] == 44
    assert counts["finetune"] == 48
    assert counts["predict"] == 48


@pytest.mark.parametrize("name", ["nih-siim", "nih-siim-quick"])
def test_the_real_radiographs_are_planned(shared_data, tmp_path, name):
    folders = {
        "dataset": {"siim": {"root": str(shared_data / "nih-siim")}},
    }
    runner = Runner(tmp_path, folders, (str(ROOT / f"config/{name}.yaml"),))
    output = runner("--dry-run", "--quiet", "rules")
    assert re.search(r"pretext_stage\s+6\n", output)
    assert re.search(r"finetune\s+8\n", output)


def test_the_default_segmenter_is_planned(shared_data, tmp_path):
    folder = {"lungs": {"train": {"folder": str(shared_data / "lung-masks")}}}
    runner = Runner(tmp_path, folder, (str(ROOT / "config/segmenter.yaml"),))
    output = runner("segmenter", "--dry-run", "--quiet", "rules")
    assert re.search(r"^train_segmenter\s+1$", output, re.M)
    assert re.search(r"^total\s+2$", output, re.M)


@pytest.mark.parametrize("name", ["config", "demo"])
@pytest.mark.parametrize("target", ["all", "masks", "tables", "figures"])
def test_every_target_is_planned(tmp_path, name, target):
    runner = Runner(tmp_path, {}, (str(ROOT / f"config/{name}.yaml"),))
    assert re.search(rf"^{target}\s+1$", runner(target, "--dry-run", "--quiet", "rules"), re.M)


def test_a_key_twice_in_a_file_of_the_configuration(tmp_path):
    twice = tmp_path / "twice.yaml"
    twice.write_text("stages: {}\nvariant_edge: 0\nstages: {}\n")
    output = Runner(tmp_path / "run", copy.deepcopy(TINY), (str(twice),))("--dry-run", ok=False)
    assert "lines 1 and 3: key 'stages' is there twice" in output
