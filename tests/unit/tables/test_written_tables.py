"""Tables as they are written: exact in CSV, rounded and marked in the texts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sscdl.errors import InputError
from sscdl.tables.files import write_table
from sscdl.tables.html_table import BOLD


def test_write_table_writes_exact_csv_and_rounded_text(tmp_path):
    df = pd.DataFrame(
        {
            "curriculum": ["segmented_black", "a|b & 50%"],
            "accuracy": [83.123456, np.nan],
            "loss": [-0.001, 0.25],
            "n": [3, 4],
            "chosen": [True, False],
        }
    )
    stem = tmp_path / "4.14_accuracy_overview"
    paths = write_table(
        df,
        stem,
        caption="Share of x_y",
        notes=["5% of #1"],
        digits={"accuracy": 1},
        best={"accuracy": "max", "loss": "min"},
    )
    endings = ("csv", "md", "tex", "html")
    assert [path.name for path in paths] == [f"{stem.name}.{s}" for s in endings]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    pd.testing.assert_frame_equal(pd.read_csv(paths[0]), df)
    markdown = paths[1].read_text(encoding="utf-8").splitlines()
    assert markdown[0] == "**Share of x_y**"
    assert markdown[3] == "| :--- | ---: | ---: | ---: | :--- |"
    assert markdown[4] == "| segmented_black | 83.1 | **0.00** | 3 | yes |"
    assert markdown[5] == r"| a\|b & 50% | – | 0.25 | 4 | no |"
    assert markdown[-2:] == ["- 5% of #1", f"- {BOLD}"]
    latex = paths[2].read_text(encoding="utf-8")
    assert r"segmented\_black & 83.1 & \textbf{0.00} & 3 & yes \\" in latex
    assert r"a|b \& 50\% & -- & 0.25 & 4 & no \\" in latex
    assert r"\begin{tabular}{lrrrl}" in latex
    assert r"\label{tab:4.14-accuracy-overview}" in latex
    assert r"5\% of \#1" in latex
    assert latex.count("{") == latex.count("}")


def test_write_table_shares_bold_between_values_that_print_alike(tmp_path):
    df = pd.DataFrame({"x": [1.001, 1.002, 0.5]})
    path = write_table(df, tmp_path / "t", caption="c", digits=2, best={"x": "max"})[1]
    assert path.read_text(encoding="utf-8").count("**1.00**") == 2
    with pytest.raises(InputError, match="best"):
        write_table(df, tmp_path / "t", caption="c", best={"y": "max"})


def test_nothing_is_the_best_where_there_is_nothing_to_choose_from(tmp_path):
    df = pd.DataFrame({"x": [90.0, 10.0, 30.0, 30.001, np.nan, 7.0]})
    groups = [1, 2, 3, 3, 4, 4]
    paths = write_table(df, tmp_path / "t", caption="c", best={"x": "max"}, groups=groups)
    text = paths[1].read_text(encoding="utf-8")
    assert text.count("**") == 2, "the caption's"
    assert "Bold" not in "".join(path.read_text(encoding="utf-8") for path in paths[:3])
    assert "Bold" in write_table(df, tmp_path / "t", caption="c", best={"x": "max"})[1].read_text()


def test_write_table_marks_the_best_of_each_group_and_none_outside(tmp_path):
    df = pd.DataFrame({"x": [9.0, 1.0, 3.0, 2.0, 5.0]})
    groups = [None, 1, 1, 2, 2]
    text = write_table(df, tmp_path / "t", caption="c", digits=0, best={"x": "max"}, groups=groups)[
        1
    ].read_text(encoding="utf-8")
    assert "**3**" in text
    assert "**5**" in text
    assert text.count("**") == 6, "with the caption's"
