"""The docs are as schema and declarations say."""

from __future__ import annotations

import copy
import re
import sys

import pytest

from sscdl.errors import InputError
from sscdl.study import reference
from sscdl.study.config import load_schema, resolve
from sscdl.study.reference import SCHEMA, describe, describe_tasks, written
from sscdl.study.trie import PRETEXT_TASKS

KEYS = describe(load_schema(SCHEMA))
CELL = re.compile(r"(?<!\\)\|")  # what ends a cell of a Markdown table


def cells(row):
    return [cell.replace(r"\|", "|") for cell in CELL.split(row)[1:-1]]


def test_every_key_is_described():
    rows = KEYS.splitlines()[2:]
    assert len(rows) > 100
    for row in rows:
        assert len(cells(row)) == 3, row
        key, meaning, _ = cells(row)
        assert meaning.strip(), f"{key} has no description"


def described(node, schema, path=""):
    """Yield each key with its description."""
    for name, child in node.get("properties", {}).items():
        child = resolve(child, schema)
        yield f"{path}{name}", child.get("description", "")
        yield from described(child, schema, f"{path}{name}.")


def test_what_is_written_in_backticks_stands_in_the_table_as_it_is():
    schema = load_schema(SCHEMA)
    shown = {key.strip(" `"): text for key, text, _ in map(cells, KEYS.splitlines()[2:])}
    asked = {key: re.findall("`[^`]*`", text) for key, text in described(schema, schema)}
    assert "`(?:^|/)`" in shown["dataset.folders.patterns"]
    for key, codes in asked.items():
        if key in shown:
            assert re.findall("`[^`]*`", shown[key])[: len(codes)] == codes, key


def test_settings_that_all_tasks_have_stand_once_with_the_defaults_of_each():
    rows = dict(cells(row)[::2] for row in KEYS.splitlines()[2:])
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
    rows = [cells(row)[0].strip() for row in describe_tasks().splitlines()[2:]]
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
