"""A search by averages of weights: what is compared, what is shared with a search by the last."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sscdl.recipe import fingerprint
from sscdl.stages.stage import run_stage
from sscdl.store.store import read_pointer
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
        assert one["key"] != other["key"]
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
