"""The text of a module without what cannot matter, in which other modules are references.

Comments, formatting, docstrings and positions do not count, nor do the types that functions declare
and the names that are imported to declare them; nothing here asks for them when it runs. Types of
fields count: data classes are made from them. Nor does it matter how a module of the package that
is imported is called, how it is named where it is used, and in which order a formatter puts import
statements that stand together. The text does not depend on the version of Python.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = "sscdl"
HERE = Path(__file__).resolve().parent
# No text of Python has these characters: a canonical text escapes those of its strings.
_REFERENCE = re.compile(r"\0([\w.]+)\0")  # to a module of the package
_TOGETHER = re.compile("\x01([^\x01]*)\x01")  # what import statements that stand together take
_AND = "\x02"
_REFERRING = re.compile("\x01[^\x01]*\x01|\0[\\w.]+\0")


def path_of(module: str) -> Path | None:
    """Return the file of ``module``, or None if the package has no such module."""
    first, *rest = module.split(".")
    if first != PACKAGE:
        return None
    stem = HERE.joinpath(*rest)
    for found in (stem.with_suffix(".py"), stem / "__init__.py"):
        if found.is_file():
            return found
    return None


class Canonical:
    """The canonical text of one module, and the modules of the package that it refers to.

    It refers to what it imports, and to what a string of it names exactly: what such a string is
    for is to start a process or to import. Raises ValueError for a statement such as
    ``import sscdl.files`` without ``as``, behind which names of modules would count.
    """

    def __init__(self, module: str) -> None:
        path = path_of(module)
        if path is None:
            raise ModuleNotFoundError(f"{module} is not a module of {PACKAGE}")
        self._module, self._is_package = module, path.name == "__init__.py"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        self._modules = self._named_modules(tree)
        self._text = self._canonical(tree)
        self._bare = "\n".join(_REFERRING.findall(self._text))
        self.references = set(_REFERENCE.findall(self._text)) - {PACKAGE}

    def resolved(self, known: Callable[[str], str], *, whole: bool) -> str:
        """Return the text with what ``known`` says of each module that is referred to.

        Only the references and what they become, in their order, unless ``whole``.
        """

        def in_order(together: re.Match[str]) -> str:
            return _AND.join(sorted(together[1].split(_AND)))

        text = self._text if whole else self._bare
        text = _REFERENCE.sub(lambda found: f"\0{known(found[1])}\0", text)
        # Sorted now: formatters order import statements by the names of modules.
        return _TOGETHER.sub(in_order, text)

    def _named_modules(self, tree: ast.AST) -> dict[str, str]:
        """Return the modules of the package by the local name that means them, and nothing else."""
        meant: dict[str, set[str]] = defaultdict(set)
        for node in _statements(tree):
            for alias in getattr(node, "names", []) if _imports(node) else []:
                own = self._module_of(node, alias)
                meant[alias.asname or alias.name.partition(".")[0]].add(own or f"not {alias.name}")
        found = {name: one for name, (one, *more) in meant.items() if path_of(one) and not more}
        if found:
            for name in {name for node in ast.walk(tree) for name in _given(node)} & found.keys():
                del found[name]
        return found

    def _module_of(self, node: ast.stmt, alias: ast.alias) -> str | None:
        """Return the module of the package that a part of an import statement binds, or None."""
        if isinstance(node, ast.ImportFrom):
            # `from package import module` names a module; `from module import name` does not.
            full = f"{self._base(node)}.{alias.name}"
            return full if path_of(full) else None
        if alias.name.partition(".")[0] != PACKAGE:
            return None
        if not alias.asname:
            raise ValueError(f"{self._module}: import {alias.name} as something, or from there")
        return alias.name

    def _base(self, node: ast.ImportFrom) -> str:
        """Return the module that ``from ... import`` names."""
        base = node.module or ""
        if node.level:
            parts = self._module.split(".")
            kept = parts[: len(parts) - node.level + (1 if self._is_package else 0)]
            base = ".".join([*kept, base] if base else kept)
        return base

    def _taken(self, node: ast.stmt) -> list[str] | None:
        """Return what a statement imports from the package, None for another statement."""
        if isinstance(node, ast.ImportFrom):
            base = self._base(node)
            if base.partition(".")[0] != PACKAGE:
                return None
            return [self._one_taken(node, alias, base) for alias in node.names]
        if isinstance(node, ast.Import):
            own = [alias for alias in node.names if self._module_of(node, alias)]
            if own and len(own) == len(node.names):
                return [self._one_taken(node, alias, "") for alias in own]
        return None

    def _one_taken(self, node: ast.stmt, alias: ast.alias, base: str) -> str:
        name = alias.asname or alias.name
        if module := self._module_of(node, alias):
            return f"\0{module}\0" if name in self._modules else f"\0{module}\0 as {name}"
        return f"{alias.name} as {name} from \0{base}\0"

    def _block(self, body: Iterable[ast.stmt]) -> str:
        """Return the texts of statements, imports that stand together as one."""
        texts: list[str] = []
        together: list[str] = []
        for node in [*_without_types(body), ast.Pass()]:
            taken = self._taken(node)
            if taken is None:
                if together:
                    texts.append(_any_order(together))
                together = []
                texts.append(self._canonical(node))
            else:
                together += taken
        return "[" + ",".join(texts[:-1]) + "]"

    def _canonical(self, value: Any) -> str:
        """Return the text of a part of a syntax tree."""
        kind: Any = type(value)
        if kind is list:
            if value and isinstance(value[0], ast.stmt):
                return self._block(value)
            return f"[{','.join(map(self._canonical, value))}]"
        fields = _fields(kind)
        if fields is None:
            return f"{kind.__name__}:{value!r}"
        if kind is ast.Name and value.id in self._modules:
            return f"\0{self._modules[value.id]}\0"
        if kind is ast.Constant and _names_module(value.value):
            return f"\0{value.value}\0"
        if kind is ast.Call and _makes_logger(value):
            return "a logger"
        texts = []
        for name in fields:
            child: Any = getattr(value, name, None)
            if name == "body" and kind in _DESCRIBED:
                child = _without_docstring(child)
            # Newer versions of Python add fields that are empty for older code.
            if child is None or child == []:
                continue
            texts.append(f"{name}={self._canonical(child)}")
        return f"{kind.__name__}({','.join(texts)})"


canonical = cache(Canonical)
_DESCRIBED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # where statements stand
# What says of which type something is, and nothing else. What these modules define is used by name.
_DECLARED = {ast.arg: "annotation", ast.FunctionDef: "returns", ast.AsyncFunctionDef: "returns"}
_OF_TYPES = ("typing", "collections.abc")


def _any_order(taken: list[str]) -> str:
    """Return what is imported together, to be sorted if the order cannot matter."""
    names = [text.partition(" as ")[2].partition(" ")[0] for text in taken]
    bound = [name for name in names if name]
    if "*" in bound or len(set(bound)) < len(bound):
        return _AND.join(taken)
    return f"\x01{_AND.join(taken)}\x01"


def _imports(node: ast.AST) -> bool:
    return isinstance(node, (ast.Import, ast.ImportFrom))


def _without_types(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements but for imports of types; of ``if TYPE_CHECKING:`` only its ``else``."""
    for node in body:
        if (
            isinstance(node, ast.ImportFrom)
            and not node.level
            and node.module in _OF_TYPES
            and not any(alias.asname for alias in node.names)  # what is used has its own name
        ):
            continue
        if (
            isinstance(node, ast.If)
            and isinstance(node.test, ast.Name)
            and node.test.id == "TYPE_CHECKING"
        ):
            yield from _without_types(node.orelse)
        else:
            yield node


def _statements(tree: ast.AST) -> Iterator[Any]:
    """Yield all statements of ``tree`` that may run."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        for field in _BLOCKS:
            todo.extend(_without_types(getattr(node, field, ())))


def _given(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node other than an import binds."""
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id
    elif isinstance(node, ast.arg):
        yield node.arg
    elif not isinstance(node, ast.alias):
        # Functions, classes, exceptions, and the names in a pattern.
        yield from filter(None, (getattr(node, "name", None), getattr(node, "rest", None)))


def _names_module(value: object) -> bool:
    """Return whether a constant is the full name of a module, which is nobody's plain text."""
    return isinstance(value, str) and "." in value and path_of(value) is not None


def _makes_logger(call: ast.Call) -> bool:
    named = call.func
    return (
        isinstance(named, ast.Attribute)
        and named.attr == "getLogger"
        and isinstance(named.value, ast.Name)
        and named.value.id == "logging"
    )


@cache
def _fields(kind: type) -> list[str] | None:
    """Return the fields of a kind of node, None for what is no node."""
    if not issubclass(kind, ast.AST):
        return None
    return sorted(set(kind._fields) - {"type_comment", "kind", "ctx", _DECLARED.get(kind)})


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    is_text = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    return body[1:] if is_text else body
