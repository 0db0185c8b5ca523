"""The table of what each stage's training came to: its loss, and what its features are like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from sscdl.training.verdict import of_nothing, verdict

NAN = float("nan")
COLUMNS = (
    *("variant", "stage", "seed", "lr", "epochs", "loss", "loss_nothing", "verdict"),
    *("accuracy_training", "feature_std", "knn_accuracy"),
)


def trainings(nodes: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return what the training of each stage came to, at its last epoch.

    Args:
        nodes: pointers of stages.

    Returns:
        ``COLUMNS``: ``lr`` is the rate that was chosen, ``loss`` that of the last epoch of
        training, ``loss_nothing`` what it is for a network that knows nothing of the images,
        ``verdict`` one of ``sscdl.training.verdict``, ``accuracy_training`` and ``knn_accuracy``
        in percent, ``feature_std`` 1 for features in all directions and 0 for one feature of all
        images (see ``sscdl.training.monitor``). Empty where a task has no such number.
    """
    table = []
    for node in nodes:
        last = node["final"]["history"][-1]
        line = {name: node[name] for name in ("variant", "seed")}
        line |= {"stage": node["node"], "lr": node["learning_rate"], "epochs": last["epoch"]}
        line |= {"loss": _number(last, "loss"), "loss_nothing": of_nothing(last)}
        line |= {"verdict": verdict(last), "feature_std": _number(last, "feature_std")}
        line["accuracy_training"] = 100 * _number(last, "accuracy")
        line["knn_accuracy"] = 100 * _number(last, "knn_accuracy")
        table.append(line)
    return pd.DataFrame(table, columns=list(COLUMNS))


def _number(record: Mapping[str, Any], name: str) -> float:
    found = record.get(name)
    return NAN if found is None else float(found)
