"""Exactly what determines a node's weights is in its identity: no module more, none less."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest

from sscdl import source
from sscdl.stages.runs import object_key
from sscdl.store.store import read_pointer
from sscdl.study.trie import thesis_curricula
from sscdl.tasks.options import DEFAULTS
from tests.conftest import ROOT
from tests.unit.package_copy import MODULES
from tests.unit.plan_helpers import make_nodes, train
from tests.unit.small_store import small_store  # noqa: F401

TASKS = tuple(DEFAULTS)
FOLDERS = {name for name in MODULES[1:] if (ROOT / name.replace(".", "/")).is_dir()}
# Written down by hand, so that a fault in the search for imports shows.
IN_ALL = {"stages.session", "training.loop", "stages.search", "training.backbones",
          "training.optim", "images.rows", "training.pixels", "training.run_state",
          "images.variants", "tasks.base", "recipe", "training.ranks"}  # fmt: skip
IN_NONE = {"figures.charts", "tables.overview", "evaluation.metrics", "planning.plan",
           "planning.reasons", "planning.rates", "study.study", "study.trie", "source",
           "stages.stage", "stages.runs", "stages.crew", "store.store", "dicom.render",
           "images.ingest", "evaluation.attention", "study.config", "model.command"}  # fmt: skip


SHARED = {
    "barlowtwins": {"heads", "pairs", "whole_batch"},
    "byol": {"contrast", "heads", "pairs", "teachers", "whole_batch"},
    "moco": {"pairs", "queues", "teachers", "whole_batch"},
    "simclr": {"contrast", "heads", "pairs", "whole_batch"},
    "simsiam": {"contrast", "heads", "pairs", "whole_batch"},
    "vicreg": {"heads", "pairs", "whole_batch"},
    "dino": {"contrast", "crops", "pairs", "sizes", "teachers", "whole_batch"},
    "swav": {"crops", "heads", "sizes"},
    "relloc": {"sizes"},
    "classify": {"linear"},
    "findings": {"linear"},
}


def hashes() -> dict[str, str]:
    """Return the source hash of the nodes of each task."""
    return {task: source.source_hash(*source.group_modules(task)) for task in TASKS}


def closures() -> dict[str, set[str]]:
    return {task: set(source.import_closure(source.group_modules(task))) for task in TASKS}


def test_an_edit_of_any_module_changes_the_tasks_that_use_it_and_no_other(package):
    before, used = hashes(), closures()
    for module in MODULES:
        text = package.path(module).read_text()
        package.write(module, text + "\nEDITED = True\n")
        after = hashes()
        changed = {task for task in TASKS if after[task] != before[task]}
        assert changed == {task for task in TASKS if module in used[task]}, module
        package.write(module, text)
    assert hashes() == before


def test_modules_whose_part_in_it_is_known():
    for task, found in closures().items():
        names = {name.removeprefix("sscdl.") for name in found}
        assert names >= IN_ALL, task
        assert not names & IN_NONE, task
        tasks = {name for name in names if name.startswith("tasks.")}
        shared = {f"tasks.{name}" for name in ("base", *SHARED.get(task, ()))}
        assert tasks == {*shared, source.TASK_MODULES[task].removeprefix("sscdl.")}


@pytest.mark.parametrize("task", ["swav", "classify"])
def test_what_python_imports_for_training_is_in_the_closure(task):
    code = (
        "import importlib, json, sys\n"
        f"for name in {source.group_modules(task)}: importlib.import_module(name)\n"
        "print(json.dumps([name for name in sys.modules if name.startswith('sscdl.')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    loaded = set(json.loads(done.stdout))
    assert source.TASK_MODULES[task] in loaded
    known = closures()[task] | source.WITHOUT_INFLUENCE | source.ON_REQUEST
    assert loaded <= known | FOLDERS


def test_folders_say_what_is_in_them_and_do_nothing():
    for folder in FOLDERS - source.WITHOUT_INFLUENCE:
        tree = ast.parse((ROOT / folder.replace(".", "/") / "__init__.py").read_text())
        assert ast.get_docstring(tree), folder
        assert len(tree.body) == 1, folder


def test_comments_formatting_and_docstrings_of_any_module_change_nothing(package):
    before = hashes()
    for module in {module for used in closures().values() for module in used}:
        tree = ast.parse(package.path(module).read_text())
        # Unparsed code has no comments, other quotes and other line breaks.
        text = ast.unparse(tree)
        doc = ast.get_docstring(tree, clean=False)
        if doc:
            text = f'"""Another docstring."""\n{ast.unparse(ast.Module(tree.body[1:], []))}'
        package.write(module, f"# A comment.\n{text}\n\n\n# The end.\n")
    assert package.known == {}
    assert hashes() == before


def names_by_fingerprint() -> dict[str, str]:
    return {node.fingerprint: node.name for node in make_nodes(*thesis_curricula())}


def test_an_edit_of_the_swav_codes_changes_the_nodes_at_and_below_swav_alone(package):
    before = names_by_fingerprint()
    text = package.path("sscdl.tasks.clusters.swav").read_text()
    edited = text.replace("clamp_min(1e-30)", "clamp_min(1e-20)", 1)
    assert edited != text
    package.write("sscdl.tasks.clusters.swav", edited)
    after = names_by_fingerprint()
    changed = {before[one] for one in before.keys() - after.keys()}
    assert changed == {name for name in before.values() if "swav" in name.split("+")}
    assert len(changed) == 22


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("loop", "optimizer.step()", "optimizer.step(None)"),
        ("order", "digest_size=8", "digest_size=9"),
        ("schedule", "0.5 * (1 + math.cos", "0.4 * (1 + math.cos"),
    ],
)
def test_an_edit_of_what_trains_changes_every_node(package, module, old, new):
    before = names_by_fingerprint()
    text = package.path(f"sscdl.training.{module}").read_text()
    assert old in text
    package.write(f"sscdl.training.{module}", text.replace(old, new))
    assert not before.keys() & names_by_fingerprint().keys()


def test_an_edit_of_the_classifier_changes_the_classifiers_alone(package):
    before = names_by_fingerprint()
    text = package.path("sscdl.tasks.supervised.classify").read_text()
    package.write("sscdl.tasks.supervised.classify", text + "\nEDITED = True\n")
    changed = {before[one] for one in before.keys() - names_by_fingerprint().keys()}
    assert changed == {name for name in before.values() if name.split("+")[-1] == "classify"}


def test_a_new_learning_rate_leaves_the_objects_of_the_others(small_store):  # noqa: F811
    folder = small_store.folder
    (node,) = make_nodes("moco")[:1]
    (more,) = make_nodes("moco", stages={"moco": {"learning_rates": [0.1, 0.15, 0.2]}})[:1]
    assert more.fingerprint != node.fingerprint
    for rate in node.learning_rates:
        for phase in ("search", "final"):
            assert object_key(more.recipe, rate, phase) == object_key(node.recipe, rate, phase)
    train(folder, [node])
    before = small_store.contents()
    objects = {path.name for path in (folder / "objects").iterdir()}
    train(folder, [more])
    after = small_store.contents()
    assert {name: after[name] for name in before} == before
    new = {path.name for path in (folder / "objects").iterdir()} - objects
    assert new == {object_key(more.recipe, 0.15, "search")}
    one, two = (read_pointer(folder / "recipes" / each.pointer) for each in (node, more))
    assert one["object"] == two["object"], "0.2 still wins"
