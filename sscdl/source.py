"""Hash of the source code that determines a result, blind to everything that cannot change it.

The hash is over the canonical texts of a module and of every module of this package that it refers
to, at any depth: see ``sscdl.canonical``. Where a module lies and what it is called does not count;
what an import refers to does, by its contents.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from sscdl.canonical import HERE, PACKAGE, canonical, path_of
from sscdl.files import HOME

# Folders of tasks, in the order in which tasks are listed everywhere.
FAMILIES = ("views", "clusters", "prediction", "supervised")


def _task_modules() -> dict[str, str]:
    """Return the module of each task that is declared, by its name."""
    return {
        path.stem.removesuffix("_declaration"): f"{PACKAGE}.tasks.{family}."
        + path.stem.removesuffix("_declaration")
        for family in FAMILIES
        for path in sorted(HERE.glob(f"tasks/{family}/*_declaration.py"))
    }


# Here, and not in the registry of tasks, which reads it: recipes name what trains a node without
# importing it.
TASK_MODULES = _task_modules()

# Modules that move results about and are not meant to change what is in them: what they do wrong is
# a fault, not another result, and the words of warnings are none. The registry of tasks only names
# classes, and the options of a task stand in its recipe, so that changing what one task declares
# does not touch the others. What this module computes stands in the recipes, too. What checks that
# files are whole and belong together only refuses.
WITHOUT_INFLUENCE = frozenset(
    f"{PACKAGE}.{name}"
    for name in (
        *(f"{one.removeprefix(PACKAGE + '.')}_declaration" for one in TASK_MODULES.values()),
        "archives.folder_words",
        "errors",
        "files",
        "records",
        "images.vouched",
        "progress",
        "store.store",
        "training.device",
        "training.monitor",
        "training.clock",
        "training.scalars",
        "training.timm_published",
        "_torchvision",
        "tasks",
        "tasks.declaration",
        "tasks.options",
        "weight_files",
        "source",
        "canonical",
    )
)

# Modules that take part only where a recipe asks for it: the hash of their group stands in such a
# recipe, under a key of its own, and in no other. Stages that were trained without them are found
# again however they change.
ON_REQUEST = frozenset(
    f"{PACKAGE}.{name}"
    for name in (
        "archives.folder_settings",
        "archives.folders",
        "training.averages",
        "training.batch_statistics",
        "training.timm_backbones",
    )
)

# What makes things that are kept, by what it makes: the modules that a recipe's hash starts from.
# A task's name is a group, too: see `group_modules`.
GROUPS = {
    "phantom": (f"{PACKAGE}.phantom.archive",),
    "images": (f"{PACKAGE}.images.ingest", f"{PACKAGE}.images.render_worker"),
    "folders": (f"{PACKAGE}.archives.folders", f"{PACKAGE}.archives.folder_settings"),
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
    "given split": (f"{PACKAGE}.archives.by_sides",),
    "averaged weights": (f"{PACKAGE}.training.averages",),
    "batch statistics": (f"{PACKAGE}.training.batch_statistics",),
    "timm networks": (f"{PACKAGE}.training.timm_backbones",),
}

# What looks for near-duplicates. Its hash stands in the name of the list that it writes, and in no
# recipe: these hold what comes of the pairs that were found.
PAIRING = (f"{PACKAGE}.images.near_duplicates",)

# Files that are no source and yet stand in what these modules write or compare with.
RESOURCES = {
    f"{PACKAGE}.tables.html_table": ("sscdl/tables/*.css", "sscdl/tables/*.js"),
    f"{PACKAGE}.study.thesis": ("resources/thesis/*.csv",),
    f"{PACKAGE}.report.facts": ("sscdl/tasks/*/*_declaration.py",),
    f"{PACKAGE}.tables.thesis.curriculum_kinds": ("sscdl/tasks/*/*_declaration.py",),
}


def import_closure(modules: Iterable[str]) -> list[str]:
    """Return ``modules`` and all that they refer to within the package, sorted.

    A parent package's ``__init__`` counts only where it is imported by name: a registry there would
    otherwise tie every task to every other.
    """
    todo, seen = list(modules), set()
    left_out = WITHOUT_INFLUENCE | ON_REQUEST.difference(todo) | {PACKAGE}
    while todo:
        module = todo.pop()
        if module in seen or module in left_out:
            continue
        seen.add(module)
        todo.extend(canonical(module).references)
    return sorted(seen)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def source_hash(*modules: str) -> str:
    """Return 12 hex digits of SHA-256 over ``modules``, in this order, and their import closure.

    Names of modules are not part of it. In their place stands, in each text, a hash of the module
    that is meant; as such a hash depends on others, again by what they refer to, and modules may
    import each other, it is refined once for each module of the closure.
    """
    texts = {module: canonical(module) for module in import_closure(modules)}
    hashed = dict.fromkeys(texts, "a module")

    def known(module: str) -> str:
        return hashed.get(module, "a module without influence")

    hashed = {name: _digest(text.resolved(known, whole=True)) for name, text in texts.items()}
    for _ in texts:
        hashed = {
            name: _digest(f"{hashed[name]}\n{text.resolved(known, whole=False)}")
            for name, text in texts.items()
        }
    return _digest("\n".join(hashed[module] for module in modules))[:12]


def called_modules(script: Path) -> tuple[str, ...]:
    """Return the modules of the package whose import closure is all that ``script`` calls.

    These are those that it imports, sorted, and those that only some recipes ask for: nothing else
    has their hash here. Those without influence are left out.
    """
    found = set()
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {name if path_of(name) else node.module for name in names}
    modules = tuple(sorted(name for name in found - WITHOUT_INFLUENCE if path_of(name)))
    named = {one for module in import_closure(modules) for one in canonical(module).references}
    return modules + tuple(sorted(ON_REQUEST & named))


def _matching(pattern: str) -> Iterator[tuple[Path, Path]]:
    """Yield the files of ``RESOURCES`` that fit: below a checkout's folder, and where they lie."""
    # An installed package does not lie in HOME, but HOME in it.
    home = HERE.parent if pattern.startswith(f"{PACKAGE}/") else HOME
    for path in home.glob(pattern):
        yield path.relative_to(home), path


def output_hash(script: Path) -> str:
    """Return 12 hex digits that change with all that ``script`` calls, and what that reads.

    What is read are the files in ``RESOURCES``. The text of the script itself is no part of it.
    """
    modules = called_modules(script)
    patterns = [one for name in import_closure(modules) for one in RESOURCES.get(name, ())]
    files = sorted(found for pattern in patterns for found in _matching(pattern))
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for _, path in files]
    return _digest("\n".join([source_hash(*modules), *digests]))[:12]


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
        module: _digest(canonical(module).resolved(lambda _: "a module", whole=True))[:12]
        for module in import_closure(modules)
    }
