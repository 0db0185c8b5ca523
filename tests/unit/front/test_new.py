"""``sscdl new``: what is found, told and asked becomes a file that a run takes as it is."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from sscdl.archives.reading import read_index
from sscdl.errors import InputError
from sscdl.front import new
from tests.unit.own_images import DICOM, archive, written

pytestmark = pytest.mark.usefixtures("here")


def test_what_the_files_tell_needs_no_words(tmp_path, capsys):
    root = archive(tmp_path / "My Data")
    assert new.main([str(root)]) == 0
    config = written("my-data.yaml")
    assert config["study"] == "my-data"
    assert config["classes"] == ["normal", "ill"]
    table = config["dataset"]["table"]
    assert (table["root"], table["table"]) == (str(root), "labels.csv")
    assert table["columns"]["file"] == "path"
    assert table["columns"]["patient"] == "patient_id"
    assert table["labels"]["ill"] == {"column": "finding", "values": ["ill"]}
    assert config["image"] == {"size": 224, "packed": 256}
    assert config["seeds"] == [0, 1, 2]
    said = capsys.readouterr().out
    assert "40 PNG files" in said
    assert "ill: 14 images of 14 patients" in said
    assert "run my-data.yaml plan" in said


def test_classes_that_are_unlike_are_weighted_and_every_key_is_explained(tmp_path):
    new.main([str(archive(tmp_path / "mine"))])
    text = Path("mine.yaml").read_text()
    assert written("mine.yaml")["stages"]["classify"]["options"]["class_weights"] == "balanced"
    keys = [line for line in text.splitlines() if line and line[0] not in "# "]
    lines = text.splitlines()
    for key in keys:
        before = lines[lines.index(key) - 1]
        block = key.endswith(":") and lines[lines.index(key) + 1]
        assert "  # " in key or before.startswith("#") or "  # " in str(block), key
    even = [f"images/{n}.png,p{n},{n % 2}" for n in range(40)]
    new.main([str(archive(tmp_path / "even", rows=even))])
    assert "class_weights: balanced" not in Path("even.yaml").read_text()
    assert written("even.yaml")["classes"] == ["finding_0", "finding_1"]


def test_a_quick_study_is_small(tmp_path):
    new.main([str(archive(tmp_path / "mine")), "--quick", "--output", "try.yaml"])
    config = written("try.yaml")
    assert (config["study"], config["seeds"], config["image"]["size"]) == ("try", [0], 64)
    assert config["curricula"] == ["scratch", "moco"]


@pytest.mark.parametrize(
    ("column", "values", "doubtful"),
    [
        ("Befund: Röntgen", ["no", "yes"], ""),
        ("label # 1", ["null", "~"], "'null' may mean that it is not known"),
        ("label", ["'", '"quoted"'], "may mean that it is not known"),
        ("it's", ["- a", "a: b"], ""),
        ("{label}", ["[x]", "*y"], ""),
        ("label", ["007", "1e3"], ""),
        ("肺", ["正常", "肺炎"], "'正常' has no letter or digit"),
        ("label", ["2024-05-01", "12:30"], ""),
        ("label", ["\U0001fac1", "\u00a0x\u2028y"], "may mean that it is not known"),
        ("label", ["x" * 200, "x" * 199 + "y"], "are alike, and may be one class"),
    ],
)
def test_whatever_a_table_holds_is_read_back_as_it_is(tmp_path, column, values, doubtful):
    quoted = [value.replace('"', '""') for value in values]
    rows = [f'images/{n}.png;p{n // 2};"{quoted[n % 2]}"' for n in range(40)]
    root = archive(tmp_path / "of all: kinds", f'path;patient_id;"{column}"', rows)
    words = ["--label", column, "--output", "a b.yaml"]
    if doubtful:
        with pytest.raises(InputError, match=f"{doubtful}.*give --classes VALUE | NAME=VALUE"):
            new.main([str(root), *words])
        words += ["--classes", *(f"class{n}={value}" for n, value in enumerate(values))]
    assert new.main([str(root), *words]) == 0
    config = written("a b.yaml")
    labels = config["dataset"]["table"]["labels"]
    assert [rule["values"] for rule in labels.values()] == [[one.strip()] for one in values]
    index = read_index({"layout": "table", **config["dataset"]["table"]})
    assert index.images["label"].value_counts().to_dict() == dict.fromkeys(config["classes"], 20)


def test_what_is_told_goes_before_what_is_found(tmp_path):
    rows = [f"{n},images/{n}.png,p{n // 2},p{n // 4},{n % 2},{'abcd'[n % 4]}" for n in range(40)]
    root = archive(tmp_path / "mine", "id,path,patient,family,label,kind", rows, table="x.csv")
    archive(root, table="y.csv")
    words = ["--table", "x.csv", "--file", "id", "--patient", "family", "--label", "kind"]
    new.main([str(root), *words, "--classes", "a", "other=b", "other=c", "--study", "two"])
    config = written("two.yaml")
    table = config["dataset"]["table"]
    assert (table["columns"]["file"], table["columns"]["patient"]) == ("id", "family")
    assert {name: rule["values"] for name, rule in table["labels"].items()} == {
        "a": ["a"],
        "other": ["b", "c"],
    }
    assert sorted(config["classes"]) == ["a", "other"]


def test_values_that_differ_in_signs_alone_are_two_classes(tmp_path):
    rows = [f"images/{n}.png,p{n},{('No Pneumonia', 'no pneumonia')[n % 2]}" for n in range(40)]
    words = ["--classes", "No Pneumonia", "no pneumonia"]
    new.main([str(archive(tmp_path / "mine", rows=rows)), *words])
    assert written("mine.yaml")["classes"] == ["no_pneumonia", "no_pneumonia_2"]


def test_a_table_may_lie_beside_the_images(tmp_path):
    root = archive(tmp_path / "mine")
    new.main([str(root / "images"), "--study", "beside"])
    assert written("beside.yaml")["dataset"]["table"]["table"] == str(root / "labels.csv")


def test_findings_that_share_a_cell_are_divided(tmp_path):
    cells = ["none", "mass|edema", "edema", "mass"]
    rows = [f"images/{n}.png,p{n},{cells[n % 4]}" for n in range(40)]
    root = archive(tmp_path / "mine", rows=rows)
    with pytest.raises(InputError, match=r"--classes .*mass \(20\).*none \(10\)"):
        new.main([str(root)])
    new.main([str(root), "--classes", "none", "mass"])
    rule = written("mine.yaml")["dataset"]["table"]["labels"]["mass"]
    assert rule == {"column": "finding", "values": ["mass"], "separator": "|"}


def test_columns_of_sex_age_and_view_are_taken_where_they_are_understood(tmp_path):
    rows = [
        f"images/{n}.png,p{n // 2},{n % 2},{'MF'[n % 2]},{30 + n},upright,{n % 3}"
        for n in range(40)
    ]
    header = "path,patient,label,Patient Sex,Patient Age,view,split"
    new.main([str(archive(tmp_path / "mine", header, rows))])
    columns = written("mine.yaml")["dataset"]["table"]["columns"]
    assert (columns["sex"], columns["age"]) == ("Patient Sex", "Patient Age")
    assert columns["view"] is None, "not one of its texts is a view"


def test_dicom_headers_may_tell_the_patient(tmp_path):
    rows = [f"images/{n}.dcm,{'ab'[n % 2]}" for n in range(40)]
    root = archive(tmp_path / "mine", "path,label", rows, suffix=".dcm")
    new.main([str(root)])
    assert written("mine.yaml")["dataset"]["table"]["columns"]["patient"] is None
    pictures = archive(tmp_path / "pictures", "path,label", [r.replace("dcm", "png") for r in rows])
    with pytest.raises(InputError, match="--patient COLUMN, or --no-patient"):
        new.main([str(pictures)])
    assert new.main([str(pictures), "--no-patient"]) == 0


def test_the_layout_of_the_challenge_is_known(tmp_path, capsys):
    root = tmp_path / "siim"
    names = ["Negative for Pneumonia", "Typical Appearance"]
    names += ["Indeterminate Appearance", "Atypical Appearance"]
    studies, images = [], []
    for n in range(12):
        (root / f"train/s{n}/x").mkdir(parents=True)
        (root / f"train/s{n}/x/i{n}.dcm").write_bytes(DICOM)
        studies.append(f"s{n}_study,{','.join('1' if n % 3 == k else '0' for k in range(4))}")
        images.append(f"i{n}_image,,none 1 0 0 1 1,s{n}")
    (root / "train_study_level.csv").write_text("\n".join([",".join(["id", *names]), *studies]))
    (root / "train_image_level.csv").write_text(
        "\n".join(["id,boxes,label,StudyInstanceUID", *images])
    )
    new.main([str(root)])
    config = written("siim.yaml")
    assert (config["dataset"]["layout"], config["dataset"]["siim"]["root"]) == ("siim", str(root))
    assert config["classes"] == ["negative", "typical", "indeterminate"]
    assert "negative: 4 images" in capsys.readouterr().out
    new.main([str(root), "--classes", "typical", "negative", "--study", "two"])
    assert written("two.yaml")["classes"] == ["typical", "negative"]
    for words, said in [
        (["--classes", "negative", "atypical"], "atypical: no image has this label"),
        (["--classes", "Negative", "typical"], "did you mean 'negative'"),
        (["--unknown", "each"], "--unknown: .*columns are known"),
        (["--classes", "negative"], "at least two classes"),
        (["--label", "x"], "--label: .*is laid out as"),
    ]:
        with pytest.raises(InputError, match=said):
            new.main([str(root), *words, "--study", "three"])


def test_on_a_terminal_each_thing_is_proposed_and_asked(tmp_path, answers, capsys):
    root = archive(tmp_path / "mine")
    asked = answers("/no/such/folder", str(root), "", "", "finding", "", "")
    new.main([])
    assert asked == [
        "Folder of the images: ",
        "Folder of the images: ",
        "Column of the image files [path]: ",
        "Column of the patient [patient_id]: ",
        "Column of the label [finding]: ",
        "Numbers of those that are classes [1 2]: ",
        "Name of the study [mine]: ",
    ]
    assert written("mine.yaml")["classes"] == ["normal", "ill"]
    assert "there is no such folder" in capsys.readouterr().out


def test_answers_that_mean_nothing_are_asked_again(tmp_path, answers, capsys):
    rows = [f"images/{n}.png,p{n // 2},{'abc'[n % 3]}" for n in range(40)]
    root = archive(tmp_path / "mine", rows=rows)
    answers("", "who", "Finding", "none", "", "1", "2 9", "a b", "3 1", "a study", "mine-2")
    new.main([str(root)])
    config = written("mine-2.yaml")
    assert config["dataset"]["table"]["columns"]["patient"] is None
    assert sorted(config["classes"]) == ["a", "c"]
    said = capsys.readouterr().out
    assert "one of: patient_id, finding, none\n" in said
    assert "one of: patient_id, finding, none; did you mean 'finding'?" in said
    assert said.count("at least two numbers of 1 to 3") == 3
    assert "a letter or digit first" in said


def test_the_end_of_the_answers_ends_it_and_nothing_is_written(tmp_path, answers, here):
    answers("")
    with pytest.raises(InputError, match="no answer was given; nothing is written"):
        new.main([str(archive(tmp_path / "mine"))])
    assert list(here.iterdir()) == []


def test_of_several_tables_that_fit_one_is_chosen(tmp_path, answers):
    root = archive(tmp_path / "mine")
    archive(root, table="newer.csv")
    archive(root, "a,b", ["1,2"], table="other.csv")
    with pytest.raises(InputError, match="Table: .*give --table .*labels.csv, .*newer.csv"):
        new.main([str(root)])
    answers(str(root / "newer.csv"), "", "", "", "", "")
    new.main([str(root)])
    assert written("mine.yaml")["dataset"]["table"]["table"] == "newer.csv"


def test_a_file_that_is_there_is_kept(tmp_path, here):
    root = archive(tmp_path / "mine")
    (here / "mine.yaml").write_text("kept")
    with pytest.raises(InputError, match=r"mine\.yaml: is there already; give another --output"):
        new.main([str(root)])
    with pytest.raises(InputError, match=r"mine\.yaml: is there already"):
        new.main(["/no/such/folder", "--output", "mine.yaml"])
    assert (here / "mine.yaml").read_text() == "kept"


def refused(rows: Iterable[str], columns: str = "path,patient_id,finding") -> dict:
    return {"columns": columns, "rows": list(rows)}


NO_LABEL = refused(f"images/{n}.png,p{n // 2},{n}" for n in range(40))
TWO_LABELS = refused(
    (f"images/{n}.png,p{n // 2},{n % 2},{n % 3}" for n in range(40)), "path,patient,a,b"
)
MANY = refused(f"images/{n}.png,p{n},{n % 7}" for n in range(40))
RARE = refused(f"images/{n}.png,p{n},{'rare' if n < 9 else n % 2}" for n in range(40))
ONE_CLASS = refused(f"images/{n}.png,p{n},{'normal' if n else ''}" for n in range(40))
ELSEWHERE = refused(f"photos/x{n}.png,p{n},{n % 2}" for n in range(40))
NO_NAME = refused((f"images/{n}.png,k{n // 2},{n % 2}" for n in range(40)), "path,group,label")
CONTRADICTING = refused([*(f"images/{n}.png,p{n},{n % 2}" for n in range(40)), "images/0.png,p0,1"])
GONE = refused(f"{'images' if n % 2 else 'gone'}/x{n}.png,p{n},{n % 2}" for n in range(40))
GONE["rows"] = [row.replace("images/x", "images/") for row in GONE["rows"]]
TWO_PATIENTS = refused(f"images/{n}.png,p{n if n % 2 else n % 4},{n % 2}" for n in range(40))
SHORT = refused(["images/0.png,p0"])


@pytest.mark.parametrize(
    ("made", "words", "said"),
    [
        ({}, ["--label", "fnding"], "--label fnding: .* has no such .*did you mean 'finding'"),
        (
            {},
            ["--patient", "x"],
            "--patient x: .* has no such .*path, .*give one of",
        ),
        ({}, ["--file", "x"], "--file x: .*has no such column"),
        ({}, ["--file", "patient_id", "--no-patient"], "no row leads to a file"),
        ({}, ["--table", "x.csv"], "--table x.csv: there is no such file.*labels.csv"),
        ({}, ["--label", "FINDING"], "did you mean 'finding'"),
        ({}, ["--table", "Label.csv"], "did you mean 'labels.csv'"),
        (
            {},
            ["--classes", "normal", "il"],
            r"--classes il: .*normal \(26\), ill \(14\)\); did you mean 'ill'",
        ),
        ({}, ["--classes", "normal", "ILL"], "--classes ILL: .*did you mean 'ill'"),
        ({}, ["--classes", "normal", "x=Ill"], "--classes x=Ill: .*did you mean 'ill'"),
        ({}, ["--findings", "NORMAL"], "--findings NORMAL: .*did you mean 'normal'"),
        ({}, ["--classes", "normal"], "at least two classes apart"),
        ({}, ["--classes", "a=normal", "a=ill"], "at least two classes apart"),
        ({}, ["--classes", "normal", "x=normal"], "'normal' is there twice"),
        ({}, ["--classes", "a b=normal", "ill"], "'a b' is no name of a class"),
        ({}, ["--study", "a/b"], "--study a/b: letters"),
        (NO_LABEL, [], "Column of the label: .*--label COLUMN .*finding"),
        (TWO_LABELS, [], r"--label COLUMN \(there are: a, b\)"),
        (MANY, [], "which values of 'finding' are classes: .*give --classes"),
        (RARE, [], r"give --classes .*rare \(9\)"),
        (ONE_CLASS, ["--label", "finding"], "give --classes"),
        (ELSEWHERE, [], "no column names image files below .*'photos/x0.png': no such file"),
        (NO_NAME, [], "Column of the patient: .*--patient COLUMN, or --no-patient"),
        (CONTRADICTING, [], "lines 2 and 42: one image file, but the label differs"),
        (GONE, [], "class finding_0: its rows lead to no image files"),
        (TWO_PATIENTS, [], "labelled finding_0 are of 2 patients"),
        (SHORT, [], "line 2: the row does not have the 3 fields"),
        (refused(["\n"]), [], "has no rows below a header"),
    ],
)
def test_what_is_not_sure_or_wrong_is_refused_and_nothing_is_written(
    tmp_path, here, made, words, said
):
    root = archive(tmp_path / "mine", **made)
    with pytest.raises(InputError, match=said):
        new.main([str(root), *words])
    assert list(here.iterdir()) == []


def test_folders_without_what_is_needed(tmp_path):
    with pytest.raises(InputError, match="the folder of the images is missing: .* new FOLDER`"):
        new.main([])
    with pytest.raises(InputError, match="there is no such folder"):
        new.main([str(tmp_path / "none")])
    with pytest.raises(InputError, match="no image file"):
        new.main([str(tmp_path)])
    (tmp_path / "Images").mkdir()
    with pytest.raises(InputError, match="there is no such folder; did you mean 'Images'"):
        new.main([str(tmp_path / "images")])
    latin = archive(tmp_path / "latin")
    (latin / "labels.csv").write_bytes("path,patient,Größe\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"labels\.csv, line 1: a byte \(f6\) is no text in UTF-8"):
        new.main([str(latin)])
    for suffix, patient in ((".dcm", "DICOM headers tell"), (".png", "and one with the patient")):
        root = archive(tmp_path / f"a{suffix}" / "mine", suffix=suffix)
        (root / "labels.csv").unlink()
        with pytest.raises(InputError, match=f"no CSV file .*{patient}.*layout: folders.*kermany"):
            new.main([str(root)])
    braces = archive(tmp_path / "{a}")
    with pytest.raises(InputError, match="rename the folder, or give a link"):
        new.main([str(braces)])
    assert list(Path().iterdir()) == []
