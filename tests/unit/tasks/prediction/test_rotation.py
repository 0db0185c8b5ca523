from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sscdl.tasks.prediction.rotation import all_turns
from tests.unit.task_helpers import BATCH, draws_for, make_task, pictures, step, train


def test_turns_are_exact_and_labelled():
    views = torch.rand(3, 1, 7, 7)
    turned, turns = all_turns(views)
    assert turns.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    for k in range(4):
        expected = np.rot90(views.numpy(), k, axes=(2, 3))
        assert np.array_equal(turned[3 * k : 3 * k + 3].numpy(), expected)


def test_a_mark_at_the_top_goes_left_at_label_one():
    view = torch.zeros(1, 1, 5, 5)
    view[0, 0, 0, 2] = 1
    turned, turns = all_turns(view)
    places = {int(k): tuple(t[0].nonzero()[0].tolist()) for t, k in zip(turned, turns, strict=True)}
    assert places == {0: (0, 2), 1: (2, 0), 2: (4, 2), 3: (2, 4)}


def test_all_turns_of_an_image_are_one_batch_of_the_backbone():
    task, images = make_task("rotation"), pictures()
    seen = []
    task.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    result = step(task, images, 0)
    assert [tuple(x.shape) for x in seen] == [(4 * BATCH, 3, 32, 32)]
    assert (result.count, result.of) == (BATCH, 4 * BATCH)
    view = task.normalise(task.augment(images[:BATCH], draws_for(task, BATCH)))
    assert torch.equal(seen[0][:BATCH], view)
    assert torch.equal(seen[0][2 * BATCH : 3 * BATCH], view.flip(2, 3))


def test_non_square_images_become_square_before_turning():
    task = make_task("rotation")
    images = F.pad(pictures(8), (0, 20))
    assert images.shape[-2:] == (40, 60)
    assert torch.isfinite(task(task.views(images, draws_for(task, 8)), torch.arange(8), 0, 1).loss)


def test_loss_and_count_of_right_predictions():
    task, images = make_task("rotation").eval(), pictures()
    with torch.no_grad():
        result = step(task, images, 0)
        views = task.augment(images[:BATCH], draws_for(task, BATCH))
        logits = torch.stack(
            [task.head(task.backbone(task.normalise(v))) for v in all_turns(views)[0].split(BATCH)]
        )
    truth = torch.arange(4)[:, None].expand(4, BATCH)
    expected = -logits.log_softmax(dim=2).gather(2, truth[..., None]).mean()
    torch.testing.assert_close(result.loss, expected)
    assert result.correct.item() == (logits.argmax(dim=2) == truth).sum().item()
    assert task.chance_loss == pytest.approx(math.log(4))
    assert task.higher_is_better


def test_learns_well_below_chance():
    task = make_task("rotation", crop=[0.6, 1.0])
    losses = train(task, pictures(own=0.5), steps=18, lr=0.02)
    assert np.mean(losses[-4:]) < 0.5 * task.chance_loss
