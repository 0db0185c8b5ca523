"""Images that are streamed are those that are resident."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sscdl.training import pixels as module
from sscdl.training.pixels import batches, place


@pytest.fixture
def array():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (50, 6, 6), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_streamed_batches_are_the_resident_ones(array, number, monkeypatch):
    parts = list(torch.randperm(50)[: number * 5].split(5))
    device = torch.device("cpu")
    resident = list(batches(array, parts, device))
    # A tensor that claims to be elsewhere takes the way through the reading thread.
    monkeypatch.setattr(module, "_is_there", lambda pixels, device: False)
    streamed = list(batches(array, parts, device))
    assert len(streamed) == len(resident) == number
    for (rows, images), (other_rows, others), part in zip(streamed, resident, parts, strict=True):
        assert torch.equal(rows, part)
        assert torch.equal(rows, other_rows)
        assert torch.equal(images, others)
        assert torch.equal(images, array[part][:, None])


def test_a_mapped_file_stays_a_file_on_the_cpu(tmp_path, array):
    np.save(tmp_path / "a.npy", array.numpy())
    mapped = np.load(tmp_path / "a.npy", mmap_mode="c")
    placed = place(torch.from_numpy(mapped), torch.device("cpu"))
    assert placed.data_ptr() == mapped.ctypes.data


@pytest.mark.parametrize(
    ("free", "copies", "streamed"), [(10_000, 1, False), (3_000, 1, True), (10_000, 4, True)]
)
def test_images_stream_where_they_would_fill_the_device(array, monkeypatch, free, copies, streamed):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**9))
    moved = []
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device: moved.append(device) or self)
    place(array, torch.device("cuda", 0), copies)
    assert bool(moved) != streamed
