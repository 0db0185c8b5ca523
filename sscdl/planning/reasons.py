"""Why a stage would be trained: what of its lineage the store does not have.

A node is compared, key by key, with the trained nodes of its name. The closest of them, the one
with the fewest differences, says what is new. Reads only, and imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sscdl.source import group_modules, module_hashes
from sscdl.store.nodes import Trained, lineage, recipe_of
from sscdl.store.store import read_pointer
from sscdl.study.trie import Node

NOTHING = "nothing like it in the store"
GONE = "its weights are missing from the store"
# What follows from the variant, so that a difference in these is no other reason.
OF_THE_VARIANT = ("data.pack", "data.masked")
# Keys of recipes that hold the hash of source code, where a setting asks for that: the setting, its
# value then, and its value where the key is absent.
ON_REQUEST = {
    "averaged_weights": ("search.weights", "averaged", "last"),
    "batch_statistics": ("batch_statistics", "estimated", "running"),
    "timm": ("backbone", "of timm", "of torchvision"),
}
# What else than source code stands under such a key.
CHANGED = {"timm": "timm or the source code for its networks has changed"}


@dataclass(frozen=True)
class Stored:
    """A trained node and the lineage of its weights."""

    node: Trained
    recipe: dict[str, Any]
    machine: dict[str, Any]

    @property
    def rates(self) -> list[float]:
        """Return the learning rates that were tried."""
        return [one["learning_rate"] for one in self.node.candidates]

    def sources(self) -> dict[str, str] | None:
        """Return a hash of each module that trained the node, None where that was not written."""
        return read_pointer(self.node.path).get("sources")


@dataclass(frozen=True)
class Reason:
    """Why a node is to be trained, and the trained node that it was compared with.

    ``only_rates`` says that nothing but the list of learning rates is new, or how they are
    compared, so that the weights may come out as those of ``nearest``; ``conditional`` that the
    node is trained only if a stage before it comes out differently.
    """

    text: str
    nearest: Stored | None = None
    only_rates: bool = False
    conditional: bool = False


def with_lineage(store: Path, nodes: Sequence[Trained]) -> list[Stored]:
    """Return those of the trained nodes whose lineage can be read, with it."""
    found = []
    for node in nodes:
        about = lineage(store, node.object)
        if about is not None:
            found.append(Stored(node, recipe_of(about, node), about.get("machine") or {}))
    return found


def reasons(
    nodes: Sequence[Node], finished: dict[str, str], stored: list[Stored]
) -> dict[str, Reason]:
    """Return the ``Reason`` of each unfinished node, by its fingerprint.

    ``nodes`` come parents first; ``finished`` maps the fingerprints of finished ones to the keys of
    their objects.
    """
    by_name: dict[str, list[Stored]] = {}
    for one in stored:
        by_name.setdefault(one.node.name, []).append(one)
    known = {node.fingerprint: node for node in nodes}
    found: dict[str, Reason] = {}
    for node in nodes:
        if node.fingerprint not in finished:
            parent = known[node.parent] if node.parent else None
            found[node.fingerprint] = _reason(
                node, parent, by_name.get(node.name, []), finished, found
            )
    return found


def _reason(
    node: Node,
    parent: Node | None,
    others: list[Stored],
    finished: dict[str, str],
    above: dict[str, Reason],
) -> Reason:
    if any(one.node.fingerprint == node.fingerprint for one in others):
        return Reason(GONE)
    waits = above.get(node.parent or "")
    before = finished.get(node.parent or "")
    if waits is not None and waits.nearest is not None:
        before = waits.nearest.node.object  # what the parent may come out as
    above_it = parent.name if parent is not None else ""
    led = [f"parent {above_it} is to be trained"] if waits is not None else []
    if not others:
        return Reason("; ".join(led or [NOTHING]))
    compared = []
    for one in others:
        same_parent = one.node.parent == before
        inside = _differences(node, one)
        far = len(inside) + (not same_parent)
        place = (far, one.node.variant != node.variant, one.node.seed != node.seed)
        compared.append((*place, one.node.fingerprint, one, inside, same_parent))
    *_, nearest, inside, same_parent = min(compared, key=lambda found: found[:4])
    free = [*_rates(node, nearest), *_comparing(node, nearest)]
    # On another variant or seed, the parent's weights are others without saying.
    same_place = (node.variant, node.seed) == (nearest.node.variant, nearest.node.seed)
    may_come_out_the_same = not [text for text in inside if text not in free]
    if waits is not None:
        again = waits.only_rates or waits.conditional
        if again and same_parent and not inside:
            text = f"only if the best learning rate of {above_it} changes"
            return Reason(text, nearest, conditional=True)
        return Reason("; ".join([*led, *(inside if same_place else [])]), nearest)
    if parent is not None and not same_parent and same_place:
        inside = [f"parent {parent.name} has other weights", *inside]
        may_come_out_the_same = False
    text = "; ".join(inside) or "differs in what the lineage does not tell"
    return Reason(text, nearest, only_rates=bool(free) and may_come_out_the_same)


def _differences(node: Node, other: Stored) -> list[str]:
    """Return what a node's own recipe has that ``other`` has not, in words, the parent apart."""
    found = []
    if node.variant != other.node.variant:
        found.append(f"variant {other.node.variant} -> {node.variant}")
    ours, theirs = _flat(node.recipe), _flat(other.recipe)
    for key in sorted(ours.keys() | theirs.keys()):
        old, new = theirs.get(key, "none"), ours.get(key, "none")
        if old == new or (key in OF_THE_VARIANT and node.variant != other.node.variant):
            continue
        if key == "averaged_weights" or key.startswith("settings.search."):
            continue
        if key == "data.pack":
            found.append("data: pack (images, masks) changed")
        elif key == "data.source":
            found.append("data: source code of the split changed")
        elif key == "data.given_source":
            if key in ours and key in theirs:  # otherwise the split itself is another
                found.append("data: source code that takes a given split changed")
        elif key in ON_REQUEST:
            found.append(_on_request(key, ours, theirs))
        elif key == "source":
            found.append(_code(node.task, other))
        elif key == "root":
            if node.parent is None and other.node.parent is None:
                found.append("root: other weights to start from")
        else:
            found.append(f"{key} {_shown(old)} -> {_shown(new)}")
    return [*_rates(node, other), *_comparing(node, other), *found]


def _comparing(node: Node, other: Stored) -> list[str]:
    """Return what is different about how learning rates are compared, where there are several."""
    if min(len(node.learning_rates), len(other.rates)) < 2:
        return []
    ours, theirs = node.recipe, other.recipe
    found = []
    if ours.get("averaged_weights") != theirs.get("averaged_weights"):
        found.append(_on_request("averaged_weights", ours, theirs))
    new, old = (_flat({"search": one["settings"].get("search", {})}) for one in (ours, theirs))
    for key in sorted(new.keys() | old.keys()):
        if new.get(key) != old.get(key):
            was, now = (_shown(one.get(key, "none")) for one in (old, new))
            found.append(f"settings.{key} {was} -> {now}")
    return found


def _on_request(key: str, ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    """Return what is new about something that stands in a recipe by the hash of its source."""
    name, asked, otherwise = ON_REQUEST[key]
    if key in ours and key in theirs:
        return CHANGED.get(key) or f"{name}: the source code for {asked} has changed"
    ways = (asked if key in one else otherwise for one in (theirs, ours))
    return f"{name} {' -> '.join(ways)}"


def _rates(node: Node, other: Stored) -> list[str]:
    """Return what is different about the list of learning rates."""
    new = [rate for rate in node.learning_rates if rate not in other.rates]
    left = [rate for rate in other.rates if rate not in node.learning_rates]
    found = [f"new: {_listed(new)}"] if new else []
    return found + ([f"without {_listed(left)}"] if left else [])


def _listed(rates: list[float]) -> str:
    name = "learning rate" if len(rates) == 1 else "learning rates"
    return f"{name} {', '.join(f'{rate:g}' for rate in rates)}"


def _code(task: str, other: Stored) -> str:
    """Return which modules are not what they were when ``other`` was trained."""
    now, then = module_hashes(*group_modules(task)), other.sources()
    if not then:
        return "source code of the training has changed"
    # By contents: a module that has moved or has another name is what it was.
    changed = sorted(name for name, one in now.items() if one not in then.values())
    gone = sorted(n for n, one in then.items() if n not in now and one not in now.values())
    changed += [f"{name} (gone)" for name in gone]
    if not changed:
        return "source code of the training has changed"
    return f"source code of {', '.join(changed)} has changed"


def _flat(value: dict[str, Any], head: str = "") -> dict[str, Any]:
    """Return nested dictionaries as one, with keys such as ``settings.batch_size``."""
    found: dict[str, Any] = {}
    for key, one in value.items():
        nested = isinstance(one, dict)
        found |= _flat(one, f"{head}{key}.") if nested else {f"{head}{key}": one}
    return found


def _shown(value: Any) -> str:
    """Return a value as a configuration would write it."""
    return f"{value:g}" if isinstance(value, float) else str(value)
