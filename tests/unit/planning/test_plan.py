"""The plan as text and as a table."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pandas as pd
import pytest

from sscdl.study.trie import thesis_curricula
from tests.conftest import ROOT
from tests.unit.plan_helpers import TRAINING, at_speed, make_nodes, make_plan, train
from tests.unit.small_store import small_store  # noqa: F401

TASKS = ("moco", "swav", "relloc", "rotation")
ORDERS = ["+".join(order) for n in (1, 2, 3, 4) for order in itertools.permutations(TASKS, n)]


def table(folder) -> pd.DataFrame:
    return pd.read_csv(folder.parent / "plan.csv", keep_default_na=False).set_index("name")


def test_shared_prefixes_of_the_thesis_and_of_all_orders(tmp_path):
    store = tmp_path / "store"
    text = make_plan(store, make_nodes(*thesis_curricula(), seeds=(0, 1)))
    assert "22 curricula of up to three tasks train 22 stages instead of 46, 52 % fewer" in text
    assert "for each variant and seed (2 in all)" in text
    text = make_plan(store, make_nodes("scratch", *ORDERS))
    assert "64 curricula of up to four tasks train 64 stages instead of 196, 67 % fewer" in text
    assert "1 curriculum of one task trains 1 stage instead of 1" in make_plan(
        store, make_nodes("moco")
    )
    assert "Shared" not in make_plan(store, make_nodes("scratch"))
    assert not store.exists()


def test_an_empty_store(tmp_path):
    nodes = make_nodes("moco", "moco+swav")
    text = make_plan(tmp_path / "store", nodes)
    assert "4 stages to train, 0 finished" in text
    # A search of 2 x 2 epochs and a continuation of 3, on 56 of 60 images.
    assert "8 candidates, 28 epochs, about 1,568 training images" in text
    assert "Estimated training: unknown" in text
    assert "moco      unknown on cpu: train one stage, or run `python -m sscdl rate`" in text
    assert "11.0 MB of weights for 4 stages (11.0 MB of them new)" in text
    assert "3.2 MB of heads and queues with the new ones" in text
    rows = table(tmp_path / "store")
    assert list(rows["state"]) == ["to train"] * 4
    assert list(rows["epochs"]) == [7] * 4
    assert list(rows["images"]) == [7 * 56] * 4
    assert list(rows["hours"]) == [""] * 4
    assert rows.loc["moco+swav+classify", "learning_rates"] == "0.1, 0.2"


def test_states_reasons_and_hours(small_store, monkeypatch):  # noqa: F811
    folder = small_store.folder
    at_speed(monkeypatch, [10.0])
    train(folder, make_nodes("moco", "swav"))
    rates = {"learning_rates": [0.1, 0.2, 0.3]}
    text = make_plan(folder, make_nodes("moco", "swav", "relloc", stages={"moco": rates}))
    rows = table(folder)
    states = {name: rows.loc[name, "state"] for name in rows.index}
    assert states == {
        "moco": "partly", "moco+classify": "to train", "swav": "finished",
        "swav+classify": "finished", "relloc": "to train", "relloc+classify": "to train",
    }  # fmt: skip
    assert rows.loc["moco", "reason"] == "new: learning rate 0.3 (other candidates are found)"
    assert "          new: learning rate 0.3 (other candidates are found)\n" in text
    assert rows.loc["moco", "nearest"].startswith("moco.")
    assert rows.loc["moco", "candidates"] == 1
    # One search of 2 epochs and a continuation of 3, 56 images each, 10 images a second.
    assert rows.loc["moco", "images"] == 5 * 56
    assert float(rows.loc["moco", "hours"]) == pytest.approx(28 / 3600, abs=1e-5)
    assert rows.loc["relloc", "hours"] == ""
    assert rows.loc["swav", "hours"] == "0.0"
    # The classifiers below moco and below relloc: 7 epochs each.
    assert "Estimated training: 1:46 min for 3 stages, one run at a time; unknown for 1" in text
    assert "  39 s of it only if a stage before comes out differently\n" in text
    assert "4 stages to train, 2 finished" in text
    assert "1 of them partly" in text
    assert "moco      10 images/s on cpu (3 runs in the store)" in text
    assert "relloc    unknown on cpu" in text
    assert "swav " not in text.split("Estimated")[1]


def test_all_finished(small_store):  # noqa: F811
    nodes = make_nodes("moco")
    train(small_store.folder, nodes)
    before = small_store.contents()
    text = make_plan(small_store.folder, nodes)
    assert "0 stages to train, 2 finished" in text
    assert "Estimated" not in text
    assert "(0 B of them new)" in text
    assert "more while a stage trains" not in text
    assert small_store.contents() == before, "a plan changes nothing"


def test_some_candidates_are_listed_where_others_are_not_new_ones_alone(small_store):  # noqa: F811
    folder = small_store.folder
    train(folder, make_nodes("moco")[:1])
    pointer = next(folder.glob("recipes/*.json"))
    pointer.unlink()
    other = {"moco": {"learning_rates": [0.1, 0.3, 0.4]}}
    make_plan(folder, make_nodes("moco", stages=other))
    assert table(folder).loc["moco", "reason"] == "nothing like it in the store (found: 0.1)"
    make_plan(folder, make_nodes("moco"))
    assert "only the pointer" in table(folder).loc["moco", "reason"]


def test_images_that_every_epoch_leaves_out_are_said(tmp_path):
    stages = {"moco": {"batch_size": 32}, "classify": {"batch_size": 32, "last_batch": "fill"}}
    text = make_plan(tmp_path / "store", make_nodes("moco", "swav", stages=stages))
    (said,) = [line for line in text.splitlines() if "leaves out" in line]
    assert said.startswith("Warning: every epoch of moco leaves out 28 of 60 training images")
    assert table(tmp_path / "store").loc["moco", "images"] == 7 * 32
    assert table(tmp_path / "store").loc["moco+classify", "images"] == 7 * 64


def test_unknown_numbers_stay_empty(tmp_path):
    text = make_plan(tmp_path / "store", make_nodes("moco"), image_files=None)
    assert "images unknown until they are ingested" in text
    assert list(table(tmp_path / "store")["images"]) == ["", ""]
    text = make_plan(tmp_path / "store", make_nodes("moco", backbone={"name": "mine"}))
    assert "Disk" not in text


def test_several_candidates_at_a_time_and_warnings_are_said(tmp_path):
    training = {**TRAINING, "side_by_side": 2, "devices": 3}
    split = {"by": "image", "val": 0.2, "test": 0.2, "seed": 0}
    text = make_plan(tmp_path / "store", make_nodes("moco"), training=training, split=split)
    assert "up to 6 candidates train at a time" in text
    assert "Warning: The split is by image" in text


def test_a_plan_needs_neither_torch_nor_pandas():
    code = (
        "import sys; import sscdl.planning.plan, sscdl.study.study; "
        "sys.exit(bool({'torch', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
