"""Networks of timm as backbones: what they compute is timm's, and what cannot be one is refused."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sscdl.errors import InputError
from sscdl.stages.roots import load_named
from sscdl.training import batch_statistics
from sscdl.training.backbones import build_backbone
from sscdl.training.network_names import TORCHVISION, by_timm, network_of
from tests.conftest import ROOT

import timm  # isort: skip  needs what torchvision's import prepares

VIT = "vit_tiny_patch16_224"
# Network, its size, and what makes timm's own of that size.
TRIED = [
    (VIT, 96, {"img_size": 96}),
    ("vit_small_patch16_224", 64, {"img_size": 64}),
    ("convnext_tiny", 64, {}),
    ("efficientnet_b0", 96, {}),
    ("swin_tiny_patch4_window7_224", 64, {"img_size": 64}),
]


def pixels(size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(seed))


def shaken(backbone: nn.Module) -> nn.Module:
    """Give every weight a value of its own: some begin as 0 or 1, and would hide a mistake."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for one in backbone.parameters():
            one += 0.05 * torch.randn(one.shape, generator=generator)
    return backbone


@pytest.mark.parametrize(("name", "size", "own"), TRIED)
def test_weights_load_strictly_into_timm_and_the_map_is_its_own(name, size, own):
    torch.manual_seed(3)
    backbone = shaken(build_backbone(name, image_size=size)).eval()
    theirs = timm.create_model(name, num_classes=0, **own).eval()
    theirs.load_state_dict(backbone.state_dict(), strict=True)
    with torch.no_grad():
        found, pooled = backbone.features(pixels(size)), backbone(pixels(size))
        last = theirs.forward_features(pixels(size))
        whole = theirs(pixels(size))
    side = backbone.map_size(size)
    assert found.shape == (2, backbone.channels, side, side)
    torch.testing.assert_close(found.mean(dim=(2, 3)), pooled)
    if name.startswith("vit"):
        tokens = last[:, 1:].reshape(2, side, side, -1).permute(0, 3, 1, 2)
        torch.testing.assert_close(found, tokens)
        torch.testing.assert_close(pooled, last[:, 1:].mean(dim=1))
    else:
        torch.testing.assert_close(pooled, whole)
    if name.startswith("convnext"):
        # The norm of the average, as an affine change of every cell.
        mean = last.mean(dim=(2, 3))
        expected = F.layer_norm(
            mean, mean.shape[1:], theirs.head.norm.weight, theirs.head.norm.bias, 1e-6
        )
        torch.testing.assert_close(pooled, expected)
        assert torch.equal(found.argmax(dim=1), found.argmax(dim=1))
    if name.startswith("efficientnet"):
        torch.testing.assert_close(found, last)


def test_the_weights_of_a_seed_are_timms_own_for_it():
    for name, size, own in TRIED[:3]:
        torch.manual_seed(5)
        ours = build_backbone(name, image_size=size).state_dict()
        torch.manual_seed(5)
        theirs = timm.create_model(name, num_classes=0, **own).state_dict()
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
        assert ours.keys() == theirs.keys()


@pytest.mark.parametrize(("name", "size", "own"), TRIED)
def test_every_weight_gets_a_gradient(name, size, own):
    backbone = build_backbone(name, image_size=size)
    backbone(pixels(size)).square().sum().backward()
    assert all(one.grad is not None for one in backbone.parameters())


def test_a_task_around_it_keeps_loads_and_copies_it():
    """As tasks do: in a state dict, and as a network that follows."""

    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = build_backbone(VIT, image_size=32)
            self.follows = copy.deepcopy(self.backbone)
            self.head = nn.Linear(self.backbone.channels, 2)

    torch.manual_seed(1)
    first, second = Around(), Around()
    state = first.state_dict()
    assert "backbone.blocks.0.attn.qkv.weight" in state
    assert "follows.pos_embed" in state
    assert not any("network" in key for key in state)
    assert second.load_state_dict(state) == ([], [])
    for key, value in second.state_dict().items():
        assert torch.equal(value, state[key]), key
    del state["backbone.pos_embed"]
    with pytest.raises(RuntimeError, match="pos_embed"):
        second.load_state_dict(state)
    state["backbone.other"] = torch.ones(1)
    missing, unknown = second.load_state_dict(state, strict=False)
    assert len(missing) == len(unknown) == 1


@pytest.mark.parametrize("side", [16, 24, 41, 64])
def test_transformers_take_crops_of_other_sizes(side):
    """What is no multiple of a patch is filled up with zeros."""
    backbone = build_backbone(VIT, image_size=96).eval()
    with torch.no_grad():
        found = backbone.features(pixels(side))
        whole = -(-side // 16) * 16
        filled = F.pad(pixels(side), (0, whole - side, 0, whole - side))
        torch.testing.assert_close(found, backbone.features(filled))
    assert found.shape[2:] == (whole // 16, whole // 16)


@pytest.mark.parametrize("name", [VIT, "convnext_tiny"])
def test_half_precision_and_memory_formats_are_taken(name):
    backbone = build_backbone(name, image_size=64).to(memory_format=torch.channels_last).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        half = backbone(pixels(64).contiguous(memory_format=torch.channels_last))
    with torch.no_grad():
        full = backbone(pixels(64))
    assert F.cosine_similarity(half.float(), full).min() > 0.99


def test_dropout_and_stochastic_depth_are_off():
    """Random numbers are a function of seed, epoch and image."""
    backbone = build_backbone("swin_tiny_patch4_window7_224", image_size=64).train()
    timms = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0, img_size=64)
    rates = [getattr(m, "drop_prob", 0) or 0 for m in timms.modules()]
    assert max(rates) > 0
    with torch.no_grad():
        assert torch.equal(backbone(pixels(64)), backbone(pixels(64)))


def test_a_timm_network_does_not_end_early():
    with pytest.raises(InputError, match="convnext_tiny cannot end early"):
        build_backbone("convnext_tiny", 3, 64)


def test_torchvisions_networks_are_known_without_torch_or_timm():
    code = (
        "import sys; from sscdl.training.network_facts import known_facts as k;"
        "k({'name': 'resnet50', 'last_stage': 4}, 224, '.'); import sscdl.study.study;"
        "print(sorted({'torch', 'timm', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
    code = "import sys, sscdl.training.backbones as b; b.build_backbone('resnet18');"
    code += "print('timm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_names_are_told_apart():
    assert not any(map(by_timm, TORCHVISION))
    assert network_of({"name": "resnet18", "last_stage": 2}, 64) == {
        "name": "resnet18", "last_stage": 2,
    }  # fmt: skip
    assert network_of({"name": VIT, "last_stage": 4}, 64)["image_size"] == 64


def test_networks_without_batch_normalisation_are_left_alone():
    """Nothing is passed through them, and nothing of them changes."""
    backbone = build_backbone(VIT, image_size=32)
    before = {key: one.clone() for key, one in backbone.state_dict().items()}

    def passed():
        raise AssertionError("a pass that no layer needs")

    with batch_statistics.estimated(backbone, [passed]):
        assert not backbone.training
    assert backbone.training
    images = torch.zeros(4, 40, 40, dtype=torch.uint8)
    batch_statistics.settle(backbone, passed, images, 32)
    assert all(torch.equal(before[key], one) for key, one in backbone.state_dict().items())


def test_batch_normalisation_of_timm_is_estimated_as_torchs():
    backbone = build_backbone("efficientnet_b0", image_size=64).eval()
    layers = batch_statistics.layers(backbone)
    assert len(layers) == sum("running_mean" in key for key in backbone.state_dict())
    images = torch.randint(0, 255, (8, 64, 64), dtype=torch.uint8)
    batch_statistics.settle(backbone, lambda unit: unit.expand(-1, 3, -1, -1), images, 64)
    first = layers[0].running_mean
    seen = backbone.network.conv_stem(images[:, None].expand(-1, 3, -1, -1) / 255.0)
    torch.testing.assert_close(first, seen.mean(dim=(0, 2, 3)), rtol=1e-3, atol=1e-4)


def test_a_file_of_another_size_is_interpolated_as_timm_does(tmp_path):
    torch.manual_seed(2)
    large = timm.create_model(VIT, num_classes=7)
    torch.save({"state_dict": large.state_dict()}, tmp_path / "vit.pt")
    backbone = build_backbone(VIT, image_size=96)
    load_named(backbone, "mine", str(tmp_path / "vit.pt"))
    expected = timm.models.vision_transformer.checkpoint_filter_fn(
        large.state_dict(), timm.create_model(VIT, num_classes=0, img_size=96)
    )
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, expected[key]), key


@pytest.mark.parametrize("name", ["convnext_tiny", "efficientnet_b0"])
def test_a_file_of_timms_is_taken_whole(tmp_path, name):
    torch.manual_seed(2)
    theirs = timm.create_model(name, num_classes=5)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    backbone = build_backbone(name, image_size=64)
    load_named(backbone, "imagenet", str(tmp_path / "w.pth"))
    own = theirs.state_dict()
    assert all(torch.equal(one, own[key]) for key, one in backbone.state_dict().items())


def test_a_file_of_another_network_is_refused(tmp_path):
    other = timm.create_model("vit_small_patch16_224", num_classes=0)
    torch.save(other.state_dict(), tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"w.pth does not fit vit_tiny_patch16_224 .* shape: "):
        load_named(build_backbone(VIT, image_size=96), "mine", str(tmp_path / "w.pth"))


def test_what_timms_filter_cannot_read_is_named_by_its_weights(tmp_path, monkeypatch):
    def broken(*_):
        raise IndexError("list index out of range")

    monkeypatch.setattr(timm.models.vision_transformer, "checkpoint_filter_fn", broken)
    other = timm.create_model("vit_small_patch16_224", num_classes=0)
    torch.save(other.state_dict(), tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"w.pth does not fit vit_tiny_patch16_224 .* shape: "):
        load_named(build_backbone(VIT, image_size=96), "mine", str(tmp_path / "w.pth"))
