"""``sscdl new`` where a wrong class, a leaked patient or a mask would pass without a word."""

from __future__ import annotations

import pytest

from sscdl.errors import InputError
from sscdl.front import new
from tests.unit.front.image_trees import read, sides, tree
from tests.unit.own_images import written

pytestmark = pytest.mark.usefixtures("here")

LABELS = [("NORMAL", "ILL")[n % 2] for n in range(40)]


def table(root, header: str, rows) -> None:
    (root / "t.csv").write_text("\n".join([header, *rows]) + "\n")


def test_the_number_of_a_row_is_no_file(tmp_path):
    root = tree(tmp_path / "mine", [f"images/{n}.png" for n in range(40)])
    rows = [f"{n},{39 - n}.png,p{n // 2},{'ab'[n // 2 % 2]}" for n in range(40)]
    table(root, "index,id,patient,label", rows)
    new.main([str(root)])
    assert written("mine.yaml")["dataset"]["table"]["columns"]["file"] == "id"
    _, labels, _ = read("mine.yaml")
    assert labels["images/39.png"] == "a"
    assert labels["images/37.png"] == "b"
    for header in ("index,scan,patient,label", "index,scan_id,patient,label"):
        table(root, header, [row.replace(".png", "") for row in rows])
        with pytest.raises(InputError, match="give --file"):
            new.main([str(root), "--output", "other.yaml"])


def test_numbers_of_patients_are_no_files_where_paths_are(tmp_path):
    root = tree(tmp_path / "mine", [f"images/{n}.png" for n in range(40)])
    table(
        root, "image_id,PatientID,label",
        [f"images/{n}.png,{n // 2},{'ab'[n // 2 % 2]}" for n in range(40)],
    )  # fmt: skip
    new.main([str(root)])
    columns = written("mine.yaml")["dataset"]["table"]["columns"]
    assert (columns["file"], columns["patient"]) == ("image_id", "PatientID")


@pytest.mark.parametrize("ways", [("sub-A00", "sub-A0"), ("sub-ab0", "sub-AB0")])
def test_alike_is_refused_where_it_would_leave_one_patient_two(tmp_path, ways):
    paths = [
        f"{label}/{way}{n // 4}/{n}.png"
        for n in range(40)
        for label, way in zip(("NORMAL", "ILL"), ways, strict=True)
    ]
    root = tree(tmp_path / "mine", paths)
    with pytest.raises(InputError, match="--alike one: .* have no single number each"):
        new.main([str(root), "--alike", "one"])


def test_patients_with_and_without_a_short_word_are_asked_about(tmp_path):
    root = tree(tmp_path / "mine", [f"{n}.png" for n in range(40)])
    whose = [f"{'P' if n % 2 else ''}{n // 2}" for n in range(40)]
    rows = [f"{n}.png,{one},{'ab'[n // 2 % 2]}" for n, one in enumerate(whose)]
    table(root, "file,patient,label", rows)
    with pytest.raises(InputError, match="20 patients may be written in several ways"):
        new.main([str(root)])


@pytest.mark.parametrize("between", ["chest", "site_4", "a/b"])
def test_a_split_is_seen_whatever_lies_between_side_and_label(tmp_path, capsys, between):
    paths = [
        f"{'test' if n % 8 > 5 else 'train'}/{between}/{label}/patient{n}.png"
        for n, label in enumerate(LABELS)
    ]
    root = tree(tmp_path / "mine", paths)
    new.main([str(root), "--classes", "NORMAL", "ILL"])
    assert "A split is given" in capsys.readouterr().out
    config, labels, _ = read("mine.yaml")
    assert len(labels) == 40
    config["split"] = {
        "source": "column", "straddling": "refuse",
        "column": {"name": "split", "pattern": None, "train": ["train"], "val": None,
                   "test": ["test"]},
    }  # fmt: skip
    assert sorted(sides(config).values()) == ["test"] * 10 + ["train"] * 30


def test_classes_that_differ_in_a_sign_inside_are_asked_about(tmp_path):
    root = tree(tmp_path / "mine", [f"{n}.png" for n in range(60)])
    texts = ["COVID-19", "COVID19", "normal"]
    table(root, "file,patient,label", [f"{n}.png,p{n},{texts[n % 3]}" for n in range(60)])
    with pytest.raises(InputError, match="'COVID-19' and 'COVID19' are alike"):
        new.main([str(root)])


def test_masks_of_short_names_are_set_aside(tmp_path):
    paths = [f"{label}/patient{n}" for n, label in enumerate(LABELS)]
    root = tree(tmp_path / "mine", [f"{one}{end}" for one in paths for end in (".png", "_seg.png")])
    new.main([str(root)])
    _, labels, _ = read("mine.yaml")
    assert sorted(labels) == sorted(f"{one}.png" for one in paths)


def test_a_sole_column_of_masks_is_not_taken(tmp_path):
    paths = [f"{folder}/{n}.png" for folder in ("images", "masks") for n in range(40)]
    root = tree(tmp_path / "mine", paths)
    table(root, "path,patient,label", [f"masks/{n}.png,p{n},{'ab'[n % 2]}" for n in range(40)])
    with pytest.raises(InputError, match="give --file"):
        new.main([str(root)])


def test_folders_of_patients_above_labels_are_not_thrown_away(tmp_path):
    root = tree(
        tmp_path / "mine", [f"patient{n // 4}/{one}/{n}.png" for n, one in enumerate(LABELS)]
    )
    for more in ([], ["--no-patient"]):
        with pytest.raises(InputError, match="folders of patients lie above labels"):
            new.main([str(root), *more])


def test_folders_that_differ_in_a_number_alone_are_no_classes_unless_that_is_said(tmp_path):
    root = tree(tmp_path / "mine", [f"P{n % 4:02}/patient{n}.png" for n in range(60)])
    with pytest.raises(InputError, match="folders differ in a number alone"):
        new.main([str(root)])
    new.main([str(root), "--classes", "P00", "P01"])
    graded = tree(tmp_path / "graded", [f"grade {n % 4}/patient{n}.png" for n in range(60)])
    new.main([str(graded)])
