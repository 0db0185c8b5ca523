"""What would end a run after hours is found before its first job."""

from __future__ import annotations

import io
import json
import sys
from http.client import BadStatusLine

import pytest
import torch
from safetensors.torch import save_file

from sscdl.errors import InputError
from sscdl.segment.networks import default, published
from sscdl.stages import start
from sscdl.study.root_names import check_roots
from sscdl.training import backbones
from sscdl.training.backbones import build_backbone

NOTHING = {
    "devices": 0, "backbone": {"name": "resnet18", "last_stage": 2}, "roots": {}, "unseen": None,
    "segmenter": None, "published": False,
}  # fmt: skip


def refused(**asked) -> str:
    with pytest.raises(InputError) as caught:
        start.refuse(**{**NOTHING, **asked})
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".pth.tar", ".ckpt", ""])
def test_a_root_of_another_network_is_refused_and_its_own_is_not(tmp_path, suffix):
    write = save_file if suffix == ".safetensors" else torch.save
    for name, stage in (("resnet18", 2), ("resnet18", 3), ("resnet50", 2)):
        path = tmp_path / f"{name}-{stage}{suffix}"
        write(dict(build_backbone(name, stage).state_dict()), path)
    start.refuse(**NOTHING | {"roots": {"mine": str(tmp_path / f"resnet18-2{suffix}")}})
    check_roots({"mine": {"file": str(tmp_path / f"resnet18-2{suffix}")}})
    other = refused(roots={"mine": str(tmp_path / f"resnet50-2{suffix}")})
    assert "roots.mine: " in other
    assert "does not fit resnet18 up to stage 2" in other


def test_what_a_run_can_start_from_is_not_refused_before_it(tmp_path):
    """Checkpoints of MoCo are read by the job, and so by what is asked before it."""
    state = build_backbone("resnet18", 2).state_dict()
    wrapped = {f"module.encoder_q.{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 200, "state_dict": wrapped}, tmp_path / "moco.pth.tar")
    start.refuse(**NOTHING | {"roots": {"mine": str(tmp_path / "moco.pth.tar")}})
    wrapped["module.encoder_q.bn1.bias"][0] = float("nan")
    torch.save({"state_dict": wrapped}, tmp_path / "moco.pth.tar")
    assert "are NaN" in refused(roots={"mine": str(tmp_path / "moco.pth.tar")})


def test_a_segmenter_of_another_network_is_refused_and_a_lung_segmenter_is_not(tmp_path):
    start.refuse(**NOTHING | {"segmenter": str(default.PATH)})
    path = tmp_path / "other.pt"
    torch.save(dict(build_backbone("resnet18", 2).state_dict()), path)
    assert "no lungVAE state dict" in refused(segmenter=str(path))


@pytest.mark.parametrize("error", [OSError("no route to host"), BadStatusLine("of a proxy")])
def test_downloads_that_cannot_be_had_are_refused(monkeypatch, error):
    def offline(*_, **__):
        raise error

    monkeypatch.setattr(published.urllib.request, "urlopen", offline)
    assert "lungs.source: default" in refused(published=True)


def test_weights_of_imagenet_that_cannot_be_had_are_refused(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(backbones.torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(backbones.torch.hub, "get_dir", lambda: "/nowhere")
    monkeypatch.setattr(backbones.Path, "mkdir", lambda *_, **__: None)
    message = refused(roots={"imagenet": None})
    assert message.startswith("roots.imagenet: http")  # its key once


def test_too_few_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "torch sees no GPU here" in refused(devices=1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert "training.devices: 4, but torch sees 2 GPUs" in refused(devices=4)
    start.refuse(**NOTHING | {"devices": 2})


def test_where_networks_cannot_be_built_all_else_is_still_asked(tmp_path, monkeypatch, capsys):
    """Jobs may have an environment of their own, in which they can."""

    def absent(*_, **__):
        raise ModuleNotFoundError("No module named 'timm'")

    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(start, "network_facts", absent)
    monkeypatch.setattr(backbones, "build_backbone", absent)
    monkeypatch.setattr(published.urllib.request, "urlopen", offline)
    network = {"name": "vit_tiny_patch16_224", "last_stage": 4, "image_size": 64}
    asked = {
        "backbone": network, "unseen": {"image_size": 64, "store": str(tmp_path)},
        "roots": {"imagenet": None},
    }  # fmt: skip
    start.refuse(**NOTHING | asked)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert said[0].startswith("vit_tiny_patch16_224: not checked before the start")
    assert said[1].startswith("roots.imagenet for vit_tiny_patch16_224: not checked before")
    path = tmp_path / "other.pt"
    torch.save(dict(build_backbone("resnet18", 2).state_dict()), path)
    assert "no lungVAE state dict" in refused(**asked, segmenter=str(path))
    assert "lungs.source: default" in refused(**asked, published=True)


def test_the_command_ends_with_the_message(monkeypatch, capsys):
    def asked(**change) -> int:
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(NOTHING | change)))
        return start.main()

    assert asked() == 0
    assert asked(roots={"mine": "/nowhere.pt"}) == 2
    assert "/nowhere.pt does not exist" in capsys.readouterr().err
    # Where jobs have an environment of their own, this one may lack torch.
    monkeypatch.setitem(sys.modules, "sscdl.segment.networks.checkpoint", None)
    assert asked(segmenter="x.pt") == 0
    assert "not checked before the start" in capsys.readouterr().err
