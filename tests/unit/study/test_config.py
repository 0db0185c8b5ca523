"""Every key is described, a wrong one is named with the right one, shipped files are valid."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import yaml

from sscdl.errors import InputError
from sscdl.images.limits import LATER_ACCEPT
from sscdl.study.config import check_config, load_schema
from sscdl.study.reading import read_config
from sscdl.tasks.options import DEFAULTS, LATER, LATER_SETTINGS, lasting
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
def test_shipped_configurations_are_valid_and_name_no_folder_of_anybody(file):
    assert read_config([file])["study"]
    named = dict(paths(yaml.safe_load(file.read_text()), SCHEMA))
    for key in (
        "dataset.table.table",
        "dataset.table.further",
        "split.lists.train",
        "split.lists.test",
    ):
        published = named.pop(key, [])  # files in the folder, as they were published
        files = [published] if isinstance(published, str) else published
        assert all(Path(one).name == one for one in files)
    assert named == ({"store": "store"} if file.name == "config.yaml" else {})


def paths(value: dict, schema: dict, where: str = "") -> list[tuple[str, str]]:
    """Return what a configuration says at the keys that the schema calls paths."""
    found = []
    for key, child in value.items():
        known = schema.get("properties", {}).get(key) or schema.get("additionalProperties") or {}
        known = SCHEMA["$defs"][known["$ref"].rpartition("/")[2]] if "$ref" in known else known
        if known.get("format") == "path" and child:
            found.append((f"{where}{key}", child))
        elif isinstance(child, dict):
            found += paths(child, known, f"{where}{key}.")
    return found


@pytest.mark.parametrize(
    ("name", "key"),
    [
        *(
            (name, "dataset.siim.root")
            for name in ("thesis", "nih-siim", "nih-siim-quick", "nih-seeds")
        ),
        *((name, "dataset.table.root") for name in ("nih-chestxray14", "chexpert", "pediatric")),
        ("kermany", "dataset.folders.root"),
        ("segmenter", "lungs.train.folder"),
    ],
)
def test_the_message_of_a_missing_folder_gives_the_words_that_name_it(name, key):
    file = ROOT / f"config/{name}.yaml"
    with pytest.raises(InputError) as caught:
        read_config([file], folders=True)
    line = re.search(rf"  {key}: missing; .*--config '(.*)'", str(caught.value))[1]
    config = read_config([file], [line.replace("<folder>", "/data/images")], folders=True)
    assert (key, "/data/images") in paths(config, SCHEMA)


def test_figures_of_the_thesis_are_for_its_own_study():
    asked = {file.name for file in FILES if read_config([file])["results"]["thesis_figures"]}
    assert asked == {"thesis.yaml", "thesis-shape.yaml"}


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


def test_numbers_given_as_text_become_numbers():
    # Inside of --config blocks and lists, Snakemake hands over everything as text.
    texts = yaml.load(
        "{seeds: [0,1,2], split: {val: 0.2}, split_seed: '7', study: '12', "
        "stages: {moco: {learning_rates: [0.1, 1], final_epochs: 3}}}",
        Loader=yaml.BaseLoader,
    )
    assert texts["seeds"] == ["0", "1", "2"]
    filled = check_config(merged(SMALL, texts), SCHEMA)
    assert filled["seeds"] == [0, 1, 2]
    assert {type(seed) for seed in filled["seeds"]} == {int}
    assert (filled["split"]["val"], filled["split_seed"]) == (0.2, 7)
    assert filled["stages"]["moco"]["learning_rates"] == [0.1, 1]
    assert filled["stages"]["moco"]["final_epochs"] == 3
    assert filled["study"] == "12", "where a text is wanted, it stays one"


def test_other_values_given_as_text_are_read_as_the_schema_wants_them():
    texts = {
        "split": {"stratified": "false"},
        "dataset": {"phantom": {"shortcut": "null"}},
        "stages": {"moco": {"learning_rates": ["1e-3"], "options": {"queue": "auto"}}},
    }
    filled = check_config(merged(SMALL, texts), SCHEMA)
    assert filled["split"]["stratified"] is False
    assert filled["dataset"]["phantom"]["shortcut"] is None
    assert filled["stages"]["moco"]["learning_rates"] == [0.001]
    assert filled["stages"]["moco"]["options"]["queue"] == "auto"
    texts["stages"]["moco"]["options"]["queue"] = "64"
    filled = check_config(merged(SMALL, texts), SCHEMA)
    assert filled["stages"]["moco"]["options"]["queue"] == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": {"val": "nan"}}, "split.val: 'nan' is not of type 'number'"),
        ({"split_seed": "[1"}, "split_seed: '[1' is not of type 'integer'"),
        ({"seeds": ["0", "one"]}, "seeds.1: 'one' is not of type 'integer'"),
        ({"seeds": ["0", "1.5"]}, "seeds.1: '1.5' is not of type 'integer'"),
        ({"seeds": ["true"]}, "is not of type 'integer'"),
        ({"seeds": ["1", "-1"]}, "seeds.1: -1 is less than the minimum of 0"),
        ({"seeds": ["1", "1"]}, "non-unique"),
        ({"split_seed": ""}, "split_seed: '' is not of type 'integer'"),
    ],
)
def test_text_that_is_no_such_number_is_named(change, message):
    with pytest.raises(InputError) as caught:
        check_config(merged(SMALL, change), SCHEMA)
    assert message in str(caught.value)


def test_a_block_that_an_anchor_repeats_is_filled_in_for_each_place():
    config = yaml.safe_load(
        "{study: x, dataset: {layout: phantom}, curricula: [moco], "
        "stages: {moco: &same {batch_size: 16}, swav: *same, relloc: *same}}"
    )
    stages = config["stages"]
    assert stages["moco"] is stages["swav"] is stages["relloc"]
    filled = check_config(config, SCHEMA)["stages"]
    assert stages["moco"] == {"batch_size": 16}, "the caller's configuration stays as it was"
    for task in ("moco", "swav", "relloc"):
        assert set(filled[task]["options"]) == set(DEFAULTS[task])
        assert filled[task]["batch_size"] == 16
    assert filled["moco"]["optimizer"] != filled["swav"]["optimizer"] == "lars"
    filled["moco"]["batch_size"] = 8
    filled["moco"]["learning_rates"].append(7)
    assert filled["swav"]["batch_size"] == filled["relloc"]["batch_size"] == 16
    assert 7 not in filled["swav"]["learning_rates"]
    assert 7 not in filled["relloc"]["learning_rates"]


def test_defaults_are_not_shared_between_configurations():
    first = check_config(SMALL, SCHEMA)
    first["seeds"].append(5)
    first["roots"]["mine"] = {"file": "a.pt"}
    second = check_config(SMALL, SCHEMA)
    assert second["seeds"] == [0]
    assert set(second["roots"]) == {"imagenet"}


def test_missing_keys_are_named():
    with pytest.raises(InputError, match="curricula: missing"):
        check_config({"study": "x", "dataset": {"layout": "phantom"}}, SCHEMA)


@pytest.mark.parametrize("file", sorted((ROOT / "config").glob("thesis*.yaml")))
def test_the_thesis_keeps_what_it_has_trained(file):
    given = [ROOT / "config/thesis.yaml", file]
    stages = read_config(given)["stages"]
    for task, settings in stages.items():
        assert lasting(task, settings)["options"].keys() == (
            DEFAULTS[task].keys() - LATER.get(task, {}).keys()
        )
        assert not lasting(task, settings).keys() & LATER_SETTINGS.keys()


def test_what_is_set_aside_by_default_is_what_is_remarked():
    accept = check_config(SMALL, SCHEMA)["ingest"]["accept"]
    assert {key: accept[key] for key in LATER_ACCEPT} == LATER_ACCEPT
