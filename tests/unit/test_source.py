"""The source hash sees what code does and nothing else."""

from __future__ import annotations

import pytest

from sscdl import source

MODULE = '''
"""Docstring."""
import sscdl.other
from sscdl.tasks import helper


def area(x):
    """Return it."""
    return x * 2
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package on disk that replaces ours; returns a function that writes one of its modules."""
    monkeypatch.setattr(source, "HERE", tmp_path)

    def write(name: str, text: str) -> None:
        source._parsed.cache_clear()
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    write("first", MODULE)
    write("other", "VALUE = 1\n")
    write("unrelated", "VALUE = 1\n")
    write("tasks/__init__", "from sscdl.tasks import swav\n")
    write("tasks/helper", "VALUE = 1\n")
    write("tasks/swav", "VALUE = 1\n")
    yield write
    source._parsed.cache_clear()


def test_closure_follows_imports_but_not_the_parent_package(package):
    assert source.import_closure(["sscdl.first"]) == [
        "sscdl.first",
        "sscdl.other",
        "sscdl.tasks.helper",
    ]


def test_imports_for_types_alone_do_not_count(package):
    package(
        "first", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import sscdl.other\n"
    )
    assert source.import_closure(["sscdl.first"]) == ["sscdl.first"]


@pytest.mark.parametrize(
    "text",
    [
        MODULE.replace("x * 2", "x*2  # twice"),
        MODULE.replace("Return it.", "Return the area."),
        MODULE.replace('"""Docstring."""', '"""Other."""\n\n\n'),
    ],
)
def test_comments_formatting_and_docstrings_do_not_count(package, text):
    before = source.source_hash("sscdl.first")
    package("first", text)
    assert source.source_hash("sscdl.first") == before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("first", MODULE.replace("x * 2", "x * 3")),
        ("first", MODULE.replace("x * 2", "x + 2")),
        ("first", MODULE.replace("def area(x)", "def area(x, y=1)")),
        ("other", "VALUE = 2\n"),
        ("tasks/helper", "VALUE = 2\n"),
    ],
)
def test_code_in_the_closure_counts(package, name, text):
    before = source.source_hash("sscdl.first")
    package(name, text)
    assert source.source_hash("sscdl.first") != before


@pytest.mark.parametrize("name", ["unrelated", "tasks/swav", "tasks/__init__"])
def test_code_outside_the_closure_does_not_count(package, name):
    before = source.source_hash("sscdl.first")
    package(name, "VALUE = 2\n")
    assert source.source_hash("sscdl.first") == before


def test_relative_imports_are_followed(package):
    package("tasks/relative", "from . import helper\nfrom ..other import VALUE\n")
    closure = source.import_closure(["sscdl.tasks.relative"])
    assert {"sscdl.tasks.helper", "sscdl.other"} <= set(closure)


@pytest.mark.parametrize("task", ["moco", "swav", "relloc", "rotation", "classify"])
def test_a_task_does_not_depend_on_another(task):
    closure = source.import_closure(["sscdl.session", f"sscdl.tasks.{task}"])
    tasks = {name.removeprefix("sscdl.tasks.") for name in closure if ".tasks." in name}
    assert tasks - {"base", "sizes"} == {task}
    assert not {"sscdl.figures", "sscdl.tables", "sscdl.metrics"} & set(closure)
