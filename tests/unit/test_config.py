"""Every key is described, a wrong one is named with the right one, shipped files are valid."""

from __future__ import annotations

import copy

import pytest
import yaml

from sscdl.config import check_config, describe, load_schema
from sscdl.errors import InputError
from sscdl.tasks.options import DEFAULTS
from tests.conftest import ROOT

SCHEMA = load_schema(ROOT / "workflow/schemas/config.schema.yaml")
SMALL = {"study": "x", "dataset": {"layout": "phantom"}, "curricula": ["moco"]}
FILES = sorted((ROOT / "config").glob("*.yaml"))


def merged(base: dict, over: dict) -> dict:
    """Return ``base`` with ``over`` laid over it, as Snakemake merges configuration files."""
    result = copy.deepcopy(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_shipped_configurations_are_valid(file):
    base = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    assert check_config(merged(base, yaml.safe_load(file.read_text())), SCHEMA)["study"]


def test_defaults_are_filled_in_at_every_depth():
    filled = check_config(SMALL, SCHEMA)
    assert filled["stages"]["moco"]["options"]["temperature"] == DEFAULTS["moco"]["temperature"]
    assert filled["stages"]["swav"]["optimizer"] == "lars"
    assert filled["roots"] == {"imagenet": {"file": None}}
    assert filled["lungs"]["train"]["field"] == [128, 128]
    assert "stages" not in SMALL, "the caller's configuration stays as it was"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"curicula": []}, "curicula: no such key; did you mean 'curricula'?"),
        (
            {"stages": {"moco": {"batchsize": 8}}},
            "stages.moco.batchsize: no such key; did you mean 'batch_size'?",
        ),
        (
            {"stages": {"moco": {"learning_rates": [0.1, -0.1]}}},
            "stages.moco.learning_rates.1: -0.1 is less than or equal to the minimum of 0",
        ),
        ({"protocol": "strickt"}, "did you mean 'strict'?"),
        ({"dataset": {"layout": "siim"}}, "dataset.siim.root: missing"),
        ({"split": {"val": 0}}, "split.val: 0, but protocol strict"),
        ({"split": {"val": 0.6, "test": 0.5}}, "leave nothing to train on"),
        ({"image": {"size": 64, "packed": 32}}, "image.packed: smaller than image.size"),
        ({"study": "../outside"}, "study: '../outside' does not match"),
        ({"seeds": []}, "seeds"),
    ],
)
def test_faults_are_named(change, message):
    with pytest.raises(InputError) as caught:
        check_config(merged(SMALL, change), SCHEMA)
    assert message in str(caught.value)


def test_missing_keys_are_named():
    with pytest.raises(InputError, match="curricula: missing"):
        check_config({"study": "x", "dataset": {"layout": "phantom"}}, SCHEMA)


def test_task_options_and_schema_have_the_same_keys():
    for task, defaults in DEFAULTS.items():
        options = SCHEMA["$defs"][task]["properties"]["options"]["properties"]
        assert set(options) == set(defaults)


def test_every_key_is_described_and_in_the_reference():
    rows = describe(SCHEMA).splitlines()[2:]
    assert len(rows) > 100
    for row in rows:
        key, meaning = row.split("|")[1:3]
        assert meaning.strip(), f"{key} has no description"
    reference = (ROOT / "config/README.md").read_text()
    assert describe(SCHEMA) in reference, "run: make docs"
