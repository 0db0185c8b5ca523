"""Tables as web pages: what is shown, what is kept exact, and that no text of theirs is markup."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from sscdl.tables.html_table import Content, page, section

NUMBERS = {"curriculum": ["scratch", "moco"], "full": ["80.5", "9.25"]}


class Parsed(HTMLParser):
    """Rows of cells as (tag, attributes, text), and the elements that were left open."""

    VOID = ("meta", "link", "img", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[tuple[str, dict, str]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append((tag, dict(attributes), ""))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open):
            tag, attributes, text = self.rows[-1][-1]
            self.rows[-1][-1] = (tag, attributes, text + data)


def content(exact=NUMBERS, printed=None, **others) -> Content:
    others.setdefault("numeric", {"full"})
    return Content(caption="A caption.", exact=exact, printed=printed or exact, **others)


def test_a_page_is_well_formed_and_loads_nothing():
    text = page("A & B", [section(content(csv="a,b\n"))])
    assert Parsed(text).open == []
    assert "<title>A &amp; B</title>" in text
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", text)
    assert "http" not in text.replace("http-equiv", "")
    assert "default-src 'none'" in text


def test_cells_show_rounded_values_and_sort_by_exact_ones():
    exact = {"full": ["0.123456789", ""]}
    header, *rows = Parsed(section(content(exact, {"full": ["0.12", ""]}))).rows
    assert header[0][1]["class"] == "number"
    assert header[0][1]["data-column"] == "full"
    assert rows[0][0][1]["data-value"] == "0.123456789"
    assert rows[0][0][2] == "0.12"
    assert rows[1][0][1]["data-value"] == ""
    assert rows[1][0][2] == "–"


def test_the_first_column_heads_its_row():
    rows = Parsed(section(content())).rows[1:]
    assert [cell[0] for cell in rows[0]] == ["th", "td"]
    assert rows[0][0][1]["scope"] == "row"


def test_an_interval_stands_under_its_value():
    exact = {"full": ["80"], "full_std": [""], "full_low": ["70"], "full_high": ["90"]}
    text = section(content(exact, numeric=set(exact) - {"full_std"}))
    header, row = Parsed(text).rows
    assert [cell[1]["data-column"] for cell in header] == ["full"]
    assert row[0][2] == "8070 to 90"
    assert "95 % interval." in text
    exact["full_std"] = ["1.5"]
    text = section(content(exact, numeric=set(exact)))
    assert Parsed(text).rows[1][0][2] == "8070 to 90, ± 1.5"
    assert "± its standard deviation between seeds" in text


def test_an_interval_without_a_name_belongs_to_the_number_before_it():
    exact = {"curriculum": ["moco"], "accuracy": ["80"], "low": ["70"], "high": ["90"]}
    header, row = Parsed(section(content(exact, numeric={"accuracy", "low", "high"}))).rows
    assert [cell[1]["data-column"] for cell in header] == ["curriculum", "accuracy"]
    assert row[1][2] == "8070 to 90"


def test_a_standard_deviation_alone_stays_a_column():
    exact = {"variant": ["full"], "mean": ["0.5"], "std": ["0.2"]}
    header = Parsed(section(content(exact, numeric={"mean", "std"}))).rows[0]
    assert [cell[1]["data-column"] for cell in header] == ["variant", "mean", "std"]


def test_columns_without_a_value_are_left_out_and_named():
    text = section(content({**NUMBERS, "full_thesis": ["", ""]}))
    assert len(Parsed(text).rows[0]) == 2
    assert "Columns without any value are not shown: full_thesis." in text


def test_a_table_without_rows_keeps_its_columns():
    text = section(content({"curriculum": [], "full": []}, csv="curriculum,full\n"))
    assert len(Parsed(text).rows) == 1
    assert len(Parsed(text).rows[0]) == 2
    assert "No rows." in text


def test_best_values_are_marked():
    text = section(content(bold={(0, "full")}))
    rows = Parsed(text).rows[1:]
    assert "best" in rows[0][1][1]["class"].split()
    assert "best" not in rows[1][1][1]["class"].split()
    assert "Bold: the best of those" in text


@pytest.mark.parametrize("nasty", ["</script><b>x", '<b>x & "y"</b>', 'a\nb,"c"'])
def test_texts_are_never_markup(nasty):
    exact = {"label": [nasty], nasty: ["1"]}
    text = section(content(exact, numeric={nasty}, notes=[nasty], csv=nasty, file="t.csv"))
    parsed = Parsed(text)
    assert parsed.open == []
    assert "b" not in re.findall(r"<(\w+)", text)
    assert parsed.rows[1][0][1]["data-value"] == nasty
    kept = re.search(r'<script type="text/csv">(.*?)</script>', text, re.DOTALL)[1]
    assert json.loads(kept) == nasty


def test_columns_are_explained_where_their_meaning_is_known():
    text = section(content({"curriculum": ["moco"], "strange": ["1"]}, numeric=set()))
    assert "<dt>curriculum" in text
    assert "<dt>strange" not in text


def test_long_tables_can_be_searched():
    assert 'type="search"' not in section(content())
    many = {"curriculum": [str(n) for n in range(30)]}
    text = section(content(many, numeric=set()))
    assert 'type="search"' in text
    assert "30 rows" in text
