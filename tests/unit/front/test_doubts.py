"""``sscdl new`` where a table is doubtful: patients are not lost, and no label becomes another."""

from __future__ import annotations

from pathlib import Path

import pytest

from sscdl.archives.reading import read_index
from sscdl.errors import InputError
from sscdl.front import new
from tests.unit.own_images import archive, written

pytestmark = pytest.mark.usefixtures("here")


def labelled(folder: Path, *values: str) -> Path:
    """Make a folder of 40 images whose labels are these, in turn."""
    rows = [f"images/{n}.png,p{n // 2},{values[n % len(values)]}" for n in range(40)]
    return archive(folder, rows=rows)


def counts(name: str) -> dict[str, int]:
    """Return how many images of each class a run would have."""
    index = read_index({"layout": "table", **written(name)["dataset"]["table"]})
    labels = index.images["label"]
    return labels[labels != ""].value_counts().to_dict()


def test_enter_is_no_decision_that_every_picture_is_of_another_patient(tmp_path, answers, capsys):
    rows = [f"images/{n}.png,{'ab'[n % 2]}" for n in range(40)]
    root = archive(tmp_path / "mine", "path,label", rows)
    asked = answers("", "", "none", "", "", "")
    new.main([str(root)])
    assert asked.count("Column of the patient: ") == 2
    assert "one of: label, none" in capsys.readouterr().out
    text = Path("mine.yaml").read_text()
    assert "# WARNING: nothing tells the patient of a picture" in text
    assert written("mine.yaml")["dataset"]["table"]["columns"]["patient"] is None
    dicom = [row.replace("png", "dcm") for row in rows]
    root = archive(tmp_path / "dicom", "path,label", dicom, suffix=".dcm")
    answers("", "", "", "", "")
    new.main([str(root)])
    assert "WARNING" not in Path("dicom.yaml").read_text()


def test_names_of_files_tell_the_patient_where_no_column_does(tmp_path):
    root = archive(tmp_path / "mine")
    rows = []
    for n in range(40):
        (root / f"images/{n}.png").rename(root / f"images/patient{n // 2:03}_{n % 2}.png")
        rows.append(f"images/patient{n // 2:03}_{n % 2}.png,{n // 2 % 2}")
    archive(root, "Path,label", rows)
    new.main([str(root)])
    patient = written("mine.yaml")["dataset"]["table"]["columns"]["patient"]
    assert patient == {"column": "Path", "pattern": r"patient(\d+)"}
    new.main([str(root), "--patient", "Path", "--study", "told"])
    assert written("told.yaml")["dataset"]["table"]["columns"]["patient"] == patient


def test_the_column_of_the_files_is_not_that_of_the_patients(tmp_path):
    root = archive(tmp_path / "mine")
    with pytest.raises(InputError, match="--patient path: .*another patient.*or --no-patient"):
        new.main([str(root), "--patient", "path"])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("1", "-1", "0"), "'-1' is negative"),
        (("normal", "nan", "ill"), "'nan' may mean that it is not known"),
        (("normal", "Unknown", "ill"), "'Unknown' may mean"),
        (("normal", "N/A", "ill"), "'N/A' may mean"),
        (("normal", "?", "ill"), "'[?]' may mean"),
        (("Normal", "normal", "ill"), "'Normal' and 'normal' are alike"),
        (("no-mass", "no mass", "ill"), "'no-mass' and 'no mass' are alike"),
        (("normal", "肺炎"), "'肺炎' has no letter or digit"),
    ],
)
def test_a_value_that_may_be_no_class_of_its_own_is_not_sure(tmp_path, values, said):
    root = labelled(tmp_path / "mine", *values)
    with pytest.raises(InputError, match=f"{said}.*give --classes"):
        new.main([str(root)])
    assert list(Path().iterdir()) == []


def test_what_is_not_known_is_not_proposed_and_has_its_own_name_where_it_is_meant(
    tmp_path, answers, capsys
):
    root = labelled(tmp_path / "mine", "1", "-1", "0", "nan")
    asked = answers("", "", "", "", "")
    new.main([str(root)])
    assert "Numbers of those that are classes [1 3]: " in asked
    assert "'-1' is negative" in capsys.readouterr().out
    assert written("mine.yaml")["classes"] == ["finding_1", "finding_0"]
    answers("", "", "")
    new.main([str(root), "--classes", "1", "-1", "--study", "told"])
    assert counts("told.yaml") == {"finding_1": 10, "finding_minus_1": 10}


def test_values_that_differ_in_capitals_are_asked_to_be_one_class(tmp_path, answers):
    root = labelled(tmp_path / "mine", "Normal", "normal", "NORMAL", "ill")
    answers("", "", "", "", "", "")
    new.main([str(root)])
    assert counts("mine.yaml") == {"normal": 30, "ill": 10}
    asked = answers("", "", "", "1 2", "no", "a", "a", "b", "two")
    new.main([str(root)])
    assert asked[-4:-1] == [
        "Name of the class of 'Normal' [normal]: ",
        "Name of the class of 'normal' [normal_2]: ",
        "Name of the class of 'normal' [normal_2]: ",
    ]
    assert counts("two.yaml") == {"a": 10, "b": 10}


def test_a_class_without_letters_is_given_a_name(tmp_path, answers):
    root = labelled(tmp_path / "mine", "正常", "肺炎")
    with pytest.raises(InputError, match="--classes 正常: .*give NAME=正常"):
        new.main([str(root), "--classes", "正常", "肺炎"])
    asked = answers("", "", "", "", "", "normal", "ill", "")
    new.main([str(root)])
    assert asked[4:7] == [
        "Name of the class of '正常': ",
        "Name of the class of '正常': ",
        "Name of the class of '肺炎': ",
    ]
    assert counts("mine.yaml") == {"normal": 20, "ill": 20}


def test_one_number_written_in_several_ways_is_one_class(tmp_path):
    root = labelled(tmp_path / "mine", "1.0", "1", "0", "01")
    new.main([str(root)])
    assert counts("mine.yaml") == {"finding_1": 30, "finding_0": 10}
    new.main([str(root), "--classes", "a=1.0", "b=00", "--study", "told"])
    assert counts("told.yaml") == {"a": 30, "b": 10}
    with pytest.raises(InputError, match="'1' is there twice"):
        new.main([str(root), "--classes", "a=1.0", "b=1", "0", "--study", "twice"])


def test_a_column_that_is_there_twice_is_told_to_be(tmp_path):
    rows = [f"images/{n}.png,p{n // 2},{n % 2},{n % 2}" for n in range(40)]
    root = archive(tmp_path / "mine", "path,patient,label,label", rows)
    with pytest.raises(InputError, match="--label: .*'label' is there twice"):
        new.main([str(root), "--label", "label"])


def test_a_name_of_a_column_may_have_a_line_break(tmp_path):
    rows = [f"images/{n}.png,p{n // 2},{'ab'[n % 2]}" for n in range(40)]
    root = archive(tmp_path / "mine", 'path,"patient\nid","finding\nlabel"', rows)
    new.main([str(root)])
    assert written("mine.yaml")["dataset"]["table"]["columns"]["patient"] == "patient\nid"
    assert counts("mine.yaml") == {"a": 20, "b": 20}


def test_the_root_stands_in_the_file_as_it_is(tmp_path):
    root = archive(tmp_path / "mine")
    (tmp_path / "beside").mkdir()
    new.main([str(tmp_path / "beside" / ".." / "mine"), "--table", "../mine/labels.csv"])
    table = written("mine.yaml")["dataset"]["table"]
    assert (table["root"], table["table"]) == (str(root), "labels.csv")
