"""Values that YAML makes of texts, sizes that no machine has, paths that only shells understand."""

from __future__ import annotations

import copy
import datetime
import math
import os
from pathlib import Path

import pytest
import yaml

from sscdl.errors import InputError
from sscdl.model.source import read_study
from sscdl.study.config import check_config, load_schema
from sscdl.study.config_files import read_yaml
from sscdl.study.reading import read_config
from tests.conftest import ROOT

SCHEMA = load_schema(ROOT / "workflow/schemas/config.schema.yaml")
SMALL = {"study": "x", "dataset": {"layout": "phantom"}, "curricula": ["moco"]}


def nested(path, value):
    """Return the small configuration with ``value`` at a path such as image.size."""
    config = copy.deepcopy(SMALL)
    block = config
    *parents, last = path.split(".")
    for name in parents:
        block = block.setdefault(name, {})
    block[last] = value
    return config


def leaves(schema, where=""):
    """Yield (path, schema) of every key of a configuration."""
    for name, child in schema.get("properties", {}).items():
        path = f"{where}.{name}" if where else name
        if "$ref" in child:
            child = {**SCHEMA["$defs"][child["$ref"].rpartition("/")[2]], **child}
        yield path, child
        yield from leaves(child, path)


KEYS = dict(leaves(SCHEMA))


def numeric(schema):
    kinds = schema.get("type", [])
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    return bool(kinds & {"integer", "number"}) and "string" not in kinds


def inner_schemas():
    """Yield (path, schema) of every number, also those in lists and among alternatives."""
    for path, schema in KEYS.items():
        for one in (schema, schema.get("items", {}), *schema.get("anyOf", [])):
            if numeric(one):
                yield path, one


NUMBERS = sorted(path for path, schema in KEYS.items() if numeric(schema))
PATHS = sorted(path for path, schema in KEYS.items() if schema.get("format") == "path")


def refused(config):
    with pytest.raises(InputError) as failed:
        check_config(config, SCHEMA)
    text = str(failed.value)
    assert text.count("\n") < 12
    return text


def test_every_number_has_two_bounds():
    assert len(NUMBERS) > 80
    for path, one in inner_schemas():
        assert {"maximum", "exclusiveMaximum"} & one.keys(), path
        assert {"minimum", "exclusiveMinimum"} & one.keys(), path


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10.0**30, 10**30])
def test_no_number_takes_what_is_none_or_beyond_everything(value):
    for path in NUMBERS:
        assert path in refused(nested(path, value)), path


@pytest.mark.parametrize(
    ("path", "value"),
    [("image.size", 1_000_000), ("image.packed", 5000), ("training.threads", 100_000),
     ("stages.moco.options.dimension", 2 * 10**9), ("stages.swav.options.prototypes", 10**8),
     ("stages.moco.options.queue", 10**9), ("stages.moco.batch_size", 10**6),
     ("dataset.phantom.patients", 10**9), ("results.margin", 10**9), ("seeds", [2**32])],
)  # fmt: skip
def test_sizes_that_no_machine_has(path, value):
    assert path in refused(nested(path, value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: 2024-05-01", "study: 2024-05-01 is a date to YAML; put it in quotes"),
        ("study: 2024-05-01 10:00:00", "study: 2024-05-01 10:00:00 is a datetime to YAML"),
        ("store: !!binary aGk=", "store: b'hi' is a bytes to YAML; put it in quotes"),
        ("curricula: !!set {moco}", "curricula: {'moco'} is a set to YAML; put it in quotes"),
        ("stages: {1: {}}", "stages: key 1 is no text; put it in quotes"),
        ("2024-05-01: 1", "the configuration: key 2024-05-01 is no text; put it in quotes"),
        ("variant_edge: .nan", "variant_edge: nan is no finite number"),
        (
            "stages: {moco: {learning_rates: [0.1, .inf]}}",
            "stages.moco.learning_rates.1: inf is no",
        ),
    ],
)
def test_what_yaml_makes_of_a_text(text, message):
    assert message in refused(SMALL | yaml.safe_load(text))


@pytest.mark.parametrize(
    ("path", "value"),
    [("ingest.rendering.percentiles", [99.5, 0.5]), ("ingest.rendering.percentiles", [1, 1]),
     ("stages.moco.options.crop", [1.0, 0.2]), ("stages.swav.options.local_crop", [0.4, 0.3]),
     ("stages.classify.options.crop", [1, 0.5])],
)  # fmt: skip
def test_ranges_rise(path, value):
    assert f"{path}: [" in refused(nested(path, value))


def test_which_keys_are_paths():
    roots = SCHEMA["properties"]["roots"]["additionalProperties"]["properties"]
    assert roots["file"]["format"] == "path"
    archives = [f"{one}.{kind}" for one in ("dataset", "pretraining_dataset")
                for kind in ("siim.root", "table.root", "table.table", "table.further",
                             "folders.root")]  # fmt: skip
    lungs = ["lungs.checkpoint.file", "lungs.masks.folder", "lungs.train.folder"]
    lists = [f"split.lists.{side}" for side in ("train", "val", "test")]
    assert sorted([*archives, *lungs, *lists, "store"]) == PATHS


def with_path(path, given):
    """Return a configuration with ``given`` at ``path``, and with what that goes with."""
    config = nested(path, given)
    if path.startswith("split.lists."):
        config["split"] = {"source": "lists", "lists": {"test": "x"} | config["split"]["lists"]}
        config["dataset"] = {"layout": "siim", "siim": {"root": "/data"}}
    return config


def test_a_home_folder_is_written_out_and_a_variable_refused():
    home = os.path.expanduser("~")
    roots = {"mine": {"file": "~/w.pt"}}
    for path in PATHS:
        several = KEYS[path].get("type") == "array"
        given = ["~/data/$"] if several else "~/data/$"
        found = check_config(with_path(path, given) | {"roots": roots}, SCHEMA)
        assert found["roots"]["mine"]["file"] == f"{home}/w.pt"
        for part in path.split("."):
            found = found[part]
        assert found == ([f"{home}/data/$"] if several else f"{home}/data/$")
        for text in ("$HOME/x", "/data/${USER}", "/data/{one}", "~nobody-of-this-name/x"):
            assert f"{path}: {text!r}" in refused(with_path(path, [text] if several else text))
    assert "roots.mine.file" in refused(SMALL | {"roots": {"mine": {"file": "$W/w.pt"}}})
    assert not Path("~").exists()


TWICE = (
    "study: x\nstages:\n  moco: {batch_size: 8}\ndataset: {layout: phantom}\nstages:\n  swav: {}\n"
)


def test_a_key_twice_names_both_lines(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(TWICE)
    message = r"c.yaml, lines 2 and 5: key 'stages' is there twice in one block"
    for read in (read_yaml, lambda path: read_config([path]),
                 lambda path: read_study([path], [], tmp_path)):  # fmt: skip
        with pytest.raises(InputError, match=message):
            read(file)
    file.write_text("a: {b: 1, c: 2,\n  b: 3}")
    with pytest.raises(InputError, match="lines 1 and 2: key 'b' is there twice"):
        read_yaml(file)
    file.write_text('{"a": 1, "a": 2}')
    with pytest.raises(InputError, match="c.yaml, key 'a' is there twice"):
        read_yaml(file)


@pytest.mark.parametrize(
    ("text", "value"), [("0123", "83"), ("-0_17", "-15"), ("12:30", "750"), ("1:02:03", "3723")]
)
def test_numbers_that_yaml_takes_for_others(tmp_path, text, value):
    file = tmp_path / "c.yaml"
    file.write_text(f"keep:\n  values: [1, {text}]\n")
    with pytest.raises(InputError, match=rf"c.yaml, line 2: {text} is {value} to YAML"):
        read_yaml(file)
    file.write_text(f"keep: {{values: ['{text}', 10, 0, 0x1F, 1_000, -5]}}\n")
    assert read_yaml(file)["keep"]["values"] == [text, 10, 0, 31, 1000, -5]


def test_anchors_and_merged_blocks_are_no_second_key(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("a: &one {x: 1, y: 2}\nb:\n  <<: *one\n  x: 3\nc: *one\n")
    assert read_yaml(file) == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}, "c": {"x": 1, "y": 2}}
    file.write_text("")
    assert read_yaml(file) == {}


@pytest.mark.parametrize("text", ["- a", "word", "a: [", "a:\n\t- b"])
def test_files_that_are_no_configuration(tmp_path, text):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"c.yaml: (is no YAML file|holds no keys)"):
        read_yaml(file)


def test_a_date_that_is_a_key_value_elsewhere():
    assert "curricula.0" in refused(SMALL | {"curricula": [datetime.date(2024, 5, 1)]})
