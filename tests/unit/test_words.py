"""Numbers with their nouns, misspelt names, and that messages take both from one place."""

from __future__ import annotations

import re

import pytest

from sscdl.source import GROUPS, TASK_MODULES, group_modules, import_closure
from sscdl.words import many, nearest
from tests.conftest import ROOT

# A number, and a noun that is wrong of a single one.
_COUNTED = re.compile(
    r"(?:%d|\{(?:len\(|sum\()[^{}]*\}|\{[^{}]*:,\}) (?:(?!of )[a-z]+ )?"
    r"(?:images|patients|epochs|seeds|stages|models|files|rows|pairs|masks|tables|labels|nodes|jobs|"
    r"steps|candidates|runs|results|folders|lines|findings|networks|predictions|cells)\b"
)
# Of these there are several wherever they are said.
_SEVERAL = {
    "figures/panels.py": 2,
    "images/classes.py": 1,
    "report/facts.py": 1,
    "report/findings.py": 1,
}
# What stands in hashes of what is stored is left as it is, or is beside what does.
_LEFT = ("archives/", "tasks/", "training/", "images/imagelist.py", "images/near_duplicates.py")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((1, "image"), "1 image"),
        ((0, "image"), "0 images"),
        ((1200, "image"), "1,200 images"),
        ((1, "class", "classes"), "1 class"),
        ((2, "class", "classes"), "2 classes"),
        ((1, "row names", "rows name"), "1 row names"),
    ],
)
def test_a_number_has_the_noun_that_goes_with_it(given, said):
    assert many(*given) == said


def test_messages_count_by_that_function():
    """Else somebody with one image reads of 1 images."""
    hashed = set(import_closure({m for g in (*GROUPS, *TASK_MODULES) for m in group_modules(g)}))
    found = {}
    for path in sorted((ROOT / "sscdl").rglob("*.py")):
        name = path.relative_to(ROOT / "sscdl").as_posix()
        module = "sscdl." + name.removesuffix(".py").replace("/", ".")
        if module in hashed or name.startswith(_LEFT):
            continue
        texts = _COUNTED.findall(path.read_text())
        if len(texts) != _SEVERAL.get(name, 0):
            found[name] = texts
    assert found == {}


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("effusion", "Effusion"),
        ("EFFUSION", "Effusion"),
        ("Efusion", "Effusion"),
        ("Edema", ""),
        ("", ""),
    ],
)
def test_a_name_is_found_whatever_its_capitals(word, meant):
    assert nearest(word, ["Mass", "Effusion"]) == meant
    assert nearest(word, []) == ""


def test_of_names_that_differ_in_capitals_alone_the_first_is_meant():
    assert nearest("mass", ["MASS", "Mass"]) == "MASS"
    assert nearest("masses", ["Mass"], 0.9) == ""
