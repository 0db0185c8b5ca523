"""Tables of single trainings: recomputed by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from sscdl.tables.details import seeds
from tests.unit.made_up import made_up


def test_each_training_has_a_row_of_its_own():
    parts = [made_up("full", "moco", seed=seed, right=0.7 + 0.1 * seed) for seed in range(3)]
    parts[1].loc[:10, "ail"] = np.nan
    parts[2]["ail"] = np.nan
    rows = pd.concat([*parts, made_up("full", "moco", split="val"), made_up("metadata", "view")])
    table = seeds(rows, "test")
    assert list(table.columns) == [
        "variant", "curriculum", "split", "seed", "balanced_accuracy", "ail",
    ]  # fmt: skip
    assert table["seed"].tolist() == [0, 1, 2]
    for part, value in zip(parts, table["balanced_accuracy"], strict=True):
        expected = 100 * balanced_accuracy_score(part["label"], part["predicted"])
        assert value == pytest.approx(expected)
    expected = [100 * parts[0]["ail"].mean(), 100 * parts[1]["ail"][11:].mean()]
    assert table["ail"][:2].tolist() == pytest.approx(expected)
    assert np.isnan(table["ail"][2])
