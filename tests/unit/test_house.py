"""A stranger finds a thing by name: no crowded folder, no long file, tests where the code lies.

Who may import whom is kept by the contracts in pyproject.toml, which ``make lint`` checks.
"""

from __future__ import annotations

import ast
import tomllib

import pytest

from sscdl import canonical, source
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


def test_arrows_that_are_only_texts_point_to_the_ground_too():
    """A module that is imported by its name, or started as a process, escapes the contracts."""
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    order = [name for line in layers["contracts"][0]["layers"] for name in line.split(" : ")]
    floor = {name: number for number, name in enumerate(order)}
    for path in (ROOT / "sscdl").rglob("*.py"):
        own = path.relative_to(ROOT / "sscdl").parts[0].removesuffix(".py")
        if own in ("__init__", "__main__", "source"):  # source: names what it hashes
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and "." in text and canonical.path_of(text):
                assert floor[text.split(".")[1]] >= floor[own], f"{path}: {text}"


def test_the_package_itself_imports_nothing():
    tree = ast.parse((ROOT / "sscdl/__init__.py").read_text())
    kinds = (ast.Import, ast.ImportFrom)
    assert not [n for n in ast.walk(tree) if isinstance(n, kinds) and "sscdl" in ast.unparse(n)]


def test_tests_lie_in_folders_of_the_same_names():
    known = {path.relative_to(ROOT / "sscdl") for path in FOLDERS}
    tests = {path.parent for path in (ROOT / "tests/unit").rglob("test_*.py")}
    assert {path.relative_to(ROOT / "tests/unit") for path in tests} <= known


def test_modules_are_where_the_hash_of_sources_looks_for_them():
    assert canonical.HERE == ROOT / "sscdl"
    named = [*source.WITHOUT_INFLUENCE, *source.TASK_MODULES.values()]
    named += [module for modules in source.GROUPS.values() for module in modules]
    assert [name for name in named if not canonical.path_of(name)] == []
