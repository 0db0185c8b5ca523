"""A training with few labels: its batches fit the images that are left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sscdl.errors import InputError
from sscdl.stages.session import Session
from sscdl.store.store import Store
from tests.unit.real_stage import real_stage


@pytest.mark.parametrize("task", ["classify", "findings"])
@pytest.mark.parametrize(("share", "images", "batch"), [(0.3, 6, 6), (0.6, 10, 5), (1.0, 16, 8)])
def test_batches_are_no_larger_than_a_draw_and_nobody_has_to_choose(
    tmp_path, task, share, images, batch
):
    """Sixteen images train, of two classes; as asked for, batches are of eight."""
    stage = real_stage(tmp_path, task)
    data = stage.recipe["data"] | {"labels": {"share": share, "seed": 0, "draw": 0}}
    stage = replace(stage, recipe=stage.recipe | {"data": data})
    session = Session(stage, None, Store(stage.store), "cpu")
    assert len(session.rows.train) == images
    assert session.settings["batch_size"] == batch
    assert stage.settings["batch_size"] == 8, "what identifies the training is what was asked for"
    session.normalised_by(session._task())


def test_without_a_draw_a_batch_that_is_too_large_is_still_an_error(tmp_path):
    stage = real_stage(tmp_path, "classify")
    data = stage.recipe["data"] | {"labels": {"share": 0.3, "seed": 0}}
    stage = replace(stage, recipe=stage.recipe | {"data": data})
    with pytest.raises(InputError, match="batch_size: 8 is more than the 6 training images"):
        Session(stage, None, Store(stage.store), "cpu")
