"""`python -m sscdl rate` measures the tasks of a study and keeps what it found in the store."""

from __future__ import annotations

import json

import pytest

from sscdl.__main__ import main
from sscdl.errors import InputError
from sscdl.planning import rates
from sscdl.planning.estimates import Rates, read_rates
from sscdl.study.reading import read_config
from tests.unit.plan_helpers import make_nodes

CONFIG = """
study: x
store: {store}
dataset: {{layout: phantom}}
curricula: [moco+rotation, rotation]
image: {{size: 32, packed: 36}}
backbone: {{name: resnet18, last_stage: 2}}
training: {{device: cpu, threads: 1}}
stages:
  moco: {{batch_size: 4}}
  rotation: {{batch_size: 4}}
  classify: {{batch_size: 4}}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(CONFIG.format(store=tmp_path / "store"))
    return path


def entry(**change):
    found = {
        "task": "moco", "backbone": "resnet18", "last_stage": 2, "image_size": 32, "batch_size": 8,
        "precision": "float32", "device": "cpu", "device_name": "a", "threads": 1, "torch": "2",
        "images_per_second": 1.0, "steps": 2,
    }  # fmt: skip
    return found | change


def test_the_tasks_of_the_study_are_measured_and_serve_the_plan(file, tmp_path, capsys):
    assert main(["rate", "--configfile", str(file), "--seconds", "0.01"]) == 0
    found = read_rates(tmp_path / "store")
    assert [one["task"] for one in found] == ["moco", "rotation", "classify"]
    assert all(one["images_per_second"] > 0 for one in found)
    assert found[0]["torch"]
    assert "moco" in capsys.readouterr().out
    stages = {task: {"batch_size": 4} for task in ("moco", "rotation", "classify")}
    known = Rates(tmp_path / "store", [])
    for node in make_nodes("moco+rotation", stages=stages):
        rate, _ = known.of(node, "cpu", 1)
        (own,) = [one for one in found if one["task"] == node.task]
        assert rate.images_per_second == own["images_per_second"]
        assert known.of(node, "cpu", 2)[0] is None


def test_presets_and_roots_are_understood(file):
    config = read_config([file])
    assert rates.tasks(config) == ["moco", "rotation", "classify"]
    assert rates.tasks(config | {"curricula": "baselines"}) == ["classify"]
    assert rates.tasks(config | {"curricula": ["imagenet+swav"]}) == ["swav", "classify"]


def test_later_files_win_and_blocks_are_merged(file, tmp_path):
    more = tmp_path / "more.yaml"
    more.write_text("image: {packed: 40}\nstages: {moco: {batch_size: 2}}\n")
    config = read_config([file, more])
    assert config["image"] == {**config["image"], "size": 32, "packed": 40}
    assert config["stages"]["moco"]["batch_size"] == 2
    assert config["stages"]["rotation"]["batch_size"] == 4


def test_faults_are_named(file, tmp_path, capsys):
    with pytest.raises(InputError, match="nowhere.yaml: cannot be read"):
        read_config([tmp_path / "nowhere.yaml"])
    file.write_text("study: [")
    with pytest.raises(InputError, match="is no YAML file"):
        read_config([file])
    file.write_text("studdy: x")
    assert main(["rate", "--configfile", str(file)]) == 2
    assert "studdy: no such key" in capsys.readouterr().err


def test_a_new_measurement_replaces_that_of_the_same_machine_alone(tmp_path):
    rates.remember(tmp_path, [entry(), entry(device_name="b"), entry(task="swav")])
    rates.remember(tmp_path, [entry(images_per_second=2.0)])
    found = read_rates(tmp_path)
    assert [(one["task"], one["device_name"], one["images_per_second"]) for one in found] == [
        ("moco", "b", 1.0), ("swav", "a", 1.0), ("moco", "a", 2.0),
    ]  # fmt: skip
    rates.remember(tmp_path, [entry(torch="3"), entry(batch_size=4), entry(threads=2)])
    assert len(read_rates(tmp_path)) == 6


def test_a_damaged_file_is_written_again(tmp_path):
    (tmp_path / "rates.json").write_text("{")
    with pytest.raises(InputError, match=r"rates\.json: .* is damaged"):
        read_rates(tmp_path)
    rates.remember(tmp_path, [entry()])
    assert json.loads((tmp_path / "rates.json").read_text()) == [entry()]
    assert (tmp_path / "rates.damaged").read_text() == "{"
