"""The checkpoints that curricula start from: which are refused, and what stands in for one."""

from __future__ import annotations

import pytest
import torch

from sscdl.errors import InputError
from sscdl.stages.roots import fetch_root
from sscdl.study.root_names import check_roots, identities, stand_in_notes, stand_ins
from sscdl.training.backbones import build_backbone, read_weights

SMALL = {"name": "resnet18", "last_stage": 2}


def test_a_stand_in_is_random_weights_and_always_the_same(tmp_path):
    for name in ("a", "b"):
        torch.rand(3)  # whatever was drawn before
        fetch_root("imagenet", None, tmp_path / f"{name}.safetensors", stand_in=True, **SMALL)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    build_backbone(**SMALL).load_state_dict(read_weights(tmp_path / "a.safetensors"))


def test_a_file_is_brought_into_the_store(tmp_path):
    torch.manual_seed(5)
    own = build_backbone(**SMALL).state_dict()
    torch.save(own, tmp_path / "mine.pt")
    out = tmp_path / "mine.safetensors"
    fetch_root("mine", tmp_path / "mine.pt", out, stand_in=False, **SMALL)
    found = read_weights(out)
    assert all(torch.equal(found[name], own[name]) for name in own)


def test_a_stand_in_is_another_root_than_what_it_stands_for():
    real, random = (
        identities(roots, network, str)
        for roots, network in (({}, "resnet18"), ({"imagenet": {"stand_in": True}}, "r"))
    )
    assert real["imagenet"] != random["imagenet"]
    roots = {"imagenet": {"stand_in": True}, "mine": {"stand_in": False}}
    assert stand_ins(roots) == ["imagenet"]
    assert "random weights stand in" in stand_in_notes(["imagenet"])[0]


@pytest.mark.parametrize(
    ("roots", "message"),
    [
        ({"moco": {"file": "x"}}, "roots.moco: this name has a meaning of its own"),
        ({"mine": {}}, "roots.mine.file: missing"),
        ({"mine": {"file": "x", "stand_in": True}}, "roots.mine: a file and a stand_in exclude"),
    ],
)
def test_roots_that_cannot_be_are_refused(roots, message):
    with pytest.raises(InputError, match=message):
        check_roots(roots)
