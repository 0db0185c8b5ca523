"""Several processes for one node: the same results, and no process outlives its reason."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sscdl.errors import InputError
from sscdl.progress import job_log
from sscdl.stages import crew, worker
from sscdl.stages.crew import Crew, Worker
from sscdl.stages.runs import Runs
from sscdl.stages.session import Session
from sscdl.stages.stage import read_pointer, run_stage
from sscdl.store.store import Store
from tests.conftest import ROOT
from tests.unit.real_stage import real_stage, same_weights, untimed, weights

RUN = (
    "import pickle, sys; from sscdl.progress import job_log; "
    "from sscdl.stages.stage import run_stage\n"
)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    stage = real_stage(tmp_path_factory.mktemp("alone"))
    run_stage(stage)
    return stage


def test_candidates_side_by_side_are_those_trained_one_after_another(alone, tmp_path, monkeypatch):
    stage = real_stage(tmp_path, side_by_side=2)
    train, others = Session.run, []

    def observed(*arguments, **run):
        others.append(workers())
        return train(*arguments, **run)

    monkeypatch.setattr(Session, "run", observed)
    with job_log(tmp_path / "log", "test"):
        run_stage(stage)
    assert others == [[]], "whoever searched holds no memory while the best goes on"
    assert untimed(read_pointer(stage.pointer)) == untimed(read_pointer(alone.pointer))
    assert same_weights(weights(stage), weights(alone))
    log = (tmp_path / "log").read_text()
    assert "lr 0.01 epoch 2/2" in log
    assert "lr 0.03 epoch 2/2" in log


def test_the_last_rate_of_a_search_is_trained_without_the_others_processes(tmp_path):
    stage = real_stage(tmp_path, side_by_side=2)
    with (
        job_log(tmp_path / "log", "test"),
        Runs(stage, Store(stage.store), "scratch", None) as runs,
    ):
        runs.candidates(stage.learning_rates, 1)
        assert len(workers()) == 2
        runs.candidates(stage.learning_rates[:1], 2)
        assert not workers()


def test_two_devices_spread_candidates_and_share_the_batches_of_the_best(alone, tmp_path):
    stage = real_stage(tmp_path, devices=2)
    with job_log(tmp_path / "log", "test"):
        run_stage(stage)
    one, two = read_pointer(alone.pointer), read_pointer(stage.pointer)
    assert untimed(one["candidates"]) == untimed(two["candidates"])
    assert one["object"] == two["object"]
    # Rounding grows with every step; that it is no more is tested in float64, with the ranks.
    for name, tensor in weights(alone).items():
        assert torch.allclose(tensor, weights(stage)[name], atol=2e-2), name
    assert not same_weights(weights(alone), weights(stage)), "the devices shared the batches"
    losses = [[r["loss"] for r in found["final"]["history"]] for found in (one, two)]
    assert losses[0] == pytest.approx(losses[1], abs=5e-3)


def test_two_devices_fill_the_queue_that_one_fills(tmp_path):
    """And have one floor; the rest of the last batch is the same images, too."""
    found = []
    options = {"queue": 12, "dimension": 16, "fill": True}
    settings = {"batch_size": 6, "last_batch": "fill", "search_epochs": 1, "final_epochs": 0}
    for devices in (1, 2):
        folder = tmp_path / str(devices)
        stage = real_stage(
            folder, "moco", devices=devices, learning_rates=(0.01,),
            settings=settings | {"options": options},
        )  # fmt: skip
        with job_log(folder / "log", "test"):
            run_stage(stage)
        pointer = read_pointer(stage.pointer)
        kept = stage.store / "objects" / pointer["object"] / "task.safetensors"
        (record,) = pointer["final"]["history"]
        found.append((load_file(kept), [record["loss"], record["floor"]]))
    (one, first), (two, second) = found
    assert first == pytest.approx(second, abs=1e-4)
    assert one.keys() == two.keys()
    assert torch.equal(one["queue_rows"], two["queue_rows"])
    torch.testing.assert_close(one["queue"], two["queue"], atol=2e-2, rtol=0)


def test_a_fault_in_a_further_process_is_that_of_the_stage(tmp_path):
    stage = real_stage(tmp_path, side_by_side=2, settings={"batch_size": 17})
    with pytest.raises(SystemExit), job_log(tmp_path / "log", "test"):
        run_stage(stage)
    assert "batch_size: 17 is more than the 16 training images" in (tmp_path / "log").read_text()


def test_a_process_that_dies_is_named_as_the_cause(tmp_path):
    with job_log(tmp_path / "log", "test"):
        worker = Worker(real_stage(tmp_path), "scratch", None)
    worker._process.kill()
    with pytest.raises(InputError, match=r"ended without an answer \(exit status -9\)"):
        worker.ask("candidate", 0.01, 2)
    worker.close()


class TwoWords(Exception):
    """What pickle takes apart and cannot put together again."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


def test_an_error_that_cannot_be_sent_is_told_in_its_words():
    sent = worker._sendable(TwoWords("no", "luck"))
    assert (type(sent), str(sent)) == (RuntimeError, "TwoWords: no luck")
    error = InputError("as it is")
    assert worker._sendable(error) is error


def test_half_an_answer_is_none(tmp_path, monkeypatch):
    one = Worker.__new__(Worker)
    code = "import sys; sys.stdin.read(1); sys.stdout.buffer.write(b'\\x80\\x05\\x95')"
    one._process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with pytest.raises(InputError, match="ended without an answer"):
        one.ask("candidate", 0.1, 1)
    one.close()


def test_a_death_beside_a_shared_run_ends_it_with_its_cause(tmp_path):
    stage = real_stage(tmp_path, devices=2, settings={"search_epochs": 1, "final_epochs": 500})

    def kill_one() -> None:
        wait_for(lambda: "epoch 3/501" in (tmp_path / "log").read_text())
        os.kill(workers()[0], signal.SIGKILL)

    (tmp_path / "log").touch()
    killer = threading.Thread(target=kill_one)
    killer.start()
    with pytest.raises(SystemExit), job_log(tmp_path / "log", "test"):
        run_stage(stage)
    killer.join()
    log = (tmp_path / "log").read_text()
    assert "a further process: a training process ended without an answer (exit status -9)" in log
    assert "Traceback" not in log
    assert not workers()


def test_a_failure_beside_a_shared_run_is_raised_as_it_is(tmp_path, monkeypatch):
    """The process that failed lives on and would keep the others waiting."""
    ask = Worker.ask

    def spoilt(worker, task, *arguments):
        if task == "share":
            arguments = ({**arguments[0], "nonsense": True}, *arguments[1:])
        return ask(worker, task, *arguments)

    monkeypatch.setattr(Worker, "ask", spoilt)
    stage = real_stage(tmp_path, devices=2)
    with pytest.raises(TypeError, match="nonsense"), job_log(tmp_path / "log", "test"):
        run_stage(stage)
    assert not workers()


def test_a_process_that_does_not_notice_the_failure_of_another_ends(tmp_path):
    """Over NCCL, whoever waits for a rank that is gone may wait for ever; here, it sleeps."""
    stage = real_stage(tmp_path)
    code = f"{RUN}import time; from sscdl.stages import crew; crew.PATIENCE = 0.5\n"
    code += "stage = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
    code += "together = crew.Crew(stage, 'scratch', None, ['cpu', 'cpu'])\n"
    code += "with job_log(sys.argv[2], 'test'), together.beside({'key': 'no run'}): time.sleep(60)"
    done = subprocess.run(
        [sys.executable, "-c", code, pickle.dumps(stage).hex(), str(tmp_path / "log")],
        cwd=ROOT, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    log = (tmp_path / "log").read_text()
    assert "a further process: Session.run() missing" in log
    assert "the shared run no run ends on all devices, as it was not over 0.5 s after" in log
    assert "missing" in log.split("after a failure")[1], "the cause stands beside it"


def failed(error: Exception) -> Future[None]:
    future: Future[None] = Future()
    future.set_exception(error)
    return future


class Mate:
    """A further process whose end takes until ``go_on``, or half a second."""

    def __init__(self) -> None:
        self.is_ended, self.go_on = threading.Event(), threading.Event()

    def kill(self) -> None:
        self.is_ended.set()
        self.go_on.wait(0.5)


@pytest.fixture
def exits(monkeypatch):
    """Return the exit statuses with which this process would have been ended."""
    found: list[int] = []
    monkeypatch.setattr(crew.os, "_exit", found.append)
    return found


def test_no_alarm_outlives_a_run_that_ends_while_a_failure_is_told(exits, monkeypatch):
    """The order that once ended processes at random: a run's end amid the look at a failure."""
    monkeypatch.setattr(crew, "PATIENCE", 0.2)
    mate = Mate()
    watch = crew.Watch([mate], "a run")
    told = threading.Thread(target=watch.look, args=[failed(InputError("gone"))])
    told.start()
    assert mate.is_ended.wait(5)
    watch.end()
    mate.go_on.set()
    told.join()
    time.sleep(0.4)
    assert not [one for one in threading.enumerate() if isinstance(one, threading.Timer)]
    assert exits == []


def test_what_comes_after_the_end_of_a_run_does_nothing(exits, monkeypatch, caplog):
    monkeypatch.setattr(crew, "PATIENCE", 0.0)
    mate = Mate()
    watch = crew.Watch([mate], "a run")
    watch.end()
    with caplog.at_level("ERROR", "sscdl.stage"):
        watch.look(failed(InputError("late")))
        watch._ring(InputError("late"))
    assert not mate.is_ended.is_set()
    assert exits == []
    assert not caplog.records


def test_the_alarm_of_a_run_that_goes_on_ends_the_process_once(exits, monkeypatch, caplog):
    monkeypatch.setattr(crew, "PATIENCE", 0.1)
    mates = [Mate(), Mate()]
    for mate in mates:
        mate.go_on.set()
    watch = crew.Watch(mates, "a run")
    with caplog.at_level("ERROR", "sscdl.stage"):
        watch.look(failed(InputError("one")))
        watch.look(failed(InputError("two")))
        wait_for(lambda: exits)
    watch.end()
    assert exits == [1]
    assert "a run ends on all devices" in caplog.text
    assert "(one)" in caplog.text


def test_a_process_that_failed_in_a_search_is_not_asked_again(tmp_path):
    stage = real_stage(tmp_path, side_by_side=2, settings={"batch_size": 17})
    with job_log(tmp_path / "log", "test"):
        together = Crew(stage, "scratch", None, ["cpu"])
        for _ in range(2):
            with pytest.raises(InputError, match="batch_size: 17 is more than"):
                together.candidates(stage.learning_rates, 1)
    together.close()


@pytest.mark.parametrize("rest", [b"", b"\x80\x05\x95", b"\x80\x05nonsense"])
def test_a_further_process_ends_whatever_becomes_of_its_input(tmp_path, rest):
    """Cut amid a message, as by the death of the process that writes it, or no message at all."""
    begin = pickle.dumps((real_stage(tmp_path), "scratch", None, str(tmp_path / "log")))
    done = subprocess.run(
        [sys.executable, "-m", "sscdl.stages.worker"], cwd=ROOT, input=begin + rest, timeout=120
    )
    assert done.returncode in (0, 1)


def test_nobody_waits_for_a_process_that_cannot_begin(alone, tmp_path):
    stage = real_stage(tmp_path)
    with job_log(tmp_path / "log", "test"):
        together = Crew(stage, "scratch", None, ["cpu", "nonsense"])
        with pytest.raises(RuntimeError, match="nonsense"), together.beside({"key": "key"}):
            raise AssertionError("it began")
    together.close()


def test_further_processes_end_with_the_one_that_started_them(tmp_path):
    stage = real_stage(
        tmp_path, side_by_side=2, settings={"search_epochs": 5000, "final_epochs": 0}
    )
    code = f"{RUN}stage = pickle.loads(bytes.fromhex(sys.argv[1]))\n"
    code += "with job_log(sys.argv[2], 'test'): run_stage(stage)"
    process = subprocess.Popen(
        [sys.executable, "-c", code, pickle.dumps(stage).hex(), str(tmp_path / "log")], cwd=ROOT
    )
    states = stage.store / "objects"
    wait_for(lambda: len(list(states.glob("*/state.pt"))) == 2)
    children = children_of(process.pid)
    assert len(children) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(alive(child) for child in children))
    with Store(stage.store).lock(stage.fingerprint):
        assert not stage.pointer.exists(), "nobody holds the lock, nothing claims to be finished"


def wait_for(condition, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def workers() -> list[int]:
    """Return the further processes of this one, and no others that it may have."""
    return [
        child
        for child in children_of(os.getpid())
        if alive(child) and b"sscdl.stages.worker" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        direct = [int(child) for child in file.read().split()]
    # Workers are started by the main thread or by one of its own.
    threads = [p for p in os.listdir(f"/proc/{pid}/task") if p != str(pid)]
    for thread in threads:
        with open(f"/proc/{pid}/task/{thread}/children", encoding="utf-8") as file:
            direct += [int(child) for child in file.read().split()]
    return direct
