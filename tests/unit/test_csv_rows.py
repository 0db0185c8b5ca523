"""Tables that somebody else wrote: numbers to the last digit, and quotes that are not closed."""

from __future__ import annotations

import pytest

from sscdl.archives.reading import read_index
from sscdl.archives.table_settings import read_settings
from sscdl.csv_rows import plain_number, read_rows
from sscdl.errors import InputError
from tests.unit.table_archives import archive, images

LONG = "1" * 45


def lines(number=24):
    return ["f,k,text", *(f'{n}.png,x,"report, of {n}"' for n in range(number))]


def read(tmp_path, written, columns=("f", "k")):
    table = tmp_path / "t.csv"
    table.write_text("\n".join(written) + "\n")
    return list(read_rows(table, columns))


@pytest.mark.parametrize(
    ("text", "plain"),
    [("1", "1"), ("1.0", "1"), ("01", "1"), ("+1.50", "1.5"), ("-0.0", "0"), ("-2", "-2"),
     (" 7 ", "7"), ("000", "0"), ("1e3", "1e3"), ("", ""), ("x", "x"), ("\u0661", "\u0661"),
     (LONG, LONG), ("0" + LONG + ".0", LONG), ("5.", "5")],
)  # fmt: skip
def test_one_text_for_all_ways_to_write_a_number(text, plain):
    assert plain_number(text) == plain


def test_long_ids_and_codes_match_to_the_last_digit(tmp_path):
    rows = [("a.png", LONG + "1"), ("b.png", LONG + "2"), ("c.png", "0" + LONG + "1.0")]
    dataset = archive(tmp_path, ("f", "k"), rows, [row[0] for row in rows])
    for value, expected in ((LONG + "1", {"a.png", "c.png"}), (int(LONG + "2"), {"b.png"})):
        rule = {"column": "k", "values": [value]}
        assert set(images({**dataset, "keep": rule})) == expected
        labelled = images({**dataset, "labels": {"typical": rule}})
        assert {path for path, row in labelled.items() if row["label"]} == expected


def test_a_number_that_yaml_has_rounded_is_refused(tmp_path):
    dataset = archive(tmp_path, ("f", "k"), [("a.png", "1")], ["a.png"])
    keep = {"column": "k", "values": [1234567890123456789.0]}
    with pytest.raises(InputError, match="table.keep.values: .* put it in quotes"):
        read_settings({**dataset, "keep": keep})


def test_whole_tables_are_read_as_they_are(tmp_path):
    written = lines()
    written[3] = '2.png,x,"a report,\nin two lines, ""quoted"" twice"'
    written[4] = '3.png,x,"several\n\nlines\nof, text"'
    written[5] = '4.png,x,5" tall'
    assert [row["f"] for _, row in read(tmp_path, written)] == [f"{n}.png" for n in range(24)]


@pytest.mark.parametrize(
    ("opened", "closed"),
    [('4.png,"x,report', '12.png,"x",report'), ('4.png,"x,report', '12.png,x",report'),
     ('4.png,"x,report', '5.png,x",report'), ('4.png,x,"report', '12.png,x,"report"'),
     ('4.png,x,"report', '12.png,x,report"'), ('4.png,"x,report', None), ('"4.png,x,r', None)],
)  # fmt: skip
def test_a_quote_that_is_not_closed_is_named_with_its_line(tmp_path, opened, closed):
    written = [line.replace('"', "").replace(", of", " of") for line in lines()]
    written[5] = opened
    if closed:
        written[int(closed.split(".")[0].strip('"')) + 1] = closed
    with pytest.raises(
        InputError, match=r't.csv, line 6: a quote \("\) that opens in the row which'
    ):
        read(tmp_path, written)


def test_a_quote_amid_one_row_is_named_with_its_line(tmp_path):
    written = lines()
    written[7] = '6.png,"x" y,report'
    with pytest.raises(InputError, match=r"t.csv, line 8: a quote .* closes amid a text"):
        read(tmp_path, written)


def test_no_image_is_lost_to_a_quote(tmp_path):
    rows = [(f"{n}.png", "x") for n in range(24)]
    dataset = archive(tmp_path, ("f", "k"), rows, [row[0] for row in rows])
    table = tmp_path / "table.csv"
    written = table.read_text().splitlines()
    written[5], written[13] = '4.png,"x', '12.png,x"'
    table.write_text("\n".join(written))
    with pytest.raises(InputError, match="table.csv, line 6: a quote"):
        read_index({**dataset, "columns": {"file": "f", "study": "k"}})
