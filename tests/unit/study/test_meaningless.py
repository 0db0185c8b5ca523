"""Settings that mean nothing in a study, or one thing twice, are refused before anything runs."""

from __future__ import annotations

import pytest

from sscdl.errors import InputError
from sscdl.study.config import check_config, load_schema
from sscdl.study.study import Study
from tests.conftest import ROOT

SCHEMA = load_schema(ROOT / "workflow/schemas/config.schema.yaml")
SMALL = {"study": "x", "dataset": {"layout": "phantom"}, "curricula": ["moco", "rotation"]}


def check(tmp_path, **settings):
    Study(check_config({**SMALL, "store": str(tmp_path), **settings}, SCHEMA)).check()


@pytest.mark.parametrize(
    "rule",
    [{"variants": ["ful"]}, {"tasks": [2]}, {"stage": "pretext", "tasks": [0]}, {"variants": []},
     {"variants": ["inverted"]}],
)  # fmt: skip
def test_a_rule_that_fits_no_stage(tmp_path, rule):
    rules = [{"values": [0.1], "stage": "classify"}, {**rule, "values": [0.2]}]
    with pytest.raises(InputError, match=r"learning_rate_rules.1: fits no stage of this study"):
        check(tmp_path, learning_rate_rules=rules)


def test_rules_that_fit(tmp_path):
    """Also those whose stages an earlier rule has taken."""
    check(tmp_path, learning_rate_rules=[{"values": [0.1]}, {"variants": ["full"], "values": [1]}])


@pytest.mark.parametrize("other", ["scratch+rotation", "rotation"])
def test_one_model_twice(tmp_path, other):
    with pytest.raises(InputError, match=r"curricula: .*rotation.*(same model|more than once)"):
        check(tmp_path, curricula=["rotation", other])


def test_a_curriculum_without_end(tmp_path):
    check(tmp_path, curricula=["+".join(["rotation"] * 12)])
    with pytest.raises(InputError, match="joins more than 12 names"):
        check(tmp_path, curricula=["+".join(["rotation"] * 13)])
