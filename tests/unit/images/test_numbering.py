"""One archive for pretraining and one, perhaps a part of it, for the labels: who is who in both."""

from __future__ import annotations

import os

import pytest

from sscdl.archives.reading import read_index
from sscdl.identifiers import pseudonym
from sscdl.images.numbering import number_images
from tests.unit.table_archives import archive

HEADER = ("f", "p", "l")
# Four patients with two images each; the first two are labelled, one image of each.
ROWS = [(f"{n}.png", f"{n // 2}", "x" if n in (0, 2) else "") for n in range(8)]
LABELLED = {"column": "l", "values": ["x"]}


def described(folder, rows=ROWS, **settings):
    """Write an archive and return its description, patients in column p."""
    columns = {"file": "f", "patient": "p"}
    return archive(folder, HEADER, rows, [row[0] for row in rows], columns=columns, **settings)


def numbered(main, pretraining):
    cohorts = {"main": main, "pretraining": pretraining}
    found = number_images(cohorts, {name: read_index(one) for name, one in cohorts.items()})
    patients = {"main": set(), "pretraining": set()}
    files = {"main": [], "pretraining": []}
    for cohort, row in found.images:
        patients[cohort].add(found.patient(cohort, row["patient_id"]))
        files[cohort].append(row["path"])
    ids = [row["image_id"] for _, row in found.images]
    assert len(ids) == len(set(ids))
    return found, patients, {name: sorted(paths) for name, paths in files.items()}


@pytest.mark.parametrize("other_key", ["k", "another"])
def test_pretraining_on_everything_and_the_labelled_part_of_it(tmp_path, other_key):
    whole = described(tmp_path)
    main = {**whole, "keep": LABELLED}
    found, patients, files = numbered(main, {**whole, "id_key": other_key})
    assert files["main"] == ["0.png", "2.png"]
    # What both name belongs to main.
    assert files["pretraining"] == ["1.png", "3.png", "4.png", "5.png", "6.png", "7.png"]
    assert patients["main"] == {pseudonym(one, "k") for one in "01"}
    assert patients["main"] < patients["pretraining"]
    assert len(patients["pretraining"]) == 4
    assert found.problems == [
        ("pretraining", ".", "files of the archive main, left out of pretraining: 2")
    ]
    assert found.warnings == []


def test_a_folder_within_the_other_a_link_and_a_hard_link(tmp_path):
    part = described(tmp_path / "all/part", ROWS[:4])
    whole = described(tmp_path / "all", [(f"part/{row[0]}", *row[1:]) for row in ROWS[:4]])
    assert numbered(part, whole)[2]["pretraining"] == []
    links = described(tmp_path / "links", [(f"x{row[0]}", *row[1:]) for row in ROWS[:4]])
    for number in range(4):
        (tmp_path / f"links/x{number}.png").unlink()
        os.link(tmp_path / f"all/part/{number}.png", tmp_path / f"links/x{number}.png")
    assert numbered(part, {**links, "id_key": "other"})[2]["pretraining"] == []


def test_whole_numbers_are_compared_as_numbers_whatever_the_other_ids_are(tmp_path):
    main = described(tmp_path / "a")
    padded = [(file, f"000{patient}", label) for file, patient, label in ROWS]
    _, patients, _ = numbered(main, described(tmp_path / "b", padded))
    assert patients["pretraining"] == patients["main"]
    # One id that is no number must not make strangers of all others.
    padded[0] = ("0.png", "P-9", "")
    _, patients, _ = numbered(main, described(tmp_path / "c", padded))
    assert patients["main"] < patients["pretraining"]
    assert len(patients["pretraining"] - patients["main"]) == 1
    # 1.1 and 1.10 may be two people, a child of a family each.
    parts = [(f"{n}.png", one, "") for n, one in enumerate(["1.1", "1.10"])]
    one, other = described(tmp_path / "d", parts[:1]), described(tmp_path / "e", parts[1:])
    _, patients, _ = numbered(one, other)
    assert not patients["pretraining"] & patients["main"]


def test_one_archive_within_the_folder_of_another_with_another_key_is_told_of(tmp_path):
    main = described(tmp_path)
    inner = described(tmp_path / "other", [(f"b{row[0]}", *row[1:]) for row in ROWS])
    found, patients, _ = numbered(main, {**inner, "id_key": "another"})
    assert patients["pretraining"] == patients["main"]
    assert "4 of its 4 patient ids are also in the main archive, and count" in found.warnings[0]


def test_ids_that_are_taken_become_hashes(tmp_path):
    main = described(tmp_path / "a")
    found, _, files = numbered(main, described(tmp_path / "b"))
    assert len(files["pretraining"]) == 8
    assert [row["image_id"] for cohort, row in found.images if cohort == "main"] == list(
        read_index(main).images["image_id"]
    )
    assert found.problems[0][2] == "image ids of other files in main, replaced by hashes: 8"


def test_other_archives_under_two_keys_stay_apart_but_not_without_a_word(tmp_path):
    other = described(tmp_path / "b", [(f"b{row[0]}", *row[1:]) for row in ROWS], id_key="other")
    other = {**other, "id_key": "other"}
    found, patients, _ = numbered(described(tmp_path / "a"), other)
    assert not patients["main"] & patients["pretraining"]
    assert "4 of its 4 patient ids are also in the main archive" in found.warnings[0]


def test_no_patient_in_common_where_there_should_be_some(tmp_path):
    whole = described(tmp_path)
    rest = {"column": "l", "values": [""]}
    rows = [(file, f"{n}", label) for n, (file, _, label) in enumerate(ROWS)]
    whole = described(tmp_path, rows)
    found, _, _ = numbered({**whole, "keep": LABELLED}, {**whole, "keep": rest})
    assert "has no patient in common with the main archive" in found.warnings[0]
