"""One table in four forms: CSV, Markdown, LaTeX and a web page tell the same."""

from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import pytest

from sscdl.errors import InputError
from sscdl.study.thesis import THESIS_TABLES
from sscdl.tables.files import P_VALUES, as_given, write_table
from sscdl.tables.headings import HEADINGS, place, report_entry

FRAME = pd.DataFrame(
    {
        "curriculum": ["scratch", "rotation", "moco"],
        "full": [80.123456789012, 90.5, np.nan],
        "tasks": [0, 1, 1],
        "chosen": [True, False, True],
    }
)


@pytest.fixture
def written(tmp_path):
    paths = write_table(
        FRAME, tmp_path / "4.14_accuracy_overview", caption="A & B.", notes=["A note."],
        digits=1, best={"full": "max"},
    )  # fmt: skip
    return {path.suffix: path.read_text(encoding="utf-8") for path in paths}


def test_all_four_are_written_and_nothing_else(written, tmp_path):
    assert set(written) == {".csv", ".md", ".tex", ".html"}
    assert len(list(tmp_path.iterdir())) == 4


def test_the_csv_is_exact_and_the_page_carries_it(written):
    back = pd.read_csv(io.StringIO(written[".csv"]))
    assert back["full"][0] == 80.12345679
    assert back["chosen"].tolist() == [True, False, True]
    assert "curriculum,full,tasks,chosen\\nscratch,80.12345679,0,True" in written[".html"]
    assert 'data-value="80.12345679"' in written[".html"]


def test_people_get_rounded_numbers(written):
    for suffix in (".md", ".tex", ".html"):
        assert "80.1" in written[suffix]
    assert "**90.5**" in written[".md"]
    assert r"\textbf{90.5}" in written[".tex"]
    assert re.search(r'<td data-value="90.5" class="number best">90.5</td>', written[".html"])


def test_caption_notes_and_title_are_on_the_page(written):
    assert "<p>A &amp; B.</p>" in written[".html"]
    assert "<li>A note.</li>" in written[".html"]
    assert "<h1>Accuracy by curriculum: table 4.14</h1>" in written[".html"]


def test_numbers_and_texts_are_told_apart(written):
    columns = re.findall(
        r'data-column="(\w+)" aria-sort="none"( class="number")?', written[".html"]
    )
    assert {name for name, numeric in columns if numeric} == {"full", "tasks"}


def test_a_best_column_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="best must map"):
        write_table(FRAME, tmp_path / "x", caption="x", best={"no": "max"})


def test_infinite_and_missing_values_are_empty(tmp_path):
    frame = pd.DataFrame({"a": ["x", "y", "z"], "value": [np.inf, np.nan, 1.0]})
    html = write_table(frame, tmp_path / "t", caption="t")[3].read_text()
    assert re.findall(r'<td data-value="([^"]*)"', html) == ["", "", "1"]


def test_a_mixed_column_of_counts_and_means_stays_numeric(tmp_path):
    frame = pd.DataFrame({"group": ["n", "age"], "train": [12, 45.25]}, dtype=object)
    html = write_table(frame, tmp_path / "t", caption="t", digits=1)[3].read_text()
    assert re.findall(r'<td data-value="([^"]*)" class="number">([^<]*)', html) == [
        ("12", "12"),
        ("45.25", "45.2"),
    ]


def test_every_result_has_a_heading_and_a_title_of_its_own():
    names = [*THESIS_TABLES, "dataset", "figure_dataset", "comparisons", "summary", "search"]
    places = [place(name) for name in names]
    assert len(set(places)) == len(names)
    assert {heading for heading, _ in places} <= set(HEADINGS)


def test_headings_and_the_thesis_tables_sort_in_their_order_as_texts():
    assert sorted(HEADINGS) == list(HEADINGS)
    rates = [name for name in THESIS_TABLES if name.startswith(("B.", "4."))]
    wanted = sorted(rates, key=lambda name: (name[0], int(name[2:].split("_")[0])))
    # As Snakemake's report sorts: spaces before digits, whatever their width.
    titles = {place(name)[1].replace("\u2007", " "): name for name in rates}
    assert [titles[title] for title in sorted(titles)] == wanted


def test_pages_of_a_figure_and_unknown_names_have_a_place():
    assert place("figure_4.4_attention-full-2_tasks") == (
        "3 Details and checks",
        "Attention maps: figure 4.4, full, 2 tasks",
    )
    assert place("new_thing")[1] == "New thing: table"
    assert place("figure_new_thing")[1] == "New thing: figure"
    # A second label with two values would become a switch that hides half of the results.
    assert list(report_entry("dataset")["labels"]) == ["result"]


def test_rates_keep_their_digits_and_small_p_values_are_bounds(tmp_path):
    table = pd.DataFrame({"lr": [0.0001, 0.1, np.nan], "p": [3e-7, 0.04, 1.0]})
    write_table(table, tmp_path / "t", caption="c", digits={"lr": as_given, **P_VALUES})
    rows = (tmp_path / "t.md").read_text().splitlines()[4:]
    assert rows == [
        r"| 0.0001 | \<0.0001 |",
        "| 0.1 | 0.0400 |",
        "| – | 1.0000 |",
    ]
