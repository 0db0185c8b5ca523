"""JSON files are checked as they are read, all in one way."""

from __future__ import annotations

import json
import re

import pytest

from sscdl.errors import DamagedFile, InputError
from sscdl.records import ITSELF, Kind, read_record, set_aside
from tests.conftest import ROOT

KIND = Kind(
    "a tree",
    "plant it again",
    {"name": str, "age": int, "height": (float, None), "dead?": bool, "twigs": [ITSELF]},
)
TREE = {"name": "a", "age": 3, "height": 1, "twigs": []}
# No files of ours: pipes, cells of a table, the header of weights, Snakemake's records, a copy.
ELSEWHERE = {
    "files", "records", "images/render_worker", "images/renderer", "tables/dataset",
    "evaluation/attention_scores", "segment/networks/checkpoint", "store/nodes", "study/config",
    "study/config_files", "stages/start",
}  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [TREE, TREE | {"height": None}, TREE | {"twigs": [TREE], "more": 1}, TREE | {"dead": True}],
)
def test_what_fits_is_returned(tmp_path, value):
    path = tmp_path / "tree.json"
    path.write_text(json.dumps(value))
    assert read_record(path, KIND) == value


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ([], "it is a list and not an object"),
        ({"name": "a"}, "age, height, twigs missing in it"),
        (TREE | {"age": 1.5}, "age is a number and not a whole number"),
        (TREE | {"age": True}, "age is true or false and not a whole number"),
        (TREE | {"height": "x"}, "height is a text and not a number"),
        (TREE | {"dead": 0}, "dead is a whole number and not true or false"),
        (TREE | {"twigs": {}}, "twigs is an object and not a list"),
        (TREE | {"twigs": [TREE, {**TREE, "name": None}]}, r"twigs\[1\].name is null and not a te"),
    ],
)
def test_what_does_not_is_named_with_its_place(tmp_path, value, fault):
    path = tmp_path / "tree.json"
    path.write_text(json.dumps(value))
    with pytest.raises(DamagedFile, match=rf"tree\.json: a tree is damaged \({fault}.*plant it"):
        read_record(path, KIND)


def test_missing_files_and_folders_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="a tree is missing") as failed:
        read_record(tmp_path / "tree.json", KIND)
    assert not isinstance(failed.value, DamagedFile)
    (tmp_path / "tree.json").mkdir()
    with pytest.raises(DamagedFile, match="is a folder"):
        read_record(tmp_path / "tree.json", KIND)


def test_nothing_that_was_set_aside_before_is_lost(tmp_path):
    for text in "abc":
        (tmp_path / "tree.json").write_text(text)
        set_aside(tmp_path / "tree.json")
    assert sorted(path.read_text() for path in tmp_path.glob("*.damaged")) == ["a", "b", "c"]


def test_no_module_reads_json_by_itself():
    for path in (ROOT / "sscdl").rglob("*.py"):
        name = path.relative_to(ROOT / "sscdl").with_suffix("").as_posix()
        if name not in ELSEWHERE:
            assert not re.search(r"\bread_json\b|\bjson\.loads?\(", path.read_text()), name
