"""Folders without a table: what patterns find in paths, in the form in which sets are published."""

from __future__ import annotations

import math

import pytest

from sscdl.archives.digests import Digests, content
from sscdl.archives.given_split import read_given_split
from sscdl.archives.layouts import list_files
from sscdl.archives.reading import read_index
from sscdl.errors import InputError
from sscdl.identifiers import pseudonym
from tests.unit.table_archives import images, problems

FILES = [
    "chest_xray/test/NORMAL/IM-0001-0001.jpeg",
    "chest_xray/test/PNEUMONIA/person1_virus_6.jpeg",
    "chest_xray/train/NORMAL/IM-0115-0001.jpeg",
    "chest_xray/train/NORMAL/NORMAL2-IM-0173-0001-0002.jpeg",
    "chest_xray/train/PNEUMONIA/person1_bacteria_1.jpeg",
    "chest_xray/train/PNEUMONIA/person1_bacteria_2.jpeg",
    "chest_xray/val/PNEUMONIA/person1946_bacteria_4874.jpeg",
]
PATTERNS = [
    r"(?P<split>train|val|test)/(?P<label>NORMAL)/(?P<patient>(?:NORMAL2-)?IM-\d+)-",
    r"(?P<split>train|val|test)/PNEUMONIA/(?P<patient>person\d+_(?P<label>bacteria|virus))_",
]
LABELS = {"normal": ["NORMAL"], "pneumonia": ["bacteria", "virus"]}


def made(folder, files=FILES, **settings):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return {
        "layout": "folders", "root": str(folder), "id_key": "k", "ids": "hash",
        "patterns": PATTERNS, "labels": LABELS, **settings,
    }  # fmt: skip


def test_each_path_says_label_and_patient(tmp_path):
    found = images(made(tmp_path, ids="file"))
    rows = [(row["image_id"], row["label"], row["patient_id"]) for row in found.values()]
    assert dict(zip(found, rows, strict=True)) == {
        FILES[0]: ("IM-0001-0001", "normal", "IM-0001"),
        FILES[1]: ("person1_virus_6", "pneumonia", "person1_virus"),
        FILES[2]: ("IM-0115-0001", "normal", "IM-0115"),
        FILES[3]: ("NORMAL2-IM-0173-0001-0002", "normal", "NORMAL2-IM-0173"),
        FILES[4]: ("person1_bacteria_1", "pneumonia", "person1_bacteria"),
        FILES[5]: ("person1_bacteria_2", "pneumonia", "person1_bacteria"),
        FILES[6]: ("person1946_bacteria_4874", "pneumonia", "person1946_bacteria"),
    }
    assert found[FILES[4]]["study_id"] == found[FILES[5]]["study_id"]
    assert len({row["study_id"] for row in found.values()}) == 6
    assert all(math.isnan(row["age"]) and row["sex"] == "" for row in found.values())


def test_ids_are_hashes_and_nothing_names_a_file_unless_it_is_asked_for(tmp_path):
    dataset = made(tmp_path, [*FILES, "chest_xray/train/odd.png", "chest_xray/notes.bin"])
    (tmp_path / "chest_xray/notes.bin").write_bytes(b"\0\1\2")
    found = read_index(dataset).images
    assert set(found["image_id"]) == {pseudonym(path, "k") for path in FILES}
    assert set(found["shown"]) == {f"file {n} by path" for n in (1, 2, 3, 4, 5, 6, 8)}
    assert ("file 7 by path", "no pattern is found in its path; left out") in problems(dataset)
    assert "odd" not in str(problems(dataset))
    assert "notes" not in str(problems(dataset))
    named = dict(problems(dataset | {"ids": "file"}))
    assert named["chest_xray/train/odd.png"] == "no pattern is found in its path; left out"
    assert "chest_xray/notes.bin" in named


def test_paths_that_say_less_are_warned_of_with_their_number_and_an_example(tmp_path):
    files = [*FILES, "chest_xray/train/NORMAL/scan.png", "chest_xray/odd.png"]
    patterns = [*PATTERNS, r"/(?P<label>NORMAL)/"]
    index = read_index(made(tmp_path, files, patterns=patterns))
    said = "says nothing in 1 of 8 files, for example file 6 by path"
    assert index.warnings == (
        f"folders.patterns: the group 'split' {said}",
        f"folders.patterns: the group 'patient' {said}",
        "folders.patterns: found in 8 of 9 paths; the others are left out, for example file 1 by "
        "path",
    )
    lost = made(tmp_path, files, patterns=patterns, labels={"normal": ["NORMAL"]})
    assert (".", "files whose label is none of folders.labels: 4") in problems(lost)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patterns": []}, "folders.patterns: missing; regular expressions that say what the"),
        ({"patterns": ["("]}, r"folders.patterns.0: '\(' is no regular expression"),
        ({"patterns": ["(?P<lable>[A-Z]+)/"]}, "a group named 'lable'; did you mean 'label'"),
        ({"patterns": ["(?P<zzz>x)"]}, "a group named 'zzz'; known are label, split,"),
        ({"patterns": ["[A-Z]+/"]}, r"patterns.0: '\[A-Z\]\+/' has no named group"),
        (
            {"patterns": [PATTERNS[0], "(?P<label>tuberculosis)/"]},
            r"folders.patterns.1: .* is found in none of the 7 image files below .* that no "
            r"earlier one fits, for example file 1 by path",
        ),
        (
            {"patterns": [r"(?P<label>[A-Z]+)/(?P<patient>Q\d+)?"]},
            "folders.patterns: the group 'patient' says nothing in any of the 7 image files",
        ),
        (
            {"labels": {"normal": ["NORMAL"], "tb": ["tuberculosis"]}},
            r"folders.labels.tb: no file has tuberculosis as its label \(there are NORMAL \(3\), b",
        ),
        ({"labels": {"one": ["NORMAL"], "two": ["NORMAL"]}}, "'NORMAL' means two labels"),
        (
            {"patterns": [r"(?P<patient>\d+)"]},
            r"folders.labels: no pattern has a group \(\?P<label>",
        ),
    ],
)
def test_what_would_leave_labels_or_patients_in_doubt_is_refused_at_the_start(
    tmp_path, change, message
):
    dataset = made(tmp_path, **change)
    for read in (list_files, read_index):
        with pytest.raises(InputError, match=message):
            read(dataset)


def test_without_labels_or_patients_the_images_can_be_pretrained_on(tmp_path):
    dataset = made(tmp_path, patterns=[r"(?P<split>train|test)/"], labels={})
    found = images(dataset)
    assert {row["label"] for row in found.values()} == {""}
    assert len({row["study_id"] for row in found.values()}) == 6
    reason = "no group for the patient: each PNG, JPEG or TIFF file counts as another patient"
    assert (".", reason) in problems(dataset)


def test_the_split_stands_in_the_paths(tmp_path):
    dataset = made(tmp_path)
    block = {"name": "split", "pattern": None, "train": ["train", "val"], "val": None}
    split = {"source": "column", "column": block | {"test": ["test"]}, "straddling": "refuse"}
    given = read_given_split(dataset, split, list_files(dataset).images)
    assert [given.sides[path] for path in FILES] == ["test"] * 2 + ["train"] * 5
    split["column"]["name"] = "part"
    with pytest.raises(InputError, match="split.column.name: 'part' is no group of folders.patt"):
        read_given_split(dataset, split, list_files(dataset).images)
    # A number alone joins two children here, one of each side.
    patterns = [PATTERNS[0], PATTERNS[1].replace("_(?P", ")_(?P").replace("virus))_", "virus)_")]
    split["column"]["name"] = "split"
    other = made(tmp_path, patterns=patterns)
    with pytest.raises(InputError, match=f"1 patients .* such as {pseudonym('person1', 'k')}"):
        read_given_split(other, split, list_files(other).images)


def test_the_archive_is_another_when_a_file_moves_and_not_when_the_root_does(tmp_path):
    digests = Digests(tmp_path / "digests")
    one, two = (made(tmp_path / name) for name in ("one", "two"))
    same = {content(list_files(dataset), digests) for dataset in (one, two)}
    (tmp_path / "two" / FILES[0]).rename(tmp_path / "two" / FILES[0].replace("0001.", "0002."))
    assert len(same) == 1
    assert content(list_files(two), digests) not in same


def cut(folder, pattern, names, ids="file"):
    """Return what is said of patterns that stop amid a word."""
    files = [f"{name}/p{n}.png" for n, name in enumerate(names)]
    dataset = made(folder, files, patterns=[pattern], labels={}, ids=ids)
    return [one for one in read_index(dataset).warnings if "amid a word" in one]


def test_a_group_that_stops_amid_a_word_is_warned_of(tmp_path):
    names = ["normal", "abnormal", "tb"]
    (said,) = cut(tmp_path, "(?P<label>normal|tb)/", names)
    assert said.startswith(
        "folders.patterns.0: the group 'label' begins amid a word in 1 of 3 paths, for example "
        "abnormal/p1.png; if that is another word than you mean, say what stands before it"
    )
    (hidden,) = cut(tmp_path, "(?P<label>normal|tb)/", names, ids="hash")
    assert "for example file 1 by path; if" in hidden
    (said,) = cut(tmp_path / "end", "(?P<split>train|tb)", ["trainable", "x_train", "tb"])
    assert "the group 'split' ends amid a word in 1 of 3 paths" in said
    (said,) = cut(tmp_path / "wild", ".*(?P<label>normal|tb)/", names)
    assert "begins amid a word in 1 of 3 paths" in said


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("(?:^|/)(?P<label>normal|tb)/", ["normal", "abnormal", "tb"]),
        ("(?P<split>train|test)ing/", ["training", "testing"]),
        ("(?P<label>Normal|TB)", ["trainNormal", "trainTB", "chestNormal_1"]),
        ("(?P<label>[a-z]+)", ["normal", "abnormal2"]),
        ("(?P<label>0|1)", ["class0", "class1a"]),
        ("(?P<patient>p)", ["up", "pp"]),
    ],
)
def test_words_that_a_pattern_means_are_not_warned_of(tmp_path, pattern, names):
    assert cut(tmp_path, pattern, names) == []


def test_a_pattern_takes_its_part_of_a_group_for_the_split(tmp_path):
    files = [f"fold-{n}/p{n}.png" for n in range(3)]
    dataset = made(tmp_path, files, patterns=[r"(?P<split>fold-\d)/"], labels={})
    column = {"name": "split", "pattern": r"\d", "train": [0, 1], "val": None, "test": [2]}
    split = {"source": "column", "column": column, "straddling": "refuse"}
    given = read_given_split(dataset, split, list_files(dataset).images)
    assert list(given.sides.values()) == ["train", "train", "test"]


def test_paths_without_a_label_or_a_side_are_warned_of(tmp_path):
    files = [*FILES[:4], "other/NORMAL/IM-0001-0002.jpeg", "test/odd/IM-0003-0001.jpeg"]
    pattern = r"(?P<split>train|test)?/(?P<label>NORMAL|PNEUMONIA)?/?(?:odd/)?(?P<patient>IM|per|N)"
    labels = {"normal": ["NORMAL"], "pneumonia": ["PNEUMONIA"]}
    found = read_index(made(tmp_path, files, patterns=[pattern], labels=labels)).warnings
    for name, number in (("label", 6), ("split", 5)):
        said = (
            f"folders.patterns: the group {name!r} says nothing in 1 of 6 files, for example file"
        )
        assert f"{said} {number} by path" in found
