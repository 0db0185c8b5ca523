"""Two ranks at half the batch each train as one process with the whole batch does."""

from __future__ import annotations

import pytest
import torch
from torch import distributed, nn

from sscdl.errors import InputError
from sscdl.training import ranks
from tests.unit.rank_helpers import LAYERS, OPTIONS, STEPS, WORLD, far_values, two_ranks
from tests.unit.small_task import OPTIMIZERS


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return two_ranks(tmp_path_factory.mktemp("ranks"))


@pytest.fixture(scope="module")
def alone(found):
    return {name: result for rank in found for name, result in rank.items() if "alone" in name}


def test_one_process_is_left_as_it_is():
    assert (ranks.rank(), ranks.world()) == (0, 1)
    assert ranks.own_part(7) == slice(0, 7)
    weight = torch.ones(3, requires_grad=True)
    for same in (ranks.gathered(weight), ranks.summed(weight)):
        assert same.data_ptr() == weight.data_ptr()
        assert not same.requires_grad
    layer = nn.Sequential(nn.BatchNorm1d(3))
    assert type(ranks.synchronise_batchnorm(layer)[0]) is nn.BatchNorm1d
    ranks.leave()


def test_layers_that_do_more_than_normalise_are_refused(monkeypatch):
    """Replaced by what only normalises, they would lose their activation and say nothing."""

    class NormAndActivation(nn.BatchNorm2d):
        def forward(self, x):
            return super().forward(x).relu()

    monkeypatch.setattr(ranks, "world", lambda: 2)
    with pytest.raises(InputError, match=r"training\.devices: .*NormAndActivation.*devices: 1"):
        ranks.synchronise_batchnorm(nn.Sequential(nn.Conv2d(1, 2, 1), NormAndActivation(2)))
    whole = ranks.synchronise_batchnorm(nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)))
    assert type(whole[1]) is ranks.AllReduceBatchNorm


def test_ranks_know_their_place_until_they_leave(found):
    assert [rank["joined"] for rank in found] == [(0, WORLD), (1, WORLD)]
    assert [rank["left"] for rank in found] == [(0, 1)] * WORLD


def test_gathered_has_the_order_of_the_ranks_and_no_gradient(found):
    for rank in found:
        assert torch.equal(rank["table"], torch.arange(12).view(2, 6).T)
        gathered, requires_grad = rank["gathered"]
        assert gathered.tolist() == [[2.0] * 3] * 2 + [[4.0] * 3] * 2
        assert not requires_grad


def test_summed_adds_up_and_leaves_its_argument(found):
    for number, rank in enumerate(found):
        total, requires_grad, argument = rank["sum"]
        assert torch.equal(total, torch.full((2, 3), 6.0))
        assert not requires_grad
        assert torch.equal(argument, torch.full((2, 3), 2.0 * (number + 1)))


def test_a_batch_that_cannot_be_shared_equally_is_refused(found):
    for rank in found:
        assert "batch_size: 7 images cannot be shared equally by 2 devices" in rank["refusal"]
        assert "give a multiple of 2" in rank["refusal"]


@pytest.mark.parametrize("name", LAYERS)
def test_batch_normalisation_is_that_of_the_whole_batch(found, alone, name):
    whole = alone[f"alone, {name}"]
    # bfloat16 keeps 8 bits.
    tolerance = 1e-5 if LAYERS[name][2] == torch.float32 else 2e-2
    for rank in found:
        parts = rank[f"together, {name}"]
        assert list(parts["numbers"]) == list(whole["numbers"])
        for key, expected in whole["numbers"].items():
            torch.testing.assert_close(
                parts["numbers"][key], expected, rtol=tolerance, atol=tolerance, msg=key
            )
        assert parts["numbers"]["0.num_batches_tracked"] == 2
        assert parts["dtypes"] == whole["dtypes"]
        assert all(parts["formats"])
        torch.testing.assert_close(
            parts["evaluated"], whole["evaluated"], rtol=tolerance, atol=tolerance
        )


def test_the_variance_of_far_values_does_not_cancel(found):
    expected = far_values().double().var(dim=0).float()
    for rank in found:
        # From a mean of squares, a twentieth would be wrong.
        torch.testing.assert_close(rank["far"], expected, rtol=1e-3, atol=0)


def test_a_layer_without_running_statistics_is_refused():
    with pytest.raises(ValueError, match="running statistics"):
        ranks.AllReduceBatchNorm(nn.BatchNorm1d(3, track_running_stats=False))


@pytest.mark.parametrize("name", OPTIONS)
def test_two_ranks_train_as_one_process(found, alone, name):
    whole = alone[f"alone, {name}"]
    # Floors, of tasks that have them, are behind the losses.
    assert len(whole["losses"].unique()) == len(whole["losses"])
    assert len(whole["losses"]) in (STEPS, 2 * STEPS)
    for rank in found:
        parts = rank[f"together, {name}"]
        # float64 rounds at 1e-16; training amplifies that, a mistake shows at 1e-3 and above.
        torch.testing.assert_close(parts["losses"], whole["losses"], rtol=1e-9, atol=1e-9)
        assert list(parts["state"]) == list(whole["state"])
        for key, expected in whole["state"].items():
            torch.testing.assert_close(
                parts["state"][key], expected, rtol=1e-9, atol=1e-9, msg=f"{key} differs"
            )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_two_ranks_train_a_task_with_ways_of_its_own_as_one(found, alone, optimizer):
    whole, (one, two) = (
        alone[f"alone, small by {optimizer}"],
        [rank[f"together, small by {optimizer}"] for rank in found],
    )
    assert one["losses"] == pytest.approx(whole["losses"], rel=1e-6)
    for key, expected in whole["state"].items():
        torch.testing.assert_close(one["state"][key], expected, rtol=1e-6, atol=1e-9, msg=key)
        assert torch.equal(one["state"][key], two["state"][key]), key


@pytest.mark.parametrize("name", OPTIONS)
def test_statistics_are_estimated_over_the_batches_of_both(found, alone, name):
    whole = alone[f"alone, {name}"]
    for rank in found:
        for key, expected in whole["estimated"].items():
            torch.testing.assert_close(
                rank[f"together, {name}"]["estimated"][key], expected, rtol=1e-9, atol=1e-9, msg=key
            )


@pytest.mark.parametrize("name", OPTIONS)
def test_both_ranks_hold_the_same_state(found, name):
    one, two = (rank[f"together, {name}"]["state"] for rank in found)
    assert [key for key in one if not torch.equal(one[key], two[key])] == []


@pytest.mark.parametrize("name", OPTIONS)
def test_evaluation_is_of_each_ranks_own_batch(found, alone, name):
    for number, rank in enumerate(found):
        result = rank[f"together, {name}"]
        assert result["kept"]
        expected = alone[f"alone, {name}"]["evaluated"][number]
        torch.testing.assert_close(result["evaluated"][number], expected, rtol=1e-9, atol=1e-9)


def test_over_nccl_a_failed_rank_asks_nobody_to_leave(monkeypatch):
    """Destroying such a group waits for the others; NCCL itself is not here."""
    aborted = []
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_backend", lambda: "nccl")
    monkeypatch.setattr(
        distributed.distributed_c10d, "_abort_process_group", lambda: aborted.append(True)
    )
    ranks.abandon()
    assert aborted == [True]
