"""The checkpoints that curricula start from: which are refused, and what stands in for one."""

from __future__ import annotations

import pytest
import torch

from sscdl._torchvision import torchvision
from sscdl.errors import InputError
from sscdl.stages.roots import fetch_root
from sscdl.study.root_names import check_roots, identities, stand_in_notes, stand_ins
from sscdl.training.backbones import build_backbone
from sscdl.weight_files import read_tensors

SMALL = {"name": "resnet18", "last_stage": 2}


def test_a_stand_in_is_random_weights_and_always_the_same(tmp_path):
    for name in ("a", "b"):
        torch.rand(3)  # whatever was drawn before
        fetch_root(
            "imagenet", None, tmp_path / f"{name}.safetensors", stand_in=True, backbone=SMALL
        )
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    build_backbone(**SMALL).load_state_dict(read_tensors(tmp_path / "a.safetensors"))


def test_a_file_is_brought_into_the_store(tmp_path):
    torch.manual_seed(5)
    own = build_backbone(**SMALL).state_dict()
    torch.save(own, tmp_path / "mine.pt")
    out = tmp_path / "mine.safetensors"
    fetch_root("mine", tmp_path / "mine.pt", out, stand_in=False, backbone=SMALL)
    found = read_tensors(out)
    assert all(torch.equal(found[name], own[name]) for name in own)


def resnet() -> dict[str, torch.Tensor]:
    """Return the weights of a whole network of torchvision's, with its classifier."""
    torch.manual_seed(6)
    return torchvision.models.resnet18().state_dict()


def prefixed(prefix: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def moco(state: dict[str, torch.Tensor]) -> dict[str, object]:
    """Return a checkpoint as MoCo's authors write them."""
    followed = {name: tensor + 1 for name, tensor in state.items()}
    both = prefixed("module.encoder_q.", state) | prefixed("module.encoder_k.", followed)
    both |= {"module.encoder_q.fc.0.weight": torch.rand(2, 2), "module.queue": torch.rand(2, 3)}
    return {"epoch": 200, "arch": "resnet18", "state_dict": both, "optimizer": {"state": {0: {}}}}


def swav(state: dict[str, torch.Tensor]) -> dict[str, object]:
    heads = {"projection_head.0.weight": torch.rand(2, 2), "prototypes.weight": torch.rand(3, 2)}
    return prefixed("module.", state | heads)


def other() -> dict:
    """Return the weights of another network of this kind."""
    return {name: tensor + 1 for name, tensor in resnet().items()}


def beside(state: dict, own: str, followers: str) -> dict:
    """Return a state with a network that follows it."""
    return prefixed(followers, other()) | prefixed(own, state)


@pytest.mark.parametrize(
    "wrap",
    [
        moco,
        swav,
        lambda state: {"state_dict": swav(state)},
        lambda state: {"state_dict": state, "state_dict_ema": prefixed("", state)},
        lambda state: {"student": prefixed("backbone.", state)},
        lambda state: beside(state, "backbone.", "momentum_backbone."),
        lambda state: beside(state, "backbone.", "backbone_momentum."),
        lambda state: beside(state, "encoder_q.", "ema."),
        lambda state: beside(state, "online_encoder.", "target_encoder."),
        lambda state: beside(state, "", "momentum_encoder."),
        lambda state: {"model": other(), "state_dict": prefixed("module.", state)},
        lambda state: state,
    ],
)
@pytest.mark.parametrize("name", ["w.pth.tar", "w.ckpt", "w.pth"])
def test_checkpoints_of_others_are_read(tmp_path, wrap, name):
    torch.save(wrap(resnet()), tmp_path / name)
    out = tmp_path / "out.safetensors"
    fetch_root("mine", tmp_path / name, out, stand_in=False, backbone=SMALL)
    found, own = read_tensors(out), resnet()
    assert found.keys() == build_backbone(**SMALL).state_dict().keys()
    assert all(torch.equal(found[key], own[key]) for key in found)


def test_several_networks_are_named_and_none_is_taken(tmp_path):
    content = {name: prefixed("backbone.", resnet()) for name in ("student", "teacher")}
    torch.save(content, tmp_path / "w.pth")
    told = r"w.pth holds several networks, student.backbone. and teacher.backbone.; save the one"
    with pytest.raises(InputError, match=told):
        fetch_root("mine", tmp_path / "w.pth", tmp_path / "o", stand_in=False, backbone=SMALL)


def test_what_does_not_fit_is_told_of_the_file_that_was_given(tmp_path):
    state = resnet()
    state["layer1.0.other.weight"] = state.pop("layer1.0.conv1.weight")
    torch.save(state, tmp_path / "w.pth")
    told = r"w.pth does not fit resnet18 .*1 missing: layer1.0.conv1.*1 unknown: layer1.0.other"
    with pytest.raises(InputError, match=told):
        fetch_root("mine", tmp_path / "w.pth", tmp_path / "o", stand_in=False, backbone=SMALL)


def test_weights_that_are_not_finite_are_no_root(tmp_path):
    state = resnet()
    state["bn1.running_var"][3] = float("inf")
    state["fc.bias"][:] = float("nan")  # which nobody reads
    torch.save(moco(state), tmp_path / "w.pth.tar")
    with pytest.raises(InputError, match=r"1 of 64 numbers of bn1.running_var are NaN or inf"):
        fetch_root("mine", tmp_path / "w.pth.tar", tmp_path / "o", stand_in=False, backbone=SMALL)
    assert not (tmp_path / "o").exists()


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
