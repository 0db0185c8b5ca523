from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from sscdl.errors import InputError
from sscdl.tasks import build_task
from sscdl.tasks.prediction.relloc import CENTRE, NEIGHBOURS, uniform_hash
from sscdl.training.network_names import torchvision_map_side
from tests.unit.task_helpers import BATCH, draws_for, make_task, pictures, step, train

# Row and column step from the centre to the neighbour of each label.
STEPS = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
EXACT = {"flip": False, "jitter": 0.0}


def neutral(task, count: int = 1) -> torch.Tensor:
    draws = torch.full((count, task.draws), 0.5)
    draws[:, 2] = 0.9
    return draws


@pytest.mark.parametrize(("height", "width"), [(90, 90), (60, 100), (100, 60)])
def test_labels_name_the_cell_that_holds_a_mark(height, width):
    task = make_task("relloc", extent=1.0, **EXACT)
    cell = min(height, width) // 3
    left, top = (width - 3 * cell) // 2, (height - 3 * cell) // 2
    for label, (down, right) in enumerate(STEPS):
        image = torch.zeros(1, 1, height, width, dtype=torch.uint8)
        y, x = top + (1 + down) * cell, left + (1 + right) * cell
        image[..., y : y + cell, x : x + cell] = 255
        brightness = task.patches(image, neutral(task))[0].mean(dim=(1, 2))
        expected = torch.zeros(9)
        expected[NEIGHBOURS[label]] = 1
        torch.testing.assert_close(brightness, expected, atol=1e-5, rtol=0)


def test_mirroring_moves_a_mark_to_the_other_side_and_mirrors_patches():
    image = torch.zeros(1, 1, 90, 90, dtype=torch.uint8)
    image[..., 0:30, 0:15] = 255
    task = make_task("relloc", extent=1.0, jitter=0.0)
    draws = neutral(task)
    straight = task.patches(image, draws)[0]
    draws[:, 2] = 0.1
    mirrored = task.patches(image, draws)[0]
    for row in range(3):
        for column in range(3):
            other = straight[3 * row + 2 - column].flip(1)
            torch.testing.assert_close(mirrored[3 * row + column], other, atol=1e-4, rtol=0)
    assert mirrored[2].mean() > 0.3
    off = make_task("relloc", extent=1.0, **EXACT)
    assert torch.equal(off.patches(image, draws)[0], straight)


def spans(task, draws: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """First and last x and y (pixels) that each patch shows: (B, 9, 2) each."""
    ramp = torch.arange(size, dtype=torch.uint8)
    across = ramp.expand(len(draws), 1, size, size)
    x = task.patches(across, draws)[:, :, 0] * 255
    y = task.patches(across.transpose(2, 3), draws)[:, :, :, 0] * 255
    half = (x[..., 1] - x[..., 0]) / 2
    # A reading at pixel centre c has value c - 1/2 on the ramp.
    first = torch.stack([x[..., 0], y[..., 0]], dim=-1) + 0.5 - half[..., None]
    last = torch.stack([x[..., -1], y[..., -1]], dim=-1) + 0.5 + half[..., None]
    return first, last


def test_patches_keep_the_gap_stay_inside_and_move():
    task = make_task("relloc", gap=0.2, patch=0.6, **EXACT)
    size = 240
    draws = draws_for(task, 300)
    first, last = spans(task, draws, size)
    cell = 0.87 * size / 3
    torch.testing.assert_close(last - first, torch.full_like(first, 0.6 * cell), atol=0.1, rtol=0)
    assert first.min() >= 0
    assert last.max() <= size
    grid_first, grid_last = (v.view(-1, 3, 3, 2) for v in (first, last))
    across = grid_first[:, :, 1:, 0] - grid_last[:, :, :-1, 0]
    down = grid_first[:, 1:, :, 1] - grid_last[:, :-1, :, 1]
    for distance in (across, down):
        assert distance.min() >= 0.2 * cell - 0.1
        assert distance.min() < 0.25 * cell
        assert distance.max() > 0.5 * cell
    # Patches of an image move independently, and so does the grid.
    assert (first[:, 0] - first[:, 8]).std(dim=0).min() > 1
    assert first[:, CENTRE].std(dim=0).min() > 5


def test_patches_of_an_image_do_not_depend_on_the_batch():
    task, images = make_task("relloc"), pictures(6)
    draws = draws_for(task, 6)
    together = task.patches(images, draws)
    alone = torch.cat([task.patches(images[i : i + 1], draws[i : i + 1]) for i in range(6)])
    assert torch.equal(together, alone)


def test_jitter_changes_each_patch_by_itself():
    image = torch.full((1, 1, 60, 60), 128, dtype=torch.uint8)
    task = make_task("relloc", jitter=0.2)
    means = task.patches(image, draws_for(task, 1))[0].mean(dim=(1, 2)) / (128 / 255)
    assert means.std() > 0.03
    assert means.min() >= 0.8 - 1e-5
    assert means.max() <= 1.2 + 1e-5
    half = torch.full((1, 1, 60, 60), 80, dtype=torch.uint8)
    half[..., ::2] = 160
    draws = neutral(task)
    draws[:, 4 + 4 * CENTRE + 3] = 1.0
    plain, stretched = task.patches(half, neutral(task))[0], task.patches(half, draws)[0]
    assert stretched[CENTRE].std() == pytest.approx(1.2 * plain[CENTRE].std().item(), rel=1e-3)
    assert stretched[CENTRE].mean() == pytest.approx(plain[CENTRE].mean().item(), rel=1e-3)
    assert torch.equal(stretched[0], plain[0])


class MeanBackbone(nn.Module):
    """Stands in for a network: the feature of a patch is its mean gray value."""

    name, last_stage, channels = "resnet18", 4, 1

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def map_size(self, side: int) -> int:
        return torchvision_map_side(self.name, self.last_stage, side)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(x))
        return x.mean(dim=(1, 2, 3))[:, None]


def test_each_patch_is_encoded_once_and_paired_with_the_centre():
    torch.manual_seed(0)
    task = build_task("relloc", MeanBackbone(), options={"extent": 1.0, **EXACT}, image_size=32,
                      images=2, mean=0.0, std=1.0, batch_size=2)  # fmt: skip
    images = torch.zeros(2, 1, 90, 90, dtype=torch.uint8)
    for cell in range(9):
        row, column = divmod(cell, 3)
        part = (..., slice(30 * row, 30 * row + 30), slice(30 * column, 30 * column + 30))
        images[0][part], images[1][part] = cell, 100 + cell
    joined = []
    task.hidden.register_forward_pre_hook(lambda module, inputs: joined.append(inputs[0] * 255))
    task.eval()
    result = task(task.views(images, neutral(task, 2)), torch.arange(2), 0, 1)
    assert task.backbone.batches == [18]
    expected = [[base + CENTRE, base + cell] for base in (0, 100) for cell in NEIGHBOURS]
    torch.testing.assert_close(joined[0], torch.tensor(expected).float(), atol=1e-3, rtol=0)
    assert (result.count, result.of) == (2, 16)


def test_loss_and_count_of_right_predictions():
    task, images = make_task("relloc").eval(), pictures()
    logits = []
    task.head.register_forward_hook(lambda module, inputs, output: logits.append(output))
    with torch.no_grad():
        result = step(task, images, 0)
    log_p = logits[0].log_softmax(dim=1).view(BATCH, 8, 8).numpy()
    expected = -np.mean([log_p[i, k, k] for i in range(BATCH) for k in range(8)])
    assert result.loss.item() == pytest.approx(expected, rel=1e-5)
    assert result.correct.item() == (log_p.argmax(axis=2) == np.arange(8)).sum()
    assert task.chance_loss == pytest.approx(math.log(8))


def test_hash_looks_uniform_and_independent():
    seeds = torch.rand(64, generator=torch.Generator().manual_seed(0))
    numbers = uniform_hash(seeds, 4096)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = torch.histc(numbers, bins=16, min=0, max=1) / numbers.numel()
    torch.testing.assert_close(counts, torch.full((16,), 1 / 16), atol=0.002, rtol=0)
    # Between rows, and between neighbouring positions: correlations of 4,096 pairs are about 1/64.
    assert (torch.corrcoef(numbers) - torch.eye(64)).abs().max() < 0.09
    assert (
        torch.corrcoef(torch.stack([numbers[:, 1:].flatten(), numbers[:, :-1].flatten()]))[
            0, 1
        ].abs()
        < 0.01
    )
    assert torch.equal(uniform_hash(seeds[5:6], 100), numbers[5:6, :100])


def test_dropout_follows_the_draws_and_not_the_generator():
    task = make_task("relloc", dropout=0.25)
    hidden, seeds = torch.ones(32, 200), torch.tensor([0.1, 0.2, 0.3, 0.4])
    torch.manual_seed(1)
    first = task._dropout(hidden, seeds)
    torch.manual_seed(2)
    assert torch.equal(first, task._dropout(hidden, seeds))
    assert torch.equal(first[8:16], task._dropout(hidden[:8], seeds[1:2]))
    assert first.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert (first == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert not torch.equal(first[0], first[1])
    assert torch.equal(task.eval()._dropout(hidden, seeds), hidden)


def test_patch_and_hidden_sizes():
    assert make_task("relloc").patch_size == 24
    assert make_task("relloc", patch_size=40).patch_size == 40
    large = build_task("relloc", MeanBackbone(), options={}, image_size=292, images=2, mean=0.0,
                       std=1.0, batch_size=2)  # fmt: skip
    assert large.patch_size == 64
    assert make_task("relloc").hidden[0].out_features == 256
    assert make_task("relloc", hidden=50).head.in_features == 50
    with pytest.raises(InputError, match="gap"):
        make_task("relloc", patch=0.9, gap=0.2)


def test_learns_well_below_chance():
    task = make_task("relloc")
    losses = train(task, pictures(own=0.35), steps=33, lr=0.02)
    assert np.mean(losses[-5:]) < 0.75 * task.chance_loss
