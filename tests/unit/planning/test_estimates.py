"""Estimates of a plan: what is found in the store, epochs, images and hours."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from sscdl.phantom.archive import _plan
from sscdl.planning import estimates
from sscdl.planning.estimates import (
    ImageCounts,
    Rates,
    search_epochs,
    work,
)
from sscdl.planning.reasons import with_lineage
from sscdl.stages.runs import object_key
from sscdl.stages.search import run_search
from sscdl.store.nodes import read_nodes
from sscdl.store.store import Store, read_pointer
from sscdl.study.material import PHANTOM_IMAGES
from tests.unit.plan_helpers import SPLIT, at_speed, data_recipes, make_nodes, train
from tests.unit.small_store import small_store  # noqa: F401


@pytest.mark.parametrize("candidates", [1, 2, 5, 11])
@pytest.mark.parametrize("keep", [0.5, 0.3])
def test_epochs_of_a_search_are_those_that_it_trains(candidates, keep):
    for search in ({"method": "grid"}, {"method": "halving", "first": 0.25, "keep": keep}):
        ran: dict[float, int] = {}

        def look_up(rates, epoch, ran=ran):
            ran |= {rate: epoch for rate in rates}
            return [
                {"learning_rate": rate, "metric": "loss", "higher_is_better": False,
                 "history": [{"epoch": epoch, "loss": rate, "finite": True}]}
                for rate in rates
            ]  # fmt: skip

        run_search(look_up, [0.1 * (k + 1) for k in range(candidates)], 20, search)
        settings = {"search_epochs": 20, "search": search}
        assert search_epochs(candidates, settings) == sum(ran.values())


def left(folder, node, start="scratch"):
    found = work(node, Store(folder), start)
    return found.found, found.epochs, found.whole


def test_found_candidates_are_not_counted(small_store):  # noqa: F811
    folder = small_store.folder
    (node,) = make_nodes("moco")[:1]
    assert left(folder, node) == ([], 2 * 2 + 3, False)
    train(folder, [node])
    more = make_nodes("moco", stages={"moco": {"learning_rates": [0.1, 0.2, 0.3]}})[0]
    assert left(folder, more) == ([0.1, 0.2], 2 + 3, False)
    assert left(folder, more, start=None) == ([], 3 * 2 + 3, False)
    assert left(folder, more, start="other") == ([], 3 * 2 + 3, False)
    assert left(folder, make_nodes("moco", seeds=(1,))[0]) == ([], 7, False)


def test_a_lost_pointer_costs_nothing_and_lost_weights_their_run(small_store):  # noqa: F811
    folder = small_store.folder
    (node,) = make_nodes("moco")[:1]
    train(folder, [node])
    pointer = read_pointer(folder / "recipes" / node.pointer)
    (folder / "recipes" / node.pointer).unlink()
    assert left(folder, node) == ([0.1, 0.2], 0, True)
    (folder / "objects" / pointer["object"] / "weights.safetensors").unlink()
    # The search run's state was deleted with the others: it is made again before it goes on.
    assert left(folder, node) == ([0.1, 0.2], 2 + 3, False)
    # The stand-in's accuracy grows with the rate.
    best = object_key({**node.recipe, "root": "scratch"}, 0.2, "search")
    (folder / "objects" / best / "state.pt").write_bytes(b"state")
    assert left(folder, node) == ([0.1, 0.2], 3, False)


def test_a_search_that_kept_no_averages_is_not_found_by_those_that_compare_by_them(small_store):  # noqa: F811
    folder = small_store.folder
    last, averaged = (make_nodes("scratch", averaged=way)[0] for way in (False, True))
    train(folder, [last])
    assert left(folder, averaged) == ([], 2 * 2 + 3, False)
    train(folder, [averaged])
    (folder / "recipes" / averaged.pointer).unlink()
    assert left(folder, averaged) == ([0.1, 0.2], 0, True)
    (folder / "recipes" / last.pointer).unlink()
    assert left(folder, last) == ([0.1, 0.2], 0, True)  # the other way round they are


def test_the_best_by_averages_is_what_goes_on(small_store):  # noqa: F811
    folder = small_store.folder
    (node,) = make_nodes("scratch", averaged=True)
    train(folder, [node])
    (folder / "recipes" / node.pointer).unlink()
    for rate in (0.1, 0.2):  # now the lower rate is the best by averages, the higher by the last
        key = object_key({**node.recipe, "root": "scratch"}, rate, "search")
        path = folder / "objects" / key / "metrics.json"
        found = json.loads(path.read_text())
        found["history"][-1]["averaged_val_accuracy"] = 1 - rate
        path.write_text(json.dumps(found))
    assert left(folder, node) == ([0.1, 0.2], 2 + 3, False)  # 0.1 has not gone on yet


def test_damaged_objects_count_as_missing_and_stay_as_they_are(small_store):  # noqa: F811
    folder = small_store.folder
    (node,) = make_nodes("moco")[:1]
    train(folder, [node])
    (folder / "recipes" / node.pointer).unlink()
    for path in folder.glob("objects/*/metrics.json"):
        path.write_text("{")
    before = small_store.contents()
    assert left(folder, node) == ([], 7, False)
    assert small_store.contents() == before


def test_images_are_counted_as_training_does(tmp_path):
    path = tmp_path / "images.csv"
    data = data_recipes()
    guess = ImageCounts(path, 100, SPLIT)
    assert not guess.exact
    assert guess.of(data["pretext"]) == 60
    assert guess.of({**data["pretext"], "train": "all"}) == 100
    assert ImageCounts(path, None, SPLIT).of(data["pretext"]) is None
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "patient_id", "label", "split", "cohort", "mask"])
        for row in range(20):
            split = "train" if row < 12 else ("val" if row < 16 else "test")
            writer.writerow([row, row, "xyz"[row % 3], split, "main", "m" if row % 2 else ""])
    counts = ImageCounts(path, 100, SPLIT)
    assert counts.exact
    assert counts.of(data["pretext"]) == 12
    assert counts.of(data["final"]) == 8  # those of class z apart
    assert counts.of({**data["pretext"], "masked": "drop"}) == 6
    assert counts.of({**data["pretext"], "train": "all", "validate": None}) == 20


def test_images_of_a_synthetic_archive():
    images = len(_plan(0, "main", ["negative"] * 500))
    assert round(500 * PHANTOM_IMAGES) == pytest.approx(images, rel=0.05)


def known(folder: Path) -> Rates:
    return Rates(folder, with_lineage(folder, read_nodes(folder)[0]))


def test_rates_come_from_finished_stages(small_store, monkeypatch):  # noqa: F811
    folder = small_store.folder
    node, classify = make_nodes("moco")
    at_speed(monkeypatch, [1.0, 100.0, 120.0])
    train(folder, [node])
    rates = known(folder)
    rate, kind = rates.of(node, "cpu", 1)
    assert (rate.images_per_second, kind) == (110, "cpu")  # the first epoch warms up
    assert rates.of(classify, "cpu", 1)[0] is None
    assert rates.of(node, "cpu", 2)[0] is None
    assert rates.of(node, "cuda", 1)[0] is None
    for change in ({"image_size": 64}, {"precision": "bf16"}):
        assert rates.of(make_nodes("moco", **change)[0], "cpu", 1)[0] is None
    bigger = make_nodes("moco", stages={"moco": {"batch_size": 16}})[0]
    assert rates.of(bigger, "cpu", 1)[0] is None
    later = make_nodes("swav+moco", seeds=(3,))[1]
    assert rates.of(later, "cpu", 1)[0] == rate  # at another depth, it is as fast


def test_rates_of_another_device_serve_where_the_device_is_open(small_store, monkeypatch):  # noqa: F811
    folder = small_store.folder
    (node,) = make_nodes("moco")[:1]
    at_speed(monkeypatch, [100.0], device="cuda:1")
    train(folder, [node])
    for gpu in (True, False):
        monkeypatch.setattr(estimates, "has_gpu", lambda gpu=gpu: gpu)
        rate, kind = known(folder).of(node, "auto", 4)
        assert (rate.images_per_second, kind) == (100, "cuda")
    assert known(folder).of(node, "cpu", 1) == (None, "cpu")


def test_measured_rates_serve_until_there_are_real_ones(small_store, monkeypatch):  # noqa: F811
    folder = small_store.folder
    (node,) = make_nodes("moco")[:1]
    entry = {
        "task": "moco", "backbone": "resnet18", "last_stage": 2, "image_size": 32, "threads": 1,
        "batch_size": 8, "precision": "float32", "device": "cpu", "device_name": "a processor",
        "torch": "2", "images_per_second": 50.0,
    }  # fmt: skip
    (folder / "rates.json").write_text(json.dumps([entry]))
    assert known(folder).of(node, "cpu", 1)[0].origin == "measured on a processor"
    at_speed(monkeypatch, [100.0])
    train(folder, [node])
    assert known(folder).of(node, "cpu", 1)[0].images_per_second == 100
    (folder / "rates.json").write_text('[{"task": 1}]')
    assert known(folder).of(node, "cpu", 1)[0].images_per_second == 100


def test_a_hidden_gpu_is_none(monkeypatch):
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [Path("/dev/nvidia0")])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert estimates.has_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not estimates.has_gpu()


def test_images_of_an_epoch_are_those_that_it_shows():
    for last_batch, expected in (("drop", 56), ("fill", 64)):
        stages = {"rotation": {"batch_size": 8, "last_batch": last_batch}}
        node = make_nodes("rotation", stages=stages)[0]
        assert estimates.epoch_images(node, 63) == expected


@pytest.mark.parametrize(
    "content",
    [b"a,b\n1,2\n", b"image_id,split\nx,train\n", b"", b"image_id,split\n\xff,train\n",
     b"\x89PNG\r\n\x1a\n\0", b'image_id\n"' + b"x" * 200_000 + b'"\n'],
)  # fmt: skip
def test_another_table_in_the_place_of_the_list_counts_nothing(tmp_path, content):
    (tmp_path / "images.csv").write_bytes(content)
    counts = ImageCounts(tmp_path / "images.csv", 100, SPLIT)
    data = {"train": "train", "validate": "val", "normalise": "train", "masked": False, "also": "x"}
    assert not counts.of(data)


@pytest.mark.parametrize(
    ("split", "trained"),
    [({"val": 0.25, "given": "x"}, 45), ({"given": "x"}, 60)],
)
def test_without_a_list_a_given_split_counts_what_was_read_of_it(tmp_path, split, trained):
    """Of 100 files ten are on no side; the share for validation is one of those that train."""
    sides = (
        {"train": 60, "val": 10, "test": 20} if "val" not in split else {"train": 60, "test": 30}
    )
    counts = ImageCounts(tmp_path / "images.csv", 100, split, sides)
    assert counts.of({"train": "train", "masked": False}) == trained
    assert counts.of({"train": "all", "masked": False}) == 90
