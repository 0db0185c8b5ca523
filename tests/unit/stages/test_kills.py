"""A run that is killed is the run that it would have been; a full disk and signals lose nothing."""

from __future__ import annotations

import os
import pickle
import random
import resource
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from benchmarks.kills import SERVER, TASKS, digest, killed, undisturbed, work
from sscdl.errors import InputError
from sscdl.progress import ENDS, LOGGER, job_log
from sscdl.stages.stage import run_stage
from tests.unit.real_stage import real_stage, same_weights, weights

MANY = {"search_epochs": 6, "final_epochs": 6}


@pytest.mark.parametrize("task", TASKS)
def test_two_kills_change_no_bit(tmp_path, task):
    whole = real_stage(tmp_path, task, settings=MANY, store=tmp_path / "one")
    broken = real_stage(tmp_path, task, settings=MANY, store=tmp_path / "two")
    kills = killed(broken, 2, undisturbed(whole), random.Random(0))
    assert kills == 2
    assert "going on after epoch" in (broken.store / "log").read_text()
    assert digest(whole) == digest(broken)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_ends_a_run_with_a_message_and_the_next_one_goes_on(tmp_path, number):
    stage = real_stage(tmp_path, settings={"search_epochs": 15, "final_epochs": 1})
    log = stage.store / "log"
    process = SERVER.Process(target=work, args=(stage, log))
    process.start()
    deadline = time.monotonic() + 60
    while not (log.exists() and "epoch 2/15" in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, number)
    process.join(60)
    ended = process.exitcode
    process.kill()  # or Python would wait for it at its own end
    process.join()
    assert ended == 128 + number
    text = log.read_text()
    assert f"stopped by {number.name}; what was finished is kept" in text
    assert "Traceback" not in text
    assert not list(stage.store.rglob(".state.*")), "no half-written file stays"
    undisturbed(stage)
    assert "going on after epoch" in log.read_text()


def full_disk(stage, log):
    """Train where no file may be larger than 2 MB, which ends writing as a full disk does."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
    work(stage, log)


def test_a_full_disk_is_named_and_leaves_nothing_half_written(tmp_path):
    stage = real_stage(tmp_path)
    log = stage.store / "log"
    process = SERVER.Process(target=full_disk, args=(stage, log))
    process.start()
    process.join(60)
    assert process.exitcode == 1
    text = log.read_text()
    assert "state.pt: the disk or the quota is full" in text
    assert "store prune" in text
    assert "Traceback" not in text
    left = [path for path in stage.store.rglob("*") if path.is_file() and path.suffix == ".pt"]
    assert left == []
    undisturbed(stage)
    other = real_stage(tmp_path, store=tmp_path / "other")
    run_stage(other)
    assert same_weights(weights(stage), weights(other))


def test_what_a_killed_writer_left_is_cleared(tmp_path):
    stage = real_stage(tmp_path)
    undisturbed(stage)
    stage.pointer.unlink()
    final = next(stage.store.glob("objects/*/weights.safetensors")).parent
    (final / "weights.safetensors").unlink()
    half = final / ".state.abc.pt"
    half.write_bytes(b"half")
    undisturbed(stage)
    assert not half.exists()


@pytest.fixture
def _handlers():
    """Leave this process with the handlers of signals that it had."""
    before = {number: signal.getsignal(number) for number in ENDS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def fail_in_turn(kind: str) -> None:
    if kind == "another cause":
        raise RuntimeError("unexpected position") from ValueError("closed")
    if kind == "leaves":
        sys.exit(0)
    raise RuntimeError("unexpected position")


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("kind", ["fails", "another cause", "leaves"])
def test_what_fails_because_it_is_interrupted_is_told_as_the_interruption(tmp_path, kind):
    """torch.save fails in turn when a signal comes while it writes."""

    def interrupted_writing() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            fail_in_turn(kind)

    with pytest.raises(SystemExit) as ended, job_log(tmp_path / "log", "test"):
        interrupted_writing()
    assert ended.value.code == 128 + signal.SIGTERM
    text = (tmp_path / "log").read_text()
    assert "stopped by SIGTERM; what was finished is kept" in text
    assert "unexpected position" not in text


@pytest.mark.parametrize("failure", [None, RuntimeError("of its own")])
def test_a_signal_after_a_job_is_no_business_of_the_job(tmp_path, failure):
    """Whatever runs on in the process, it must not meet the exception that ends jobs."""
    before = {number: signal.getsignal(number) for number in ENDS}
    with suppress(RuntimeError), job_log(tmp_path / "log", "test"):
        assert all(signal.getsignal(number) not in before.values() for number in ENDS)
        if failure:
            raise failure
    assert {number: signal.getsignal(number) for number in ENDS} == before


@pytest.mark.usefixtures("_handlers")
def test_another_failure_keeps_its_traceback(tmp_path):
    with pytest.raises(RuntimeError), job_log(tmp_path / "log", "test"):
        raise RuntimeError("of its own")
    assert "Traceback" in (tmp_path / "log").read_text()


@pytest.mark.usefixtures("_handlers")
def test_too_little_memory_on_a_gpu_names_the_keys_that_need_less(tmp_path):
    told = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB"
    with pytest.raises(SystemExit) as ended, job_log(tmp_path / "log", "test"):
        # As it arrives from a further process.
        raise pickle.loads(pickle.dumps(torch.OutOfMemoryError(told)))
    assert ended.value.code == 1
    text = (tmp_path / "log").read_text()
    assert "the GPU's memory is too small (CUDA out of memory); make the stage's batch_size" in text
    assert "Traceback" not in text


@pytest.mark.parametrize("failure", [None, ValueError("no luck"), InputError("no file")])
def test_a_job_leaves_no_file_open_and_what_was_logged_to_before_is_so_again(tmp_path, failure):
    before, path = LOGGER.handlers, tmp_path / "log"
    with suppress(ValueError, SystemExit), job_log(path, "test"):
        assert opened(path)
        if failure:
            raise failure
    assert not opened(path)
    assert LOGGER.handlers is before


def opened(path):
    """Return whether this process has the file open."""
    return any(Path(one).resolve() == path for one in Path("/proc/self/fd").glob("*"))
