"""What tasks declare: complete, in order, and within their own limits."""

from __future__ import annotations

import importlib
import subprocess
import sys

import jsonschema
import pytest

from sscdl.errors import InputError
from sscdl.source import FAMILIES, TASK_MODULES
from sscdl.study.config import check_config, load_schema
from sscdl.study.reference import SCHEMA
from sscdl.tasks.declaration import ABSENT, auto_or_integer, flag, integer, number, shares
from sscdl.tasks.options import DECLARATIONS, LATER
from tests.conftest import ROOT

OPTIONS = [(task, name) for task, one in DECLARATIONS.items() for name in one.options]


def test_every_task_is_declared_beside_its_module():
    folders = (ROOT / "sscdl/tasks").glob("*/*.py")
    modules = {path.stem for path in folders if path.stem != "__init__"}
    declared = {name.removesuffix("_declaration") for name in modules if "_declaration" in name}
    assert declared == {name for name in modules if "_declaration" not in name}
    assert declared == set(TASK_MODULES) == set(DECLARATIONS)
    assert {one.name for one in (ROOT / "sscdl/tasks").iterdir() if one.is_dir()} - {
        "__pycache__"
    } == set(FAMILIES)


def test_tasks_are_listed_by_family():
    place = {task: (FAMILIES.index(one.split(".")[-2]), task) for task, one in TASK_MODULES.items()}
    assert list(DECLARATIONS) == sorted(DECLARATIONS, key=place.get)
    present = ["moco", "swav", "relloc", "rotation", "classify"]
    assert [task for task in DECLARATIONS if task in present] == present


def test_only_options_that_came_later_are_left_out_of_recipes():
    """Those that stand here have stages in stores: what they meant before can never change."""
    assert {task: one for task, one in LATER.items() if one} == {"moco": {"fill": False}}


@pytest.mark.parametrize(("task", "name"), OPTIONS)
def test_all_values_that_an_option_names_are_within_its_limits(task, name):
    option = DECLARATIONS[task].options[name]
    for value in (option.default, option.other, option.off, option.small, option.before):
        if value is not ABSENT:
            jsonschema.validate(value, option.limits)
    without = option.default if option.before is ABSENT else option.before
    assert option.other not in (without, option.small)
    assert option.off is ABSENT or option.off != option.other
    assert option.about.endswith(".")


@pytest.mark.parametrize(
    ("option", "allowed", "refused"),
    [
        (number(0.5, "", "(0, 1)", other=0), [0.1, 0.9], [0, 1, "x"]),
        (number(0.5, "", "[0, 1]", other=0), [0, 1], [-0.1, 1.1]),
        (integer(2, "", "[1, 3]", other=1), [1, 3], [0, 4, 1.5]),
        (auto_or_integer("", "[1, 3]", other=1), ["auto", 1], [0, "other"]),
        (shares([0.1, 1.0], "", other=[0.2, 0.3]), [[0.1, 0.2]], [[0, 1], [0.5], [0.5, 1.1], 1]),
        (flag(True, ""), [True, False], [1, "x"]),
    ],
)
def test_limits_are_what_the_brackets_say(option, allowed, refused):
    for value in allowed:
        jsonschema.validate(value, option.limits)
    for value in refused:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(value, option.limits)


@pytest.mark.parametrize(("task", "name"), OPTIONS)
def test_a_value_beyond_the_limits_is_refused_by_key(task, name):
    config = {"study": "x", "dataset": {"layout": "phantom"}, "curricula": ["scratch"]}
    config["stages"] = {task: {"options": {name: [[]]}}}
    with pytest.raises(InputError, match=rf"stages\.{task}\.options\.{name}"):
        check_config(config, load_schema(SCHEMA))


def test_what_is_wrong_between_options_is_told_by_key():
    config = {"study": "x", "dataset": {"layout": "phantom"}, "curricula": ["scratch"]}
    config["stages"] = {
        "moco": {"batch_size": 8, "options": {"queue": 12, "crop": [0.9, 0.2]}},
        "swav": {"batch_size": 8, "options": {"queue": 4}},
        "relloc": {"options": {"patch": 0.9, "gap": 0.2}},
    }
    with pytest.raises(InputError) as told:
        check_config(config, load_schema(SCHEMA))
    for line in (
        "stages.moco.options.queue: 12 is no multiple of the batch_size, 8",
        "stages.swav.options.queue: 4 is no multiple of the batch_size, 8",
        "stages.relloc.options: patch and gap together are more than a cell (1)",
        "stages.moco.options.crop: [0.9, 0.2] does not rise",
    ):
        assert line in str(told.value)


def test_each_module_has_the_class_of_its_task():
    for task, module in TASK_MODULES.items():
        classes = vars(importlib.import_module(module)).values()
        own = [one for one in classes if isinstance(one, type) and vars(one).get("name") == task]
        assert len(own) == 1


def test_reading_declarations_imports_no_torch():
    code = "import sys, sscdl.tasks.options; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
