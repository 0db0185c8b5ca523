"""Which learning rates are tried for how long: the full grid, or successive halving.

The grid trains every candidate for all search epochs, as the thesis does. Successive halving
(Jamieson & Talwalkar 2016, arXiv:1502.07943) compares them early and lets only the better ones go
on. A candidate's run is the same in both up to where it ends, so that they share what is trained.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

GRID = {"method": "grid"}


def rungs(epochs: int, search: dict[str, Any]) -> list[int]:
    """Return the epochs after which candidates are compared; the last is ``epochs``.

    ``search`` has "method"; with "halving" also "first", the share of the epochs before the first
    comparison, and "keep", the share of the candidates that go on, for 1 / keep times as long.
    """
    if search["method"] == "grid":
        return [epochs]
    found, at = [], max(1, math.ceil(search["first"] * epochs))
    while at < epochs:
        found.append(at)
        at = max(at + 1, round(at / search["keep"]))
    return [*found, epochs]


def with_averages(candidate: dict[str, Any]) -> bool:
    """Return whether a candidate's run was trained beside averages of its weights."""
    last = candidate["history"][-1]
    return f"averaged_val_{candidate['metric']}" in last or not last["finite"]


def ranked(candidates: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the candidates that did not diverge, best first: by value, then the lower rate."""
    usable = [c for c in candidates if c["value"] is not None and math.isfinite(c["value"])]
    sign = -1 if usable and usable[0]["higher_is_better"] else 1
    return sorted(usable, key=lambda c: (sign * c["value"], c["learning_rate"]))


def survivors(candidates: Sequence[dict[str, Any]], keep: float) -> list[dict[str, Any]]:
    """Return the candidates that go on: the best share ``keep`` of all, at least one if any can."""
    return ranked(candidates)[: max(1, math.ceil(keep * len(candidates)))]


def at_epoch(candidate: dict[str, Any], epoch: int) -> dict[str, Any]:
    """Return ``candidate`` as it was after ``epoch`` epochs, or where it diverged before.

    Its value is that of averages of its weights where it says so (``averaged``), of the weights
    otherwise: on validation images, or on those that train where none validate.
    """
    history = [record for record in candidate["history"] if record["epoch"] <= epoch]
    last, name = history[-1], candidate["metric"]
    value = None
    if last["finite"]:
        known = [f"averaged_val_{name}"] if candidate.get("averaged") else [f"val_{name}", name]
        value = next((last[key] for key in known if key in last), None)
    seconds = round(sum(record.get("seconds", 0.0) for record in history), 1)
    return {
        **candidate,
        "history": history,
        "epochs": last["epoch"],
        "value": value,
        "seconds": seconds,
    }


def run_search(
    train: Any, rates: Sequence[float], epochs: int, search: dict[str, Any]
) -> list[Any]:
    """Return all candidates as they ended, in the order of ``rates``.

    ``train(rates, epochs)`` trains these candidates up to an epoch and returns each as a mapping
    (learning_rate, metric, higher_is_better, history); runs go on from where they are.
    """
    ended: dict[float, dict[str, Any]] = {}
    going = list(rates)
    for epoch in rungs(epochs, search):
        for found in train(going, epoch):
            ended[found["learning_rate"]] = at_epoch(found, epoch)
        if epoch < epochs:
            best = survivors([ended[rate] for rate in going], search["keep"])
            going = [c["learning_rate"] for c in best]
    return [ended[rate] for rate in rates]


def replayed(
    candidates: Sequence[dict[str, Any]], epochs: int, search: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return how a full grid's ``candidates`` would have ended under ``search``.

    Nothing is trained, and yet it is exact: a candidate's run does not depend on the others.
    """

    def look_up(rates: Sequence[float], epoch: int) -> list[dict[str, Any]]:
        return [c for c in candidates if c["learning_rate"] in rates]

    return run_search(look_up, [c["learning_rate"] for c in candidates], epochs, search)
