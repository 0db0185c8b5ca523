"""Older sources are accepted where the file of comparisons says so, and nowhere else."""

from __future__ import annotations

import json

import pytest

from sscdl import equivalence
from sscdl.errors import InputError
from sscdl.files import read_json
from sscdl.source import GROUPS, group_modules, source_hash
from sscdl.tasks.options import DEFAULTS
from sscdl.upkeep.command import main as store_command
from tests.unit.plan_helpers import make_nodes, make_plan, train
from tests.unit.small_store import small_store  # noqa: F401

PRESENT = source_hash(*group_modules("moco"))


def entry(old: str, new: str, base: str, group: str = "moco"):
    return {"base": base * 40, "groups": {group: {"old": old, "new": new, "cases": ["one"]}}}


@pytest.fixture
def compared(tmp_path, monkeypatch):
    """Return a function that writes the file of comparisons."""
    path = tmp_path / "equivalent_sources.json"
    monkeypatch.setattr(equivalence, "PATH", path)

    def write(*entries) -> None:
        equivalence._entries.cache_clear()
        path.write_text(json.dumps({"format": 1, "entries": entries}))

    yield write
    equivalence._entries.cache_clear()


def test_without_a_comparison_a_hash_is_its_own(compared):
    compared()
    assert equivalence.accepted("moco") is None
    assert equivalence.group_hash("moco") == PRESENT
    equivalence.PATH.unlink()
    equivalence._entries.cache_clear()
    assert equivalence.group_hash("moco") == PRESENT


def test_a_chain_of_comparisons_leads_to_the_oldest(compared):
    compared(entry("first", "second", "a"), entry("second", PRESENT, "b"))
    assert equivalence.accepted("moco") == ("moco", "first", "a" * 40)


@pytest.mark.parametrize(
    "entries",
    [
        [entry("first", "another", "a")],  # the code has changed since
        [entry("first", PRESENT, "a", "swav")],  # another group
        [entry("second", "third", "a"), entry("first", "second", "b")],  # a chain with a gap
    ],
)
def test_nothing_else_is_accepted(compared, entries):
    compared(*entries)
    assert equivalence.accepted("moco") is None


def test_a_chain_with_a_gap_ends_there(compared):
    compared(entry("first", "second", "a"), entry("other", PRESENT, "b"))
    assert equivalence.group_hash("moco") == "other"


@pytest.mark.parametrize("text", ["{", "[]", '{"entries": [1]}', '{"entries": [{"base": "a"}]}'])
def test_a_damaged_file_is_named(compared, text):
    compared()
    equivalence.PATH.write_text(text)
    with pytest.raises(InputError, match=r"equivalent_sources\.json: damaged"):
        equivalence.group_hash("moco")


def test_plan_and_verify_say_what_they_accepted(compared, small_store, capsys):  # noqa: F811
    compared(entry("0ld", PRESENT, "a"))
    nodes = make_nodes("moco")
    assert nodes[0].recipe["source"] == "0ld"
    train(small_store.folder, nodes)
    text = make_plan(small_store.folder, nodes)
    wanted = "the source of moco counts as that of revision aaaaaaaaaaaa, which was compared"
    assert f"Accepted: {wanted}" in text
    assert "2 finished" in text
    assert store_command(["verify", str(small_store.folder)]) == 0
    assert f"note      {wanted}" in capsys.readouterr().out
    assert "Accepted" not in make_plan(small_store.folder / "empty", nodes)


def test_the_projects_own_file_is_of_groups_that_there_are():
    """The file is read whenever the workflow starts; what it holds is tested by comparing again."""
    known = {*GROUPS, *DEFAULTS}
    for one in read_json(equivalence.PATH)["entries"]:
        assert one["groups"].keys() <= known
