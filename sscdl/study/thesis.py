"""Which of the thesis's tables a study has a counterpart of, and of which stages each is made.

Imports nothing heavy: it is asked each time the workflow is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from sscdl.files import HOME
from sscdl.study.trie import PRETEXT_TASKS, SCRATCH

# The thesis's tables as printed, which lie beside the package.
THESIS_FOLDER = HOME / "resources/thesis"
VARIANTS = ("full", "segmented_black")
TWO_CLASSES = ("negative", "typical")
FOUR_CLASSES = (*TWO_CLASSES, "indeterminate", "atypical")
RESTORE = "restore it from the project (resources/thesis)"  # what to do about a damaged table
# Batch sizes of the halved runs, as table 4.4 prints them.
HALVED = {"relloc": 16, "rotation": 8, "swav": 4, "moco": 16}
HALF_BATCH = "4.4_naive_half_batch_full"
KINDS = "curriculum_kinds"
IMAGENET = "imagenet"
OF_RATES = ("pretext", "classification")  # kinds of tables that no prediction is needed for

if TYPE_CHECKING:

    class Staged(Protocol):
        """What is asked of a stage: a node of the trie has it, and what outputs are named by."""

        @property
        def variant(self) -> str: ...
        @property
        def name(self) -> str: ...
        @property
        def task(self) -> str: ...
        @property
        def root(self) -> str: ...
        @property
        def parent(self) -> str | None: ...

    AnyStage = TypeVar("AnyStage", bound=Staged)


class Name(NamedTuple):
    """What the name of a table says: its kind, its variant and numbers of pretext tasks."""

    kind: str  # "summary", "pretext", "classification", "naive" or "curriculum_kinds"
    variant: str
    tasks: tuple[int, ...]


def _tables() -> dict[str, Name]:
    """Return the tables of chosen rates, of all rates and of the naive runs, in their order."""
    found = {}
    depths = {1: (0, 1), 2: (2,), 3: (3,)}
    for number, tasks in depths.items():
        for index, variant in enumerate(VARIANTS):
            name = f"4.{6 + 2 * number + index}_summary_{variant}"
            found[name] = Name("summary", variant, tasks)
    # B.1 to B.12: by number of tasks, within it by variant, within it the pretext stage first.
    number = 0
    for tasks in depths.values():
        for variant in VARIANTS:
            for kind in ("pretext", "classification"):
                number += 1
                many = "task" if tasks[-1] == 1 else "tasks"
                name = f"B.{number}_{kind}_{tasks[-1]}{many}_{variant}"
                found[name] = Name(kind, variant, tasks)
    found[HALF_BATCH] = Name("naive", "full", (0, 1))
    for index, variant in enumerate((*VARIANTS, "segmented_gray")):
        found[f"4.{5 + index}_naive_{variant}"] = Name("naive", variant, (0, 1))
    found[KINDS] = Name(KINDS, "", ())
    return found


THESIS_TABLES = _tables()


def pretext_tasks(curriculum: str) -> tuple[str, ...]:
    """Return the pretext tasks of a curriculum (or of a stage's name) in their order."""
    return tuple(part for part in curriculum.split("+") if part in PRETEXT_TASKS)


def first_task(curriculum: str) -> str:
    """Return the curriculum that ends after the first task of this one, empty if it has none."""
    tasks = pretext_tasks(curriculum)
    if not tasks:
        return ""
    head = curriculum.removeprefix(f"{SCRATCH}+").split("+")[0]
    return head if head in PRETEXT_TASKS else f"{head}+{tasks[0]}"


def references(curriculum: str, available: Iterable[str]) -> list[str]:
    """Return what a curriculum is compared with, of the models that are available."""
    wanted = [SCRATCH, IMAGENET, first_task(curriculum)]
    if curriculum == SCRATCH:
        return []
    return [name for name in wanted if name != curriculum and name in set(available)]


def reference_kind(against: str) -> str:
    """Return of what kind a model is that others are compared with, as :func:`references` names it.

    That is scratch, imagenet or first_task.
    """
    return against if against in (SCRATCH, IMAGENET) else "first_task"


def tables_of(
    nodes: Iterable[Staged], *, classes: Sequence[str], batches: Mapping[str, int]
) -> list[str]:
    """Return the names of the thesis's tables that a study of these stages has a counterpart of.

    A table is there if the study has at least one of its rows. The naive runs are those on four
    classes: 4.5 to 4.7 by variant, with 4.4 instead of 4.5 where ``batches``, the batch size of
    each pretext task, are the halved ones; the other tables are of two classes.
    """
    nodes = list(nodes)
    halved = all(batches.get(task) == size for task, size in HALVED.items())
    names = []
    for name, table in THESIS_TABLES.items():
        fits = table.kind == KINDS or len(classes) == len(TWO_CLASSES)
        if table.kind == "naive":
            fits = set(classes) == set(FOUR_CLASSES) and halved == (name == HALF_BATCH)
        if fits and nodes_of(name, nodes):
            names.append(name)
    return names


def nodes_of(name: str, nodes: Iterable[AnyStage]) -> list[AnyStage]:
    """Return the stages that the table ``name`` is made of."""
    table = THESIS_TABLES[name]
    if table.kind == KINDS:
        return [
            n for n in nodes if n.task in PRETEXT_TASKS and n.parent is None and n.root == SCRATCH
        ]
    pretext = table.kind == "pretext"
    return [
        node
        for node in nodes
        if node.variant == table.variant
        and (node.task in PRETEXT_TASKS) == pretext
        and len(pretext_tasks(node.name)) in table.tasks
    ]
