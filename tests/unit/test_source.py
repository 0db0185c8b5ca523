"""The source hash sees what code does and nothing else."""

from __future__ import annotations

import pytest

from sscdl import canonical, source
from sscdl.tasks.options import DEFAULTS
from tests.conftest import ROOT

MODULE = '''
"""Docstring."""
import sscdl.other as other
from sscdl.tasks import helper


def area(x):
    """Return it."""
    return x * 2
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package on disk that replaces ours; returns a function that writes one of its modules."""
    monkeypatch.setattr(canonical, "HERE", tmp_path)

    def write(name: str, text: str) -> None:
        canonical.canonical.cache_clear()
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
    canonical.canonical.cache_clear()


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


@pytest.mark.parametrize("task", DEFAULTS)
def test_a_task_does_not_depend_on_another(task):
    closure = source.import_closure(source.group_modules(task))
    tasks = {name for name in closure if ".tasks." in name}
    shared = {f"sscdl.tasks.{path.stem}" for path in (ROOT / "sscdl/tasks").glob("*.py")}
    assert tasks - shared == {source.TASK_MODULES[task]}
    assert not {"sscdl.figures.charts", "sscdl.tables.overview", "sscdl.evaluation.metrics"} & set(
        closure
    )


MOVABLE = """
import logging
from typing import TYPE_CHECKING
{imports}
if TYPE_CHECKING:
    from sscdl.unrelated import Thing
LOGGER = logging.getLogger("{logger}")
COMMAND = ["-m", "{worker}"]


def area(x: Thing):
    from {folder}other import VALUE as value
    return {helper}.VALUE * value * x
"""
FLAT = MOVABLE.format(
    imports="from sscdl.a import one\nfrom sscdl.tasks import helper", logger="sscdl.first",
    worker="sscdl.b", folder="sscdl.", helper="helper",
)  # fmt: skip
# The order of import statements follows the names.
FOLDERS = MOVABLE.format(
    imports="from sscdl.house import tool\nfrom sscdl.house.long_name import one",
    logger="sscdl.house.second", worker="sscdl.house.process", folder="sscdl.house.", helper="tool",
)  # fmt: skip


@pytest.fixture
def moved(package):
    """The same code twice: its modules side by side, and in a folder under other names."""
    package("first", FLAT)
    package("a", "from sscdl.b import two\none = two + 1\n")
    package("b", "from sscdl import a\nBack = a\ntwo = 2\n")
    package("house/second", FOLDERS)
    package("house/other", "VALUE = 1\n")
    package("house/tool", "VALUE = 1\n")
    package("house/long_name", "from sscdl.house.process import two\none = two + 1\n")
    package("house/process", "import sscdl.house.long_name as name\nBack = name\ntwo = 2\n")
    return package


def test_where_a_module_lies_and_what_it_is_called_does_not_count(moved):
    assert source.source_hash("sscdl.first") == source.source_hash("sscdl.house.second")
    two = source.source_hash("sscdl.first", "sscdl.b")
    assert two == source.source_hash("sscdl.house.second", "sscdl.house.process")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("long_name", "two + 1", "two - 1"),  # in what an import refers to
        ("process", "two = 2", "two = 3"),  # in what that imports, in a circle
        ("second", "import one\n", "import one as two\n"),
        ("second", "import VALUE as value", "import VALUE as x"),
        ("second", "tool.VALUE", "long_name.VALUE"),
        ("second", "house.process", "house.tool"),
        ("second", "from sscdl.house import tool", "from sscdl.house import long_name as tool"),
        ("second", "def area(x", "def area(tool"),
        ("second", "logging.getLogger", "logging.Logger"),
    ],
)
def test_what_is_meant_counts(moved, name, old, new):
    text = (canonical.HERE / f"house/{name}.py").read_text()
    assert old in text
    moved(f"house/{name}", text.replace(old, new))
    assert source.source_hash("sscdl.first") != source.source_hash("sscdl.house.second")


def test_a_local_name_like_that_of_a_module_is_not_taken_for_the_module(package):
    package("tasks/second", "VALUE = 1\n")
    package("first", "from sscdl.tasks import helper\ndef f(helper, second): return helper.g()\n")
    one = source.source_hash("sscdl.first")
    package("first", "from sscdl.tasks import second\ndef f(helper, second): return second.g()\n")
    assert source.source_hash("sscdl.first") != one


def test_hashes_of_single_modules_know_no_names(moved):
    flat = source.module_hashes("sscdl.first")
    folders = source.module_hashes("sscdl.house.second")
    assert sorted(flat.values()) == sorted(folders.values())
    moved("house/process", "from sscdl.house import long_name\nBack = long_name\ntwo = 3\n")
    after = source.module_hashes("sscdl.house.second")
    assert {n for n in after if after[n] != folders[n]} == {"sscdl.house.process"}


def test_all_groups_are_of_modules_that_there_are():
    for group in [*source.GROUPS, *DEFAULTS]:
        assert source.source_hash(*source.group_modules(group))
    assert all(canonical.path_of(name) for name in source.WITHOUT_INFLUENCE)
