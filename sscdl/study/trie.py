"""Curricula as paths in a trie: every prefix is one node, trained once and shared.

A node's fingerprint covers what determines its weights and can be computed before anything runs:
the fingerprint of its parent, its task with all options, learning rates, seed, network, data recipe
and the source of the modules that train it. Device, threads and versions are not in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

from sscdl.equivalence import group_hash
from sscdl.errors import InputError
from sscdl.recipe import fingerprint
from sscdl.tasks.options import DEFAULTS, lasting
from sscdl.words import draw_of, nearest

# Each ends a curriculum, as what is learnt there is what is tested: one of several classes, or any
# number of several findings.
CLASSIFY, FINDINGS = "classify", "findings"
FINAL_TASKS = (CLASSIFY, FINDINGS)
PRETEXT_TASKS = tuple(task for task in DEFAULTS if task not in FINAL_TASKS)
THESIS_TASKS = ("moco", "swav", "relloc", "rotation")
SCRATCH = "scratch"
_MOST_TASKS = 12  # names of nodes become names of files
NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Node:
    """One stage of one curriculum on one variant with one seed."""

    name: str  # "moco+rotation", "moco+rotation+classify"
    task: str
    variant: str
    seed: int
    root: str  # "scratch", or the name of the checkpoint that the curriculum starts from
    parent: str | None  # fingerprint of the parent node
    recipe: dict[str, Any] = field(hash=False)
    learning_rates: tuple[float, ...]
    fingerprint: str

    @property
    def pointer(self) -> str:
        """Return the name of the pointer file in the store's folder ``recipes``."""
        return f"{self.name}.{self.fingerprint}.json"

    @property
    def curriculum(self) -> str:
        """Return the curriculum without its last stage: what tables call the model."""
        return curriculum_of(self.name)

    @property
    def draw(self) -> str:
        """Return which few labels it learns from, as names of files say it; '' for all."""
        return draw_of(self.recipe["data"])


def curriculum_of(node: str) -> str:
    """Return the curriculum that the node of this name belongs to, without what is tested."""
    tasks = node.split("+")
    return "+".join(tasks[:-1] if tasks[-1] in FINAL_TASKS else tasks) or SCRATCH


def final_task(config: Mapping[str, Any]) -> str:
    """Return the task that all curricula of a checked configuration end with."""
    return FINDINGS if config["findings"] else CLASSIFY


def last_node(curriculum: str, final: str) -> str:
    """Return the name of the node in which a curriculum ends with the task ``final``."""
    whole = "" if curriculum == SCRATCH else curriculum.removeprefix(f"{SCRATCH}+")
    return f"{whole}+{final}" if whole else final


def thesis_curricula() -> list[str]:
    """Return the thesis's 24 models: baselines, single tasks, ordered pairs, triples on moco."""
    pairs = ["+".join(pair) for pair in permutations(THESIS_TASKS, 2)]
    triples = ["+".join(("moco", *pair)) for pair in permutations(THESIS_TASKS[1:], 2)]
    return [SCRATCH, "imagenet", *THESIS_TASKS, *pairs, *triples]


def preset_curricula(name: str) -> list[str]:
    """Return the curricula of a preset."""
    presets = {
        "thesis": thesis_curricula(),
        "baselines": [SCRATCH, "imagenet"],
        "single": [SCRATCH, "imagenet", *THESIS_TASKS],
    }
    if name not in presets:
        raise InputError(
            f"curricula: no preset named {name!r}; there are {', '.join(presets)}, or give a list"
        )
    return presets[name]


def split_curriculum(text: str, roots: set[str]) -> tuple[str, tuple[str, ...]]:
    """Return (root, pretext tasks) of a curriculum such as ``moco+swav`` or ``imagenet+moco``."""
    parts = text.split("+")
    known = {SCRATCH, *roots}
    root, tasks = (parts[0], parts[1:]) if parts[0] in known else (SCRATCH, parts)
    for task in tasks:
        if task not in PRETEXT_TASKS:
            near = nearest(task, PRETEXT_TASKS)
            hint = f" (did you mean {near!r}?)" if near else ""
            raise InputError(
                f"curricula: {task!r} in {text!r} is not a pretext task{hint}; use "
                f"{', '.join(PRETEXT_TASKS)}, joined with '+', or start with one of "
                f"{', '.join(sorted(known))}"
            )
    return root, tuple(tasks)


def prefixes(root: str, tasks: tuple[str, ...]) -> list[str]:
    """Return the names of the nodes on the path of a curriculum, first to last."""
    head = () if root == SCRATCH else (root,)
    return ["+".join((*head, *tasks[: depth + 1])) for depth in range(len(tasks))]


class Trie:
    """The nodes of a study, each once however many curricula pass through it."""

    def __init__(
        self,
        curricula: list[str],
        *,
        stages: dict[str, dict[str, Any]],
        rules: list[dict[str, Any]],
        common: dict[str, Any],
        roots: dict[str, str],
        final: str = CLASSIFY,
        averaged: bool = False,
    ) -> None:
        """Take the curricula, the settings of each stage and what all nodes have in common.

        ``stages`` maps a task to its settings; ``rules`` overrides learning rates by variant, kind
        of stage and number of pretext tasks; ``roots`` maps the name of a starting checkpoint to
        the identity of its weights; ``common`` goes into every recipe. Curricula end with the task
        ``final``. ``averaged`` says whether classifiers' candidates are compared by averages of
        their weights.
        """
        names = list(curricula)
        deep = [name for name in names if name.count("+") >= _MOST_TASKS]
        if deep:
            raise InputError(
                f"curricula: {deep[0][:40]!r}… joins more than {_MOST_TASKS} names; use fewer tasks"
            )
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise InputError(f"curricula: {', '.join(sorted(repeated))} given more than once")
        self.paths = {name: split_curriculum(name, set(roots)) for name in names}
        self.stages, self.rules, self.common, self.roots = stages, rules, common, roots
        self.final, self.averaged = final, averaged
        self.nodes: dict[str, Node] = {}
        self._sources: dict[str, str] = {}
        self._fitting: set[int] = set()

    def _source(self, task: str) -> str:
        """Return the hash of the source that trains ``task``, computed once for all nodes."""
        if task not in self._sources:
            self._sources[task] = group_hash(task)
        return self._sources[task]

    def add(
        self,
        curriculum: str,
        variant: str,
        seed: int,
        data: dict[str, Any],
        *,
        longer: float = 1,
    ) -> Node:
        """Add the path of a curriculum and return its last node.

        ``data`` has the data recipes of the pretext stages ("pretext") and of the last ("final"),
        which is trained ``longer`` times as many epochs as its settings say.
        """
        root, tasks = self.paths[curriculum]
        parent = None
        for name, task in zip(prefixes(root, tasks), tasks, strict=True):
            parent = self._node(name, task, variant, seed, root, parent, data["pretext"])
        name = last_node(curriculum, self.final)
        return self._node(name, self.final, variant, seed, root, parent, data["final"], longer)

    def _node(
        self,
        name: str,
        task: str,
        variant: str,
        seed: int,
        root: str,
        parent: Node | None,
        data: dict[str, Any],
        longer: float = 1,
    ) -> Node:
        depth = len([part for part in name.split("+") if part in PRETEXT_TASKS])
        settings = lasting(task, self.stages[task])
        rates = tuple(self._rates(settings.pop("learning_rates"), task, variant, depth))
        if longer != 1:
            epochs = ("search_epochs", "final_epochs")
            settings |= {name: math.ceil(longer * settings[name] - 1e-9) for name in epochs}
        recipe = {
            **self.common,
            "task": task,
            "settings": settings,
            "seed": seed,
            "data": data,
            "root": parent.fingerprint if parent else self.roots.get(root, SCRATCH),
            "source": self._source(task),
        }
        # Measured for classifiers alone. Of one rate there is nothing to compare, and nothing by
        # which where none validate.
        if self.averaged and task == CLASSIFY and len(rates) > 1 and data.get("validate"):
            recipe["averaged_weights"] = group_hash("averaged weights")
        identity = fingerprint([recipe, rates])
        if identity not in self.nodes:
            self.nodes[identity] = Node(
                name=name,
                task=task,
                variant=variant,
                seed=seed,
                root=root,
                parent=parent.fingerprint if parent else None,
                recipe=recipe,
                learning_rates=rates,
                fingerprint=identity,
            )
        return self.nodes[identity]

    def _rates(self, own: list[float], task: str, variant: str, depth: int) -> list[float]:
        """Return the learning rates of a node: the first rule that fits it, or the stage's own."""
        kind = task if task in FINAL_TASKS else "pretext"
        fitting = [
            number
            for number, rule in enumerate(self.rules)
            if variant in rule.get("variants", [variant])
            and kind == rule.get("stage", kind)
            and depth in rule.get("tasks", [depth])
        ]
        self._fitting.update(fitting)
        return list(self.rules[fitting[0]]["values"] if fitting else own)

    def check_rules(self) -> None:
        """Raise InputError if one of the rules fits no stage that was added."""
        for number, rule in enumerate(self.rules):
            if number not in self._fitting:
                said = ", ".join(f"{key}: {rule[key]}" for key in rule if key != "values")
                raise InputError(
                    f"learning_rate_rules.{number}: fits no stage of this study ({said}); its "
                    f"variants are {', '.join(sorted({n.variant for n in self.nodes.values()}))}; "
                    "correct the rule or remove it"
                )
