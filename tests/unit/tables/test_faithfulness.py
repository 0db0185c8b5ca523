"""The table of deletion and insertion curves against the same figures by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from sscdl.tables.faithfulness import faithfulness
from tests.unit.made_up import made_up_curves


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    parts = [made_up_curves("full", "moco", seed=seed) for seed in (0, 1)]
    return pd.concat([*parts, made_up_curves("lung_box", "scratch")]).sample(frac=1, random_state=1)


def test_areas_are_means_over_images_and_seeds_in_percent(rows):
    elsewhere = rows.assign(split="val", deletion=0.0)
    table = faithfulness(pd.concat([rows, elsewhere]), "test")
    table = table.set_index(["variant", "curriculum", "order"])
    assert table.index.is_unique
    assert len(table) == 8
    for key, line in table.iterrows():
        own = rows[(rows[["variant", "curriculum", "order"]] == list(key)).all(axis=1)]
        assert line["n_images"] == 80
        for curve in ("deletion", "insertion"):
            by_seed = 100 * own.groupby("seed")[curve].mean()
            assert line[curve] == pytest.approx(by_seed.mean())
            assert line[f"{curve}_std"] == pytest.approx(by_seed.std(), nan_ok=True)
            assert line[f"{curve}_low"] < line[curve] < line[f"{curve}_high"]


def test_lifts_are_over_the_random_order_image_by_image(rows):
    table = faithfulness(rows, "test").set_index(["curriculum", "order"])
    random = table.loc[("moco", "random")]
    for order in ("map", "contrast", "centre"):
        line = table.loc[("moco", order)]
        for curve in ("deletion", "insertion"):
            assert line[f"{curve}_lift"] == pytest.approx(line[curve] - random[curve])
            assert line[f"{curve}_lift_low"] < line[f"{curve}_lift"] < line[f"{curve}_lift_high"]
    assert table.xs("random", level="order").filter(like="_lift").isna().all(axis=None)
