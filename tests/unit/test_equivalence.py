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
FIRST, SECOND, THIRD, OTHER = (digit * 12 for digit in "1234")


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


def test_a_chain_of_comparisons_leads_to_the_oldest(compared):
    compared(entry(FIRST, SECOND, "a"), entry(SECOND, PRESENT, "b"))
    assert equivalence.accepted("moco") == ("moco", FIRST, "a" * 40)


@pytest.mark.parametrize(
    "entries",
    [
        [entry(FIRST, THIRD, "a")],  # the code has changed since
        [entry(FIRST, PRESENT, "a", "swav")],  # another group
        [entry(SECOND, THIRD, "a"), entry(FIRST, SECOND, "b")],  # a chain with a gap
    ],
)
def test_nothing_else_is_accepted(compared, entries):
    compared(*entries)
    assert equivalence.accepted("moco") is None


def test_a_chain_with_a_gap_ends_there(compared):
    compared(entry(FIRST, SECOND, "a"), entry(OTHER, PRESENT, "b"))
    assert equivalence.group_hash("moco") == OTHER


def test_entries_in_another_order_are_followed_all_the_same(compared):
    """As they may come from two lines of history that were joined."""
    compared(entry(SECOND, PRESENT, "b"), entry(FIRST, SECOND, "a"))
    assert equivalence.group_hash("moco") == FIRST


def test_a_circle_ends(compared):
    compared(entry(FIRST, PRESENT, "a"), entry(PRESENT, FIRST, "b"))
    assert equivalence.group_hash("moco") in (FIRST, PRESENT)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "[" * 100_000,
        '{"format": 1}',
        '{"format": 2, "entries": []}',
        '{"format": 1, "entries": {}}',
        '{"format": 1, "entries": [1]}',
        '{"format": 1, "entries": [{"base": "a"}]}',
        json.dumps({"format": 1, "entries": [entry(None, PRESENT, "a")]}),
        json.dumps({"format": 1, "entries": [entry("", PRESENT, "a")]}),
        json.dumps({"format": 1, "entries": [entry(FIRST, PRESENT, "a") | {"base": None}]}),
    ],
)
def test_a_damaged_file_is_named(compared, text):
    compared()
    equivalence.PATH.write_text(text)
    with pytest.raises(InputError, match=r"equivalent_sources\.json: .* is damaged"):
        equivalence.group_hash("moco")


def test_a_missing_file_is_no_reason_to_train_all_again(compared):
    with pytest.raises(InputError, match=r"equivalent_sources\.json: .* is missing"):
        equivalence.group_hash("moco")


def test_plan_and_verify_say_what_they_accepted(compared, small_store, capsys):  # noqa: F811
    compared(entry(FIRST, PRESENT, "a"))
    nodes = make_nodes("moco")
    assert nodes[0].recipe["source"] == FIRST
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
