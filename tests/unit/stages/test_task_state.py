"""What a task has beside its backbone is kept whole, and loads into a task that is built again."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from sscdl.errors import InputError
from sscdl.files import read_json
from sscdl.stages.session import Session
from sscdl.stages.stage import read_pointer, run_stage
from sscdl.stages.task_state import load_task_state, own_state, write_tensors
from sscdl.store.store import Store
from sscdl.training.backbones import load_root
from sscdl.training.loop import Images, validate
from sscdl.training.order import mixed_seed
from sscdl.training.schedule import Schedule
from tests.unit.real_stage import real_stage, same_weights, weights
from tests.unit.task_helpers import make_task

SMALL = {"search_epochs": 1, "final_epochs": 1}


@pytest.fixture(scope="module", params=["moco", "swav", "relloc"])
def trained(request, tmp_path_factory):
    stage = real_stage(tmp_path_factory.mktemp("kept"), request.param, settings=SMALL)
    stage = replace(stage, learning_rates=(0.01,))
    run_stage(stage)
    pointer = read_pointer(stage.pointer)
    return stage, pointer, stage.store / "objects" / pointer["object"] / "task.safetensors"


def rebuilt(stage):
    session = Session(stage, None, Store(stage.store), "cpu")
    torch.manual_seed(99)
    return session, session._task()


def test_a_task_that_is_built_again_gives_the_same_validation_loss(trained):
    stage, pointer, path = trained
    session, task = rebuilt(stage)
    with torch.no_grad():
        for tensor in task.state_dict().values():
            tensor.zero_()  # nothing of what it begins with may count
    load_root(task.backbone, path.with_name("weights.safetensors"))
    load_task_state(task, path)
    images = Images(
        session.pixels, torch.tensor(session.rows.train), torch.tensor(session.rows.validate)
    )
    schedule = Schedule.of(session.settings, 0.01)
    seed = mixed_seed(stage.recipe["seed"], stage.task)
    with session.normalised_by(task).of_validation():
        found = validate(task, images, schedule, seed=seed, precision="float32")
    history = pointer["final"]["history"][-1]
    assert found == {key: history[key] for key in found}
    assert "val_loss" in found


def test_the_record_tells_whether_the_file_is_whole(trained):
    _, pointer, path = trained
    content = path.read_bytes()
    expected = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert pointer["final"]["task_state"] == expected
    assert read_json(path.with_name("metrics.json"))["task_state"] == expected
    assert not {"conv1.weight", "backbone.conv1.weight"} & load_file(path).keys()


def test_without_the_file_a_stage_is_as_finished_as_with_it(trained, tmp_path):
    stage, pointer, path = trained
    content = path.read_bytes()
    path.unlink()
    assert Store(stage.store).finished(stage.pointer)
    stage.pointer.unlink()
    run_stage(stage)
    assert not path.exists(), "nothing is trained for it"
    assert read_pointer(stage.pointer)["object"] == pointer["object"]
    path.write_bytes(content)


def test_a_classifier_has_its_head_in_its_weights(tmp_path):
    stage = replace(real_stage(tmp_path, "classify", settings=SMALL), learning_rates=(0.01,))
    run_stage(stage)
    pointer = read_pointer(stage.pointer)
    assert "task_state" not in pointer["final"]
    assert not list(stage.store.rglob("task.safetensors"))
    assert "fc.weight" in weights(stage)


def test_bytes_are_the_same_in_every_process(tmp_path):
    """Tensors that share memory, lie otherwise in it, have no extent, or are whole numbers."""
    code = (
        "import sys, torch; from pathlib import Path\n"
        "from sscdl.stages.task_state import write_tensors\n"
        "base = torch.arange(24.).view(2, 3, 2, 2)\n"
        "last = base.to(memory_format=torch.channels_last)\n"
        "found = {f't{k}': torch.full((k,), k) for k in range(1, 30)}\n"
        "found |= {'a': base, 'b': base[0], 'c': last, 'n': torch.tensor(7)}\n"
        "write_tensors(Path(sys.argv[1]), found)"
    )
    for name in ("one", "two", "three"):
        subprocess.run([sys.executable, "-c", code, tmp_path / name], check=True)
    contents = {(tmp_path / name).read_bytes() for name in ("one", "two", "three")}
    assert len(contents) == 1
    found = load_file(tmp_path / "one")
    assert torch.equal(found["a"], found["c"])
    assert found["n"] == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("queue_rows"), "1 missing: queue_rows"),
        (lambda s: s.update(other=torch.ones(1)), "1 unknown: other"),
        (lambda s: s.update(queue=s["queue"][:8].clone()), "1 of another shape: queue"),
        (lambda s: s.update(queue=s["queue"].double()), "1 of another type: queue"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path, change, message):
    task = make_task("moco", queue=16)
    state = {k: t.clone() + 1 for k, t in own_state(make_task("moco", seed=1, queue=16)).items()}
    change(state)
    save_file(state, tmp_path / "task.safetensors")
    before = {k: t.clone() for k, t in task.state_dict().items()}
    with pytest.raises(InputError, match=message):
        load_task_state(task, tmp_path / "task.safetensors")
    assert same_weights(before, task.state_dict())


def test_a_missing_or_damaged_file_is_named(tmp_path):
    path = tmp_path / "task.safetensors"
    with pytest.raises(InputError, match=r"task\.safetensors: cannot be read"):
        load_task_state(make_task("rotation"), path)
    write_tensors(path, {"a": torch.ones(4)})
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"task\.safetensors: cannot be read"):
        load_task_state(make_task("rotation"), path)
