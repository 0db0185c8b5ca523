"""A search by averages of weights: what is compared, what is shared with a search by the last."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from sscdl.figures.drawing import draw_validation_curves
from sscdl.figures.validation import AVERAGES
from sscdl.recipe import fingerprint
from sscdl.stages.stage import run_stage
from sscdl.store.listing import history
from sscdl.store.nodes import read_nodes
from sscdl.store.store import read_pointer
from sscdl.training.scalars import write_finished
from sscdl.upkeep.verify import verify
from tests.unit.real_stage import real_stage, weights


def compared(folder, *, averaged: bool = False, search: dict | None = None, task: str = "rotation"):
    """Return a node of ``folder`` whose candidates are compared in this way."""
    stage = real_stage(folder, task, settings={"search": search} if search else {})
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


@pytest.mark.parametrize("first", [False, True])
def test_what_decided_is_what_each_node_shows_of_the_runs_that_both_share(tmp_path, first):
    """Whichever of the two has trained them."""
    ways = (first, not first)
    stages = {way: compared(tmp_path, averaged=way, task="classify") for way in ways}
    for stage in stages.values():
        run_stage(stage)
    nodes = {one.fingerprint: one for one in read_nodes(stages[True].store)[0]}
    for way, stage in stages.items():
        rate = read_pointer(stage.pointer)["learning_rate"]
        folder = tmp_path / f"monitors-{way}"
        write_finished([(stage.pointer, folder)])
        lines = (folder / f"lr{rate:g}" / "epochs.jsonl").read_text().splitlines()
        told = ["averaged_val_balanced_accuracy" in json.loads(line) for line in lines]
        assert told == [way, way, False, False]  # two epochs of search, two after it
        figure = draw_validation_curves([stage.pointer], chance=0.5)
        styles = [line._unscaled_dash_pattern for line in figure.axes[0].get_lines()]
        assert styles.count(AVERAGES) == (2 if way else 0)
        legend = [text.get_text() for text in figure.legends[0].get_texts()]
        assert ("average of weights" in legend) is way
        shown = history(stage.store, list(nodes.values()), nodes[stage.fingerprint])
        assert sum("of averaged weights" in line for line in shown) == (2 if way else 0)


def test_a_run_that_is_trained_again_for_its_state_keeps_its_averages(tmp_path):
    averaged = compared(tmp_path, averaged=True)
    run_stage(averaged)
    candidates = read_pointer(averaged.pointer)["candidates"]
    # A node of the losing rate alone trains it again, as only the winner's weights were kept.
    loser = min(candidates, key=lambda one: one["value"])["learning_rate"]
    alone = replace(compared(tmp_path), learning_rates=(loser,))
    identity = fingerprint([alone.recipe, alone.learning_rates])
    pointer = alone.pointer.with_name(f"rotation.{identity}.json")
    run_stage(replace(alone, fingerprint=identity, pointer=pointer))
    (key,) = (one["key"] for one in candidates if one["learning_rate"] == loser)
    kept = json.loads((averaged.store / "objects" / key / "metrics.json").read_text())
    assert "averaged_val_accuracy" in kept["history"][-1]


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
