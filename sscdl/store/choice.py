"""Which of the trained nodes in a store is meant."""

from __future__ import annotations

from sscdl.errors import InputError
from sscdl.store.nodes import Trained


def narrowed(nodes: list[Trained], variant: str | None, seed: int | None) -> list[Trained]:
    """Return the nodes of this variant and seed, of any where None.

    Raises InputError that names those there are, if there is no such node.
    """
    for key, wanted in (("variant", variant), ("seed", seed)):
        if wanted is None:
            continue
        known = sorted({getattr(node, key) for node in nodes})
        nodes = [node for node in nodes if getattr(node, key) == wanted]
        if not nodes:
            there = ", ".join(map(str, known)) or "none"
            raise InputError(f"--{key} {wanted}: no trained node is of it; there are: {there}")
    return nodes


def select(nodes: list[Trained], text: str) -> Trained:
    """Return the one node of this name, or whose fingerprint, object or file begins with ``text``.

    Raises InputError that lists the candidates if there is none, or more than one.
    """
    matches = [node for node in nodes if node.called == text] if text else []
    if text and not matches:
        matches = [
            node
            for node in nodes
            if any(s.startswith(text) for s in (node.fingerprint, node.object, node.path.name))
        ]
    if len(matches) == 1:
        return matches[0]
    if not nodes:
        raise InputError(f"{text!r}: the store has no trained node")
    problem = "fits several nodes" if matches else "no trained node has this name or fingerprint"
    listed = "\n".join(f"  {node.title}" for node in matches or nodes)
    narrow = "--variant, --seed, or " if matches else ""
    raise InputError(
        f"{text!r}: {problem}; give {narrow}a fingerprint, or its beginning, of\n{listed}"
    )
