"""Learning rates over the epochs, and the steps of an epoch; nothing of it needs torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sscdl.tasks.options import whole
from sscdl.training.schedule import Schedule, left_out, left_out_sentence, steps

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
