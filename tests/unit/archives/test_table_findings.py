"""A table whose rows may fit several labels: those of public archives, and what is refused."""

from __future__ import annotations

import pytest

from sscdl.archives.layouts import list_files
from sscdl.archives.reading import read_index
from sscdl.errors import InputError
from tests.unit.table_archives import NIH_ROWS, archive, chexpert, images, nih, problems


def listed(*names):
    """Return the labels of a table in NIH's form."""
    return {
        name: {"column": "Finding Labels", "values": [name], "separator": "|"} for name in names
    }


def labels_of(dataset):
    return [row["label"] for _, row in sorted(images(dataset).items())]


def test_a_column_that_lists_findings(tmp_path):
    dataset = nih(tmp_path, labels=listed("Pneumonia", "Mass"), several=True)
    assert labels_of(dataset) == ["-", "Mass|Pneumonia", "Mass"]
    assert problems(dataset) == []
    assert labels_of({**dataset, "several": False}) == ["", "", "Mass"]


def test_a_text_among_others_may_mean_that_a_finding_is_unknown(tmp_path):
    labels = listed("Pneumonia", "Mass")
    labels["Mass"]["unknown"] = ["Mass?", "Pneumonia"]
    rows = [*NIH_ROWS[:2], (NIH_ROWS[2][0], " Pneumonia |x", *NIH_ROWS[2][2:])]
    dataset = nih(tmp_path, rows, labels=labels, several=True)
    assert labels_of(dataset) == ["-", "Mass|Pneumonia", "Mass?|Pneumonia"], "what is said counts"


HEADER = ("Path", "Edema", "Effusion")
# Columns as CheXpert has them: 1 positive, 0 negative, -1 uncertain, blank not mentioned.
CELLS = [("1.0", "0.0"), ("-1.0", "1.0"), ("", "-1.0"), ("-1.0", "-1.0"), ("", ""), ("", "1.0")]


def columns(folder, cells=CELLS, **unknown):
    rows = [(f"{number}.png", *pair) for number, pair in enumerate(cells)]
    labels = {
        name: {"column": name, "values": [1], "unknown": values} for name, values in unknown.items()
    }
    return archive(folder, HEADER, rows, [row[0] for row in rows], labels=labels, several=True)


def test_a_column_for_each_finding_with_uncertain_ones(tmp_path):
    dataset = columns(tmp_path, Edema=[-1], Effusion=["-1"])
    assert labels_of(dataset) == ["Edema", "Edema?|Effusion", "Effusion?", "", "-", "Effusion"]
    assert not any("label" in reason for _, reason in problems(dataset))


def test_cells_that_are_blank_may_be_unknown_too(tmp_path):
    dataset = columns(tmp_path, Edema=[-1, ""], Effusion=[-1])
    assert labels_of(dataset) == [
        "Edema", "Edema?|Effusion", "", "", "Edema?", "Edema?|Effusion",
    ]  # fmt: skip


def test_an_unknown_value_that_no_row_has_is_no_fault_and_one_of_the_values_is(tmp_path):
    cells = [("1.0", "0.0"), ("0.0", "1.0")]
    assert labels_of(columns(tmp_path, cells, Edema=[-1, 2], Effusion=[-1])) == [
        "Edema", "Effusion",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"no row has one of the values of table.labels.Effusion"):
        read_index(columns(tmp_path, [("1", "-1"), ("0", "0")], Edema=[-1], Effusion=[-1]))


def test_rows_of_one_file_must_agree_in_all_findings(tmp_path):
    other = ("00000001_001.png", "Mass", "1", "59", "M", "AP")
    dataset = nih(tmp_path, [*NIH_ROWS, other], labels=listed("Pneumonia", "Mass"), several=True)
    message = r"lines 3 and 5: .*the label differs \(Mass\|Pneumonia and Mass\)"
    with pytest.raises(InputError, match=message):
        read_index(dataset)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unknown": [0, 1.0]}, r"table.labels.a.unknown: '1' is also among its values; leave it"),
        ({"unknown": [True]}, r"table.labels.a.unknown: True is no text and no number"),
        ({"values": [], "unknown": [0]}, r"table.labels.a.values: missing"),
    ],
)
def test_settings_that_are_wrong(tmp_path, change, message):
    labels = {"a": {"column": "Pneumonia", "values": [1], **change}}
    for read in (list_files, read_index):
        with pytest.raises(InputError, match=message):
            read(chexpert(tmp_path, labels=labels, several=True))


@pytest.mark.parametrize("block", ["labels", "keep"])
def test_unknown_goes_with_findings_alone(tmp_path, block):
    rule = {"column": "Pneumonia", "values": [1], "unknown": [-1]}
    settings = {"labels": {"a": rule}} if block == "labels" else {"keep": rule, "several": True}
    with pytest.raises(InputError, match=rf"table.{block}(.a)?.unknown: goes with findings"):
        read_index(chexpert(tmp_path, **settings))


def test_values_of_unknown_that_no_row_has_are_warned_of(tmp_path):
    """Such as misspelt ones: rows that are uncertain would all count as free of the finding."""
    known = {"column": "f", "values": ["A"], "unknown": ["A?"]}
    (tmp_path / "t.csv").write_text("file,f\na.png,A\nb.png,A?\nc.png,\n")
    for name in "abc":
        (tmp_path / f"{name}.png").touch()
    common = {"layout": "table", "root": str(tmp_path), "table": "t.csv", "id_key": "k",
              "columns": {"file": "file"}, "several": True}  # fmt: skip
    assert not read_index(common | {"labels": {"A": known}}).warnings
    (told,) = read_index(common | {"labels": {"A": known | {"unknown": ["a?"]}}}).warnings
    assert "no row has one of the values of table.labels.A.unknown in column 'f'" in told
