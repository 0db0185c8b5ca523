"""The table of all learning rates: what the thesis spreads over its tables B.1 to B.12."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

NAN = float("nan")


def _thesis_rates(thesis_dir: Path) -> dict[tuple[str, str, str, Any, int], float]:
    """Return the values of tables B.1 to B.12 by (variant, stage, curriculum, lr, epochs)."""
    values = {}
    for path in sorted(Path(thesis_dir).glob("B.*.csv")):
        _, stage, _, variant = path.stem.split("_", 3)
        for row in pd.read_csv(path).to_dict("records"):
            rate = row["lr"] if row["lr"] == "best" else round(float(row["lr"]), 6)
            values[variant, stage, row["curriculum"], rate, int(row["epochs"])] = row["value"]
    return values


def learning_rates(histories: Sequence[Mapping[str, Any]], *, thesis_dir: Path) -> pd.DataFrame:
    """Return every learning rate that was tried and what it scored: tables B.1 to B.12 in one.

    Args:
        histories: one mapping per run with ``variant, curriculum, stage`` (``pretext`` or
            ``classification``), ``seed, lr, metric`` (``loss``, ``accuracy``,
            ``balanced_accuracy``), ``epochs`` (after which ``value`` was measured), ``value``
            (accuracies in [0, 1]) and ``chosen`` (whether this rate won). The winner's continuation
            is an entry of its own with more epochs.
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
        if line["metric"] != "loss":
            line["value"] = 100 * line["value"]
        table.append({**line, "value_thesis": thesis, "chosen": bool(history["chosen"])})
    result = pd.DataFrame(table, columns=[*columns, "value_thesis", "chosen"])
    node = result.groupby(["variant", "stage", "curriculum", "seed"], sort=False).ngroup()
    order = result.assign(node=node).sort_values(["node", "epochs", "lr"], kind="stable").index
    return result.loc[order].reset_index(drop=True)
