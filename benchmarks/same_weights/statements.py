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

Function = ast.FunctionDef | ast.AsyncFunctionDef
MODULE = "<module of the package>"


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

    @property
    def place(self) -> str:
        """Return file and line."""
        return f"{self.file}:{self.first}"


@dataclass(frozen=True)
class Unit:
    """A function, a class without its methods, or a statement of a module."""

    kind: str
    name: str
    entries: tuple[Entry, ...]

    @property
    def texts(self) -> tuple[tuple[int, str], ...]:
        """Return nesting and text of all entries: what makes two units the same."""
        return tuple((entry.depth, entry.text) for entry in self.entries)


class _Plain(ast.NodeTransformer):
    """Removes from an expression what does not count."""

    def __init__(self, modules: frozenset[str]) -> None:
        self.modules = modules

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str) and node.value in self.modules:
            return ast.Constant(MODULE)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "getLogger":
            node.args, node.keywords = [], []
        return node


class _Shape(ast.NodeTransformer):
    """Makes values and operators alike."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        alike = node.value is None or isinstance(node.value, (bool, int, float, complex))
        return ast.Constant(0) if alike else node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        return self.visit(node.operand)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        node.op = ast.Add()
        return node

    visit_AugAssign = visit_BinOp

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        node.op = ast.And()
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        node.ops = [ast.Eq() for _ in node.ops]
        return node


def units_of(source: str, file: str, modules: frozenset[str]) -> list[Unit]:
    """Return the units of a module. ``modules`` are the names of all modules of its package."""
    return list(_Reader(file, modules).module(ast.parse(source)))


class _Reader:
    def __init__(self, file: str, modules: frozenset[str]) -> None:
        self.file, self.modules = file, modules
        self.package = {name.split(".")[0] for name in modules}

    def module(self, tree: ast.Module) -> Iterator[Unit]:
        for node in without_docstring(tree.body):
            if isinstance(node, ast.ClassDef):
                yield from self._class(node, node.name)
            elif isinstance(node, Function):
                yield Unit("function", node.name, tuple(self._entries([node], 0, True)))
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                yield from (Unit("import", "", (one,)) for one in self._entries([node], 0, True))
            elif not _for_types(node):
                yield Unit("statement", "", tuple(self._entries([node], 0, True)))

    def _class(self, node: ast.ClassDef, name: str) -> Iterator[Unit]:
        own: list[ast.stmt] = []
        for one in without_docstring(node.body):
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
        for node in body:
            if _for_types(node):
                continue
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                yield from self._imports(node, depth, top)
            elif isinstance(node, Function):
                yield self._def(node, depth)
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
        yield from self._entries(node.body, depth + 1, top)  # type: ignore[attr-defined]
        for handler in getattr(node, "handlers", []):
            yield self._header(handler, depth, top, [handler.type, handler.name])
            yield from self._entries(handler.body, depth + 1, top)
        for name in ("orelse", "finalbody"):
            following = getattr(node, name, [])
            if following:
                first = following[0]
                lines = (first.lineno, first.end_lineno)
                yield Entry(name, name, depth, self.file, *lines, top)
                yield from self._entries(following, depth + 1, top)

    def _header(self, node: ast.AST, depth: int, top: bool, parts: list) -> Entry:
        """Return the entry of a compound statement's first line(s)."""
        kept = [one for part in parts for one in (part if isinstance(part, list) else [part])]
        name = getattr(node, "name", "")
        head = f"{type(node).__name__} {name if isinstance(name, str) else ''}"
        nodes = [one for one in kept if isinstance(one, ast.AST)]
        texts = [self._texts(one) for one in nodes]
        placed = [one.context_expr if isinstance(one, ast.withitem) else one for one in nodes]
        last = max([getattr(one, "end_lineno", 0) or 0 for one in placed], default=0)
        first = getattr(node, "lineno", 0) or getattr(nodes[0], "lineno", 0)
        doubt = next(filter(None, map(doubt_of, nodes)), "")
        if isinstance(node, (ast.If, ast.While)):
            doubt = doubt or "branch"
        return Entry(
            f"{head}: {'; '.join(text for text, _ in texts)}",
            f"{head}: {'; '.join(shape for _, shape in texts)}",
            depth, self.file, first, max(first, last), top, doubt,
        )  # fmt: skip

    def _def(self, node: Function, depth: int) -> Entry:
        """Return the entry of a function's header, which has run if its body has."""
        bare = copy.deepcopy(node)
        body = without_docstring(node.body)
        bare.body, bare.returns = [ast.Pass()], None
        for argument in ast.walk(bare.args):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        text, shape = self._texts(bare)
        lines = (node.lineno, node.lineno)
        if body:
            lines = (body[0].lineno, body[-1].end_lineno or body[-1].lineno)
        defaults = [one for one in (*node.args.defaults, *node.args.kw_defaults) if one]
        doubt = next(filter(None, map(doubt_of, defaults)), "default" if defaults else "")
        return Entry(text, shape, depth, self.file, *lines, not body, doubt)

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
            yield Entry(text, text, depth, self.file, *lines, top, "import", module)

    def _entry(
        self, node: ast.stmt, depth: int, top: bool, first: int, last: int | None, doubt: str
    ) -> Entry:
        text, shape = self._texts(node)
        return Entry(text, shape, depth, self.file, first, last or first, top, doubt)

    def _texts(self, node: ast.AST) -> tuple[str, str]:
        """Return text and shape of a node without bodies."""
        plain = _Plain(self.modules).visit(copy.deepcopy(node))
        text = ast.unparse(ast.fix_missing_locations(plain))
        return text, ast.unparse(ast.fix_missing_locations(_Shape().visit(plain)))


def doubt_of(node: ast.AST) -> str:
    """Return "ways" if a line of this can run without all of it being seen."""
    for one in ast.walk(node):
        chained = isinstance(one, ast.Compare) and len(one.ops) > 1
        chosen = isinstance(one, ast.comprehension) and bool(one.ifs)
        if chained or chosen or isinstance(one, (ast.IfExp, ast.BoolOp, ast.Lambda, ast.Assert)):
            return "ways"
    return ""


def without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the statements of a body but for a text at its beginning."""
    first = body[0] if body else None
    told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1:] if told and isinstance(first.value.value, str) else body


def _for_types(node: ast.stmt) -> bool:
    """Return whether a statement is ``if TYPE_CHECKING:``, which never runs."""
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )
