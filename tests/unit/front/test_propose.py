"""What columns are taken for, by their names and by what is in them."""

from __future__ import annotations

import pytest

from sscdl.front import propose
from sscdl.front.look import Table, look
from sscdl.front.patients import patient_column, pattern_in
from tests.unit.own_images import archive


def table(tmp_path, **columns: list) -> Table:
    """Return a table of these columns."""
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "some.csv").write_text("\n".join(lines) + "\n")
    return Table(tmp_path / "some.csv")


MANY = [f"x{n // 2}" for n in range(120)]


@pytest.mark.parametrize(
    "name",
    ["patient", "Patient ID", "patient_id", "PatientID", "subject-id", "Subject", "MRN", "pid",
     "participant no.", "ID_patient", "PERSON_KEY",
     "patient: id", "Patient/ID", "Patient ID (hashed)",
     "patients", "case_id", "anon_patient_id", "deid_patient_id", "dicom_patient_id",
     "PatientIDHash"],
)  # fmt: skip
def test_a_patient_is_known_by_name(tmp_path, name):
    found = patient_column(table(tmp_path, a=MANY[:20], **{name: MANY[:20]}), [])
    assert (found.first, found.sure) == (name, True)


@pytest.mark.parametrize(
    "name", ["Patient Age", "patient sex", "patient_weight", "inpatient", "id"]
)
def test_what_is_said_of_a_patient_is_not_who_it_is(tmp_path, name):
    assert not patient_column(table(tmp_path, **{name: MANY}), []).sure


def test_two_columns_that_may_be_the_patient_are_not_sure(tmp_path):
    found = patient_column(table(tmp_path, subject=MANY, patient=MANY), [])
    assert (set(found.columns), found.sure) == ({"subject", "patient"}, False)


def test_by_contents_a_patient_is_many_texts_that_come_again(tmp_path):
    columns = {
        "once": [f"x{n}" for n in range(120)],
        "few": ["ab"[n % 2] for n in range(120)],
        "measured": [f"{n // 2}.5" for n in range(120)],
        "age": [n // 2 for n in range(120)],
        "group": MANY,
    }
    found = patient_column(table(tmp_path, **columns), ["taken"])
    assert (found.columns, found.sure) == (("group",), False)
    assert patient_column(table(tmp_path, **columns), ["group"]).columns == ()


def test_in_a_short_table_a_patient_is_what_comes_again(tmp_path):
    columns = {"who": MANY[:40], "seen": [n % 4 for n in range(40)]}
    assert patient_column(table(tmp_path, **columns), []).columns == ("who",)
    cases = table(tmp_path, case=[n % 2 for n in range(40)], Case=list(range(40)))
    assert not patient_column(cases, []).sure, "a label, and a number of the image"


@pytest.mark.parametrize(
    ("rows", "texts", "many"),
    [(100, 20, True), (100, 19, False), (20, 4, False), (2000, 41, True), (2000, 40, False)],
)
def test_patients_by_contents_are_many_and_have_no_more_than_some_images(
    tmp_path, rows, texts, many
):
    found = patient_column(table(tmp_path, group=[f"x{n % texts}" for n in range(rows)]), [])
    assert found.columns == (("group",) if many else ())


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("train/patient0{}/study1/view1.jpg", r"patient(\d+)"),
        ("a/Subject-{}_b.png", r"Subject-(\d+)"),
        ("PERSON_{}.png", r"PERSON_(\d+)"),
        ("images/{}.png", ""),
        ("patient.{}.png", ""),
        ("sub-S0{}/ses-1/a.png", r"sub-([0-9A-Za-z]+)"),
        ("/disk/patient2020/{}.png", ""),
    ],
)
def test_names_of_files_may_hold_the_patient(name, pattern):
    assert pattern_in(name.format(n) for n in range(9)) == pattern
    assert pattern_in([name.format(1), name.format(2), "other.png"]) == ""


@pytest.mark.parametrize(
    "other", ["sex", "View Position", "split", "Follow-up #", "AP/PA", "width"]
)
def test_a_label_is_called_so_and_else_only_proposed(tmp_path, other):
    columns = {"remark": MANY, other: [n % 3 for n in range(120)], "seen": [0, 1] * 60}
    found = propose.label_column(table(tmp_path, **columns), [])
    assert (found.columns, found.sure) == (("seen",), False)
    more = propose.label_column(table(tmp_path, **columns, second=[1, 2] * 60), [])
    assert (set(more.columns), more.sure) == ({"seen", "second"}, False)
    named = propose.label_column(table(tmp_path, **columns, Finding=[1, 2] * 60), [])
    assert (named.first, named.sure) == ("Finding", True)


@pytest.mark.parametrize(
    ("cells", "sign"),
    [
        (["a|b", "c"], "|"),
        (["a;b", "a", "b", "b;a"], ";"),
        (["a, b", "b", "a", "b, a"], ","),
        (["lungs, clear", "lungs, dense"], ""),
        (["a", "b"], ""),
    ],
)
def test_what_divides_cells(tmp_path, cells, sign):
    texts = [f'"{cell}"' for cell in cells * 3]
    found = table(tmp_path, label=texts)
    assert propose.separator(found, "label") == sign
    if sign:
        assert set(propose.parts(found, "label", sign)) == set("abc" if "c" in cells else "ab")


def test_a_cell_counts_once_for_what_it_names_twice(tmp_path):
    found = table(tmp_path, label=["a|a|b", "a", "b|c"])
    assert propose.parts(found, "label", "|") == {"a": 2, "b": 2, "c": 1}


def test_names_of_classes(tmp_path):
    names = propose.class_names(["No Finding", "no finding", "1", "-1", "肺", "x" * 99], "Is it?")
    assert names == {
        "No Finding": "no_finding",
        "no finding": "no_finding_2",
        "1": "is_it_1",
        "-1": "is_it_minus_1",
        "肺": "is_it",
        "x" * 99: "x" * 28,
    }


def test_the_column_of_files_is_that_which_names_most(tmp_path):
    rows = [f"{n % 2},{n},/their/disk/images/{n}.png,{n // 2}.png" for n in range(40)]
    root = archive(tmp_path / "mine", "label,number,file,first of the patient", rows)
    folder = look(root)
    found = propose.file_column(Table(folder.tables[0]), folder)
    assert (found.columns, found.sure) == (("file", "first of the patient"), True)
    assert folder.kinds == {"PNG": 40}


def test_files_of_all_suffixes_are_counted_by_kind(tmp_path):
    (tmp_path / "mine").mkdir()
    for suffix in (".dcm", ".DICOM", ".png", ".jpg", ".jpeg", ".tif", ".tiff"):
        (tmp_path / f"mine/a{suffix}").touch()
    assert look(tmp_path / "mine").kinds == {"DICOM": 2, "JPEG": 2, "TIFF": 2, "PNG": 1}


def test_files_without_a_suffix_are_known_by_their_contents(tmp_path):
    root = archive(tmp_path / "mine", suffix=".dcm")
    for path in sorted((root / "images").iterdir())[:30]:
        path.rename(path.with_suffix(""))
    assert look(root).all_dicom
    assert look(root).kinds == {"DICOM": 40}
