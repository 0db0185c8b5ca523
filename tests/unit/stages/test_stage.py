"""What a node's process trains, finds, selects and keeps; the training itself is replaced."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import types
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from sscdl.errors import InputError, LostState
from sscdl.stages import runs as runs_module
from sscdl.stages.node import Stage
from sscdl.stages.stage import run_stage
from tests.conftest import ROOT
from tests.unit.real_stage import real_stage

LOSSES = {0.01: 3.0, 0.03: 2.0, 0.1: 1.0, 0.3: float("nan")}


@pytest.fixture
def trained(monkeypatch):
    """Replace training; the list names the runs (learning rate, start, stop) that took place."""
    runs: list[tuple[float, int, int]] = []

    class Session:
        def __init__(self, stage, before, store, device):
            self.task = stage.task

        def run(self, folder, key, rate, *, start, stop, previous):
            runs.append((rate, start, stop))
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "state.pt").write_text(key)
            if previous is not None and not (folder.parent / previous / "state.pt").exists():
                raise LostState("gone")
            loss = LOSSES[rate]
            facts = {
                "metric": "loss", "higher_is_better": False, "device": "cpu", "torch": "2",
                "data": {"rows": "r", "images": 2, "mean": 0.5, "std": 0.1},
            }  # fmt: skip
            return [{"epoch": stop, "loss": loss, "finite": loss == loss}], facts

        def keep(self, folder, lineage):
            (folder / "weights.safetensors").write_text("weights")
            (folder / "lineage.json").write_text(json.dumps(lineage))
            return {"bytes": 7, "sha256": hashlib.sha256(b"weights").hexdigest()}

        def keep_task_state(self, folder):
            return None

    module = types.ModuleType("sscdl.stages.session")
    module.Session = Session
    monkeypatch.setitem(sys.modules, "sscdl.stages.session", module)
    monkeypatch.setattr(runs_module, "content_digest", lambda stage: "r")
    return runs


@pytest.fixture
def stage(tmp_path):
    settings = {"batch_size": 8, "search_epochs": 2, "final_epochs": 3, "decay": "constant"}
    return Stage(
        name="moco",
        task="moco",
        variant="full",
        recipe={
            "task": "moco",
            "seed": 0,
            "settings": settings,
            "root": "scratch",
            "data": {"train": "all"},
            "backbone": {"name": "resnet18"},
            "image_size": 32,
        },
        learning_rates=(0.01, 0.03, 0.1),
        fingerprint="f1",
        pointer=tmp_path / "recipes" / "moco.f1.json",
        parent=None,
        root=None,
        pack=tmp_path / "pack.json",
        images=tmp_path / "images.csv",
        monitors=None,
        device="cpu",
        devices=1,
        side_by_side=1,
        threads=1,
        precision="float32",
    )


def pointer(stage):
    return json.loads(stage.pointer.read_text())


def child_of(stage, **change):
    values = {
        "name": "moco+swav", "task": "swav", "fingerprint": "f2", "parent": stage.pointer,
        "pointer": stage.store / "recipes" / "moco+swav.f2.json",
    }  # fmt: skip
    return replace(stage, **(values | change))


def test_every_rate_is_searched_and_the_best_goes_on(stage, trained):
    run_stage(stage)
    assert trained == [(0.01, 0, 2), (0.03, 0, 2), (0.1, 0, 2), (0.1, 2, 5)]
    found = pointer(stage)
    assert found["learning_rate"] == 0.1
    assert [c["value"] for c in found["candidates"]] == [3.0, 2.0, 1.0]
    final = stage.store / "objects" / found["object"]
    assert (final / "weights.safetensors").exists()
    assert not list(stage.store.glob("objects/*/state.pt")), "states are deleted at the end"
    assert len(list(stage.store.glob("objects/*/weights.safetensors"))) == 1


def test_a_finished_node_and_finished_objects_are_not_trained_again(stage, trained):
    run_stage(stage)
    trained.clear()
    run_stage(stage)
    stage.pointer.unlink()
    run_stage(stage)
    assert trained == []


def test_a_new_candidate_is_trained_alone_unless_it_wins(stage, trained):
    run_stage(replace(stage, learning_rates=(0.01, 0.1)))
    child = child_of(stage)
    run_stage(child)
    trained.clear()
    more = replace(stage, fingerprint="f3", pointer=stage.pointer.with_name("moco.f3.json"))
    run_stage(more)
    assert trained == [(0.03, 0, 2)], "the winner stays, and so does its continuation"
    run_stage(child_of(stage, fingerprint="f4", parent=more.pointer,
                       pointer=child.pointer.with_name("moco+swav.f4.json")))  # fmt: skip
    assert trained == [(0.03, 0, 2)], "the child starts from the same object"


def test_a_new_winner_goes_on_and_its_children_follow(stage, trained):
    run_stage(replace(stage, learning_rates=(0.01, 0.03)))
    run_stage(child_of(stage, learning_rates=(0.01,)))
    trained.clear()
    more = replace(stage, fingerprint="f3", pointer=stage.pointer.with_name("moco.f3.json"))
    run_stage(more)
    assert trained == [(0.1, 0, 2), (0.1, 2, 5)]
    trained.clear()
    run_stage(child_of(stage, learning_rates=(0.01,), fingerprint="f4", parent=more.pointer,
                       pointer=stage.pointer.with_name("moco+swav.f4.json")))  # fmt: skip
    assert trained == [(0.01, 0, 2), (0.01, 2, 5)]


def test_a_loser_that_wins_later_is_trained_again(stage, trained):
    run_stage(stage)
    trained.clear()
    fewer = replace(stage, learning_rates=(0.01, 0.03), fingerprint="f5",
                    pointer=stage.pointer.with_name("moco.f5.json"))  # fmt: skip
    run_stage(fewer)
    assert trained == [(0.03, 0, 2), (0.03, 2, 5)]


def test_a_state_that_is_lost_between_search_and_continuation_is_trained_again(
    stage, trained, monkeypatch
):
    session = sys.modules["sscdl.stages.session"].Session
    run, lost = session.run, []

    def losing(self, folder, key, rate, *, start, stop, previous):
        if previous and not lost:
            lost.append(previous)
            raise LostState("damaged")
        return run(self, folder, key, rate, start=start, stop=stop, previous=previous)

    monkeypatch.setattr(session, "run", losing)
    run_stage(replace(stage, learning_rates=(0.1,)))
    assert trained == [(0.1, 0, 2), (0.1, 0, 2), (0.1, 2, 5)]


def test_a_node_whose_weights_are_gone_is_trained_again(stage, trained):
    run_stage(stage)
    trained.clear()
    folder = stage.store / "objects" / pointer(stage)["object"]
    (folder / "weights.safetensors").unlink()
    run_stage(stage)
    assert trained == [(0.1, 0, 2), (0.1, 2, 5)]


@pytest.mark.parametrize(("task", "shared"), [("moco", True), ("swav", False)])
def test_a_longer_training_shares_the_search_unless_the_task_counts_in_shares(
    stage, trained, task, shared
):
    settings = stage.settings
    first = replace(stage, task=task, recipe=stage.recipe | {"task": task}, learning_rates=(0.1,))
    run_stage(first)
    trained.clear()
    longer = {**first.recipe, "settings": {**settings, "final_epochs": 7}}
    run_stage(
        replace(
            first, recipe=longer, fingerprint="f9", pointer=stage.pointer.with_name("moco.f9.json")
        )
    )
    assert ((0.1, 0, 2) in trained) != shared or trained[0] == (0.1, 0, 2)
    assert trained[-1] == (0.1, 2, 9)


def test_a_diverged_candidate_is_a_result(stage, trained):
    run_stage(replace(stage, learning_rates=(0.01, 0.3)))
    found = pointer(stage)
    assert found["learning_rate"] == 0.01
    assert [c["value"] for c in found["candidates"]] == [3.0, None]


def test_if_all_diverge_the_message_says_what_to_do(stage, trained):
    with pytest.raises(InputError, match=r"moco \(full\).*stages\.moco\.learning_rates lower"):
        run_stage(replace(stage, learning_rates=(0.3,)))
    assert not stage.pointer.exists()


def test_given_weights_that_are_not_finite_are_blamed_before_the_rate(tmp_path, stage, trained):
    root = tmp_path / "mine.safetensors"
    save_file({"conv1.weight": torch.tensor([1.0, float("inf")])}, root)
    with pytest.raises(InputError, match=r"mine.safetensors is damaged: 1 of 2 numbers of conv1"):
        run_stage(replace(stage, learning_rates=(0.3,), root=root))
    save_file({"conv1.weight": torch.ones(2)}, root)
    with pytest.raises(InputError, match="infinite at every learning rate"):
        run_stage(replace(stage, learning_rates=(0.3,), root=root))


def test_the_lineage_tells_every_stage(stage, trained):
    run_stage(stage)
    child = child_of(stage)
    run_stage(child)
    path = stage.store / "objects" / pointer(child)["object"] / "lineage.json"
    lineage = json.loads(path.read_text())
    assert lineage["node"] == "moco+swav"
    assert lineage["before"]["node"] == "moco"
    assert lineage["before"]["before"] is None


def test_other_images_than_those_trained_on_are_an_error(stage, trained, monkeypatch):
    run_stage(stage)
    stage.pointer.unlink()
    monkeypatch.setattr(runs_module, "content_digest", lambda stage: "other")
    with pytest.raises(InputError, match="was trained on other images"):
        run_stage(stage)


def test_all_that_was_trained_on_other_images_is_named_at_once(stage, trained, monkeypatch):
    run_stage(stage)
    stage.pointer.unlink()
    monkeypatch.setattr(runs_module, "content_digest", lambda stage: "other")
    with pytest.raises(InputError) as failed:
        run_stage(stage)
    folders = sorted(map(str, (stage.store / "objects").iterdir()))
    assert sorted(str(failed.value).rpartition("again: ")[2].split()) == folders


def test_a_lineage_that_is_gone_is_written_again_and_nothing_is_trained(tmp_path):
    stage = real_stage(tmp_path, learning_rates=(0.01,))
    run_stage(stage)
    whole = stage.store / "objects" / pointer(stage)["object"] / "lineage.json"
    before = json.loads(whole.read_text())
    states = {path: path.read_bytes() for path in stage.store.rglob("*.safetensors")}
    whole.unlink()
    run_stage(stage)
    assert json.loads(whole.read_text()) == before | {"machine": {}}
    assert {path: path.read_bytes() for path in stage.store.rglob("*.safetensors")} == states


def test_a_stage_needs_the_list_that_belongs_to_its_images(tmp_path):
    stage = real_stage(tmp_path)
    lines = stage.images.read_text().splitlines(keepends=True)
    stage.images.write_text("".join(lines[:12]))
    with pytest.raises(InputError, match=r"images\.csv: is not the list that was written"):
        run_stage(stage)
    assert not list(stage.store.glob("objects/*"))


def test_a_look_up_does_not_import_torch():
    modules = "sscdl.stages.stage, sscdl.study.study, sscdl.study.config"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_a_job_with_another_timm_than_the_plan_does_not_train(tmp_path):
    stage = real_stage(tmp_path)
    with pytest.raises(InputError, match=r"backbone\.name: planned with timm 0\.1, but jobs here"):
        run_stage(replace(stage, recipe={**stage.recipe, "timm": ["source", "0.1"]}))
    assert not stage.pointer.exists()
