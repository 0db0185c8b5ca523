"""What the choice of a network changes in a study: its recipes, and what is said of its map."""

from __future__ import annotations

import copy
from importlib import metadata
from pathlib import Path

import pytest

from sscdl.equivalence import group_hash
from sscdl.errors import InputError
from sscdl.files import write_json
from sscdl.planning.estimates import rate_key
from sscdl.recipe import fingerprint
from sscdl.study.config import check_config, load_schema
from sscdl.study.study import Study
from sscdl.training import network_facts
from tests.conftest import ROOT

SCHEMA = load_schema(ROOT / "workflow/schemas/config.schema.yaml")
BASE = {"study": "x", "dataset": {"layout": "phantom"}, "curricula": ["imagenet+swav+rotation"]}
VIT = {"name": "vit_tiny_patch16_224"}


def study(store: Path, backbone: dict, **change: object) -> Study:
    config = copy.deepcopy(BASE) | {"store": str(store), "backbone": backbone} | change
    return Study(check_config(config, SCHEMA))


def known(store: Path, size: int, **facts: object) -> None:
    """Write down what is known of the transformer, as if somebody had looked at it."""
    found = {
        "map_side": 4, "channels": 192, "bytes": 10**6, "other_sizes": True, "shared_norms": True,
    }  # fmt: skip
    path = network_facts._record(VIT["name"], size, store)
    write_json(path, found | facts)


def test_recipes_of_torchvisions_networks_tell_nothing_of_timm(tmp_path):
    for name in ("resnet18", "resnet34", "densenet121"):
        for node in study(tmp_path, {"name": name}).nodes.values():
            assert node.recipe["backbone"] == {"name": name, "last_stage": 4}
            assert "timm" not in node.recipe


def test_recipes_of_timms_networks_hold_the_source_that_builds_them_and_their_size(tmp_path):
    for node in study(tmp_path, VIT).nodes.values():
        assert node.recipe["timm"] == [group_hash("timm networks"), metadata.version("timm")]
        assert node.recipe["backbone"] == {**VIT, "last_stage": 4, "image_size": 64}


def test_weights_given_are_brought_to_the_size_of_the_study(tmp_path):
    small, large = (
        study(tmp_path, VIT, image={"size": size, "packed": 96}).root_file("imagenet")
        for size in (64, 96)
    )
    assert small != large
    assert study(tmp_path, VIT).root_identities["imagenet"].startswith("timm vit_tiny_patch16_224,")
    other = study(tmp_path, {"name": "resnet18"})
    same = study(tmp_path, {"name": "resnet18"}, image={"size": 96, "packed": 96})
    assert other.root_file("imagenet") == same.root_file("imagenet")
    assert other.root_identities["imagenet"] == "torchvision resnet18 IMAGENET1K_V1"


def test_roots_and_stages_of_timms_networks_change_with_its_version_and_the_source(
    tmp_path, monkeypatch
):
    resnet = {"name": "resnet18"}

    def named(backbone: dict) -> tuple:
        found = study(tmp_path, backbone)
        return found.root_file("imagenet"), *found.nodes

    before = named(VIT), named(resnet)
    with monkeypatch.context() as changed:
        changed.setattr("sscdl.study.study.timm_version", lambda name: "0.1")
        assert not set(named(VIT)) & set(before[0])
        assert named(resnet) == before[1]
    with monkeypatch.context() as changed:
        other = {"timm networks": "0" * 12}
        changed.setattr(
            "sscdl.study.study.group_hash", lambda group: other.get(group) or group_hash(group)
        )
        assert not set(named(VIT)) & set(before[0])
        assert named(resnet) == before[1]


def test_a_root_of_torchvisions_networks_lies_where_it_did(tmp_path):
    found = study(tmp_path, {"name": "resnet18"})
    parts = [found.root_identities["imagenet"], {"name": "resnet18", "last_stage": 4}]
    assert found.root_file("imagenet").name == f"imagenet.{fingerprint(parts)}.safetensors"


def test_without_timm_its_networks_are_refused_and_torchvisions_are_not(tmp_path, monkeypatch):
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(network_facts.metadata, "version", missing)
    assert study(tmp_path, {"name": "resnet18"}).nodes
    with pytest.raises(InputError, match="vit_tiny_patch16_224.* timm may have it, but is not ins"):
        study(tmp_path, VIT).nodes  # noqa: B018  an attribute that computes


def test_mended_checks_are_asked_again(tmp_path, monkeypatch):
    known(tmp_path, 64)
    assert study(tmp_path, VIT).network_facts()
    monkeypatch.setattr(network_facts, "_checks", lambda: "01234567")
    assert study(tmp_path, VIT).network_facts() is None


def test_only_resnets_of_torchvision_end_early(tmp_path):
    for name in (VIT["name"], "densenet121", "resnet50d"):
        with pytest.raises(InputError, match=f"last_stage: {name} is used whole; give 4"):
            study(tmp_path, {"name": name, "last_stage": 3})
    study(tmp_path, {"name": "resnet34", "last_stage": 3})


def test_a_name_is_no_path_and_no_address(tmp_path):
    for name in ("../x", "hf-hub:somebody/model", "", "a b"):
        with pytest.raises(InputError, match="backbone.name"):
            study(tmp_path, {"name": name})


def test_a_coarse_map_is_said(tmp_path):
    assert study(tmp_path, {"name": "resnet18", "last_stage": 2}).check_network() == []
    (said,) = study(tmp_path, {"name": "resnet18"}).check_network()
    assert said.startswith("The last map of resnet18 has 2 x 2 cells at 64 px, fewer than 7 x 7")
    # Nobody has looked at this one yet: the start of a run does.
    assert study(tmp_path, VIT).check_network() == []
    known(tmp_path, 64)
    (said,) = study(tmp_path, VIT).check_network()
    assert "vit_tiny_patch16_224 has 4 x 4 cells at 64 px" in said
    known(tmp_path, 64, map_side=14)
    assert study(tmp_path, VIT).check_network() == []


def test_networks_of_one_size_do_not_go_with_tasks_that_show_crops(tmp_path):
    known(tmp_path, 64, other_sizes=False)
    with pytest.raises(InputError, match="takes pictures of 64 px alone, and swav shows"):
        study(tmp_path, VIT).check_network()
    without = {"swav": {"options": {"local_crops": 0}}}
    assert study(tmp_path, VIT, stages=without).check_network()
    assert study(tmp_path, VIT, curricula=["moco", "rotation"]).check_network()


def test_norms_that_several_devices_cannot_share_go_with_one(tmp_path):
    several = {"training": {"devices": 2}}
    known(tmp_path, 64)
    study(tmp_path, VIT, **several).check_network()
    known(tmp_path, 64, shared_norms=False)
    study(tmp_path, VIT).check_network()
    with pytest.raises(InputError, match="devices: 2, but vit_tiny_patch16_224 .*side_by_side"):
        study(tmp_path, VIT, **several).check_network()


def test_rates_that_were_measured_are_told_apart_by_network(tmp_path):
    (node, *_) = study(tmp_path, VIT).nodes.values()
    (other, *_) = study(tmp_path, {"name": "resnet18"}).nodes.values()
    assert rate_key(node.recipe, "cpu", 1)[1:4] == (VIT["name"], 4, 64)
    assert rate_key(other.recipe, "cpu", 1)[1:4] == ("resnet18", 4, 64)
