"""Hash of the source code that determines a result, blind to everything that cannot change it.

The hash walks the abstract syntax tree of a module and of every module of this package that it
imports (at any depth, also inside functions). Comments, formatting, docstrings and positions do not
count, and the walk does not depend on the version of Python.

Nor does it count where a module lies and what it is called: what imports it refers to its contents.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from functools import cache, partial
from pathlib import Path

PACKAGE = "sscdl"
HERE = Path(__file__).resolve().parent
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # where statements stand
_REFERENCE = re.compile(r"<<(sscdl[\w.]*)>>")  # to another module, in a canonical text

# Modules that move results about but cannot change what is in them. The registry of tasks only
# names classes, and the options of a task stand in its recipe, so that changing one task's default
# does not touch the others. What this module computes stands in the recipes, too.
WITHOUT_INFLUENCE = frozenset(
    f"{PACKAGE}.{name}"
    for name in (
        "errors",
        "files",
        "progress",
        "store.store",
        "training.device",
        "training.monitor",
        "training.clock",
        "training.scalars",
        "_torchvision",
        "tasks",
        "tasks.options",
        "source",
    )
)

# What makes things that are kept, by what it makes: the modules that a recipe's hash starts from.
# A task's name is a group, too: see `group_modules`.
GROUPS = {
    "phantom": (f"{PACKAGE}.phantom.archive",),
    "images": (f"{PACKAGE}.images.ingest", f"{PACKAGE}.images.render_worker"),
    "segmenter": (f"{PACKAGE}.segment.training.recipes",),
    "masks given": (f"{PACKAGE}.segment.given",),
    "masks predicted": (f"{PACKAGE}.segment.predict",),
    "packs": (f"{PACKAGE}.images.variants",),
    "preprocessing": (
        f"{PACKAGE}.images.render_worker",
        f"{PACKAGE}.segment.predict",
        f"{PACKAGE}.images.variants",
    ),
    "split": (f"{PACKAGE}.images.split", f"{PACKAGE}.images.duplicates"),
}

# The module of each task. Here, and not in the registry of tasks, which reads it: recipes
# name what trains a node without importing it.
TASK_MODULES = {
    "moco": f"{PACKAGE}.tasks.views.moco",
    "swav": f"{PACKAGE}.tasks.clusters.swav",
    "relloc": f"{PACKAGE}.tasks.prediction.relloc",
    "rotation": f"{PACKAGE}.tasks.prediction.rotation",
    "classify": f"{PACKAGE}.tasks.supervised.classify",
}


def _path(module: str) -> Path | None:
    """Return the file of ``module``, or None if the package has no such module."""
    first, *rest = module.split(".")
    if first != PACKAGE:
        return None
    stem = HERE.joinpath(*rest)
    for found in (stem.with_suffix(".py"), stem / "__init__.py"):
        if found.is_file():
            return found
    return None


class _Parsed:
    """The syntax tree of one module, and what it takes from others of the package.

    ``imports`` are the modules that it imports by name, ``taken`` what it imports from them, and
    ``text`` its other statements, in a canonical form. In both, each module of the package is a
    reference such as ``<<sscdl.files>>``, wherever its name occurs.
    """

    def __init__(self, module: str) -> None:
        path = _path(module)
        if path is None:
            raise ModuleNotFoundError(f"{module} is not a module of {PACKAGE}")
        self._module, self._is_package = module, path.name == "__init__.py"
        self._bound: dict[str, str] = {}  # local names of imported modules
        self.taken: set[str] = set()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in _statements(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self.taken.update(self._taken(node))
        # A name that is given to something else as well stays in the text: who is meant depends.
        self._ambiguous = set(map(_given, ast.walk(tree))) if self._bound else set()
        self.text = self._canonical(tree)
        self.imports = {one for text in self.taken for one in _REFERENCE.findall(text)} - {PACKAGE}

    def resolved(self, known: dict[str, str], *, whole: bool) -> str:
        """Return what ``known`` makes of the references, with all other text only if ``whole``."""
        refer = partial(_refer, known)
        # Sorted now: formatters order import statements by the names of modules.
        taken = sorted(_REFERENCE.sub(refer, text) for text in self.taken)
        if whole:
            return "\n".join([*taken, _REFERENCE.sub(refer, self.text)])
        return "\n".join([*taken, *(refer(one) for one in _REFERENCE.finditer(self.text))])

    def _taken(self, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        """Yield in a canonical form what an import statement takes from the package."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _path(alias.name):
                    if alias.asname:
                        self._bound[alias.asname] = alias.name
                    yield f"<<{alias.name}>>"
        elif base := self._base(node):
            for alias in node.names:
                # `from package import module` names a module; `from module import name` does not.
                if _path(f"{base}.{alias.name}"):
                    self._bound[alias.asname or alias.name] = f"{base}.{alias.name}"
                    yield f"<<{base}.{alias.name}>>"
                else:
                    yield f"{alias.name} as {alias.asname or alias.name} from <<{base}>>"

    def _base(self, node: ast.ImportFrom) -> str | None:
        """Return the module that ``from ... import`` names, None for one of another package."""
        base = node.module or ""
        if node.level:
            parts = self._module.split(".")
            kept = parts[: len(parts) - node.level + (1 if self._is_package else 0)]
            base = ".".join([*kept, base] if base else kept)
        return base if base.split(".")[0] == PACKAGE else None

    def _own(self, node: ast.AST) -> bool:
        """Return whether a statement imports from the package, or never runs."""
        if isinstance(node, ast.Import):
            return all(_path(alias.name) for alias in node.names)
        return _for_types(node) or (isinstance(node, ast.ImportFrom) and bool(self._base(node)))

    def _canonical(self, value: object) -> str:
        """Return a text of a syntax tree without positions, docstrings and empty fields."""
        if isinstance(value, list):
            kept = [item for item in value if not (isinstance(item, ast.stmt) and self._own(item))]
            return "[" + ",".join(map(self._canonical, kept)) + "]"
        if not isinstance(value, ast.AST):
            return f"{type(value).__name__}:{value!r}"
        if isinstance(value, ast.Name) and value.id in self._bound:
            name = value.id if value.id in self._ambiguous else ""
            return f"<<{self._bound[value.id]}>>{name}"
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and _path(value.value):
            return f"<<{value.value}>>"  # for a process of its own, or for importlib
        if isinstance(value, ast.Call) and _names_logger(value):
            return "a logger"
        fields = []
        for name in _fields(type(value)):
            child = getattr(value, name, None)
            if name == "body" and isinstance(
                value, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
            ):
                child = _without_docstring(child)
            # Newer versions of Python add fields that are empty for older code.
            if child is None or child == []:
                continue
            fields.append(f"{name}={self._canonical(child)}")
        return f"{type(value).__name__}({','.join(fields)})"


@cache
def _fields(kind: type[ast.AST]) -> list[str]:
    return sorted(set(kind._fields) - {"type_comment", "kind", "ctx"})


def _for_types(node: ast.AST) -> bool:
    """Return whether ``node`` is ``if TYPE_CHECKING:``, under which nothing ever runs."""
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all statements of ``tree`` but those under ``if TYPE_CHECKING:``."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        for field in _BLOCKS:
            todo.extend(child for child in getattr(node, field, ()) if not _for_types(child))


def _given(node: ast.AST) -> str | None:
    """Return the name that a node other than an import binds, None for none."""
    if isinstance(node, ast.Name):
        return None if isinstance(node.ctx, ast.Load) else node.id
    if isinstance(node, ast.arg):
        return node.arg
    # Functions, classes, exceptions, and the names in a pattern.
    return None if isinstance(node, ast.alias) else getattr(node, "name", None)


def _names_logger(call: ast.Call) -> bool:
    named = call.func.attr if isinstance(call.func, ast.Attribute) else None
    return named == "getLogger"


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    is_text = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    return body[1:] if is_text else body


_parsed = cache(_Parsed)


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
        todo.extend(_parsed(module).imports)
    return sorted(seen)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _refer(known: dict[str, str], reference: re.Match[str]) -> str:
    return known.get(reference[1], "a module without influence")


def source_hash(*modules: str) -> str:
    """Return 12 hex digits of SHA-256 over ``modules``, in this order, and their import closure.

    Names of modules are not part of it. In their place stands, in each text, a hash of the module
    that is meant; as such a hash depends on others, again by what they refer to, and modules may
    import each other, it is refined once for each module of the closure.
    """
    parsed = {module: _parsed(module) for module in import_closure(modules)}
    unknown = dict.fromkeys(parsed, "a module")
    hashed = {name: _digest(one.resolved(unknown, whole=True)) for name, one in parsed.items()}
    for _ in parsed:
        hashed = {
            name: _digest(f"{hashed[name]}\n{one.resolved(hashed, whole=False)}")
            for name, one in parsed.items()
        }
    return _digest("\n".join(hashed[module] for module in modules))[:12]


def group_modules(group: str) -> tuple[str, ...]:
    """Return the modules whose import closure makes what ``group`` names.

    That is a key of ``GROUPS``, or a task: what trains a node of it and chooses its rate.
    """
    if group in GROUPS:
        return GROUPS[group]
    return f"{PACKAGE}.stages.session", f"{PACKAGE}.stages.search", TASK_MODULES[group]


def module_hashes(*modules: str) -> dict[str, str]:
    """Return 12 hex digits for each module of the import closure, to tell which has changed.

    Each is of the module alone: neither its name nor what it imports is part of it.
    """
    return {
        module: _digest(_parsed(module).resolved({}, whole=True))[:12]
        for module in import_closure(modules)
    }
