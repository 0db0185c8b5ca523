"""Killing the workflow anywhere loses nothing that was finished."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import time

import pytest

from tests.workflow.conftest import TINY, Runner


def _start(runner: Runner) -> subprocess.Popen:
    return subprocess.Popen(
        runner.command("pretrain"), cwd=runner.folder, env=runner.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize("all_processes", [True, False], ids=["everything", "snakemake_alone"])
def test_a_run_that_is_killed_while_training_can_go_on(study, place, all_processes):
    config = copy.deepcopy(TINY)
    config |= {"study": f"killed{all_processes}", "curricula": ["moco"], "variants": ["full"]}
    config["stages"]["moco"] |= {
        "learning_rates": [0.01 + all_processes * 0.001], "search_epochs": 30, "final_epochs": 30,
    }  # fmt: skip
    runner = Runner(place / f"killed{all_processes}", config)
    running = _start(runner)
    objects = study.folder.parent / "store" / "objects"
    before = set(objects.glob("*/state.pt"))
    deadline = time.monotonic() + 120
    while not set(objects.glob("*/state.pt")) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running.poll() is None, "it must still be running when it is killed"
    if all_processes:
        os.killpg(running.pid, signal.SIGKILL)
    else:
        running.send_signal(signal.SIGKILL)
    running.wait()
    output = runner("pretrain")
    assert "going on after epoch" in output or "by another process" in output
    assert "Nothing to be done" in runner("pretrain")
