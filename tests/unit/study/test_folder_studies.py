"""What names the images of archives: paths, labels and patterns, read in a single walk."""

from __future__ import annotations

import copy
import os

import pytest

from sscdl import source
from sscdl.equivalence import group_hash
from sscdl.study.config import check_config, load_schema
from sscdl.study.reference import SCHEMA as PATH
from sscdl.study.study import Study
from tests.unit.table_archives import archive

SCHEMA = load_schema(PATH)
PATTERN = r"(?P<split>train|test)/(?P<label>[ab])/(?P<patient>p\d)"


@pytest.fixture
def config(tmp_path):
    """Return the configuration of eight images in folders for label and split."""
    root = tmp_path / "archive"
    for n in range(8):
        path = root / ("train" if n > 3 else "test") / "ab"[n % 2] / f"p{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    folders = {"root": str(root), "patterns": [PATTERN], "labels": {"a": ["a"], "b": ["b"]}}
    column = {"name": "split", "train": ["train"], "test": ["test"]}
    return {
        "study": "s", "store": str(tmp_path / "store"), "classes": ["a", "b"],
        "curricula": ["scratch"], "dataset": {"layout": "folders", "folders": folders},
        "split": {"source": "column", "column": column},
    }  # fmt: skip


def study(config):
    return Study(check_config(copy.deepcopy(config), SCHEMA))


def test_folders_are_walked_once_for_all_that_is_asked_of_them(config, monkeypatch):
    walked, scandir = [], os.scandir

    def counted(where):
        if "archive" in str(where):
            walked.append(str(where))
        return scandir(where)

    monkeypatch.setattr(os, "scandir", counted)
    made = study(config)
    assert made.found["given split"]["recipe"]
    assert made.image_files == 8
    assert made.nodes
    assert len(walked) == len(set(walked)) == 7


def test_no_earlier_version_has_made_images_of_folders(config):
    made = study(config)
    assert made.earlier_images() == []


def test_the_code_that_reads_folders_is_in_the_name_of_their_images_alone(
    config, tmp_path, monkeypatch
):
    root = tmp_path / "table"
    rows = [("0.png", "p0", "a"), ("1.png", "p1", "b")]
    archive(root, ("file", "patient", "label"), rows, [row[0] for row in rows])
    labels = {name: {"column": "label", "values": [name]} for name in "ab"}
    table = {"root": str(root), "table": "table.csv", "labels": labels}
    table["columns"] = {"file": "file", "patient": "patient"}
    other = config | {"dataset": {"layout": "table", "table": table}, "split": {}}
    before = study(config).images, study(other).images
    monkeypatch.setattr(
        "sscdl.study.material.group_hash",
        lambda group: "another code" if group == "folders" else group_hash(group),
    )
    assert study(config).images != before[0]
    assert study(other).images == before[1]


def test_an_archive_that_moves_is_the_same_and_another_meaning_of_a_label_is_not(config, tmp_path):
    before = study(config).images
    (tmp_path / "archive").rename(tmp_path / "moved")
    folders = config["dataset"]["folders"] | {"root": str(tmp_path / "moved")}
    moved = config | {"dataset": {"layout": "folders", "folders": folders}}
    assert study(moved).images == before
    folders["labels"] = {"a": ["b"], "b": ["a"]}
    assert study(moved).images != before


def test_a_further_table_is_known_by_its_contents_and_not_by_its_name(config, tmp_path):
    root, rows = tmp_path / "table", [("0.png", "p0", "a"), ("1.png", "p1", "b")]
    archive(root, ("file", "patient", "label"), rows[:1], [row[0] for row in rows])
    labels = {name: {"column": "label", "values": [name]} for name in "ab"}
    columns = {"file": "file", "patient": "patient"}

    def images(name, patient):
        (root / name).write_text(f"file,patient,label\n1.png,{patient},b\n")
        table = {"root": str(root), "table": "table.csv", "labels": labels, "columns": columns}
        dataset = {"layout": "table", "table": table | {"further": [name]}}
        return study(config | {"dataset": dataset, "split": {}}).images

    before = images("more.csv", "p1")
    (root / "more.csv").unlink()
    assert images("called_otherwise.csv", "p1") == before
    assert images("called_otherwise.csv", "p2") != before


def test_the_words_of_warnings_are_no_part_of_what_names_images_of_folders():
    read_by = source.import_closure(source.GROUPS["folders"])
    assert {"sscdl.archives.folders", "sscdl.archives.folder_settings"} <= set(read_by)
    assert "sscdl.archives.folder_words" not in read_by
