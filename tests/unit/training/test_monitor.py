"""What can be watched while a run trains, and that watching changes nothing."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from sscdl.stages.stage import run_stage
from sscdl.training.monitor import feature_std, knn_accuracy
from sscdl.training.scalars import Scalars, log_line, write_finished
from tests.unit.real_stage import real_stage, same_weights, weights


def unit(rows, channels, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, channels, generator=generator), dim=1)


def test_feature_std_is_one_at_random_and_none_when_collapsed():
    assert feature_std(unit(4000, 64)) == pytest.approx(1, abs=0.02)
    assert feature_std(unit(1, 64).expand(100, -1)) == pytest.approx(0, abs=1e-6)


def test_neighbours_of_the_same_class_are_found_and_chance_is_one_over_classes():
    labels = torch.arange(400) % 4
    apart = F.normalize(F.one_hot(labels, 8).float() + 0.1 * torch.randn(400, 8), dim=1)
    patients = torch.arange(400)
    assert knn_accuracy(apart, labels, patients) == 1
    # Frequent classes do not win by their number: nine of ten images say nothing.
    rare = (torch.arange(4000) % 10 == 0).long()
    assert knn_accuracy(unit(4000, 16), rare, torch.arange(4000)) == pytest.approx(0.5, abs=0.05)


def test_neither_the_image_nor_its_patient_votes():
    pairs = unit(50, 16).repeat_interleave(2, dim=0)
    labels = (torch.arange(100) // 2) % 2  # both images of a patient have its label
    assert knn_accuracy(pairs, labels, torch.arange(100)) > 0.9
    assert knn_accuracy(pairs, labels, torch.arange(100) // 2) < 0.75


def test_labels_need_not_be_consecutive():
    labels = torch.tensor([3, 3, 3, 7, 7, 7])
    features = F.one_hot((labels > 3).long(), 2).float()
    assert knn_accuracy(features, labels, torch.arange(6)) == 1


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    stage = real_stage(tmp_path_factory.mktemp("watched"), "moco")
    run_stage(stage)
    return stage


def test_a_run_writes_lines_and_scalars(watched):
    folder = watched.monitors / "lr0.01"
    lines = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines][:2] == [1, 2]
    assert {"loss", "chance", "floor", "images_per_second", "input_share", "feature_std",
            "knn_accuracy", "seconds"} <= set(lines[0])  # fmt: skip
    assert all(0 <= line["input_share"] <= 1 for line in lines)
    assert list(folder.glob("events.out.tfevents.*"))


def test_the_event_file_holds_the_scalars(watched):
    from tensorboardX.proto.event_pb2 import Event

    content = next((watched.monitors / "lr0.01").glob("events.*")).read_bytes()
    found, at = {}, 0
    while at < len(content):  # each record: length (8), its checksum (4), content, checksum (4)
        size = int.from_bytes(content[at : at + 8], "little")
        event = Event.FromString(content[at + 12 : at + 12 + size])
        for value in event.summary.value:
            found[value.tag, event.step] = value.simple_value
        at += 16 + size
    line = json.loads((watched.monitors / "lr0.01" / "epochs.jsonl").read_text().splitlines()[0])
    assert found["loss", 1] == pytest.approx(line["loss"])
    assert found["knn_accuracy", 1] == pytest.approx(line["knn_accuracy"])


def test_watching_changes_no_bit(watched, tmp_path):
    unwatched = replace(real_stage(tmp_path, "moco"), monitors=None)
    run_stage(unwatched)
    assert same_weights(weights(watched), weights(unwatched))


def test_an_attempt_that_goes_on_repeats_no_line(tmp_path):
    with closing(Scalars(tmp_path / "m")) as lines:
        for record in ({"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 2.0}):
            lines.start([])
            lines.add(record)
    with closing(Scalars(tmp_path / "m")) as again:
        again.start([{"epoch": 1, "loss": 1.0}])
        again.add({"epoch": 2, "loss": 2.0})
    text = (tmp_path / "m" / "epochs.jsonl").read_text()
    assert [json.loads(line)["epoch"] for line in text.splitlines()] == [1, 2]


def test_no_thread_writes_what_is_watched(tmp_path):
    """A signal must find nothing that waits for another thread: see the architecture's list."""
    before = threading.enumerate()
    with closing(Scalars(tmp_path / "m")) as lines:
        lines.start([{"epoch": 1, "loss": 1.0}])
        lines.add({"epoch": 2, "loss": 2.0})
        assert threading.enumerate() == before
        assert b"loss" in next((tmp_path / "m").glob("events.*")).read_bytes()


def test_the_line_says_loss_against_chance_and_time_left():
    record = {"epoch": 3, "finite": True, "loss": 1.25, "chance": 1.386, "knn_accuracy": 0.5,
              "feature_std": 0.7, "images_per_second": 81.2}  # fmt: skip
    line = log_line("moco full lr 0.1", record, 8, "5 s")
    assert line == (
        "moco full lr 0.1 epoch 3/8 loss 1.250 (chance 1.386), feature std 0.700, kNN 0.500, "
        "81 images/s, 5 s left"
    )
    floor = log_line("moco full lr 0.1", {**record, "floor": 1.3}, 8, "5 s")
    assert floor == line.replace("(chance 1.386)", "(chance 1.386, floor 1.300)")
    assert log_line("moco full lr 0.1", {**record, "floor": None}, 8, "5 s") == line
    assert "became infinite" in log_line("a", {"epoch": 1, "finite": False}, 8, "")


def test_finished_nodes_can_be_watched_from_the_store(watched, tmp_path):
    write_finished([(watched.pointer, tmp_path)])
    for rate in ("0.01", "0.03"):
        live = (watched.monitors / f"lr{rate}" / "epochs.jsonl").read_text()
        assert (tmp_path / f"lr{rate}" / "epochs.jsonl").read_text() == live
        assert list((tmp_path / f"lr{rate}").glob("events.*"))
