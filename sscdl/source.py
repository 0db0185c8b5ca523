"""Hash of the source code that determines a result, blind to everything that cannot change it.

The hash walks the abstract syntax tree of a module and of every module of this package that it
imports (at any depth, also inside functions). Comments, formatting, docstrings and positions do not
count, and the walk does not depend on the version of Python.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = "sscdl"
HERE = Path(__file__).resolve().parent

# Modules that move results about but cannot change what is in them. The registry of tasks only
# names classes, and the options of a task stand in its recipe, so that changing one task's default
# does not touch the others. What this module computes stands in the recipes, too.
WITHOUT_INFLUENCE = frozenset(
    f"{PACKAGE}.{name}"
    for name in (
        "errors",
        "files",
        "progress",
        "store",
        "device",
        "monitor",
        "clock",
        "scalars",
        "_torchvision",
        "tasks",
        "tasks.options",
        "source",
    )
)

# What makes things that are kept, by what it makes: the modules that a recipe's hash starts from.
# A task's name is a group, too: see `group_modules`.
GROUPS = {
    "phantom": (f"{PACKAGE}.phantom_archive",),
    "images": (f"{PACKAGE}.ingest", f"{PACKAGE}.render_worker"),
    "segmenter": (f"{PACKAGE}.segment.recipes",),
    "masks given": (f"{PACKAGE}.segment.given",),
    "masks predicted": (f"{PACKAGE}.segment.predict",),
    "packs": (f"{PACKAGE}.variants",),
    "preprocessing": (
        f"{PACKAGE}.render_worker",
        f"{PACKAGE}.segment.predict",
        f"{PACKAGE}.variants",
    ),
    "split": (f"{PACKAGE}.split", f"{PACKAGE}.duplicates"),
}


def _path(module: str) -> Path | None:
    """Return the file of ``module``, or None if the package has no such module."""
    stem = HERE.joinpath(*module.split(".")[1:])
    for found in (stem.with_suffix(".py"), stem / "__init__.py"):
        if found.is_file():
            return found
    return None


def _imports(tree: ast.AST, module: str, is_package: bool) -> set[str]:
    """Return the modules of this package that ``tree`` imports by name, but not for types alone."""
    found: set[str] = set()
    for node in _walk_run(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                kept = parts[: len(parts) - node.level + (1 if is_package else 0)]
                base = ".".join([*kept, base] if base else kept)
            for alias in node.names:
                # `from package import module` names a module; `from module import name` does not.
                submodule = f"{base}.{alias.name}"
                inside = base.split(".")[0] == PACKAGE
                found.add(submodule if inside and _path(submodule) else base)
    return {name for name in found if name.split(".")[0] == PACKAGE and _path(name)}


def _walk_run(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes of ``tree`` but those under ``if TYPE_CHECKING:``, which never runs."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        typing = isinstance(child, ast.If) and isinstance(child.test, ast.Name)
        if typing and child.test.id == "TYPE_CHECKING":
            continue
        yield from _walk_run(child)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    is_text = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    return body[1:] if is_text else body


def _canonical(value: object) -> str:
    """Return a text of a syntax tree without positions, docstrings and empty fields."""
    if isinstance(value, ast.AST):
        fields = []
        for name in sorted(value._fields):
            child = getattr(value, name, None)
            if name == "body" and isinstance(
                value, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            ):
                child = _without_docstring(child)
            # Newer versions of Python add fields that are empty for older code.
            if child is None or child == [] or name in ("type_comment", "kind", "ctx"):
                continue
            fields.append(f"{name}={_canonical(child)}")
        return f"{type(value).__name__}({','.join(fields)})"
    if isinstance(value, list):
        return "[" + ",".join(_canonical(item) for item in value) + "]"
    return f"{type(value).__name__}:{value!r}"


@cache
def _parsed(module: str) -> tuple[str, frozenset[str]]:
    """Return the canonical text of ``module`` and the modules that it imports."""
    path = _path(module)
    if path is None:
        raise ModuleNotFoundError(f"{module} is not a module of {PACKAGE}")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return _canonical(tree), frozenset(_imports(tree, module, path.name == "__init__.py"))


def import_closure(modules: Iterable[str]) -> list[str]:
    """Return ``modules`` and all that they import within the package, sorted.

    A parent package's ``__init__`` counts only where it is imported by name: a registry there would
    otherwise tie every task to every other.
    """
    todo, seen = list(modules), set()
    while todo:
        module = todo.pop()
        if module in seen or module in WITHOUT_INFLUENCE or module == PACKAGE:
            continue
        seen.add(module)
        todo.extend(_parsed(module)[1])
    return sorted(seen)


def source_hash(*modules: str) -> str:
    """Return 12 hex digits of SHA-256 over the import closure of ``modules``."""
    digest = hashlib.sha256()
    for module in import_closure(modules):
        digest.update(f"{module}\n{_parsed(module)[0]}\n".encode())
    return digest.hexdigest()[:12]


def group_modules(group: str) -> tuple[str, ...]:
    """Return the modules whose import closure makes what ``group`` names.

    That is a key of ``GROUPS``, or a task: what trains a node of it and chooses its rate.
    """
    if group in GROUPS:
        return GROUPS[group]
    return f"{PACKAGE}.session", f"{PACKAGE}.search", f"{PACKAGE}.tasks.{group}"


def group_hash(group: str) -> str:
    """Return the hash of the source of ``group`` that stands in recipes."""
    return source_hash(*group_modules(group))


def module_hashes(*modules: str) -> dict[str, str]:
    """Return 12 hex digits for each module of the import closure, to tell which has changed."""
    return {
        module: hashlib.sha256(_parsed(module)[0].encode()).hexdigest()[:12]
        for module in import_closure(modules)
    }
