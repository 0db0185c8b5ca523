"""The docs are as schema and declarations say."""

from __future__ import annotations

import copy
import sys

import pytest

from sscdl.errors import InputError
from sscdl.study import reference
from sscdl.study.config import load_schema, resolve
from sscdl.study.reference import SCHEMA, describe, describe_tasks, written
from sscdl.study.trie import PRETEXT_TASKS

KEYS = describe(load_schema(SCHEMA))


def test_every_key_is_described():
    rows = KEYS.splitlines()[2:]
    assert len(rows) > 100
    for row in rows:
        key, meaning = row.split("|")[1:3]
        assert meaning.strip(), f"{key} has no description"


def test_settings_that_all_tasks_have_stand_once_with_the_defaults_of_each():
    rows = dict(row.split("|")[1:4:2] for row in KEYS.splitlines()[2:])
    rows = {key.strip(" `"): default.strip() for key, default in rows.items()}
    assert "stages.swav.batch_size" not in rows
    assert rows["stages.<task>.batch_size"].startswith("`32`; ")
    assert "`swav`: `8`" in rows["stages.<task>.batch_size"]
    assert "moco" not in rows["stages.<task>.batch_size"]
    assert rows["stages.<task>.decay"] == '`"constant"`'


def test_a_task_may_have_its_own_default_within_a_block():
    schema = load_schema(SCHEMA)
    block = copy.deepcopy(resolve(schema["properties"]["stages"]["properties"]["swav"], schema))
    block["properties"]["adam"] = copy.deepcopy(resolve(block["properties"]["adam"], schema))
    block["properties"]["adam"]["properties"]["betas"]["default"] = [0.9, 0.95]
    schema["properties"]["stages"]["properties"]["swav"] = block
    assert "`[0.9, 0.999]`; `swav`: `[0.9, 0.95]`" in describe(schema)


def test_every_pretext_task_has_a_row():
    rows = [row.split("|")[1].strip() for row in describe_tasks().splitlines()[2:]]
    assert rows == [f"`{task}`" for task in PRETEXT_TASKS]


def test_the_docs_are_as_they_would_be_written(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["reference", "--check"])
    assert reference.main() == 0, capsys.readouterr().out


def test_stale_docs_are_named_or_written(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(reference, "HOME", tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "README.md").write_text(f"# One\n\n{describe_tasks()}\nTwo\n")
    (tmp_path / "config/README.md").write_text(f"# One\n\n{KEYS.splitlines()[0]}\n| old |\n\nTwo\n")
    monkeypatch.setattr(sys, "argv", ["reference", "--check"])
    assert reference.main() == 1
    assert f"{tmp_path}/config/README.md: not as make docs" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["reference"])
    assert reference.main() == 0
    assert (tmp_path / "config/README.md").read_text() == f"# One\n\n{KEYS}\nTwo\n"


def test_a_page_without_the_table_is_refused():
    with pytest.raises(InputError, match="no table begins with"):
        written("# One\n", KEYS)
