"""Several workflows, one store: a stage is trained once, whatever happens to who trains it."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import time

import pandas as pd
import pytest

from sscdl.files import read_json
from tests.workflow.conftest import TINY, Runner

LONG = {"learning_rates": [0.011], "search_epochs": 12, "final_epochs": 12}


def runner(place, name, **stages) -> Runner:
    config = copy.deepcopy(TINY)
    config |= {"study": name, "curricula": ["rotation"], "variants": ["full"]}
    for task, settings in stages.items():
        config["stages"][task] |= settings
    return Runner(place / name, config)


def start(one: Runner) -> subprocess.Popen:
    return subprocess.Popen(
        one.command("pretrain"), cwd=one.folder, env=one.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip


def texts(one: Runner) -> str:
    return "".join(path.read_text() for path in one.results.glob("logs/pretrain/*.log"))


def wait_for(condition) -> None:
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("killed", ["none", "first", "second"])
def test_two_workflows_at_once_train_a_stage_once(study, place, killed):
    rate = {"none": 0.011, "first": 0.012, "second": 0.013}[killed]
    pair = [
        runner(place, f"{name}_{killed}", rotation=LONG | {"learning_rates": [rate]})
        for name in ("one", "two")
    ]
    running = [start(pair[0])]
    wait_for(lambda: "epoch 1/12" in texts(pair[0]))
    running.append(start(pair[1]))
    wait_for(lambda: "waiting: this node is being trained" in texts(pair[1]))
    if killed != "none":
        victim = running[0 if killed == "first" else 1]
        os.killpg(victim.pid, signal.SIGKILL)
    outputs = [process.communicate()[0] for process in running]
    survivors = [n for n in (0, 1) if killed != ("first", "second")[n]]
    for number in survivors:
        assert running[number].returncode == 0, outputs[number][-3000:]
    for one in pair:
        assert "Nothing to be done" in one("pretrain") or one is pair[1 - survivors[0]]
    both = texts(pair[0]) + texts(pair[1])
    assert both.count("epoch 12/12") + both.count("epoch 24/24") == 2, "each epoch once"
    if killed == "first":
        assert "going on after epoch" in texts(pair[1])
    else:
        assert "epoch 24/24" in texts(pair[0])


def test_a_damaged_checkpoint_is_set_aside_and_trained_again(study, place):
    first = runner(place, "damaged", rotation={"learning_rates": [0.02]})
    first("pretrain")
    store = first.folder.parent / "store"
    pointers = [read_json(path) for path in store.glob("recipes/rotation.*.json")]
    node = next(one for one in pointers if one["learning_rate"] == 0.02)
    weights = store / "objects" / node["object"] / "weights.safetensors"
    whole = weights.read_bytes()
    changed = bytearray(whole)
    changed[-10] ^= 1
    weights.write_bytes(changed)
    table = "results/damaged/tables/confusions.csv"
    output = first(table, ok=False)
    assert "damaged (not what was written), set aside as weights.damaged" in output
    first(table)
    assert weights.read_bytes() == whole, "the same seed gives the same weights, bit for bit"


def test_halving_and_several_at_a_time_through_the_workflow(study, place):
    rates = [0.005, 0.01, 0.02, 0.04]
    settings = {"learning_rates": rates, "search_epochs": 4, "final_epochs": 1}
    halved = runner(place, "halving", rotation=settings)
    halved.config["search"] = {"method": "halving"}
    halved.config["training"] = {"device": "cpu", "threads": 1, "side_by_side": 2}
    halved("results/halving/tables/search.csv", "monitors")
    table = pd.read_csv(halved.results / "tables" / "search.csv")
    row = table[table["stage"] == "rotation"].iloc[0]
    assert (row["method"], row["epochs_grid"], row["epochs_halving"]) == ("halving", 16, 8)
    winner = row["chosen_halving"]
    node = next(halved.results.glob("monitors/full/rotation.s0"))
    lines = {
        path.parent.name: len(path.read_text().splitlines())
        for path in node.glob("lr*/epochs.jsonl")
    }
    assert sorted(lines.values()) == [1, 1, 2, 5], "losers stop early, the winner goes on"
    grid = runner(place, "grid", rotation=settings)
    grid("results/grid/tables/search.csv")
    row = pd.read_csv(grid.results / "tables" / "search.csv").set_index("stage").loc["rotation"]
    assert (row["method"], row["epochs_halving"]) == ("grid", 8)
    assert f"learning rate {winner:g} found" in texts(grid), "what halving has trained to the end"
    trained = [rate for rate in rates if f"lr {rate:g} epoch 4/4" in texts(grid)]
    assert trained == [rate for rate in rates if rate != winner]
