"""What can be said of accelerators without one: nothing is left on the host, no step waits for it.

Everything is computed twice, on the CPU and on a device that computes on the CPU too but is another
to torch (``accelerator.py``), in a process of its own (``on_accelerator.py``).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sscdl.tasks.options import DEFAULTS
from tests.unit.small_task import OPTIMIZERS

ROOT = Path(__file__).parents[2]
TASKS = (*DEFAULTS, *(f"small by {optimizer}" for optimizer in OPTIMIZERS))


@pytest.fixture(scope="session")
def found():
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.on_accelerator"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("task", TASKS)
def test_training_gives_the_same_weights_and_records_as_on_the_cpu(found, task):
    assert found[task]["weights"]
    assert found[task]["records"]


@pytest.mark.parametrize("task", TASKS)
def test_no_step_waits_for_the_device(found, task):
    few, many = found[task]["waits"]
    assert few == many, "twice as many steps, as many waits"
    assert len(many["epoch"]) == 3  # the epoch's draws, its rows, and at the end its sums
    assert any("tolist" in place for place in many["validation"])


def test_streamed_images_train_the_same_weights(found):
    assert found["streamed"]


@pytest.mark.parametrize("what", ["chances", "maps", "untrained", "features", "masks"])
def test_finished_networks_say_the_same(found, what):
    assert found["looked_at"][what]


def test_two_devices_in_one_operation_are_refused(found):
    assert len(found["refused"]) == 2
