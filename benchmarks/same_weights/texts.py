"""Statements as texts, and what lines that ran do not tell about them."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef
MODULE = "<module of the package>"

# What these do shows with some values only: a case without such values makes the same without them.
CHOOSING = frozenset(
    {
        "all", "any", "clamp", "clamp_", "clamp_max", "clamp_min", "clip", "get", "getattr", "max",
        "maximum", "min", "minimum", "nan_to_num", "next", "pop", "round", "setdefault", "suppress",
        "where",
    }
)  # fmt: skip


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


def texts(node: ast.AST, modules: frozenset[str]) -> tuple[str, str]:
    """Return text and shape of a node without bodies; ``modules``: all of its package."""
    plain = _Plain(modules).visit(copy.deepcopy(node))
    text = ast.unparse(ast.fix_missing_locations(plain))
    return text, ast.unparse(ast.fix_missing_locations(_Shape().visit(plain)))


def doubt_of(node: ast.AST) -> str:
    """Return "ways" if a line of this can run without all of it being seen.

    The functions of CHOOSING count wherever they are named, so that ``map(round, values)`` does,
    too.
    """
    kinds = (ast.IfExp, ast.BoolOp, ast.Lambda, ast.Assert, ast.Compare, ast.Mod, ast.FloorDiv)
    for one in ast.walk(node):
        filtered = isinstance(one, ast.comprehension) and bool(one.ifs)
        named = isinstance(one, ast.Name) and one.id in CHOOSING
        chosen = isinstance(one, ast.Attribute) and one.attr in CHOOSING
        if filtered or named or chosen or isinstance(one, kinds):
            return "ways"
    return ""


def given_by(*nodes: ast.AST) -> tuple[str, ...]:
    """Return the names that statements without bodies give to something, arguments among them."""
    found: list[str] = []
    for node in nodes:
        for one in ast.walk(node):
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
                found.append(one.id)
            elif isinstance(one, ast.arg):
                found.append(one.arg)
            elif isinstance(one, (ast.MatchAs, ast.MatchStar)) and one.name:
                found.append(one.name)
    return tuple(dict.fromkeys(found))


def without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return the statements of a body but for a text at its beginning."""
    first = body[0] if body else None
    told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1:] if told and isinstance(first.value.value, str) else body


def counted(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that ever run: of ``if TYPE_CHECKING:`` those of its else."""
    for node in body:
        test = node.test if isinstance(node, ast.If) else None
        if isinstance(test, ast.Name) and test.id == "TYPE_CHECKING":
            yield from counted(node.orelse)  # type: ignore[attr-defined]
        else:
            yield node
