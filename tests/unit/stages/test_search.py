"""Successive halving: who goes on and for how long; the same choice from the grid's own records."""

from __future__ import annotations

import pytest

from sscdl.stages.search import at_epoch, ranked, replayed, run_search, rungs, survivors
from sscdl.tables.rates import search_costs

HALVING = {"method": "halving", "first": 0.25, "keep": 0.5}


def candidate(rate, curve, *, metric="accuracy", up=True):
    """Return a finished candidate whose metric after each epoch is ``curve`` (None: diverged)."""
    history = [
        {"epoch": n, metric: value, "finite": value is not None, "seconds": 1.5}
        for n, value in enumerate(curve, start=1)
    ]
    return {
        "learning_rate": rate, "metric": metric, "higher_is_better": up, "history": history,
        "epochs": len(curve), "value": curve[-1], "seconds": 0.0, "key": str(rate),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("epochs", "first", "keep", "expected"),
    [
        (20, 0.25, 0.5, [5, 10, 20]),
        (30, 0.25, 0.5, [8, 16, 30]),
        (1, 0.25, 0.5, [1]),
        (4, 0.1, 0.9, [1, 2, 3, 4]),
        (70, 0.1, 1 / 3, [7, 21, 63, 70]),
    ],
)
def test_rungs_grow_until_all_epochs(epochs, first, keep, expected):
    assert rungs(epochs, {"method": "halving", "first": first, "keep": keep}) == expected


def test_the_grid_has_one_rung():
    assert rungs(20, {"method": "grid"}) == [20]


def test_the_better_half_goes_on_and_ties_go_to_the_lower_rate():
    three = [candidate(0.3, [0.5]), candidate(0.1, [0.5]), candidate(0.2, [0.4])]
    assert [c["learning_rate"] for c in survivors(three, 0.5)] == [0.1, 0.3]
    losses = [candidate(0.3, [2.0], up=False), candidate(0.1, [1.0], up=False)]
    assert [c["learning_rate"] for c in survivors(losses, 0.5)] == [0.1]


def test_a_diverged_candidate_never_goes_on():
    two = [candidate(0.3, [None]), candidate(0.1, [0.1])]
    assert [c["learning_rate"] for c in survivors(two, 1.0)] == [0.1]
    assert ranked([two[0]]) == []


def test_an_earlier_epoch_has_the_values_of_then():
    early = at_epoch(candidate(0.1, [0.2, 0.6, 0.4]), 2)
    assert (early["epochs"], early["value"], early["seconds"]) == (2, 0.6, 3.0)
    diverged = at_epoch(candidate(0.1, [0.2, None]), 4)
    assert (diverged["epochs"], diverged["value"]) == (2, None)


def test_validation_counts_where_there_is_any():
    one = candidate(0.1, [0.2])
    one["history"][0]["val_accuracy"] = 0.7
    assert at_epoch(one, 1)["value"] == 0.7


def test_averages_of_weights_count_where_there_are_any():
    one = candidate(0.1, [0.2, 0.3])
    for record, averaged in zip(one["history"], (0.8, float("nan")), strict=True):
        record |= {"val_accuracy": 0.7, "averaged_val_accuracy": averaged}
    assert at_epoch(one, 1)["value"] == 0.7  # of a node that does not compare by them
    one["averaged"] = True
    assert at_epoch(one, 1)["value"] == 0.8
    assert ranked([at_epoch(one, 2)]) == []


def test_halving_trains_each_rung_once_and_only_those_that_go_on():
    curves = {0.1: [0.1] * 8, 0.2: [0.2] * 8, 0.3: [0.3] * 8, 0.4: [0.4] * 8}
    asked = []

    def train(rates, epoch):
        asked.append((list(rates), epoch))
        return [candidate(rate, curves[rate][:epoch]) for rate in rates]

    ended = run_search(train, list(curves), 8, HALVING)
    assert asked == [([0.1, 0.2, 0.3, 0.4], 2), ([0.4, 0.3], 4), ([0.4], 8)]
    assert [c["epochs"] for c in ended] == [2, 2, 4, 8]


def test_replaying_the_grid_says_what_halving_would_have_done():
    late = candidate(0.1, [0.1, 0.1, 0.1, 0.9])  # the best in the end, the worst at first
    grid = [late, candidate(0.2, [0.2] * 4), candidate(0.3, [0.3] * 4)]
    replay = replayed(grid, 4, HALVING)
    assert [c["epochs"] for c in replay] == [1, 2, 4]
    node = {
        "variant": "full", "node": "moco", "seed": 0, "candidates": grid, "learning_rate": 0.1,
        "search": {"method": "grid"}, "search_epochs": 4, "metric": "accuracy",
    }  # fmt: skip
    row = search_costs([node], {"first": 0.25, "keep": 0.5}).iloc[0]
    assert (row["epochs_grid"], row["epochs_halving"]) == (12, 7)
    assert row["saved"] == pytest.approx(100 * 5 / 12)
    assert (row["chosen_grid"], row["chosen_halving"], row["agree"]) == (0.1, 0.3, False)
    assert (row["value_grid"], row["value_halving"]) == (0.9, 0.3)
    halved = node | {"candidates": replay, "learning_rate": 0.3, "search": HALVING}
    row = search_costs([halved], {"first": 0.5, "keep": 0.5}).iloc[0]
    assert (row["epochs_grid"], row["epochs_halving"], row["agree"]) == (12, 7, None)
