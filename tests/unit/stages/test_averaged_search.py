"""A search by averages of weights: what is compared, what is shared with a search by the last."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from sscdl.recipe import fingerprint
from sscdl.stages.stage import run_stage
from sscdl.store.store import read_pointer
from sscdl.training.scalars import write_finished
from sscdl.upkeep.verify import verify
from tests.unit.real_stage import real_stage, weights


def compared(folder, *, averaged: bool = False, search: dict | None = None):
    """Return a node of ``folder`` whose candidates are compared in this way."""
    stage = real_stage(folder, settings={"search": search} if search else {})
    if averaged:
        stage = replace(stage, recipe={**stage.recipe, "averaged_weights": "its source"})
    identity = fingerprint([stage.recipe, stage.learning_rates])
    pointer = stage.store / "recipes" / f"{stage.task}.{identity}.json"
    return replace(stage, fingerprint=identity, pointer=pointer)


def values(stage) -> list[float]:
    return [one["value"] for one in read_pointer(stage.pointer)["candidates"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("search")


def test_candidates_are_compared_by_averages_and_trained_as_ever(folder):
    stages = averaged, last = compared(folder, averaged=True), compared(folder)
    for stage in stages:
        run_stage(stage)
    found = [read_pointer(stage.pointer) for stage in stages]
    for one, value in zip(found[0]["candidates"], values(averaged), strict=True):
        assert one["history"][-1]["averaged_val_accuracy"] == value
        assert one["history"][-1]["averaged_val_loss"] != one["history"][-1]["val_loss"]
    for one, other in zip(found[0]["candidates"], found[1]["candidates"], strict=True):
        assert one["key"] == other["key"]  # they share the run
        assert [r["loss"] for r in one["history"]] == [r["loss"] for r in other["history"]]
    assert found[0]["final"]["value"] == found[0]["final"]["history"][-1]["val_accuracy"]
    if found[0]["learning_rate"] == found[1]["learning_rate"]:
        assert found[0]["object"] == found[1]["object"]
        assert all(map(torch.equal, *(weights(stage).values() for stage in stages)))


def test_what_is_kept_has_the_value_of_its_weights_also_if_nothing_goes_on(tmp_path):
    stage = real_stage(tmp_path, settings={"final_epochs": 0})
    stage = replace(stage, recipe={**stage.recipe, "averaged_weights": "its source"})
    run_stage(stage)
    final = read_pointer(stage.pointer)["final"]
    assert final["history"][-1]["averaged_val_loss"] != final["history"][-1]["val_loss"]
    assert final["value"] == final["history"][-1]["val_accuracy"]


def test_a_rate_alone_takes_the_run_that_others_compare_by_averages(tmp_path, caplog):
    two = compared(tmp_path, averaged=True)
    run_stage(two)
    best = read_pointer(two.pointer)
    rates = (best["learning_rate"],)
    alone = replace(compared(tmp_path), learning_rates=rates)
    identity = fingerprint([alone.recipe, rates])
    alone = replace(
        alone, fingerprint=identity, pointer=alone.pointer.with_name(f"rotation.{identity}.json")
    )
    objects = {path: path.stat().st_mtime_ns for path in alone.store.glob("objects/*/*")}
    run_stage(alone)
    assert {path: path.stat().st_mtime_ns for path in alone.store.glob("objects/*/*")} == objects
    (found,) = read_pointer(alone.pointer)["candidates"]
    assert "averaged" not in found
    assert found["value"] == found["history"][-1]["val_accuracy"]
    assert read_pointer(alone.pointer)["object"] == best["object"]


def test_a_pointer_of_before_is_whole_whoever_wrote_the_lineage(tmp_path):
    old, new = compared(tmp_path), compared(tmp_path, averaged=True)
    run_stage(old)
    pointer = json.loads(old.pointer.read_text())
    del pointer["compared"]
    old.pointer.write_text(json.dumps(pointer))
    run_stage(new)
    kept = read_pointer(new.pointer)["object"]
    assert kept == pointer["object"]  # both choose the same rate here
    (new.store / "objects" / kept / "lineage.json").unlink()
    new.pointer.unlink()
    run_stage(new)
    assert not [one for one in verify(new.store) if one.kind == "damaged"]


def test_what_decided_is_in_figure_and_records_also_of_a_continuation_from_before(tmp_path):
    old, new = compared(tmp_path), compared(tmp_path, averaged=True)
    run_stage(old)
    run_stage(new)
    for stage, there in ((old, False), (new, True)):
        rate = read_pointer(stage.pointer)["learning_rate"]
        folder = tmp_path / f"monitors-{there}"
        write_finished([(stage.pointer, folder)])
        lines = (folder / f"lr{rate:g}" / "epochs.jsonl").read_text().splitlines()
        told = ["averaged_val_accuracy" in json.loads(line) for line in lines]
        assert told == [there, there, False, False]  # two epochs of search, two after it


def test_a_store_in_which_nodes_share_an_object_is_whole(folder):
    ways = (
        {}, {"averaged": True},
        {"search": {"method": "halving", "first": 0.9, "keep": 0.9}},
        {"averaged": True, "search": {"method": "halving", "first": 0.9, "keep": 0.9}},
    )  # fmt: skip
    stages = [compared(folder, **way) for way in ways]
    for stage in stages:
        run_stage(stage)
    assert len({stage.fingerprint for stage in stages}) == 4
    keys = [read_pointer(stage.pointer)["object"] for stage in stages]
    assert len(set(keys)) < len(keys)  # they do share
    assert not [one for one in verify(stages[0].store) if one.kind == "damaged"]
