"""A stranger finds a thing by name: no crowded folder, no long file, tests where the code lies.

Who may import whom is kept by the contracts in pyproject.toml, which ``make lint`` checks.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sscdl import source
from tests.conftest import ROOT

MOST_MODULES, MOST_LINES = 20, 340
FOLDERS = sorted({path.parent for path in (ROOT / "sscdl").rglob("*.py")})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_folder_is_seen_at_a_glance(folder):
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= MOST_MODULES
    for path in modules:
        lines = len(path.read_text().splitlines())
        assert lines <= MOST_LINES, f"{path.name}: {lines} lines; split it"
    assert (folder / "__init__.py").is_file(), "a folder says what happens in it"


def test_tests_lie_in_folders_of_the_same_names():
    known = {path.relative_to(ROOT / "sscdl") for path in FOLDERS}
    tests = {path.parent for path in (ROOT / "tests/unit").rglob("test_*.py")}
    assert {path.relative_to(ROOT / "tests/unit") for path in tests} <= known


def test_modules_are_where_the_hash_of_sources_looks_for_them():
    assert Path(source.HERE) == ROOT / "sscdl"
    named = [*source.WITHOUT_INFLUENCE, *source.TASK_MODULES.values()]
    named += [module for modules in source.GROUPS.values() for module in modules]
    assert [name for name in named if not source._path(name)] == []
