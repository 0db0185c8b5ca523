"""Learning rates over the epochs, and the steps of an epoch; nothing of it needs torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sscdl.study.config import load_schema
from sscdl.study.reference import SCHEMA
from sscdl.tasks.options import whole
from sscdl.training.schedule import (
    Schedule,
    depends_on_all_epochs,
    even_batches,
    left_out,
    left_out_sentence,
    steps,
)

SETTINGS = {
    "optimizer": "lars", "momentum": 0.9, "weight_decay": 1e-4, "batch_size": 32,
    "search_epochs": 6, "final_epochs": 4, "decay": "cosine",
}  # fmt: skip


def schedule(**change):
    return Schedule.of(whole("swav", {**SETTINGS, **change}), 0.5)


def test_settings_of_older_recipes_mean_what_was_done_then():
    found = schedule()
    assert (found.epochs, found.learning_rate, found.batch_size) == (10, 0.5, 32)
    assert (found.warmup_epochs, found.last_batch) == (0, "drop")
    assert (found.adapted, found.decayed) == ("weights", "weights")
    assert found.clip_gradients is None
    changed = schedule(lars={"adapt": "all", "decay": "weights"}, last_batch="fill")
    assert (changed.adapted, changed.decayed, changed.last_batch) == ("all", "weights", "fill")


def test_cosine_falls_to_zero_and_constant_does_not():
    cosine, constant = schedule(), schedule(decay="constant")
    assert cosine.rate(0) == 0.5
    assert cosine.rate(5) == pytest.approx(0.25)
    assert cosine.rate(10) == pytest.approx(0, abs=1e-12)
    assert {constant.rate(done) for done in (0, 3.7, 10)} == {0.5}


def test_the_rate_rises_in_a_line_and_then_the_cosine_begins():
    rising = schedule(warmup_epochs=2)
    assert [rising.rate(done) for done in (0, 0.5, 1, 1.5)] == [0, 0.125, 0.25, 0.375]
    assert rising.rate(2) == 0.5
    assert rising.rate(6) == pytest.approx(0.25), "half way between 2 and 10"
    assert rising.rate(10) == pytest.approx(0, abs=1e-12)
    constant = schedule(warmup_epochs=0.25, decay="constant")
    assert [constant.rate(done) for done in (0.125, 0.25, 9)] == [0.25, 0.5, 0.5]


def test_a_constant_rate_does_not_depend_on_the_epochs_that_follow():
    """One search serves all continuations, so that not even the last bit may differ."""
    ways = [
        schedule(decay="constant", warmup_epochs=3, final_epochs=final) for final in (0, 1, 7, 24)
    ]
    for step in range(6 * 7):
        done = step // 7 + step % 7 / 7
        assert len({way.rate(done) for way in ways}) == 1


def test_the_rate_falls_at_milestones_to_the_step():
    falling = schedule(decay="milestones", warmup_epochs=1)
    assert [falling.rate(done) for done in (0.5, 1, 5.9)] == [0.25, 0.5, 0.5]
    assert [falling.rate(done) for done in (6, 7.9)] == [pytest.approx(0.05)] * 2
    assert [falling.rate(done) for done in (8, 10)] == [pytest.approx(0.005)] * 2
    # In floating point, 0.1 * 3 is more than 3 / 10, and 0.29 * 100 less than 29.
    few = {"at": [0.1], "factor": 0.5}
    steps = schedule(decay="milestones", milestones=few, search_epochs=3, final_epochs=0)
    assert [steps.rate(step / 10) for step in (2, 3)] == [0.5, 0.25]
    many = {"at": [0.29], "factor": 0.5}
    steps = schedule(decay="milestones", milestones=many, search_epochs=60, final_epochs=40)
    assert [steps.rate(28 + step / 99) for step in (98, 99)] == [0.5, 0.25]


@pytest.mark.parametrize("decay", ["constant", "cosine", "milestones"])
def test_a_rate_that_need_not_fall_does_not(decay):
    found = schedule(decay=decay, warmup_epochs=2)
    assert [found.rate(done, falls=False) for done in (1, 2, 10)] == [0.25, 0.5, 0.5]


def test_what_decays_is_said_by_the_block_of_the_optimiser():
    blocks = {
        "lars": {"adapt": "all", "decay": "all"},
        "adam": {"betas": [0.5, 0.6], "decay": "weights"},
    }
    assert schedule(**blocks).decayed == "all"
    for optimizer in ("adam", "adamw"):
        found = schedule(optimizer=optimizer, **blocks)
        assert (found.decayed, found.betas) == ("weights", (0.5, 0.6))


def test_every_decay_says_whether_it_depends_on_the_epochs_that_follow():
    """The schema's list is asked, so that a new one cannot be forgotten."""
    stage = load_schema(SCHEMA)["$defs"]["moco"]["properties"]
    for decay in stage["decay"]["enum"]:
        ways = [schedule(decay=decay, final_epochs=final) for final in (1, 6)]
        rates = [{way.rate(done / 5) for way in ways} for done in range(7 * 5)]
        depends = any(len(found) > 1 for found in rates)
        assert depends_on_all_epochs({"decay": decay}) == depends, decay


@pytest.mark.parametrize(
    ("images", "batch", "last", "expected", "missing"),
    [(63, 32, "drop", 1, 31), (63, 32, "fill", 2, 0), (64, 32, "drop", 2, 0),
     (64, 32, "fill", 2, 0), (33, 32, "fill", 2, 0), (32, 32, "drop", 1, 0)],
)  # fmt: skip
def test_steps_and_what_they_leave_out(images, batch, last, expected, missing):
    assert steps(images, batch, last) == expected
    assert left_out(images, batch, last) == missing


def test_more_than_a_tenth_left_out_is_said():
    settings = whole("moco", SETTINGS)
    text = left_out_sentence("moco", 63, settings)
    assert "moco leaves out 31 of 63 training images" in text
    assert "last_batch: fill" in text
    assert left_out_sentence("moco", 320 + 31, settings) == ""
    assert left_out_sentence("moco", 63, {**settings, "last_batch": "fill"}) == ""


def test_planning_needs_no_torch_for_it():
    code = "import sys, sscdl.training.schedule; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("last", ["drop", "fill"])
@pytest.mark.parametrize("devices", [1, 2, 3])
def test_batches_of_few_images_are_equal_and_waste_next_to_nothing(devices, last):
    for images in range(devices, 200):
        for most in (1, 7, 32):
            size = even_batches(images, max(most, devices), devices, last)
            assert size % devices == 0
            assert size <= min(max(most, devices), images)
            number = steps(images, size, last)
            assert number >= 1
            # No more than whole batches have to waste, on each device.
            wasted = abs(images - size * number)
            assert wasted < (size if last == "fill" and devices > 1 else number + devices * number)
    assert even_batches(20, 32, 1, last) == 20
    assert even_batches(64, 32, 1, last) == 32
    assert even_batches(65, 64, 1, last) == (33 if last == "fill" else 32)
    assert even_batches(127, 64, 1, last) == (64 if last == "fill" else 63)
