"""Predictions of many files, as one table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sscdl.errors import InputError
from sscdl.evaluation import metrics
from sscdl.tables.overview import models_in
from sscdl.tables.write import _Shared, read_predictions

MODEL = {"variant": "full", "curriculum": "moco", "seed": 0, "split": "test"}


def rows(count: int, **more) -> pd.DataFrame:
    names = {
        "image_id": [f"0{k}" for k in range(count)],
        "patient_id": [str(k) for k in range(count)],
    }
    return pd.DataFrame(names).assign(**MODEL, label="ill", predicted="well").assign(**more)


def written(folder, **tables: pd.DataFrame):
    paths = [folder / f"{name}.csv" for name in tables]
    for path, table in zip(paths, tables.values(), strict=True):
        table.to_csv(path, index=False)
    return paths


def test_files_with_other_columns_are_one_table_as_if_put_one_below_the_other(tmp_path):
    tables = {
        "a": rows(3, ail=[0.5, None, 0.25], age=[1, 2, 3]),
        "b": rows(2, view=["AP", None], seed=1),
        "c": rows(2, network=[0, 1], label=["", "ill"]).drop(columns=["curriculum", "seed"]),
        "d": rows(3, ail=[0.1, 0.2, 0.3], curriculum="scratch"),
    }
    found = read_predictions(written(tmp_path, **tables))
    expected = pd.concat(tables.values(), ignore_index=True)
    for name in ("view", "label"):
        expected[name] = expected[name].fillna("")
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert found["image_id"].tolist()[:3] == ["00", "01", "02"]
    # Equal texts are one object, in one file and in the next.
    assert len({id(one) for one in found["image_id"] if one == "01"}) == 1


@pytest.mark.parametrize("column", ["label", "image_id", "curriculum", "predicted"])
def test_a_file_without_a_column_that_all_have_is_named(tmp_path, column):
    paths = written(tmp_path, a=rows(2), b=rows(2).rename(columns={column: "x"}))
    with pytest.raises(InputError, match=rf"b.csv: has no column '{column}'; delete it"):
        read_predictions(paths)


@pytest.mark.parametrize("column", ["image_id", "curriculum", "predicted", "seed", "prob_ill"])
def test_a_file_with_an_empty_cell_where_all_have_something_is_named(tmp_path, column):
    broken = rows(2, prob_ill=0.5).astype(object)
    broken.loc[1, column] = None
    paths = written(tmp_path, a=rows(2), b=broken)
    with pytest.raises(InputError, match=rf"b.csv: has empty cells in column '{column}'; delete"):
        read_predictions(paths)


def test_equal_columns_of_texts_are_held_once():
    shared = _Shared()
    first = shared.column(pd.Series(["a", "b", "a"], name="image_id", dtype="str"))
    assert shared.column(pd.Series(["a", "b", "a"], name="image_id", dtype="str")) is first
    other = shared.column(pd.Series(["b", "c"], name="image_id", dtype="str"))
    assert other.tolist() == ["b", "c"]
    assert other[0] is first[1]


def test_models_come_in_order_of_appearance_with_their_own_rows_and_metadata_last():
    parts = [
        rows(1, variant="metadata", curriculum="metadata:view"),
        rows(2, curriculum="scratch"),
        rows(3),
        rows(2, curriculum="scratch", seed=1),
    ]
    table = pd.concat(parts, ignore_index=True)
    found = dict(models_in(table))
    assert list(found) == [("full", "scratch"), ("full", "moco"), ("metadata", "metadata:view")]
    assert found["full", "scratch"].index.tolist() == [1, 2, 6, 7]
    assert found["full", "moco"].index.tolist() == [3, 4, 5]


@pytest.mark.parametrize("held", [[], [0], [1, 2], [0, 2], [0, 1, 2, 3]])
def test_rows_are_those_for_which_something_holds(held):
    table = rows(4)
    mask = table.index.isin(held)
    found = metrics.rows_where(table, pd.Series(mask))
    pd.testing.assert_frame_equal(found, table[mask])
    changed = found.assign(label="well")  # what is made of them leaves the table as it is
    assert set(table["label"]) == {"ill"}
    assert len(changed) == len(held)


def test_rows_that_stand_together_are_not_copied():
    table = pd.DataFrame({"value": np.arange(6.0)})
    for held, shares in (([2, 3, 4], True), ([0, 2], False)):
        found = metrics.rows_where(table, pd.Series(table.index.isin(held)))
        assert np.shares_memory(found["value"].to_numpy(), table["value"].to_numpy()) is shares
