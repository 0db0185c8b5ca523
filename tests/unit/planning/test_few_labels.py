"""Trainings with few labels in a plan and in a store: images, rates, and which is which."""

from __future__ import annotations

import csv

import pytest

from sscdl.errors import InputError
from sscdl.planning import estimates
from sscdl.planning.estimates import ImageCounts, Rates
from sscdl.planning.reasons import with_lineage
from sscdl.store.choice import select
from sscdl.store.listing import listing
from sscdl.store.nodes import read_nodes
from tests.unit.plan_helpers import SPLIT, at_speed, data_recipes, make_nodes, train
from tests.unit.small_store import small_store  # noqa: F401

FEW = {"share": 0.1, "seed": 0, "draw": 1}


def few(**more):
    data = data_recipes()
    data["final"] = data["final"] | {"labels": FEW | more}
    return make_nodes("scratch", data=data)


def test_images_of_a_draw_are_about_its_share_of_those_there_are(tmp_path):
    path, final = tmp_path / "images.csv", data_recipes()["final"]
    assert ImageCounts(path, 1000, SPLIT).of(final | {"labels": FEW}) == 60
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "patient_id", "label", "split", "cohort", "mask"])
        sides = ["train"] * 200 + ["val"] * 2
        writer.writerows([k, k, "xy"[k % 2], side, "main", "m"] for k, side in enumerate(sides))
    assert ImageCounts(path, 1000, SPLIT).of(final | {"labels": FEW}) == 20
    # Of a study with a share of the labels, they are counted.
    assert ImageCounts(path, 1000, SPLIT).of(final | {"labels": {"share": 0.255, "seed": 0}}) == 52


def test_an_epoch_of_a_draw_shows_all_its_images_whatever_the_batch():
    (node,) = few()
    assert estimates.epoch_images(node, 3) == 3
    assert estimates.epoch_images(node, 13) == 12
    (whole,) = make_nodes("scratch")
    assert estimates.epoch_images(whole, 13) == 8
    (shared,) = few(devices=4)
    assert estimates.epoch_images(shared, 13) == 12


def test_rates_are_those_of_trainings_with_all_labels(small_store, monkeypatch):  # noqa: F811
    folder, (whole,) = small_store.folder, make_nodes("scratch")
    at_speed(monkeypatch, [50.0])
    train(folder, few())
    rates = Rates(folder, with_lineage(folder, read_nodes(folder)[0]))
    assert rates.of(whole, "cpu", 1)[0] is None
    at_speed(monkeypatch, [100.0])
    train(folder, [whole])
    rates = Rates(folder, with_lineage(folder, read_nodes(folder)[0]))
    assert rates.of(few()[0], "cpu", 1)[0].images_per_second == 100


def test_draws_are_told_apart_in_plan_and_store(small_store):  # noqa: F811
    folder = small_store.folder
    train(folder, [*few(), *few(draw=0), *make_nodes("scratch")])
    nodes, _ = read_nodes(folder)
    assert [node.called for node in nodes] == [
        "classify", "classify l0.1d0", "classify l0.1d1",
    ]  # fmt: skip
    lines = listing(folder)
    assert sum(line.startswith("classify l0.1d") for line in lines) == 2
    assert select(nodes, "classify").draw == ""
    assert select(nodes, "classify l0.1d1").draw == "l0.1d1"
    with pytest.raises(InputError, match=r"classify l0.1d0 \(full, seed 0\)"):
        select(nodes, "swav")
