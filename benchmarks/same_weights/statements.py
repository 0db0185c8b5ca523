"""The statements of a module as texts that can be compared, blind to what cannot matter.

A function, a class or a statement outside of both is a unit: a sequence of entries, one for each
simple statement and one for each header of a compound one. Docstrings, comments, annotations of
functions, arguments of ``getLogger`` and the places that own modules are imported from do not
count.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.same_weights.texts import (
    MODULE,
    Function,
    counted,
    doubt_of,
    given_by,
    texts,
    without_docstring,
)


@dataclass(frozen=True)
class Entry:
    """One statement, or the header of a compound one."""

    text: str
    shape: str  # the text with every number, truth value and operator made alike
    depth: int  # of nesting within its unit
    file: str
    first: int  # lines of which any must have run
    last: int
    at_import: bool  # runs when the module is imported, in whatever case that is first
    doubt: str = ""  # why lines alone do not tell that all of it was seen
    module: str = ""  # the module of the package that is imported under a name
    source: str = ""  # the module of the package that a name is imported from
    gives: tuple[str, ...] = ()  # names that it gives to something
    guards: tuple[str, ...] = ()  # what is caught of the try blocks that it stands in

    @property
    def place(self) -> str:
        """Return file and line."""
        return f"{self.file}:{self.first}"


@dataclass(frozen=True)
class Unit:
    """A function, a class without its methods, or a statement of a module.

    ``kind`` is "function", "class", "import", "value" (names that are given something, which are
    its ``name``) or "statement", which has no name.
    """

    kind: str
    name: str
    entries: tuple[Entry, ...]

    @property
    def texts(self) -> tuple[tuple[int, str], ...]:
        """Return nesting and text of all entries: what makes two units the same."""
        return tuple((entry.depth, entry.text) for entry in self.entries)


def units_of(source: str, file: str, modules: frozenset[str]) -> list[Unit]:
    """Return the units of a module. ``modules`` are the names of all modules of its package."""
    return list(_Reader(file, modules).module(ast.parse(source)))


class _Reader:
    def __init__(self, file: str, modules: frozenset[str]) -> None:
        self.file, self.modules = file, modules
        self.package = {name.split(".")[0] for name in modules}
        self.guards: tuple[str, ...] = ()  # of what is being read

    def module(self, tree: ast.Module) -> Iterator[Unit]:
        for node in counted(without_docstring(tree.body)):
            if isinstance(node, ast.ClassDef):
                yield from self._class(node, node.name)
            elif isinstance(node, Function):
                yield Unit("function", node.name, tuple(self._entries([node], 0, True)))
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                yield from (Unit("import", "", (one,)) for one in self._entries([node], 0, True))
            else:
                entries = tuple(self._entries([node], 0, True))
                given = isinstance(node, (ast.Assign, ast.AnnAssign)) and entries[0].gives
                name = ", ".join(given) if given else ""
                yield Unit("value" if given else "statement", name, entries)

    def _class(self, node: ast.ClassDef, name: str) -> Iterator[Unit]:
        own: list[ast.stmt] = []
        for one in counted(without_docstring(node.body)):
            if isinstance(one, Function):
                method = tuple(self._entries([one], 1, True))
                yield Unit("function", f"{name}.{one.name}", method)
            elif isinstance(one, ast.ClassDef):
                yield from self._class(one, f"{name}.{one.name}")
            else:
                own.append(one)
        head = self._header(node, 0, True, [*node.bases, *node.keywords, *node.decorator_list])
        yield Unit("class", name, (head, *self._entries(own, 1, True)))

    def _entries(self, body: list[ast.stmt], depth: int, top: bool) -> Iterator[Entry]:
        """Yield the entries of statements; ``top``: they run when the module is imported."""
        for node in counted(body):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                yield from self._imports(node, depth, top)
            elif isinstance(node, Function):
                yield self._def(node, depth, top)
                yield from self._entries(without_docstring(node.body), depth + 1, False)
            elif isinstance(node, ast.ClassDef):
                parts = [*node.bases, *node.keywords, *node.decorator_list]
                yield self._header(node, depth, top, parts)
                yield from self._entries(without_docstring(node.body), depth + 1, top)
            elif isinstance(node, ast.Match):
                yield self._header(node, depth, top, [node.subject])
                for case in node.cases:
                    yield self._header(case, depth, top, [case.pattern, case.guard])
                    yield from self._entries(case.body, depth + 1, top)
            elif isinstance(getattr(node, "body", None), list):
                yield from self._compound(node, depth, top)
            else:
                doubt = doubt_of(node)
                if top and isinstance(node, (ast.Assign, ast.AnnAssign)):
                    doubt = doubt or "value"
                yield self._entry(node, depth, top, node.lineno, node.end_lineno, doubt)

    def _compound(self, node: ast.stmt, depth: int, top: bool) -> Iterator[Entry]:
        """Yield the entries of if, while, for, with and try."""
        parts = [getattr(node, name, None) for name in ("test", "target", "iter", "items")]
        yield self._header(node, depth, top, parts)
        outer, self.guards = self.guards, (*self.guards, *_caught(node))
        yield from self._entries(node.body, depth + 1, top)  # type: ignore[attr-defined]
        self.guards = outer
        for handler in getattr(node, "handlers", []):
            yield self._header(handler, depth, top, [handler.type, handler.name])
            yield from self._entries(handler.body, depth + 1, top)
        for name in ("orelse", "finalbody"):
            following = getattr(node, name, [])
            if following:
                first = following[0]
                lines = (first.lineno, first.end_lineno)
                yield Entry(name, name, depth, self.file, *lines, top, guards=self.guards)
                yield from self._entries(following, depth + 1, top)

    def _header(self, node: ast.AST, depth: int, top: bool, parts: list) -> Entry:
        """Return the entry of a compound statement's first line(s)."""
        kept = [one for part in parts for one in (part if isinstance(part, list) else [part])]
        name = getattr(node, "name", "")
        head = f"{type(node).__name__} {name if isinstance(name, str) else ''}"
        nodes = [one for one in kept if isinstance(one, ast.AST)]
        told = [texts(one, self.modules) for one in nodes]
        placed = [one.context_expr if isinstance(one, ast.withitem) else one for one in nodes]
        last = max([getattr(one, "end_lineno", 0) or 0 for one in placed], default=0)
        first = getattr(node, "lineno", 0) or getattr(nodes[0], "lineno", 0)
        doubt = next(filter(None, map(doubt_of, nodes)), "")
        if isinstance(node, (ast.If, ast.While)):
            doubt = "branch"
        elif isinstance(node, (ast.Try, ast.TryStar, ast.ExceptHandler, ast.match_case)):
            doubt = "caught"  # of what there is to catch or to match, a line that ran saw one kind
        given = [name] if isinstance(node, ast.ExceptHandler) and name else []
        return Entry(
            f"{head}: {'; '.join(text for text, _ in told)}",
            f"{head}: {'; '.join(shape for _, shape in told)}",
            depth, self.file, first, max(first, last), top, doubt,
            gives=(*given, *given_by(*nodes)), guards=self.guards,
        )  # fmt: skip

    def _def(self, node: Function, depth: int, top: bool) -> Entry:
        """Return the entry of a function's header, which has run if its body has.

        It gives its arguments, and its name if it stands in another function: those of functions
        of a module are names of units, and methods hide nothing.
        """
        bare = copy.deepcopy(node)
        body = without_docstring(node.body)
        bare.body, bare.returns = [ast.Pass()], None
        for argument in ast.walk(bare.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        text, shape = texts(bare, self.modules)
        lines = (node.lineno, node.lineno)
        if body:
            lines = (body[0].lineno, body[-1].end_lineno or body[-1].lineno)
        defaults = [one for one in (*node.args.defaults, *node.args.kw_defaults) if one]
        doubt = next(filter(None, map(doubt_of, defaults)), "default" if defaults else "")
        given = (*([] if top else [node.name]), *given_by(node.args))
        return Entry(
            text, shape, depth, self.file, *lines, not body, doubt, gives=given, guards=self.guards
        )

    def _imports(self, node: ast.Import | ast.ImportFrom, depth: int, top: bool) -> Iterator[Entry]:
        """Yield an entry for each name; where an own module lies does not count."""
        lines = (node.lineno, node.end_lineno or node.lineno)
        base = getattr(node, "module", None) or ""
        own = bool(getattr(node, "level", 0)) or base.split(".")[0] in self.package
        for alias in node.names:
            known = f" as {alias.asname}" if alias.asname else ""
            text, module = f"from {base} import {alias.name}{known}", ""
            if isinstance(node, ast.Import):
                inside = alias.name.split(".")[0] in self.package
                text = f"import {MODULE if inside else alias.name}{known}"
            elif f"{base}.{alias.name}" in self.modules:
                module = f"{base}.{alias.name}"
                text = f"import {MODULE} as {alias.asname or alias.name}"
            elif own:
                text = f"import {alias.name}{known}"
            given = alias.asname or alias.name.split(".")[0]
            yield Entry(
                text, text, depth, self.file, *lines, top, "import", module,
                source="" if module or not own or isinstance(node, ast.Import) else base,
                gives=(given,), guards=self.guards,
            )  # fmt: skip

    def _entry(
        self, node: ast.stmt, depth: int, top: bool, first: int, last: int | None, doubt: str
    ) -> Entry:
        text, shape = texts(node, self.modules)
        return Entry(
            text, shape, depth, self.file, first, last or first, top, doubt,
            gives=given_by(node), guards=self.guards,
        )  # fmt: skip


def _caught(node: ast.stmt) -> list[str]:
    """Return what a compound statement keeps from being raised in its body, one text for all."""
    handlers = getattr(node, "handlers", [])
    if handlers:
        return ["; ".join(ast.unparse(one.type) if one.type else "" for one in handlers)]
    items = [ast.unparse(one) for one in getattr(node, "items", [])]
    return ["; ".join(items)] if any("suppress" in item for item in items) else []
