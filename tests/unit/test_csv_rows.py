"""Tables that somebody else wrote: numbers to the last digit, and quotes that are not closed."""

from __future__ import annotations

import bz2
import io
import zipfile

import pytest

from sscdl.archives.reading import read_index
from sscdl.archives.table_settings import read_settings
from sscdl.csv_rows import has_column, header, plain_number, read_rows
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


BOXES = "[{'x': 1, 'y': 2},\n {'x': 3, 'y': 4},\n {'x': 5, 'y': 6}]"
REPORT = "FINDINGS:\nheart normal, lungs clear\nno effusion, no mass\nseen today, by me"


@pytest.mark.parametrize(
    ("header", "row", "used"),
    [
        ("f,k", f'1.png,"{REPORT}"', ("f", "k")),  # as many separators as a row has
        ("f,k", f'1.png,"{REPORT}"', ("f",)),
        ("k,f", f'"{REPORT}",1.png', ("f", "k")),
        ("f,k,text", f'1.png,"{BOXES}",x', ("f", "k")),  # a column that is used
        ("f,k,text", f'1.png,x,"{REPORT}"', ("f", "k")),
        ("f;k", '1.png;"one; two\nthree; four\nfive"', ("f", "k")),
        ("f,k,text", '1.png,x,"Dose history:\n2.png, 5, 3"', ("f", "k")),  # spaced as a sentence
        ("f,k,a,b,c,d", '1.png,,,,,"one\nsmall, hazy, left, upper, lobe, nodule"', ("f", "k")),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_texts_of_several_lines_are_texts(tmp_path, header, row, used, alone):
    others = [] if alone else [header.replace("f", f"{n}.png") for n in range(2, 9)]
    found = read(tmp_path, [header, row, *others], used)
    assert [one["f"] for _, one in found] == [f"{n}.png" for n in range(1, 2 if alone else 9)]
    if used == tuple(header.replace(",", ";").split(";")):
        assert row.split('"')[1] in found[0][1].values()


def test_a_text_that_may_be_rows_is_refused_with_the_way_out(tmp_path):
    written = ["f,k", '1.png,"x', '2.png,x"', "3.png,x"]
    with pytest.raises(InputError, match=r"line 2: .* up to line 3 .* one text of several lines"):
        read(tmp_path, written)
    written[1:3] = ['1.png,"x 2.png,x"']
    assert len(read(tmp_path, written)) == 2


@pytest.mark.parametrize(
    ("written", "last"),
    [
        # Of a wide table, whatever they are called.
        (["f,k,a,b,c,d", '1.png,"x,,,,', 'any name at all,x",,,,', "3.png,x,,,,"], 3),
        # Where all rows are spaced as sentences are.
        (["f,k,text", '1.png,"x, t', '2.png, x", t', "3.png, x, t"], 3),
        # One that is spaced so hides no others.
        (["f,k", '1.png,"x', "2.png,x", "3.png, x", '4.png,x"', "5.png,x"], 5),
        # A key like its own row's, and like no other.
        (["f,k", '1-1,"x', '2-2,x"', "3,x"], 3),
        # Some have quotes of their own.
        (["f,k,text", '"1.png",x,"report', '2.png,x,"', "3.png,x,y"], 3),
    ],
)
def test_swallowed_rows_are_known(tmp_path, written, last):
    with pytest.raises(InputError, match=f"line 2: a quote .* up to line {last}"):
        read(tmp_path, written)


def test_a_text_of_many_quotes_is_read_in_no_time(tmp_path):
    text = '""' * 30_000
    (row,) = read(tmp_path, ["f,k", f'1.png,"{text}\n{text}"'], ("f",))
    assert row[1] == {"f": "1.png"}


@pytest.mark.parametrize("first", ["PAR1", "BZh", "BZh9", "Rar!", "%PDF"])
def test_a_table_may_begin_with_letters_of_another_format(tmp_path, first):
    (row,) = read(tmp_path, [f"{first},k", "1.png,x"], (first, "k"))
    assert row[1] == {first: "1.png", "k": "x"}


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_are_known_by_the_header(tmp_path, separator):
    written = [line.replace(",", separator) for line in ("f,text,k", '1.png,"a,b",x', "2.png,c,y")]
    written[2] = written[2].replace("c", "c, d")
    found = read(tmp_path, written, ("f", "k", "text"))
    text = f"a{separator}b"
    assert [tuple(row.values()) for _, row in found] == [
        ("1.png", "x", text), ("2.png", "y", "c, d"),
    ]  # fmt: skip
    written.append(f"3.png{separator}x")
    with pytest.raises(InputError, match="line 4: the row does not have the 3 fields"):
        read(tmp_path, written)


def test_a_comma_goes_before_other_separators(tmp_path):
    assert read(tmp_path, ["f,k;l,m", "1,2;3,4"], ("f", "k;l")) == [(2, {"f": "1", "k;l": "2;3"})]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_nearest_column_is_told_whatever_separates_them(tmp_path, separator):
    written = [separator.join(("Image Index", "Finding", "Age")), separator.join("123")]
    told = "column 'image_index' is missing; the nearest of 3 there is 'Image Index', rename it"
    with pytest.raises(InputError, match=told):
        read(tmp_path, written, ("image_index",))


def test_a_header_is_divided_by_what_makes_most_names_of_it(tmp_path):
    path = tmp_path / "some.csv"
    for text, names in [
        (" a ;b, c;d\n", ["a", "b, c", "d"]),
        ("a,b\n1,2\n", ["a", "b"]),
        ("a;b|c\n", ["a", "b|c"]),
        ("", []),
    ]:
        path.write_text(text)
        assert header(path) == names
    path.write_bytes("Größe,b\n".encode("latin-1"))
    assert header(path) == [], "who reads the rows says why"
    path.write_bytes(b"PK\3\4 and more")
    with pytest.raises(InputError, match=r"some\.csv: is "):
        header(path)


def test_a_column_that_may_be_there_is_seen_whatever_separates_it(tmp_path):
    (tmp_path / "t.csv").write_text("id;split;group\n1;train;g\n")
    assert has_column(tmp_path / "t.csv", "group")
    assert not has_column(tmp_path / "t.csv", "patient")


def workbook() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (workbook(), "t.csv: is a workbook .*xlsx"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "t.csv: is an old Excel"),
        ("f,k\n1.png,caf\u00e9".encode("latin-1"), r"t.csv, line 2: a byte \(e9\) .* '\u00e9'"),
        ("f,k\n1,2".encode("utf-16"), "t.csv: is a text in UTF-16"),
        (b"version https://git-lfs.github.com/spec/v1\n", "t.csv: is a pointer of Git LFS"),
        (b"<!DOCTYPE html>\n<html></html>", "t.csv: is a web page"),
        (b"\x1f\x8b\x08" + bytes(99), r"t.csv: is compressed \(gzip\)"),
        (bz2.compress(b"f,k"), r"t.csv: is compressed \(bzip2\)"),
        (b"PAR1\x15\x04" + bytes(99), "t.csv: is a Parquet file"),
        (b"", r"t.csv: column 'f' is missing \(empty file\)"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, content, told):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=told):
        list(read_rows(tmp_path / "t.csv", ("f", "k")))


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
