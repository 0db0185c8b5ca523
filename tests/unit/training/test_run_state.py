"""The file of a run's state: what is written is what is read, or it is refused."""

from __future__ import annotations

import os
import threading

import pytest
import torch

from sscdl.training import run_state
from sscdl.training.averages import Averages
from sscdl.training.run_state import Saver, resume
from tests.unit.task_helpers import make_task


def test_a_flipped_bit_in_a_state_is_found(tmp_path, caplog):
    task = make_task("rotation")
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1)
    with Saver(tmp_path / "state.pt", "key", background=False) as saver:
        saver.save(task, optimizer, [{"epoch": 1}])
    assert resume(task, optimizer, tmp_path / "state.pt", "key") == [{"epoch": 1}]
    content = bytearray((tmp_path / "state.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "state.pt").write_bytes(content)
    assert resume(task, optimizer, tmp_path / "state.pt", "key") == []
    assert "is not what was written" in caplog.text
    assert (tmp_path / "state.damaged").exists()


def test_a_state_without_averages_is_not_gone_on_with_where_rates_are_compared_by_them(
    tmp_path, caplog
):
    task = make_task("rotation")
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1)
    state = tmp_path / "state.pt"
    with Saver(state, "key", background=False) as saver:
        saver.save(task, optimizer, [{"epoch": 1}])
    assert resume(task, optimizer, state, "key", Averages(task)) == []
    assert f"{state} cannot be continued" in caplog.text
    assert "it has no averages of weights, by which rates are compared now" in caplog.text
    assert (tmp_path / "state.damaged").exists()


def test_of_two_processes_that_find_damage_one_sets_the_file_aside(tmp_path, monkeypatch):
    task = make_task("rotation")
    state = tmp_path / "state.pt"
    state.write_bytes(b"damaged")

    def too_late(source, target):
        source.unlink()
        os.rename(source, target)

    monkeypatch.setattr(os, "replace", too_late)
    assert resume(task, torch.optim.SGD(task.parameters(), lr=0.1), state, "key") == []


def test_the_background_writes_what_was_there_when_it_was_asked(tmp_path, monkeypatch):
    task = make_task("rotation")
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1, momentum=0.9)
    task.head.weight.grad = torch.ones_like(task.head.weight)
    optimizer.step()
    before = task.head.weight.detach().clone()
    go, write = threading.Event(), run_state._write

    def late(state, content):
        go.wait(20)
        write(state, content)

    monkeypatch.setattr(run_state, "_write", late)
    with Saver(tmp_path / "state.pt", "key", background=True) as saver:
        saver.save(task, optimizer, [{"epoch": 1}])
        optimizer.step()  # the next epoch goes on while the file is written
        go.set()
    other = make_task("rotation", seed=1)
    again = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    assert resume(other, again, tmp_path / "state.pt", "key") == [{"epoch": 1}]
    assert torch.equal(other.head.weight, before)
    assert not torch.equal(task.head.weight, before)
    buffer = again.state[other.head.weight]["momentum_buffer"]
    assert torch.equal(buffer, torch.ones_like(buffer)), "not that of the next step"


def test_what_goes_wrong_in_the_background_is_raised(tmp_path, monkeypatch):
    def full(state, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_state, "_write", full)
    task = make_task("rotation")
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1)
    with (
        pytest.raises(OSError, match="No space left"),
        Saver(tmp_path / "state.pt", "key", background=True) as saver,
    ):
        saver.save(task, optimizer, [])
