"""Tables of trainings: the learning rates that were tried, what it cost, what came of each stage.

The first has the thesis's B.1 to B.12.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from sscdl.own_csv import read_own
from sscdl.stages.search import GRID, ranked, replayed
from sscdl.study.thesis import RESTORE
from sscdl.tasks.options import DECLARATIONS

NAN = float("nan")
# What learning rates are chosen by that is a share of images, and shown in percent.
IN_PERCENT = ("accuracy", "balanced_accuracy")
OF_TRAININGS = (
    *("variant", "stage", "seed", "lr", "epochs", "loss", "loss_nothing", "learnt"),
    *("accuracy_training", "feature_std", "knn_accuracy"),
)
# What the losses of a stage show of whether it has learnt anything of the images.
LEARNT, NOT_SHOWN, UNTOLD = "yes", "not shown", ""
# A loss that is below that of knowing nothing by less than this share is not told from it.
HARDLY = 0.01
# By this share the loss of a network that was not trained is not below the floor.
CLEARLY = 0.5
FEWEST_EPOCHS = 5  # by which a rise can be told from what varies between epochs
# A floor below this share of the chance is nothing: cosines of 32-bit floats are rounded at about
# 1e-7 of one, while networks that tell images apart have floors above a hundredth.
NOTHING = 1e-4


def _thesis_rates(thesis_dir: Path) -> dict[tuple[str, str, str, Any, int], float]:
    """Return the values of tables B.1 to B.12 by (variant, stage, curriculum, lr, epochs)."""
    values = {}
    for path in sorted(Path(thesis_dir).glob("B.*.csv")):
        _, stage, _, variant = path.stem.split("_", 3)
        for row in read_own(path, advice=RESTORE).to_dict("records"):
            rate = row["lr"] if row["lr"] == "best" else round(float(row["lr"]), 6)
            values[variant, stage, row["curriculum"], rate, int(row["epochs"])] = row["value"]
    return values


def learning_rates(histories: Sequence[Mapping[str, Any]], *, thesis_dir: Path) -> pd.DataFrame:
    """Return every learning rate that was tried and what it scored: tables B.1 to B.12 in one.

    Args:
        histories: one mapping per run with ``variant, curriculum, stage`` (``pretext`` or
            ``classification``), ``seed, lr, metric`` (``loss``, ``accuracy``,
            ``balanced_accuracy``, ``mean_auc``), ``epochs`` (after which ``value`` was measured),
            ``value`` (accuracies in [0, 1], maybe of averages of weights) and ``chosen`` (whether
            this rate won). The winner's continuation is an entry of its own, after it, with more
            epochs.
        thesis_dir: folder of the thesis's tables.

    Returns:
        ``variant, curriculum, stage, seed, lr, metric, epochs, value, value_thesis, chosen`` with
        accuracies in percent. ``value_thesis`` is the value printed for the same rate and epochs,
        for a continuation that of the thesis's own winner after as many epochs.
    """
    columns = ["variant", "curriculum", "stage", "seed", "lr", "metric", "epochs", "value"]
    printed = _thesis_rates(thesis_dir)
    table = []
    for history in histories:
        line = {name: history[name] for name in columns}
        node = (line["variant"], line["stage"], line["curriculum"])
        epochs = int(line["epochs"])
        thesis = printed.get((*node, round(float(line["lr"]), 6), epochs), NAN)
        if history["chosen"]:
            thesis = printed.get((*node, "best", epochs), thesis)
        if line["metric"] in IN_PERCENT:
            line["value"] = 100 * line["value"]
        table.append({**line, "value_thesis": thesis, "chosen": bool(history["chosen"])})
    # A continuation of no epochs is the search over again; rates compare by what that said.
    result = pd.DataFrame(table, columns=[*columns, "value_thesis", "chosen"])
    result = result.drop_duplicates([name for name in columns if name != "value"])
    number = result.groupby(["variant", "stage", "curriculum", "seed"], sort=False).ngroup()
    order = result.assign(node=number).sort_values(["node", "epochs", "lr"], kind="stable").index
    return result.loc[order].reset_index(drop=True)


def search_costs(nodes: Sequence[Mapping[str, Any]], halving: Mapping[str, Any]) -> pd.DataFrame:
    """Return what each stage's search cost, and what successive halving saves of the grid.

    Args:
        nodes: pointers of stages, with ``search`` (how its learning rates were compared) and
            ``search_epochs`` beside what a pointer holds.
        halving: the settings (``first``, ``keep``) that the grid is compared with.

    Returns:
        ``variant, stage, seed, method, rates, epochs_grid, epochs_halving, saved`` (percent),
        ``chosen_grid, chosen_halving, agree, metric, value_grid, value_halving`` (the metric of the
        chosen rates after the search, accuracies in [0, 1]). A stage that was searched by grid is
        replayed with halving, which is exact; for one that was searched by halving, the grid's
        choice is unknown.
    """
    table = []
    for node in nodes:
        candidates, epochs = node["candidates"], node["search_epochs"]
        grid = node["search"]["method"] == GRID["method"]
        settings = {"method": "halving", **halving} if grid else node["search"]
        halved = replayed(candidates, epochs, settings) if grid else candidates
        whole = ranked([c for c in halved if c["epochs"] == epochs])
        full, spent = len(candidates) * epochs, sum(c["epochs"] for c in halved)
        chosen = whole[0]["learning_rate"] if whole else NAN
        values = {c["learning_rate"]: c["value"] for c in candidates}
        table.append(
            {
                "variant": node["variant"],
                "stage": node["node"],
                "seed": node["seed"],
                "method": node["search"]["method"],
                "rates": len(candidates),
                "epochs_grid": full,
                "epochs_halving": spent,
                "saved": 100 * (1 - spent / full),
                "chosen_grid": node["learning_rate"] if grid else NAN,
                "chosen_halving": chosen,
                "agree": chosen == node["learning_rate"] if grid else None,
                "metric": node["metric"],
                "value_grid": values[node["learning_rate"]] if grid else NAN,
                "value_halving": values.get(chosen, NAN),
            }
        )
    return pd.DataFrame(table)


def trainings(nodes: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return what the training of each stage came to, at its last epoch.

    Args:
        nodes: pointers of stages.

    Returns:
        ``OF_TRAININGS``: ``lr`` is the rate that was chosen, ``loss`` that of the last epoch of
        training, ``loss_nothing`` what it is for a network that knows nothing of the images, where
        the task says so, ``learnt`` as the function of that name has it, ``accuracy_training`` and
        ``knn_accuracy`` in percent, ``feature_std`` 1 for features in all directions and 0 for one
        feature of all images (see ``sscdl.training.monitor``). Empty where a task has no such
        number.
    """
    table = []
    for node in nodes:
        history = node["final"]["history"]
        last, by = history[-1], DECLARATIONS[node["task"]].learnt_by
        line = {name: node[name] for name in ("variant", "seed")}
        line |= {"stage": node["node"], "lr": node["learning_rate"], "epochs": last["epoch"]}
        line |= {"loss": _number(last, "loss"), "loss_nothing": _number(last, by)}
        line |= {"learnt": learnt(node["task"], history)}
        line["accuracy_training"] = 100 * _number(last, "accuracy")
        line["feature_std"] = _number(last, "feature_std")
        line["knn_accuracy"] = 100 * _number(last, "knn_accuracy")
        table.append(line)
    return pd.DataFrame(table, columns=list(OF_TRAININGS))


def learnt(task: str, history: Sequence[Mapping[str, Any]]) -> str:
    """Return whether the records of a training's epochs show that something was learnt.

    ``yes``: the loss in training is below that of knowing nothing by more than a hundredth of it.
    Networks that were not trained are below a floor, too, as views of an image are alike: there
    this share has to have risen since the first epoch by more than varies between epochs, or to be
    above a half. ``not shown``: that is not so. Empty where the losses do not say: of tasks that
    have no such loss (see ``Declaration.learnt_by``), of few epochs, of records from before there
    were floors.
    """
    by = DECLARATIONS[task].learnt_by
    shares = [_share_known(record, by) for record in history]
    if not all(map(math.isfinite, shares)):
        return UNTOLD
    if by == "chance":
        return LEARNT if shares[-1] > HARDLY else NOT_SHOWN
    if shares[-1] > CLEARLY:
        return LEARNT
    if len(shares) < FEWEST_EPOCHS:
        return UNTOLD
    return LEARNT if shares[-1] > HARDLY and _have_risen(shares) else NOT_SHOWN


def _have_risen(shares: Sequence[float]) -> bool:
    """Return whether the last share is above the first, and not by what varies between epochs.

    Either by far: five times the standard deviation of a difference, that of an epoch being the
    median of second differences, which a steady rise has no part in. Or steadily: by the test of
    Mann and Kendall at one in a hundred. Of shares that only vary, one in sixty is said to have
    risen (of 5 epochs; of 12, one in a hundred).
    """
    rise = shares[-1] - shares[0]
    # The standard deviation of a second difference of independent values is sqrt(6) of theirs.
    varies = float(np.median(np.abs(np.diff(shares, n=2)))) / (0.6745 * math.sqrt(6))
    steady = kendalltau(range(len(shares)), shares, alternative="greater").pvalue < 0.01
    return rise > HARDLY and bool(steady or rise > 5 * math.sqrt(2) * varies)


def _share_known(record: Mapping[str, Any], by: str) -> float:
    """Return by what share of it a loss is below that of knowing nothing; NaN: not known.

    0 where all images have one embedding: what is left of both losses is rounding.
    """
    loss, nothing = _number(record, "loss"), _number(record, by)
    if nothing < NOTHING * _number(record, "chance"):
        return 0.0
    return 1 - loss / nothing


def _number(record: Mapping[str, Any], name: str) -> float:
    found = record.get(name)
    return NAN if found is None else float(found)
